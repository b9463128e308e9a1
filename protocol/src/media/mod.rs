//! Pictures on their way: signed by the publisher, kept in a cache in the middle of each track,
//! handed to children by cursors and to the local viewer in order.
//!
//! Decides what to send next and what to give up; never sends, never reads a clock. Memory is bounded
//! by the cache ([`cache::CACHE_BYTES_MAX`] a track) and by one head and one piece a stream.

pub mod cache;
pub mod clock;
pub mod cursor;
pub mod gate;
pub mod group;
pub mod keyframe;
mod lane;
pub mod publish;
pub mod pull;
pub mod reorder;
pub mod stall;
pub mod subscribe;
pub mod track;
