//! MPEG transport streams (ISO/IEC 13818-1) in and out: what `ffmpeg -f mpegts -` writes into a pipe
//! and what `ffplay -` and `mpv -` read from one.
//!
//! In ([`TsSource`]): H.264 with AAC (ADTS) or Opus, or either alone, passed through; nothing is
//! decoded. Out ([`TsSink`]): the same. Every byte that comes in is a stranger's: no input panics,
//! and each part states its bound; all together they hold less than 32 MiB.

mod adts;
mod deliver;
mod demux;
mod error;
mod format;
mod mux;
mod opus;
mod packet;
mod pes;
mod program;
mod psi;
mod queue;
mod sink;
mod sound;
mod source;
mod stream;
mod timeline;
mod video;

pub use sink::{TsSink, TsSinkError};
pub use source::TsSource;

/// Seconds of a stream in which a keyframe must come: a stream that is joined in the middle of a
/// group of ten seconds has one in time, one that refreshes without keyframes never has.
const KEYFRAME_WAIT_S: i64 = 12;

/// Pictures a second that an encoder may claim; others write nonsense there.
fn is_sane((num, den): (u32, u32)) -> bool {
    den > 0 && num >= den && num / den <= 240
}
