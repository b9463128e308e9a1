//! Sources of access units, the codec, and what local sinks are handed.
//!
//! A source runs on a thread of its own and hands over whole access units; nothing in here knows of
//! rooms, connections or the swarm.

mod mp4_boxes;
mod mp4_index;
pub mod mp4_sink;
pub mod mp4_source;
mod mp4_track;
mod mp4_write;
pub mod source;
mod unit;

pub use unit::ViewUnit;
