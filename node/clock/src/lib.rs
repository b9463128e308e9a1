//! Reads both clocks, together, once per input. Nothing else in the node asks what time it is for
//! the core.
//!
//! The steady clock goes on while the machine sleeps where the system has such a clock
//! (`CLOCK_BOOTTIME` on Linux and Android), so that tickets end and deadlines pass during a suspend.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roommate_protocol::time::{Mono, Now, Wall};

/// Names the test hook: milliseconds, signed, added to every reading of the time of day.
///
/// A node that runs with it believes in another time of day than its neighbours, as a machine with
/// a wrong clock does. Its steady clock is untouched.
pub const WALL_OFFSET_ENV: &str = "ROOMMATE_TEST_WALL_OFFSET_MS";

/// The node's two clocks. Cheap to copy; a reading is two system calls without a switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    wall_offset_us: i64,
}

impl Clock {
    /// The machine's clocks as they are.
    pub const fn new() -> Self {
        Self { wall_offset_us: 0 }
    }

    /// The machine's clocks with a time of day that is wrong by `micros` (positive: ahead).
    pub const fn with_wall_offset(micros: i64) -> Self {
        Self { wall_offset_us: micros }
    }

    /// The machine's clocks, the time of day shifted by [`WALL_OFFSET_ENV`] where that is set.
    ///
    /// What is not a number is a mistake in a test and is told, not taken for 0.
    pub fn from_env() -> Result<Self, BadWallOffset> {
        match std::env::var(WALL_OFFSET_ENV) {
            Err(_) => Ok(Self::new()),
            Ok(text) => match text.trim().parse::<i64>() {
                Ok(millis) => Ok(Self::with_wall_offset(millis.saturating_mul(1_000))),
                Err(_) => Err(BadWallOffset(text)),
            },
        }
    }

    /// Both clocks, read together.
    pub fn now(self) -> Now {
        Now { mono: self.mono(), wall: self.wall() }
    }

    /// The steady clock alone.
    pub fn mono(self) -> Mono {
        Mono::from_micros(steady_micros())
    }

    /// The time of day alone.
    pub fn wall(self) -> Wall {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => clamp(after),
            Err(before) => -clamp(before.duration()),
        };
        Wall::from_micros(micros.saturating_add(self.wall_offset_us))
    }
}

/// The environment names a shift of the time of day that is no number.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{WALL_OFFSET_ENV} must be a whole number of milliseconds, but it is '{0}'")]
pub struct BadWallOffset(String);

fn clamp(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(unix)]
fn steady_micros() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const STEADY: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const STEADY: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let read = rustix::time::clock_gettime(STEADY);
    let secs = u64::try_from(read.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(read.tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000_000).saturating_add(nanos / 1_000)
}

#[cfg(not(unix))]
fn steady_micros() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(std::time::Instant::now);
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clock_never_goes_back() {
        let clock = Clock::new();
        let mut last = clock.mono();
        for _ in 0..10_000 {
            let next = clock.mono();
            assert!(next >= last);
            last = next;
        }
    }

    #[test]
    fn a_wrong_time_of_day_leaves_the_steady_clock_alone() {
        let right = Clock::new();
        let wrong = Clock::with_wall_offset(5_000_000);
        let (a, b) = (right.now(), wrong.now());
        // Between the two readings passes what passes on the steady clock.
        let passed = i64::try_from(b.mono.since(a.mono).as_micros()).unwrap();
        let apart = b.wall.as_micros() - a.wall.as_micros() - passed;
        assert!((apart - 5_000_000).abs() < 500_000, "apart by {apart} µs");
        assert!(b.mono >= a.mono);
    }
}
