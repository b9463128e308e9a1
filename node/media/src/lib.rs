//! Sources of access units, the codec, and what local sinks are handed.
//!
//! A source runs on a thread of its own and hands over whole access units; nothing in here knows of
//! rooms, connections or the swarm.

pub mod annexb_source;
mod annexb_units;
mod arrival;
pub mod beep_source;
pub mod decode;
pub mod encode;
mod font;
pub mod mp4;
pub mod openh264_raw;
mod pace;
pub mod pattern;
mod pauses;
pub mod picture;
mod pipe;
mod scene;
pub mod sniff;
pub mod source;
pub mod spec;
pub mod stamp;
pub mod test_source;
pub mod ts;
mod unit;
mod y4m_header;
pub mod y4m_source;

pub use unit::ViewUnit;
