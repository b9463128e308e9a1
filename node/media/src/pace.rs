//! When something goes out, on the steady clock.
//!
//! [`Pace`]: deadlines at a fixed rate, for sources that make what they send. They are absolute:
//! nothing drifts and no delay gathers. A machine that slept or cannot keep up is late by [`LATEST`]
//! at most: then deadlines are skipped, and never is anything made and dropped.
//!
//! [`meet`]: one deadline, for sources of files, which skip nothing. Pipes have a time of their own:
//! see [`super::arrival`] and [`super::ts`].

use std::time::Duration;

use roommate_clock::Clock;
use roommate_protocol::time::Mono;

use super::source::SourceControl;

/// How late something may be made; what would be later is not made at all. Long enough for a hiccup
/// of the machine, short enough that nobody sees a rush of old pictures.
pub const LATEST: Duration = Duration::from_millis(500);

/// How a deadline was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// In time, or nearly.
    Due,
    /// It passed so long ago that it is not to be made up for: the machine slept, or was stopped.
    /// Whoever plays goes on from now and says so by a jump of its time stamps, rather than rush
    /// through what it missed.
    Late(Duration),
    /// The source was told to stop.
    Stopped,
}

/// Waits until `due`, unless that was more than [`LATEST`] ago.
pub(super) fn meet(clock: Clock, due: Mono, control: &SourceControl) -> Met {
    let now = clock.mono();
    let late = now.since(due);
    if control.sleep(due.since(now)) {
        Met::Stopped
    } else if late > LATEST {
        Met::Late(late)
    } else {
        Met::Due
    }
}

/// A time moved by this many microseconds; not before the clock's zero.
pub(super) fn moved(at: Mono, micros: i128) -> Mono {
    let moved = i128::from(at.as_micros()).saturating_add(micros);
    Mono::from_micros(u64::try_from(moved.max(0)).unwrap_or(u64::MAX))
}

/// Deadlines from a start on.
pub(super) struct Pace {
    clock: Clock,
    start: Mono,
    per_second: u64,
    /// Deadlines passed, met or skipped.
    slot: u64,
    paced: bool,
}

impl Pace {
    /// The first deadline is `start` itself; `per_second` is at least 1.
    pub(super) fn new(clock: Clock, start: Mono, per_second: u32) -> Self {
        Self { clock, start, per_second: u64::from(per_second.max(1)), slot: 0, paced: true }
    }

    /// Lets every deadline come as soon as it is asked for, on a clock that only this drives.
    pub(super) fn unpace(&mut self) {
        self.paced = false;
    }

    /// Waits for the next deadline that is not too late: its number, and when it was met. `None`
    /// when told to stop.
    pub(super) fn wait(&mut self, control: &SourceControl) -> Option<(u64, Mono)> {
        let met = self.meet(control)?;
        let slot = self.slot;
        self.slot += 1;
        Some((slot, met))
    }

    /// When a deadline is, counted from the start; exact to the microsecond for every rate.
    pub(super) fn due_after(&self, slot: u64) -> Duration {
        Duration::from_micros(slot * 1_000_000 / self.per_second)
    }

    fn meet(&mut self, control: &SourceControl) -> Option<Mono> {
        if !self.paced {
            let due = self.start + self.due_after(self.slot);
            return (!control.is_stopped()).then_some(due);
        }
        loop {
            let due = self.start + self.due_after(self.slot);
            let now = self.clock.mono();
            if now.since(due) > LATEST {
                let passed = now.since(self.start).as_micros() * u128::from(self.per_second);
                self.slot = u64::try_from(passed / 1_000_000).unwrap_or(u64::MAX);
                continue;
            }
            if control.sleep(due.since(now)) {
                return None;
            }
            let now = self.clock.mono();
            if now >= due {
                return Some(now);
            }
        }
    }
}
