//! Pictures between this node and its neighbours: the shared track in the middle, a reader for each
//! stream that comes in, a writer for each child.
//!
//! Performs what `protocol/src/media` decides and decides nothing: no piece passes the driver, no
//! lock is held across an await. Bounds stand beside each task.

pub mod accept;
mod cancel;
pub mod quic;
pub mod reader;
pub mod sink;
mod stats;
pub mod table;
mod track;
pub mod writer;

#[cfg(test)]
mod tests;

pub use cancel::Cancel;
pub use stats::{FeedSnapshot, FeedStats};
pub use track::{Reads, SharedTrack};
