//! `--out -`: what is watched, as a transport stream for `ffplay -`, `mpv -` and every tool that
//! reads one from a pipe.
//!
//! Each unit is written and flushed as it comes. Tables come before every keyframe and at least
//! four times a second of stream, clock references at least every 100 ms of it, as far as units
//! come at all. It never decodes and never waits for the other track. Blocks on its writer: call it
//! on a thread of its own. Bound: one access unit.

use std::borrow::Cow;
use std::io::{self, Write};

use roommate_protocol::h264::annexb::{START_CODE, nals};
use roommate_protocol::h264::nal::{NalType, nal_type};

use super::adts;
use super::mux::{Mux, PesPacket, SOUND_PID, SoundStream, VIDEO_PID, opus_payload};
use super::timeline::TICKS_PER_S;
use crate::ViewUnit;
use crate::source::TrackFormat;

/// Where the broadcast's 0 lies: sound may begin a second before the first picture.
const BEGIN: i64 = 2 * TICKS_PER_S;

/// How far the clock runs behind the decoding times: a decoder's buffer.
const CLOCK_LEAD: i64 = TICKS_PER_S / 5;

/// A clock reference is due after this: with units at most 40 ms apart, no more than 100 ms lie
/// between two.
const CLOCK_INTERVAL: i64 = TICKS_PER_S * 6 / 100;

/// Most between two pairs of tables.
const TABLES_INTERVAL: i64 = TICKS_PER_S / 4;

/// Times that go back by more are those of another broadcast.
const BACK_MAX: i64 = TICKS_PER_S / 2;

/// Where a broadcast goes on after another that had an end.
const SEAM: i64 = TICKS_PER_S / 25;

/// An access unit delimiter that says nothing of the slices (7.4.2.4).
const DELIMITER: [u8; 2] = [0x09, 0xf0];

const VIDEO_ID: u8 = 0xe0;
const AAC_ID: u8 = 0xc0;
/// `private_stream_1`.
const OPUS_ID: u8 = 0xbd;

/// Why a transport stream ended or never began.
#[derive(Debug, thiserror::Error)]
pub enum TsSinkError {
    /// The reader has gone: the player was closed. A normal end.
    #[error("the player was closed")]
    Closed,
    /// The stream cannot be written any more.
    #[error("cannot go on writing the MPEG-TS stream: {0}")]
    Write(#[source] io::Error),
    /// More than one track of a kind, or none at all.
    #[error("an MPEG-TS stream holds one track of pictures and one of sound, at least one of both")]
    Tracks,
    /// A sound that the format does not carry.
    #[error("sound of the kind '{0}' cannot be put into MPEG-TS; only AAC and Opus can")]
    Sound(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    H264,
    Aac(adts::Format),
    Opus,
}

#[derive(Debug)]
struct Track {
    coding: Coding,
    timescale: i64,
    /// Newest decoding time as it was written.
    last: Option<i64>,
}

/// A transport stream that is written as units come.
pub struct TsSink {
    out: Box<dyn Write + Send>,
    mux: Mux,
    tracks: Vec<Track>,
    buffer: Vec<u8>,
    /// Added to the broadcast's times.
    shift: i64,
    /// Newest clock reference and when the tables were written, on the same time.
    clock: Option<i64>,
    tables: Option<i64>,
    /// A keyframe has come: before it pictures are left out.
    begun: bool,
}

impl std::fmt::Debug for TsSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TsSink").field("tracks", &self.tracks).finish_non_exhaustive()
    }
}

impl TsSink {
    /// A stream of these tracks: at most one of pictures and one of sound (AAC, or Opus of one or
    /// two channels), at least one of both. Nothing is written yet.
    pub fn new(out: Box<dyn Write + Send>, tracks: &[TrackFormat]) -> Result<Self, TsSinkError> {
        let (mut video, mut sound) = (false, None);
        let mut own = Vec::with_capacity(tracks.len());
        for track in tracks {
            let coding = match track {
                TrackFormat::Video(_) if !video => {
                    video = true;
                    Coding::H264
                }
                TrackFormat::Audio(format) if sound.is_none() => {
                    let refused = || TsSinkError::Sound(format.codec.clone());
                    if format.codec == "opus" && (1..=2).contains(&format.channels) {
                        sound = Some(SoundStream::Opus { channels: format.channels });
                        Coding::Opus
                    } else if format.codec.starts_with("mp4a.40.") {
                        sound = Some(SoundStream::Aac);
                        let config = adts::Format::from_config(&format.description);
                        Coding::Aac(config.ok_or_else(refused)?)
                    } else {
                        return Err(refused());
                    }
                }
                _ => return Err(TsSinkError::Tracks),
            };
            own.push(Track { coding, timescale: track.timescale().max(1).into(), last: None });
        }
        if own.is_empty() {
            return Err(TsSinkError::Tracks);
        }
        Ok(Self {
            out,
            mux: Mux::new(video, sound),
            tracks: own,
            buffer: Vec::new(),
            shift: BEGIN,
            clock: None,
            tables: None,
            begun: false,
        })
    }

    /// Takes the next unit of the track with this number in what [`TsSink::new`] was given; units
    /// of another are ignored. Pictures before the first keyframe cannot be shown and are left out.
    ///
    /// Times that go back, as after a restart of the publisher, are taken to follow what came
    /// before; both tracks move alike.
    pub fn push(&mut self, track: usize, unit: &ViewUnit) -> Result<(), TsSinkError> {
        let Some(own) = self.tracks.get(track) else { return Ok(()) };
        let (coding, timescale, last) = (own.coding, own.timescale, own.last);
        if coding == Coding::H264 && !self.begun && !unit.keyframe {
            return Ok(());
        }
        self.begun |= coding == Coding::H264;
        let scaled = |ticks: i64| {
            let exact = i128::from(ticks) * i128::from(TICKS_PER_S) + i128::from(timescale / 2);
            i64::try_from(exact.div_euclid(timescale.into())).unwrap_or(0)
        };
        let decoded = scaled(unit.pts.saturating_sub(unit.decode_offset.into()));
        let mut dts = decoded.saturating_add(self.shift);
        if let Some(last) = last
            && dts <= last
        {
            if last - dts > BACK_MAX {
                self.shift = self.newest() + SEAM - decoded;
            }
            dts = (decoded.saturating_add(self.shift)).max(last + 1);
        }
        let pts = scaled(unit.pts).saturating_add(self.shift).max(dts);
        self.tracks[track].last = Some(dts);
        let Some(payload) = payload(coding, &unit.data) else { return Ok(()) };
        self.write(coding, unit.keyframe, (pts, dts), &payload)
    }

    /// Ends the stream.
    pub fn finish(mut self) -> Result<(), TsSinkError> {
        self.out.flush().map_err(told)
    }

    fn newest(&self) -> i64 {
        self.tracks.iter().filter_map(|track| track.last).max().unwrap_or(BEGIN)
    }

    fn write(
        &mut self,
        coding: Coding,
        keyframe: bool,
        (pts, dts): (i64, i64),
        payload: &[u8],
    ) -> Result<(), TsSinkError> {
        let (pid, stream_id) = match coding {
            Coding::H264 => (VIDEO_PID, VIDEO_ID),
            Coding::Aac(_) => (SOUND_PID, AAC_ID),
            Coding::Opus => (SOUND_PID, OPUS_ID),
        };
        // The clock never goes back, also where one track is behind the other.
        let now = (dts - CLOCK_LEAD).max(self.clock.unwrap_or(i64::MIN));
        let key = coding == Coding::H264 && keyframe;
        self.buffer.clear();
        if key || self.tables.is_none_or(|tables| now - tables >= TABLES_INTERVAL) {
            self.mux.tables(&mut self.buffer);
            self.tables = Some(now);
        }
        let mut clock =
            self.clock.is_none_or(|clock| now - clock >= CLOCK_INTERVAL / 2).then_some(now);
        if let (Some(at), true) = (clock, pid != self.mux.clock_pid) {
            // Only where the pictures, which carry the clock, are too far apart.
            if self.clock.is_some_and(|clock| now - clock >= CLOCK_INTERVAL) {
                self.mux.clock(at, &mut self.buffer);
                self.clock = Some(at);
            }
            clock = None;
        }
        self.clock = clock.or(self.clock);
        let random_access = if pid == VIDEO_PID { key } else { pid == self.mux.clock_pid };
        let pes = PesPacket { pid, stream_id, pts, dts, random_access, clock, payload };
        self.mux.pes(&pes, &mut self.buffer);
        self.out.write_all(&self.buffer).and_then(|()| self.out.flush()).map_err(told)
    }
}

fn told(error: io::Error) -> TsSinkError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => TsSinkError::Closed,
        _ => TsSinkError::Write(error),
    }
}

/// What a PES packet carries of a unit; `None` for what cannot be carried.
fn payload(coding: Coding, data: &[u8]) -> Option<Cow<'_, [u8]>> {
    match coding {
        Coding::H264 => {
            let first = nals(data).next()?;
            if nal_type(first) == NalType::Delimiter {
                return Some(Cow::Borrowed(data));
            }
            Some(Cow::Owned([&START_CODE[..], &DELIMITER, data].concat()))
        }
        Coding::Aac(format) => {
            let header = format.header(data.len())?;
            Some(Cow::Owned([&header[..], data].concat()))
        }
        Coding::Opus => Some(Cow::Owned(opus_payload(data))),
    }
}
