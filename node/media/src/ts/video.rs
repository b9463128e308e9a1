//! The pictures of a stream: PES payload in, whole access units with their times out.
//!
//! A time stamp belongs to the first access unit that begins in its PES packet (13818-1, 2.4.3.7);
//! a second one in the same packet is taken to follow by a picture's duration.
//!
//! Where packets were lost, the picture that was begun is dropped and so is all up to the next
//! keyframe: the counter of packets does not tell whether a whole reference picture is missing, and
//! a stream that decodes to smears is worse than one that stands still.
//!
//! Live, a picture is given out when its PES packet seems complete and nothing follows for a
//! moment, not when the next one begins. Should it go on after all, it was cut; that happens once
//! at most, and the rest up to the next keyframe is dropped. Bound: one access unit, a
//! chunk of input, and [`MARKS_MAX`] time stamps.

use std::collections::VecDeque;

use bytes::Bytes;
use roommate_protocol::h264::access_unit::{AccessUnits, Unit};
use roommate_protocol::h264::annexb::nals;
use roommate_protocol::h264::nal::{NalType, nal_type};
use roommate_protocol::h264::sets::ParameterSets;
use roommate_protocol::h264::sps::Sps;
use roommate_protocol::limits::ACCESS_UNIT_BYTES_MAX;
use roommate_protocol::time::Mono;

use super::KEYFRAME_WAIT_S;
use super::error::TsError;
use super::pes::Stamps;
use super::timeline::{TICKS_PER_S, Timeline, difference};

/// The track's number in the [`Timeline`].
pub(super) const TRACK: usize = 0;

/// PES packets that one access unit may be spread over; older stamps are forgotten.
const MARKS_MAX: usize = 512;

/// A picture may be shown this long after it is decoded; more is nonsense.
const REORDER_MAX: i64 = 2 * TICKS_PER_S;

/// Bytes without a keyframe, where no time stamps tell how long that was.
const KEYFRAME_WAIT_BYTES: u64 = 64 * 1024 * 1024;

/// What keyframes may grow by parameter sets, all of one chunk together: encoders write some dozens
/// of bytes, and a chunk has room for tens of thousands of keyframes that hold nothing.
const ADDED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Streams that are no H.264 are given up after so many attempts to cut them.
const FAILURES_MAX: u32 = 8;

/// Pictures without a time that are let pass before the stream is given up.
const UNTIMED_MAX: u32 = 300;

/// A picture, its times in units of 1/90000 s on the [`Timeline`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) dts: i64,
    pub(super) pts: i64,
    /// When the first byte of its PES packet came.
    pub(super) captured: Mono,
    pub(super) keyframe: bool,
    pub(super) data: Bytes,
}

/// Where a PES packet begins in the stream of payload, and its times.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: u64,
    times: Option<(i64, i64)>,
    captured: Mono,
}

/// The track.
#[derive(Debug)]
pub(super) struct Video {
    splitter: AccessUnits,
    /// Where the splitter's bytes begin in all payload.
    origin: u64,
    input: Vec<u8>,
    /// Bytes of payload so far.
    received: u64,
    marks: VecDeque<Mark>,
    sets: ParameterSets,
    /// Nothing can be decoded before the next keyframe.
    gap: bool,
    /// The newest PES packet came to its end.
    ended: bool,
    /// The unit was ended because the stream paused.
    cut: bool,
    /// No such end was ever wrong.
    may_cut: bool,
    /// Decoding time of the newest PES packet, and where the first was.
    newest: Option<i64>,
    first: Option<i64>,
    /// Times of the newest picture.
    last: Option<(i64, i64)>,
    /// What a picture lasts, as far as is known.
    step: i64,
    added: usize,
    failures: u32,
    untimed: u32,
    dropped: u64,
}

impl Video {
    /// A track of which nothing is known.
    pub(super) fn new() -> Self {
        Self {
            splitter: AccessUnits::new(),
            origin: 0,
            input: Vec::new(),
            received: 0,
            marks: VecDeque::new(),
            sets: ParameterSets::new(),
            gap: true,
            ended: false,
            cut: false,
            may_cut: true,
            newest: None,
            first: None,
            last: None,
            step: TICKS_PER_S / 25,
            added: 0,
            failures: 0,
            untimed: 0,
            dropped: 0,
        }
    }

    /// The sequence parameter set of the newest picture.
    pub(super) fn sps(&self) -> Option<Sps> {
        self.sets.first_sps()
    }

    /// Decoding time at which a next picture would follow, once there was one.
    pub(super) fn end(&self) -> Option<i64> {
        self.last.map(|(dts, _)| dts + self.step)
    }

    /// A chunk of input begins.
    pub(super) fn begin_chunk(&mut self) {
        self.added = 0;
    }

    /// A PES packet begins.
    pub(super) fn begin(
        &mut self,
        stamps: Stamps,
        captured: Mono,
        timeline: &mut Timeline,
    ) -> Result<(), TsError> {
        if std::mem::take(&mut self.cut) && stamps.pts.is_none() {
            self.was_cut_too_soon();
        }
        self.ended = false;
        let times = stamps.dts.map(|stamp| {
            let dts = timeline.map(TRACK, stamp);
            let reorder = difference(stamps.pts.unwrap_or(stamp), stamp as i64);
            (dts, dts + reorder.clamp(0, REORDER_MAX))
        });
        if let Some((dts, _)) = times {
            let step = self.newest.map_or(self.step, |newest| dts - newest);
            timeline.expect(TRACK, dts + step.clamp(1, TICKS_PER_S));
            self.newest = Some(dts);
            let first = *self.first.get_or_insert(dts);
            if self.last.is_none() && dts - first > KEYFRAME_WAIT_S * TICKS_PER_S {
                return Err(TsError::NoKeyframe);
            }
        }
        if self.last.is_none() && self.received > KEYFRAME_WAIT_BYTES {
            return Err(TsError::NoKeyframe);
        }
        // A packet without payload is replaced by what follows it.
        if self.marks.back().is_some_and(|mark| mark.at == self.received) {
            self.marks.pop_back();
        }
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark { at: self.received, times, captured });
        Ok(())
    }

    /// Payload of the PES packet that was begun.
    pub(super) fn data(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() && std::mem::take(&mut self.cut) {
            self.was_cut_too_soon();
        }
        self.input.extend_from_slice(bytes);
        self.received += bytes.len() as u64;
    }

    /// The PES packet that was begun is whole.
    pub(super) fn ended(&mut self) {
        self.ended = true;
    }

    /// Packets are missing.
    pub(super) fn lost(&mut self, out: &mut Vec<Picture>) -> Result<(), TsError> {
        // What came before the PES packet that was hit is whole.
        self.feed(out)?;
        let rest = self.splitter.flush();
        if std::mem::take(&mut self.ended) && !self.cut {
            for unit in rest.unwrap_or_default() {
                self.picture(unit, out)?;
            }
        }
        if !self.gap {
            tracing::warn!("packets are missing; pictures are left out up to the next keyframe");
        }
        self.gap = true;
        Ok(())
    }

    /// Gives out what is complete. To be called after each chunk of input.
    pub(super) fn feed(&mut self, out: &mut Vec<Picture>) -> Result<(), TsError> {
        let input = std::mem::take(&mut self.input);
        match self.splitter.push(&input) {
            Ok(units) => units.into_iter().try_for_each(|unit| self.picture(unit, out)),
            Err(why) => {
                self.failures += 1;
                self.splitter = AccessUnits::new();
                self.origin = self.received;
                self.gap = true;
                if self.failures > FAILURES_MAX { Err(why.into()) } else { Ok(()) }
            }
        }
    }

    /// Ends the unit that is pending: the stream has ended, or pauses where a picture seems to be
    /// complete (`pause`).
    pub(super) fn flush(&mut self, pause: bool, out: &mut Vec<Picture>) -> Result<(), TsError> {
        if pause && (!self.may_cut || self.cut || self.received == self.origin) {
            return Ok(());
        }
        self.feed(out)?;
        self.cut = pause;
        let rest = self.splitter.flush().unwrap_or_default();
        rest.into_iter().try_for_each(|unit| self.picture(unit, out))
    }

    fn was_cut_too_soon(&mut self) {
        tracing::debug!("a picture went on after a pause; pauses end none any more");
        self.may_cut = false;
        self.gap = true;
    }

    fn picture(&mut self, unit: Unit, out: &mut Vec<Picture>) -> Result<(), TsError> {
        let mark = self.mark(self.origin + unit.begin.saturating_sub(3));
        let units: Vec<&[u8]> = nals(&unit.data).collect();
        let data = self.sets.assemble(&units);
        self.added += data.len().saturating_sub(unit.data.len());
        if self.added > ADDED_BYTES_MAX {
            return Err(TsError::Sets);
        }
        for nal in units {
            // A set that we cannot read is passed on as it is.
            let changed = self.sets.learn_nal(nal).unwrap_or(false);
            if changed
                && nal_type(nal) == NalType::Sps
                && let Ok(sps) = Sps::parse(nal)
            {
                sps.check_playable()?;
                self.learn_step(&sps);
            }
        }
        let begins = unit.keyframe && self.sets.is_complete();
        if !unit.picture || (self.gap && !begins) {
            self.dropped += u64::from(unit.picture);
            return Ok(());
        }
        let Some((dts, pts, captured)) = self.times(mark) else {
            self.untimed += 1;
            return if self.untimed > UNTIMED_MAX { Err(TsError::NoTimes) } else { Ok(()) };
        };
        if data.len() > ACCESS_UNIT_BYTES_MAX {
            return Err(TsError::TooLong);
        }
        if let Some((last, _)) = self.last.filter(|(last, _)| dts - last <= TICKS_PER_S) {
            self.step = dts - last;
        }
        if std::mem::take(&mut self.gap) && self.dropped > 0 {
            tracing::info!("{} pictures before a keyframe were left out", self.dropped);
            self.dropped = 0;
        }
        self.failures = 0;
        self.last = Some((dts, pts));
        out.push(Picture { dts, pts, captured, keyframe: unit.keyframe, data: data.into() });
        Ok(())
    }

    /// Times of a picture: those of its mark, else such that it follows the last.
    fn times(&self, mark: Option<Mark>) -> Option<(i64, i64, Mono)> {
        let (dts, pts) = match (mark.and_then(|mark| mark.times), self.last) {
            (Some(times), _) => times,
            (None, Some((dts, pts))) => (dts + self.step, pts + self.step),
            (None, None) => return None,
        };
        // Decoding times grow, whatever the muxer wrote.
        let dts = self.last.map_or(dts, |(last, _)| dts.max(last + 1));
        let captured = mark.map_or(Mono::default(), |mark| mark.captured);
        Some((dts, pts.max(dts), captured))
    }

    /// The mark of the PES packet in which a unit begins; its times are given once.
    fn mark(&mut self, begin: u64) -> Option<Mark> {
        while self.marks.get(1).is_some_and(|next| next.at <= begin) {
            self.marks.pop_front();
        }
        let mark = self.marks.front_mut().filter(|mark| mark.at <= begin)?;
        let found = *mark;
        mark.times = None;
        Some(found)
    }

    fn learn_step(&mut self, sps: &Sps) {
        if let Some((num, den)) = sps.frame_rate().filter(|&rate| super::is_sane(rate)) {
            self.step = TICKS_PER_S * i64::from(den) / i64::from(num);
        }
    }
}
