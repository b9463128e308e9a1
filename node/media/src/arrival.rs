//! Times for pictures that bring none: from their arrival, smoothed to the frame rate.
//!
//! Each picture is due one picture's time after the one before, pulled an eighth of the way to when
//! it arrived: jitter of the producer is smoothed out, and a rate that is not the announced one is
//! followed. One that is late by more than [`DRIFT_MAX`] begins anew at its arrival: the producer
//! paused. One that is early by more comes from a producer that does not keep to real time (a file
//! through a pipe): it waits, and the pipe makes its writer wait.

use std::time::Duration;

use roommate_protocol::time::Mono;

use super::source::SourceControl;
use roommate_clock::Clock;

/// How far time stamps and arrivals may drift apart.
pub(super) const DRIFT_MAX: Duration = Duration::from_millis(200);
/// The share of a difference that the next picture takes back.
const PULL: i64 = 8;

/// The clock of one pipe.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// Microseconds of one picture by the announced rate.
    step: i64,
    /// When the last picture was due, and its time stamp in microseconds.
    last: Option<(Mono, i64)>,
}

impl Arrivals {
    /// `fps` pictures a second, as a fraction of two numbers that are not 0.
    pub(super) fn new((num, den): (u32, u32)) -> Self {
        let step = 1_000_000 * i64::from(den.max(1)) / i64::from(num.max(1));
        Self { step: step.max(1), last: None }
    }

    /// The time stamp, in microseconds from the first picture, of one that arrived at `arrived`, and
    /// how long from then on it is to wait. Time stamps rise.
    pub(super) fn stamp(&mut self, arrived: Mono) -> (i64, Duration) {
        let Some((due, pts)) = self.last else {
            self.last = Some((arrived, 0));
            return (0, Duration::ZERO);
        };
        let expected = due + micros(self.step);
        let early = expected.since(arrived);
        let step = if arrived.since(expected) > DRIFT_MAX {
            to_i64(arrived.since(due))
        } else if early > DRIFT_MAX {
            // Not pulled: it would run away with a flood, which arrives at no rate of its own.
            self.step
        } else if early > Duration::ZERO {
            (self.step - to_i64(early) / PULL).max(self.step / 4 + 1)
        } else {
            self.step + to_i64(arrived.since(expected)) / PULL
        };
        let (due, pts) = (due + micros(step), pts.saturating_add(step));
        self.last = Some((due, pts));
        (pts, due.since(arrived).saturating_sub(DRIFT_MAX))
    }
}

/// Whether a picture may go now: waits out what [`Arrivals::stamp`] asked for.
pub(super) fn hold(control: &SourceControl, clock: Clock, arrived: Mono, wait: Duration) -> bool {
    if wait.is_zero() {
        return !control.is_stopped();
    }
    !control.sleep((arrived + wait).since(clock.mono()))
}

fn micros(count: i64) -> Duration {
    Duration::from_micros(u64::try_from(count).unwrap_or(0))
}

fn to_i64(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Mono {
        Mono::from_micros(u64::try_from(millis * 1_000).unwrap())
    }

    #[test]
    fn jitter_is_smoothed() {
        let mut clock = Arrivals::new((25, 1));
        let mut last = clock.stamp(at(1_000)).0;
        for number in 1..500_i64 {
            let jitter = number * 7 % 31 - 15;
            let (pts, wait) = clock.stamp(at(1_000 + number * 40 + jitter));
            assert!((pts - last - 40_000).abs() <= 6_000, "{number}: {}", pts - last);
            assert!((pts - number * 40_000).abs() <= 20_000, "{number}: {pts}");
            assert_eq!(wait, Duration::ZERO);
            last = pts;
        }
    }

    #[test]
    fn another_rate_than_the_announced_is_followed() {
        for real in [30, 60, 20, 15] {
            let mut clock = Arrivals::new((25, 1));
            let mut pts = 0;
            for number in 0..600_i64 {
                let (stamp, wait) = clock.stamp(at(1_000 + number * 1_000 / real));
                assert!(stamp > pts || number == 0);
                assert_eq!(wait, Duration::ZERO, "{real}");
                pts = stamp;
            }
            let want = 599 * 1_000_000 / real;
            assert!((pts - want).abs() <= 200_000, "{real}: {pts} and {want}");
        }
    }

    #[test]
    fn after_a_pause_time_goes_on_from_the_arrival() {
        let mut clock = Arrivals::new((25, 1));
        clock.stamp(at(1_000));
        assert_eq!(clock.stamp(at(1_040)).0, 40_000);
        assert_eq!(clock.stamp(at(9_040)), (8_040_000, Duration::ZERO));
    }

    #[test]
    fn a_flood_is_held_to_its_rate() {
        let mut clock = Arrivals::new((25, 1));
        let mut last = (0, Duration::ZERO);
        for _ in 0..100 {
            last = clock.stamp(at(1_000));
        }
        assert!(last.0 >= 99 * 40_000 - 200_000, "{}", last.0);
        assert_eq!(last.1, Duration::from_micros(u64::try_from(last.0).unwrap()) - DRIFT_MAX);
    }
}
