//! What a local sink (the page, a recording) is handed.

use bytes::Bytes;

/// One access unit of a broadcast, complete, verified and in order, as local sinks get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewUnit {
    /// Number of the access unit in its track, continuous over groups; a jump is a gap.
    pub seq: u64,
    /// The group it belongs to; a group begins with a keyframe.
    pub group: u64,
    /// Presentation time in the track's timescale.
    pub pts: i64,
    /// Presentation time minus decoding time, in the track's timescale; 0 without B-frames.
    pub decode_offset: i32,
    /// When the picture was taken, in microseconds of the broadcast's clock.
    pub captured_us: i64,
    /// When it was complete and in order here, in microseconds of the broadcast's clock.
    pub ready_us: i64,
    /// Whether decoding can begin here.
    pub keyframe: bool,
    /// Annex-B, parameter sets with every keyframe.
    pub data: Bytes,
}
