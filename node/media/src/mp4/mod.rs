//! MP4 (ISO/IEC 14496-12 and -14) in and out: a file as a source, a recording, a live stream.
//!
//! Coded pictures and packets of sound pass through as they are; nothing in here decodes. Reading
//! trusts no size and no count of a file; writing takes whatever a stranger's broadcast brings.
//!
//! - [`Mp4Source`]: `file:PATH`, the H.264 track and the first track of AAC or Opus beside it.
//! - [`Mp4Sink`]: `--out FILE.mp4`, both tracks in fragments that survive a kill.
//! - [`Fmp4`]: the same bytes as a live stream, a fragment for each access unit.

mod audio;
mod boxes;
mod entry;
mod error;
mod index;
mod lane;
mod live;
mod opening;
mod out;
mod pace;
mod pictures;
mod seek;
mod sink;
mod sink_error;
mod source;
mod tables;
mod ticks;
mod track;
mod write;

pub use entry::Unwritable;
pub use live::{Fmp4, Fragment, LEAD, Start};
pub use sink::Mp4Sink;
pub use sink_error::SinkError;
pub use source::Mp4Source;
