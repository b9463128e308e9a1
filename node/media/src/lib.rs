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
mod feed;
mod font;
mod mp4_boxes;
mod mp4_index;
pub mod mp4_sink;
pub mod mp4_source;
mod mp4_track;
mod mp4_write;
pub mod openh264_raw;
mod pace;
pub mod pattern;
mod pauses;
pub mod picture;
mod scene;
pub mod sniff;
pub mod source;
pub mod spec;
pub mod stamp;
pub mod test_source;
mod unit;
mod y4m_header;
pub mod y4m_source;

pub use unit::ViewUnit;
