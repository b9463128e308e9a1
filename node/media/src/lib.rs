//! Sources of access units, the codec, and what local sinks are handed.
//!
//! A source runs on a thread of its own and hands over whole access units; nothing in here knows of
//! rooms, connections or the swarm.

pub mod decode;
pub mod encode;
mod font;
pub mod mp4;
pub mod openh264_raw;
pub mod pattern;
pub mod picture;
mod scene;
pub mod source;
pub mod spec;
pub mod stamp;
pub mod test_source;
mod unit;

pub use unit::ViewUnit;
