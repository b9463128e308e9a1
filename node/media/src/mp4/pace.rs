//! When a unit of a file is due, and where each of its tracks stands.
//!
//! All tracks share one clock: a repeat and a pause move all of them on by the same time, computed
//! anew from the whole each time, so that rounding never adds up. Bound: the index that it is given.

use std::ops::Range;

use roommate_clock::Clock;
use roommate_protocol::time::Mono;

use super::index::Sample;
use super::ticks::{Ticks, narrowed};
use crate::pace::{Met, meet, moved};
use crate::source::SourceControl;

/// One track that is being played.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) samples: Vec<Sample>,
    pub(super) scale: u32,
    /// Added to the file's times so that the first picture is at 0.
    pub(super) shift: i64,
    /// What is played when the file repeats. The first round begins before its start, if there is
    /// something.
    pub(super) again: Range<usize>,
    /// Next sample, and how often it has begun anew.
    pub(super) at: usize,
    pub(super) round: u32,
}

impl Line {
    /// A track that stands at its first sample.
    pub(super) fn new(samples: Vec<Sample>, scale: u32, shift: i64) -> Self {
        let again = 0..samples.len();
        Self { samples, scale, shift, again, at: 0, round: 0 }
    }

    /// The next sample. Begins anew where it is to repeat; true if it did just now.
    pub(super) fn peek(&mut self, repeat: bool) -> (Option<Sample>, bool) {
        let end = if repeat { self.again.end } else { self.samples.len() };
        if self.at < end {
            return (Some(self.samples[self.at]), false);
        }
        if !repeat || self.again.is_empty() {
            return (None, false);
        }
        self.at = self.again.start;
        self.round = self.round.saturating_add(1);
        (Some(self.samples[self.at]), true)
    }

    /// What is added to the file's times now.
    pub(super) fn moved(&self, pace: &Pace) -> i64 {
        let scale = i128::from(self.scale);
        let repeats = i128::from(self.round) * i128::from(pace.span.ticks) * scale
            / i128::from(pace.span.scale);
        let paused = pace.paused_us * scale / 1_000_000;
        narrowed((repeats + paused).saturating_add(self.shift.into()))
    }
}

/// The clock of a file that is played.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) clock: Clock,
    /// Handed over as fast as it is taken, if not.
    pub(super) paced: bool,
    /// How long the file is: what each repeat adds.
    span: Ticks,
    /// All pauses together.
    paused_us: i128,
    /// When a decoding time of 0 was due, pauses aside.
    anchor: Option<Mono>,
}

impl Pace {
    pub(super) fn new(clock: Clock, span: Ticks) -> Self {
        Self { clock, paced: true, span, paused_us: 0, anchor: None }
    }

    /// Waits until what is decoded at `dts` is due; false if the source was stopped.
    pub(super) fn wait(&mut self, dts: Ticks, control: &SourceControl) -> bool {
        if !self.paced {
            return !control.is_stopped();
        }
        let clock = self.clock;
        let anchor = *self.anchor.get_or_insert_with(|| moved(clock.mono(), -dts.micros()));
        match meet(clock, moved(anchor, dts.micros()), control) {
            Met::Due => true,
            Met::Stopped => false,
            Met::Late(late) => {
                // Clock and time stamps stay together: both have moved on by the same pause.
                self.paused_us += i128::try_from(late.as_micros()).unwrap_or(0);
                true
            }
        }
    }
}
