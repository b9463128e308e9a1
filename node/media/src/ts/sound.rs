//! The sound of a stream: PES payload in, single packets with their times out.
//!
//! A time stamp belongs to the first frame that begins in its PES packet; the others are counted on
//! by their samples. Small differences between stamps and samples are rounding and are not
//! followed, so that equally long packets get equal distances; larger ones are.
//!
//! A track has one sample rate and one number of channels for its life. Frames of another are left
//! out, and a stream that stays with it is ended in a sentence: viewers could not follow, and a
//! silent track would be a riddle. Bound: one PES packet of sound.

use std::collections::VecDeque;

use bytes::Bytes;
use roommate_protocol::time::Mono;

use super::adts;
use super::error::TsError;
use super::opus;
use super::pes::Stamps;
use super::program::Sound;
use super::timeline::{TICKS_PER_S, Timeline};
use crate::source::AudioFormat;

/// The track's number in the [`Timeline`].
pub(super) const TRACK: usize = 1;

/// A PES packet of sound has a length, so it is shorter than this.
const PES_BYTES_MAX: usize = 64 * 1024;

/// A stamp this near to where the samples end is the same: a millisecond.
const ROUNDING: i64 = TICKS_PER_S / 1_000;

/// Frames of another format in a row before it counts: damage may make some look so.
const STRANGERS_MAX: u32 = 32;

/// Time stamps that wait for the begin of a frame.
const MARKS_MAX: usize = 64;

/// A packet of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// A time on the [`Timeline`] in units of 1/90000 s, and the samples from there to the packet.
    pub(super) anchor: i64,
    pub(super) samples: i64,
    /// Samples that it holds.
    pub(super) length: u32,
    pub(super) rate: u32,
    pub(super) captured: Mono,
    pub(super) data: Bytes,
}

impl Packet {
    /// Its time in units of 1/90000 s.
    pub(super) fn time(&self) -> i64 {
        self.anchor + self.samples * TICKS_PER_S / i64::from(self.rate)
    }

    /// The time at which it ends.
    pub(super) fn end(&self) -> i64 {
        self.anchor + (self.samples + i64::from(self.length)) * TICKS_PER_S / i64::from(self.rate)
    }

    /// Its time in samples from `zero`, which is on the [`Timeline`].
    pub(super) fn pts(&self, zero: i64) -> i64 {
        let exact = i128::from(self.anchor - zero) * i128::from(self.rate);
        let rounded = (exact + i128::from(TICKS_PER_S / 2)).div_euclid(TICKS_PER_S.into());
        i64::try_from(rounded).unwrap_or(0) + self.samples
    }
}

/// The track.
#[derive(Debug)]
pub(super) struct SoundTrack {
    kind: Sound,
    format: Option<AudioFormat>,
    /// What every ADTS header says.
    adts: Option<adts::Format>,
    input: Vec<u8>,
    /// Where in `input` PES packets begin, their times, and when they came.
    marks: VecDeque<(usize, Option<i64>, Mono)>,
    /// The newest stamp that was followed, and samples since.
    anchor: Option<(i64, i64)>,
    captured: Mono,
    strangers: u32,
    untimed: u32,
}

impl SoundTrack {
    /// A track of which only the codec is known.
    pub(super) fn new(kind: Sound) -> Self {
        Self {
            kind,
            format: None,
            adts: None,
            input: Vec::new(),
            marks: VecDeque::new(),
            anchor: None,
            captured: Mono::default(),
            strangers: 0,
            untimed: 0,
        }
    }

    pub(super) fn kind(&self) -> Sound {
        self.kind
    }

    /// What it is, known with the first packet.
    pub(super) fn format(&self) -> Option<&AudioFormat> {
        self.format.as_ref()
    }

    /// A PES packet begins.
    pub(super) fn begin(&mut self, stamps: Stamps, captured: Mono, timeline: &mut Timeline) {
        let time = stamps.pts.map(|stamp| timeline.map(TRACK, stamp));
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back((self.input.len(), time, captured));
    }

    /// Payload of the PES packet that was begun.
    pub(super) fn data(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        if self.input.len() > PES_BYTES_MAX + adts::FRAME_BYTES_MAX {
            self.lost();
        }
    }

    /// Packets are missing: what was begun is dropped, and the next PES packet goes on.
    pub(super) fn lost(&mut self) {
        self.input.clear();
        self.marks.clear();
    }

    /// The PES packet that was begun is whole: its packets are given out.
    pub(super) fn ended(
        &mut self,
        timeline: &mut Timeline,
        out: &mut Vec<Packet>,
    ) -> Result<(), TsError> {
        let input = std::mem::take(&mut self.input);
        let taken = match self.kind {
            Sound::Aac => self.take_aac(&input, out)?,
            Sound::Opus { channels } => self.take_opus(&input, channels, out)?,
        };
        for mark in &mut self.marks {
            mark.0 = mark.0.saturating_sub(taken);
        }
        self.input.extend_from_slice(&input[taken..]);
        if let (Some((anchor, samples)), Some(format)) = (self.anchor, &self.format) {
            let rate = i64::from(format.sample_rate);
            timeline.expect(TRACK, anchor + samples * TICKS_PER_S / rate);
        }
        Ok(())
    }

    /// Takes the whole frames at the begin of `input`; how many bytes they are.
    fn take_aac(&mut self, input: &[u8], out: &mut Vec<Packet>) -> Result<usize, TsError> {
        let mut at = 0;
        while input.len() - at >= adts::HEADER_BYTES {
            let Some(header) = adts::read(&input[at..]) else {
                at += 1;
                continue;
            };
            let Some(whole) = input.get(at..at + header.whole) else { break };
            // Two bytes that look like a header are none if no header follows the frame.
            let next = input.get(at + header.whole..at + header.whole + 2);
            if next.is_some_and(|next| next[0] != 0xff || next[1] & 0xf6 != 0xf0) {
                at += 1;
                continue;
            }
            self.enter(at);
            if self.belongs(&header)? {
                let rate = header.format.sample_rate();
                let data = Bytes::copy_from_slice(&whole[header.header..]);
                self.give(rate, adts::FRAME_SAMPLES, data, out)?;
            }
            at += header.whole;
        }
        Ok(at)
    }

    /// Whether a frame is of the track's format, which the first one sets.
    fn belongs(&mut self, header: &adts::Header) -> Result<bool, TsError> {
        let format = header.format;
        let known = *self.adts.get_or_insert(format);
        if known != format {
            self.strangers += 1;
            if self.strangers > STRANGERS_MAX {
                return Err(TsError::SoundChanges(spoken(known), spoken(format)));
            }
            return Ok(false);
        }
        self.strangers = 0;
        if !(1..=7).contains(&format.channels) || header.blocks != 1 {
            return Err(TsError::AacChannels);
        }
        self.format.get_or_insert_with(|| AudioFormat {
            codec: format!("mp4a.40.{}", format.object),
            timescale: format.sample_rate(),
            sample_rate: format.sample_rate(),
            // Configuration 7 has eight loudspeakers.
            channels: if format.channels == 7 { 8 } else { format.channels },
            description: Bytes::copy_from_slice(&format.config()),
        });
        Ok(true)
    }

    /// Takes the packets of a PES packet; one that is broken spoils those behind it.
    fn take_opus(
        &mut self,
        input: &[u8],
        channels: u8,
        out: &mut Vec<Packet>,
    ) -> Result<usize, TsError> {
        let mut rest = input;
        while let Some((packet, next)) = opus::split(rest) {
            self.enter(input.len() - rest.len());
            rest = next;
            let Some(samples) = opus::samples(packet) else { continue };
            self.format.get_or_insert_with(|| AudioFormat {
                codec: "opus".to_owned(),
                timescale: opus::RATE,
                sample_rate: opus::RATE,
                channels,
                description: Bytes::new(),
            });
            self.give(opus::RATE, samples, Bytes::copy_from_slice(packet), out)?;
        }
        Ok(input.len())
    }

    /// A frame begins at `at`: the stamp of the PES packet that it begins in comes into force.
    fn enter(&mut self, at: usize) {
        let mut stamp = None;
        while let Some(&(_, time, captured)) = self.marks.front().filter(|mark| mark.0 <= at) {
            self.marks.pop_front();
            self.captured = captured;
            stamp = time;
        }
        let Some(stamp) = stamp else { return };
        let rate = self.format.as_ref().map_or(1, |format| i64::from(format.sample_rate));
        let near = self.anchor.is_some_and(|(anchor, samples)| {
            (anchor + samples * TICKS_PER_S / rate - stamp).abs() <= ROUNDING
        });
        if !near {
            self.anchor = Some((stamp, 0));
        }
    }

    fn give(
        &mut self,
        rate: u32,
        length: u32,
        data: Bytes,
        out: &mut Vec<Packet>,
    ) -> Result<(), TsError> {
        let Some((anchor, samples)) = &mut self.anchor else {
            self.untimed += 1;
            return if self.untimed > STRANGERS_MAX { Err(TsError::NoTimes) } else { Ok(()) };
        };
        let captured = self.captured;
        out.push(Packet { anchor: *anchor, samples: *samples, length, rate, captured, data });
        *samples += i64::from(length);
        Ok(())
    }
}

fn spoken(format: adts::Format) -> String {
    format!("{} Hz in {} channels", format.sample_rate(), format.channels)
}
