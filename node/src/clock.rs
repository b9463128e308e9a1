//! Reads both clocks, together, once per input. Nothing else in the node asks what time it is for
//! the core.
//!
//! What the machine says stands in `roommate_transport::clock`; here are its meaning for the core and
//! the test hook that makes this node believe in another time of day.

use roommate_protocol::time::{Mono, Now, Wall};
use roommate_transport::clock;

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
        Mono::from_micros(clock::steady_micros())
    }

    /// The time of day alone.
    pub fn wall(self) -> Wall {
        Wall::from_micros(clock::wall_micros().saturating_add(self.wall_offset_us))
    }
}

/// The environment names a shift of the time of day that is no number.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{WALL_OFFSET_ENV} must be a whole number of milliseconds, but it is '{0}'")]
pub struct BadWallOffset(String);

#[cfg(test)]
mod tests {
    use super::*;

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
