//! When a unit goes out, and with which time stamps.
//!
//! A file is paced by decoding time; one that is late goes on from now, by a jump of its time
//! stamps. A pipe is handed on at once and is held only when it runs ahead. Repeats of a file move
//! all tracks by the same span. Bound: a few numbers.

use std::time::Duration;

use roommate_clock::Clock;
use roommate_protocol::time::Mono;

use super::sound::Packet;
use super::timeline::TICKS_PER_S;
use super::video::Picture;
use crate::pace::{Met, meet, moved};
use crate::source::{SourceControl, SourceUnit};

/// A pipe may be this far ahead of real time: bursts of an encoder are less.
const AHEAD_MAX: i64 = TICKS_PER_S;

/// Time stamps of a pipe that jump ahead by more are not waited for.
const JUMP_MAX: i64 = TICKS_PER_S;

/// One tick in so many may a pipe gain on our clock for good: no clock is worse than that, and a
/// live encoder with a fast one must not be held.
const DRIFT: i64 = 1_000;

/// How units are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// By their decoding times.
    File,
    /// As they come.
    Live,
    /// As they are asked for.
    None,
}

/// The last step of a unit.
#[derive(Debug)]
pub(super) struct Delivery {
    clock: Clock,
    pub(super) pace: Pace,
    /// Time of the first picture (packet, where there is no picture) on the stream's time.
    zero: i64,
    /// Added to the stream's times: repeats and pauses of a file move it on.
    shift: i64,
    /// When a unit came or was due, and its decoding time (after `shift`).
    anchor: Option<(Mono, i64)>,
    /// Newest decoding time.
    newest: i64,
    /// Of the track that a repeat is measured by: first decoding time, and where it ends.
    first: Option<i64>,
    end: i64,
    /// In the sound's timescale: the newest time, and where the sound ends.
    sound: Option<(i64, i64)>,
    /// A repeat has begun, and its sound may overlap the end of the round before.
    seam: bool,
}

impl Delivery {
    pub(super) fn new(clock: Clock, pace: Pace, zero: i64) -> Self {
        Self {
            clock,
            pace,
            zero,
            shift: 0,
            anchor: None,
            newest: i64::MIN,
            first: None,
            end: 0,
            sound: None,
            seam: false,
        }
    }

    /// The file begins anew; false if it has no length. `end` is where its pictures end.
    pub(super) fn repeat(&mut self, end: Option<i64>) -> bool {
        let span = end.unwrap_or(self.end) - self.first.unwrap_or(self.zero);
        self.shift = self.shift.saturating_add(span);
        self.seam = true;
        span > 0
    }

    /// Waits until a picture of `track` is due; `None` if the source was stopped.
    pub(super) fn picture(
        &mut self,
        track: usize,
        picture: Picture,
        control: &SourceControl,
    ) -> Option<SourceUnit> {
        self.first.get_or_insert(picture.dts);
        let captured = self.wait(picture.dts, picture.captured, control)?;
        Some(SourceUnit {
            track,
            pts: picture.pts - self.zero + self.shift,
            decode_offset: i32::try_from(picture.pts - picture.dts).unwrap_or(i32::MAX),
            captured,
            keyframe: picture.keyframe,
            data: picture.data,
            encode_us: 0,
        })
    }

    /// Waits until a packet of `track` is due; `Some(None)` if it overlaps the round before, `None`
    /// if the source was stopped. `alone`: there are no pictures.
    pub(super) fn packet(
        &mut self,
        (track, alone): (usize, bool),
        packet: Packet,
        control: &SourceControl,
    ) -> Option<Option<SourceUnit>> {
        if alone {
            self.first.get_or_insert(packet.time());
            self.end = packet.end();
        }
        if self.seam && self.overlaps(&packet) {
            return Some(None);
        }
        let captured = self.wait(packet.time(), packet.captured, control)?;
        self.seam = false;
        // After `wait`, which may have moved the shift on.
        let pts = packet.pts(self.zero - self.shift);
        let pts = self.sound.map_or(pts, |(last, _)| pts.max(last + 1));
        self.sound = Some((pts, pts + i64::from(packet.length)));
        let data = packet.data;
        Some(Some(SourceUnit {
            track,
            pts,
            decode_offset: 0,
            captured,
            keyframe: true,
            data,
            encode_us: 0,
        }))
    }

    /// Rounding aside: a millisecond.
    fn overlaps(&self, packet: &Packet) -> bool {
        let pts = packet.pts(self.zero - self.shift);
        self.sound.is_some_and(|(_, end)| pts + i64::from(packet.rate) / 1_000 < end)
    }

    /// Waits until what is decoded at `dts` is due; when it was captured, or `None` if the source
    /// was stopped.
    fn wait(&mut self, dts: i64, came: Mono, control: &SourceControl) -> Option<Mono> {
        let at = dts.saturating_add(self.shift);
        let captured = match self.pace {
            Pace::None => came,
            Pace::File => self.wait_file(at, control)?,
            Pace::Live => self.wait_live(at, came, control)?,
        };
        self.newest = self.newest.max(dts.saturating_add(self.shift));
        (!control.is_stopped()).then_some(captured)
    }

    fn wait_file(&mut self, at: i64, control: &SourceControl) -> Option<Mono> {
        let clock = self.clock;
        let (began, first) = *self.anchor.get_or_insert_with(|| (clock.mono(), at));
        let micros = i128::from(at - first) * 1_000_000 / i128::from(TICKS_PER_S);
        match meet(clock, moved(began, micros), control) {
            Met::Due => {}
            Met::Stopped => return None,
            // Clock and time stamps stay together: both have moved on by the same pause.
            Met::Late(late) => self.shift = self.shift.saturating_add(ticks(late)),
        }
        Some(self.clock.mono())
    }

    fn wait_live(&mut self, at: i64, came: Mono, control: &SourceControl) -> Option<Mono> {
        let now = self.clock.mono();
        let (began, mut first) = *self.anchor.get_or_insert((came, at));
        if self.newest != i64::MIN && at - self.newest > JUMP_MAX {
            first += at - self.newest;
            self.anchor = Some((began, first));
        }
        let passed = ticks(now.since(began));
        let ahead = at - first - passed - passed / DRIFT - AHEAD_MAX;
        if ahead <= 0 {
            return Some(came);
        }
        let micros = u64::try_from(ahead * 1_000_000 / TICKS_PER_S).unwrap_or(0);
        if control.sleep(Duration::from_micros(micros)) {
            return None;
        }
        // It lay in the pipe for as long as its writer liked: what counts is now.
        Some(self.clock.mono())
    }
}

fn ticks(span: Duration) -> i64 {
    i64::try_from(span.as_micros() * TICKS_PER_S as u128 / 1_000_000).unwrap_or(i64::MAX / 4)
}
