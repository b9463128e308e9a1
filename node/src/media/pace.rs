//! When what is read from a file is due: time stamps become moments of the node's steady clock.
//!
//! Whoever is late goes on from now and says so by a jump of the time stamps, rather than rush
//! through what was missed. Waits on the caller's thread, and ends the wait when the source is
//! stopped.

use std::time::Duration;

use roommate_protocol::time::Mono;

use super::source::SourceControl;
use crate::clock::Clock;

/// Later than this (the machine slept, or was stopped) nothing is made up for.
const LATE_MAX: Duration = Duration::from_millis(500);

/// The pace of one source.
#[derive(Debug)]
pub(super) struct Pace {
    clock: Clock,
    timescale: u32,
    /// Added to the file's times, in ticks: repeats and pauses move it on.
    shift: i64,
    /// When what is decoded at 0 (after `shift`) was due.
    anchor: Option<Mono>,
    paced: bool,
}

impl Pace {
    /// The first wait is none. `shift` is added to the file's times, in ticks of `timescale`.
    pub(super) fn new(clock: Clock, timescale: u32, shift: i64) -> Self {
        Self { clock, timescale, shift, anchor: None, paced: true }
    }

    /// Nothing is waited for from now on.
    pub(super) fn stop_pacing(&mut self) {
        self.paced = false;
    }

    /// Times go on by `ticks`: the file begins anew.
    pub(super) fn add(&mut self, ticks: i64) {
        self.shift = self.shift.saturating_add(ticks);
    }

    /// A time of the file as it is sent.
    pub(super) fn shifted(&self, ticks: i64) -> i64 {
        ticks.saturating_add(self.shift)
    }

    /// Waits until what is decoded at `dts` of the file is due; false if the source was stopped.
    pub(super) fn wait(&mut self, dts: i64, control: &SourceControl) -> bool {
        if !self.paced {
            return true;
        }
        let dts = self.shifted(dts);
        let now = self.clock.mono();
        let scale = i128::from(self.timescale);
        let micros = |ticks: i64| i128::from(ticks) * 1_000_000 / scale;
        let anchor = *self.anchor.get_or_insert_with(|| moved(now, -micros(dts)));
        let due = moved(anchor, micros(dts));
        let late = now.since(due);
        if late > LATE_MAX {
            // Clock and time stamps stay together: both have moved on by the same pause.
            let ticks = i128::try_from(late.as_micros()).unwrap_or(0) * scale / 1_000_000;
            self.shift = self.shift.saturating_add(i64::try_from(ticks).unwrap_or(0));
            return !control.is_stopped();
        }
        !control.sleep(due.since(now))
    }
}

fn moved(at: Mono, micros: i128) -> Mono {
    let moved = i128::from(at.as_micros()).saturating_add(micros);
    Mono::from_micros(u64::try_from(moved.max(0)).unwrap_or(u64::MAX))
}
