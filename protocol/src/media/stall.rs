//! Counts stalls: times that no next picture was ready for more than 250 ms beyond its time.
//!
//! A picture's time is one picture's duration after the one before it was ready, the duration taken
//! from the capture times. Counts only; decides nothing.

use std::time::Duration;

use crate::time::Mono;

/// Lateness that nobody notices.
pub const STALL_GRACE: Duration = Duration::from_millis(250);

/// The longest duration of one picture that is believed: a publisher's stamps are its own word.
const PICTURE_TIME_MAX: Duration = Duration::from_secs(10);

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    /// How often.
    pub count: u64,
    /// For how long in all, beyond the pictures' times.
    pub time: Duration,
}

/// Watches one viewer's pictures become ready.
#[derive(Clone, Copy, Debug, Default)]
pub struct StallMeter {
    last: Option<Last>,
    picture_time: Duration,
    stalls: Stalls,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    seq: u64,
    captured_us: i64,
    ready_at: Mono,
}

impl StallMeter {
    /// Nothing seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// An access unit is ready.
    pub fn handle_ready(&mut self, seq: u64, captured_us: i64, ready_at: Mono) {
        if let Some(last) = self.last {
            let pictures = u32::try_from(seq.saturating_sub(last.seq)).unwrap_or(u32::MAX).max(1);
            let captured = captured_us.saturating_sub(last.captured_us).max(0).unsigned_abs();
            self.picture_time = (Duration::from_micros(captured) / pictures).min(PICTURE_TIME_MAX);
            self.stalls = self.until(ready_at);
        }
        self.last = Some(Last { seq, captured_us, ready_at });
    }

    /// The stalls until `now`, one that lasts included.
    pub fn until(&self, now: Mono) -> Stalls {
        let Some(last) = self.last else { return self.stalls };
        let late = now.since(last.ready_at + self.picture_time);
        if late <= STALL_GRACE {
            return self.stalls;
        }
        Stalls { count: self.stalls.count + 1, time: self.stalls.time + late }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono::from_micros(ms * 1000)
    }

    #[test]
    fn a_stall_is_more_than_a_quarter_second_beyond_the_pictures_time() {
        let mut meter = StallMeter::new();
        meter.handle_ready(0, 0, ms(1000));
        meter.handle_ready(1, 40_000, ms(1290));
        assert_eq!(meter.until(ms(1290)), Stalls::default());
        meter.handle_ready(2, 80_000, ms(1581));
        assert_eq!(meter.until(ms(1581)), Stalls { count: 1, time: Duration::from_millis(251) });
    }

    #[test]
    fn a_stall_that_lasts_counts_already_and_only_once() {
        let mut meter = StallMeter::new();
        meter.handle_ready(0, 0, ms(0));
        meter.handle_ready(1, 40_000, ms(40));
        assert_eq!(meter.until(ms(330)).count, 0);
        assert_eq!(meter.until(ms(400)).count, 1);
        assert_eq!(meter.until(ms(5000)).count, 1);
        meter.handle_ready(2, 80_000, ms(5080));
        assert_eq!(meter.until(ms(5080)), Stalls { count: 1, time: Duration::from_secs(5) });
    }

    #[test]
    fn skipped_pictures_do_not_excuse_the_wait_for_the_next() {
        let mut meter = StallMeter::new();
        meter.handle_ready(0, 0, ms(0));
        meter.handle_ready(50, 2_000_000, ms(2000));
        assert_eq!(meter.until(ms(2000)).count, 1);
    }

    #[test]
    fn a_slow_broadcast_does_not_stall_by_being_slow() {
        let mut meter = StallMeter::new();
        for picture in 0..5 {
            meter.handle_ready(picture, picture as i64 * 1_000_000, ms(picture * 1000));
        }
        assert_eq!(meter.until(ms(4000)), Stalls::default());
    }
}
