//! What a stream's tracks are, worked out from its first seconds.
//!
//! It waits for a keyframe and for a packet of sound; the frame rate is what the encoder wrote,
//! else what the time stamps show. Bound: [`AHEAD_MAX`] of the stream or [`AHEAD_BYTES_MAX`] are
//! read ahead once the first picture is there.

use super::is_sane;
use super::queue::Queue;
use super::stream::Stream;
use super::timeline::TICKS_PER_S;
use crate::source::{TrackFormat, VideoFormat};

/// Most of the stream that is read ahead.
const AHEAD_MAX: i64 = 2 * TICKS_PER_S;

/// Most bytes of it.
const AHEAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Pictures from which a frame rate is guessed.
const GUESS_PICTURES: usize = 10;

/// Frame rates in use, as fractions.
const RATES: [(u32, u32); 14] = [
    (5, 1),
    (10, 1),
    (12, 1),
    (15, 1),
    (20, 1),
    (24_000, 1_001),
    (24, 1),
    (25, 1),
    (30_000, 1_001),
    (30, 1),
    (48, 1),
    (50, 1),
    (60_000, 1_001),
    (60, 1),
];

/// The tracks, once they are known; `last`: nothing more will come.
pub(super) fn tracks(stream: &Stream, queue: &Queue, last: bool) -> Option<Vec<TrackFormat>> {
    let program = stream.program()?;
    let enough = last || queue.span() >= AHEAD_MAX || queue.bytes() >= AHEAD_BYTES_MAX;
    let mut tracks = Vec::new();
    if program.video.is_some() {
        // Without a picture there is nothing to go on with: an error ends that, not patience.
        tracks.push(TrackFormat::Video(video(stream, queue, enough)?));
    }
    if program.sound.is_some() {
        match stream.sound().and_then(|sound| sound.format()) {
            Some(format) => tracks.push(TrackFormat::Audio(format.clone())),
            None if enough => tracing::warn!("no sound came, so there will be none"),
            None => return None,
        }
    }
    Some(tracks).filter(|tracks| !tracks.is_empty())
}

fn video(stream: &Stream, queue: &Queue, enough: bool) -> Option<VideoFormat> {
    queue.pictures().next()?;
    let sps = stream.video().sps()?;
    let written = sps.frame_rate().filter(|&rate| is_sane(rate));
    if written.is_none() && !enough && queue.pictures().count() < GUESS_PICTURES {
        return None;
    }
    Some(VideoFormat {
        codec: sps.codec(),
        width: sps.width,
        height: sps.height,
        timescale: TICKS_PER_S as u32,
        fps: written.or_else(|| guess(queue)).unwrap_or((25, 1)),
        can_force_keyframe: false,
    })
}

/// The usual rate that is nearest to the mean of the time stamps, else that mean.
fn guess(queue: &Queue) -> Option<(u32, u32)> {
    let times: Vec<i64> = queue.pictures().map(|picture| picture.dts).collect();
    let span = times.last()? - times.first()?;
    let count = i64::try_from(times.len()).ok()? - 1;
    let hundredths = (count * TICKS_PER_S * 100).checked_div(span).filter(|&rate| rate > 0)?;
    let near = |&&(num, den): &&(u32, u32)| {
        let rate = i64::from(num) * 100 / i64::from(den);
        (rate - hundredths).abs() * 400 <= rate
    };
    let distance = |&&(num, den): &&(u32, u32)| {
        (count * TICKS_PER_S * i64::from(den) - i64::from(num) * span).abs() / i64::from(den)
    };
    let usual = RATES.iter().filter(near).min_by_key(distance);
    Some(usual.copied().unwrap_or((u32::try_from(hundredths).ok()?, 100)))
}
