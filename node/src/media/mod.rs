//! Sources of access units, the codec, and what local sinks are handed.
//!
//! A source runs on a thread of its own and hands over whole access units; nothing in here knows of
//! rooms, connections or the swarm.

pub mod source;
mod unit;

pub use unit::ViewUnit;
