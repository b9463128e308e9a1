//! The two times that a machine is told, and the deadlines that it asks for.
//!
//! Nothing here reads a clock. The shell reads both clocks once for each input and hands them in.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the node's own steady clock, in microseconds since an unspecified start.
///
/// The shell takes it from a clock that goes on while the machine sleeps (`CLOCK_BOOTTIME` on
/// Linux), so that deadlines pass during a suspend. Points of different nodes cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(u64);

impl Mono {
    /// The point `micros` microseconds after the start of this clock.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the start of this clock.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(micros(later)))
    }
}

impl Sub<Duration> for Mono {
    type Output = Self;
    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(micros(earlier)))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Time of day in microseconds since the Unix epoch, for what people and credentials mean.
///
/// It may be wrong and may jump: no deadline inside the node is ever measured with it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Wall(i64);

impl Wall {
    /// The time `micros` microseconds after the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The time `secs` seconds after the Unix epoch, saturating.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

impl Add<Duration> for Wall {
    type Output = Self;
    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Wall {
    type Output = Self;
    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(earlier.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The steady clock: deadlines, ages, round trips.
    pub mono: Mono,
    /// The time of day: expiry of tickets, periods of room ids, what is shown to people.
    pub wall: Wall,
}

/// Why a machine wants to be woken, so that a busy loop names its culprit in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Why(pub &'static str);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// When a machine wants to be woken, and why.
pub type Deadline = (Mono, Why);

/// The earliest of several deadlines; the first one listed where two are equal.
pub fn earliest(deadlines: impl IntoIterator<Item = Option<Deadline>>) -> Option<Deadline> {
    deadlines.into_iter().flatten().min_by_key(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clock_saturates_at_both_ends() {
        let zero = Mono::from_micros(0);
        assert_eq!(zero - Duration::from_secs(1), zero);
        assert_eq!(zero.since(Mono::from_micros(5)), Duration::ZERO);
        assert_eq!(Mono::from_micros(u64::MAX) + Duration::MAX, Mono::from_micros(u64::MAX));
    }

    #[test]
    fn time_of_day_before_the_epoch_rounds_down() {
        assert_eq!(Wall::from_micros(-1).as_secs(), -1);
        assert_eq!(Wall::from_secs(i64::MAX).as_micros(), i64::MAX);
    }

    #[test]
    fn the_earliest_deadline_wins_and_keeps_its_reason() {
        let at = |us, why| Some((Mono::from_micros(us), Why(why)));
        assert_eq!(earliest([at(9, "late"), None, at(3, "soon")]), at(3, "soon"));
        assert_eq!(earliest([None, None]), None);
    }
}
