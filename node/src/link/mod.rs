//! Pictures between this node and its neighbours: the shared track in the middle, a reader for each
//! stream that comes in, a writer for each child.

mod track;

pub use track::{FeedSnapshot, FeedStats, Reads, SharedTrack};
