//! The broadcast's clock at a member: how far our steady clock is from the publisher's, and how
//! wrong that may be.
//!
//! For display alone. No picture is ever dropped by it: one bad sample, or one lying parent, would
//! turn everything stale. Keeps the last [`SAMPLES_MAX`] samples.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Mono, Wall};

/// Samples kept; one a second, the smallest round trip of them counts.
pub const SAMPLES_MAX: usize = 8;

/// How far two clocks of one machine may drift apart between two looks before it must have slept.
pub const SUSPEND_JUMP_MIN: Duration = Duration::from_millis(50);

/// Maps a member's steady clock to a broadcast's: broadcast time = steady time + offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockView {
    /// Microseconds to add to the steady clock.
    pub offset_us: i64,
    /// Bound of the offset's error in microseconds; 0 at the publisher.
    pub error_us: u64,
}

impl ClockView {
    /// The publisher's own: wall clock at the start of the broadcast, steady from then on.
    pub fn at_publisher(wall: Wall, mono: Mono) -> Self {
        Self { offset_us: wall.as_micros().saturating_sub(signed(mono)), error_us: 0 }
    }

    /// Broadcast time at `mono`, in microseconds.
    pub fn at(&self, mono: Mono) -> i64 {
        signed(mono).saturating_add(self.offset_us)
    }
}

/// The four stamps of one question and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSample {
    /// Our clock, when the question was written.
    pub asked_at: Mono,
    /// The parent's clock, when it read the question.
    pub parent_read_at: Mono,
    /// The parent's clock, when it wrote the answer.
    pub parent_wrote_at: Mono,
    /// Our clock, when the answer was read.
    pub answered_at: Mono,
}

/// Why a sample was not taken: no honest clocks give such stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock's stamps contradict each other")]
pub struct BadSample;

/// Measures one parent's steady clock against ours.
#[derive(Clone, Debug, Default)]
pub struct OffsetMeter {
    /// Offset to the parent's clock and round trip, microseconds, oldest first.
    samples: VecDeque<(i64, u64)>,
}

impl OffsetMeter {
    /// Nothing measured.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one sample in.
    ///
    /// # Errors
    /// [`BadSample`] when time runs backwards in it, or the parent took longer than we waited.
    pub fn handle_sample(&mut self, sample: ClockSample) -> Result<(), BadSample> {
        let [t1, t4] = [sample.asked_at, sample.answered_at].map(wide);
        let [t2, t3] = [sample.parent_read_at, sample.parent_wrote_at].map(wide);
        let round_trip = (t4 - t1) - (t3 - t2);
        if t4 < t1 || t3 < t2 || round_trip < 0 {
            return Err(BadSample);
        }
        let offset = i64::try_from(((t2 - t1) + (t3 - t4)).div_euclid(2)).map_err(|_| BadSample)?;
        let round_trip = u64::try_from(round_trip).map_err(|_| BadSample)?;
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((offset, round_trip));
        Ok(())
    }

    /// Forgets all samples: the machine slept, or the parent changed.
    pub fn reset(&mut self) {
        self.samples.clear();
    }

    /// Our view of the broadcast's clock, given the parent's own view of it. `None` before the
    /// first sample. Errors add up over hops.
    pub fn view(&self, parent: ClockView) -> Option<ClockView> {
        let (offset, round_trip) = self.samples.iter().min_by_key(|(_, round_trip)| *round_trip)?;
        Some(ClockView {
            offset_us: offset.saturating_add(parent.offset_us),
            error_us: round_trip.div_ceil(2).saturating_add(parent.error_us),
        })
    }

    /// The smallest round trip of the last samples.
    pub fn round_trip(&self) -> Option<Duration> {
        self.samples.iter().map(|(_, round_trip)| Duration::from_micros(*round_trip)).min()
    }
}

/// Notices that the machine slept: its steady clock, which counts sleep, jumped away from the
/// runtime's, which does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct SuspendWatch {
    last: Option<(Mono, Mono)>,
}

impl SuspendWatch {
    /// Nothing seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at both clocks, read together; true when they jumped apart since the last look. Then
    /// drop all clock samples and arm deadlines anew.
    pub fn handle_clocks(&mut self, steady: Mono, runtime: Mono) -> bool {
        let last = self.last.replace((steady, runtime));
        last.is_some_and(|(old_steady, old_runtime)| {
            let steady_went = steady.since(old_steady);
            let runtime_went = runtime.since(old_runtime);
            steady_went.abs_diff(runtime_went) > SUSPEND_JUMP_MIN
        })
    }
}

fn signed(mono: Mono) -> i64 {
    i64::try_from(mono.as_micros()).unwrap_or(i64::MAX)
}

fn wide(mono: Mono) -> i128 {
    i128::from(mono.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A question to a parent whose clock is `offset` ahead, with these delays there and back.
    fn sample(at: u64, offset: i64, there: u64, back: u64) -> ClockSample {
        let parent = |own: u64| Mono::from_micros(own.saturating_add_signed(offset));
        ClockSample {
            asked_at: Mono::from_micros(at),
            parent_read_at: parent(at + there),
            parent_wrote_at: parent(at + there + 300),
            answered_at: Mono::from_micros(at + there + 300 + back),
        }
    }

    const PUBLISHER: ClockView = ClockView { offset_us: 0, error_us: 0 };

    #[test]
    fn the_smallest_round_trip_of_the_last_eight_counts() {
        let mut meter = OffsetMeter::new();
        meter.handle_sample(sample(1_000_000, 70_000, 10, 10)).unwrap();
        meter.handle_sample(sample(2_000_000, 70_000, 40_000, 10)).unwrap();
        let best = ClockView { offset_us: 70_000, error_us: 10 };
        assert_eq!(meter.view(PUBLISHER), Some(best));
        for second in 3..10 {
            meter.handle_sample(sample(second * 1_000_000, 70_000, 40_000, 10)).unwrap();
        }
        let worse = ClockView { offset_us: 70_000 + 19_995, error_us: 20_005 };
        assert_eq!(meter.view(PUBLISHER), Some(worse));
    }

    #[test]
    fn hops_add_offsets_and_errors() {
        let mut meter = OffsetMeter::new();
        assert_eq!(meter.view(PUBLISHER), None);
        meter.handle_sample(sample(5_000_000, -4_000_000, 500, 500)).unwrap();
        let parent = ClockView { offset_us: 1_000, error_us: 77 };
        let view = ClockView { offset_us: -3_999_000, error_us: 577 };
        assert_eq!(meter.view(parent), Some(view));
        let lying = ClockView { offset_us: i64::MIN, error_us: u64::MAX };
        assert_eq!(meter.view(lying).map(|view| view.offset_us), Some(i64::MIN));
    }

    #[test]
    fn a_publishers_clock_begins_with_the_wall_and_then_runs_steadily() {
        let view = ClockView::at_publisher(Wall::from_secs(1_700_000_000), Mono::from_micros(42));
        assert_eq!(view.at(Mono::from_micros(43)), 1_700_000_000_000_001);
    }

    #[test]
    fn stamps_that_run_backwards_are_refused() {
        let good = sample(1_000, 0, 50, 50);
        let at = Mono::from_micros;
        let mut meter = OffsetMeter::new();
        for bad in [
            ClockSample { answered_at: at(999), ..good },
            ClockSample { parent_wrote_at: at(0), ..good },
            ClockSample { parent_wrote_at: at(u64::MAX), ..good },
        ] {
            assert_eq!(meter.handle_sample(bad), Err(BadSample));
        }
        assert_eq!(meter.handle_sample(good), Ok(()));
        meter.reset();
        assert_eq!(meter.view(PUBLISHER), None);
    }

    #[test]
    fn a_sleep_is_noticed_and_a_busy_second_is_not() {
        let at = |secs: u64, micros: u64| Mono::from_micros(secs * 1_000_000 + micros);
        let mut watch = SuspendWatch::new();
        assert!(!watch.handle_clocks(at(0, 0), at(100, 0)));
        assert!(!watch.handle_clocks(at(7, 0), at(107, 40_000)));
        assert!(watch.handle_clocks(at(8 * 3600, 0), at(108, 0)));
        assert!(!watch.handle_clocks(at(8 * 3600 + 1, 0), at(109, 0)));
    }

    proptest! {
        #[test]
        fn the_error_bounds_the_truth(
            at in 0..1_u64 << 40, offset in 0..1_i64 << 40, there in 0..1_u64 << 20, back in 0..1_u64 << 20,
        ) {
            let mut meter = OffsetMeter::new();
            meter.handle_sample(sample(at, offset, there, back)).unwrap();
            let view = meter.view(PUBLISHER).unwrap();
            prop_assert!(view.offset_us.abs_diff(offset) <= view.error_us);
        }

        #[test]
        fn no_stamps_panic(a: u64, b: u64, c: u64, d: u64) {
            let [asked_at, parent_read_at, parent_wrote_at, answered_at] =
                [a, b, c, d].map(Mono::from_micros);
            let mut meter = OffsetMeter::new();
            let _ = meter.handle_sample(ClockSample {
                asked_at, parent_read_at, parent_wrote_at, answered_at,
            });
            let _ = meter.view(ClockView { offset_us: i64::MAX, error_us: u64::MAX });
        }
    }
}
