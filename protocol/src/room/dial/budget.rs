//! How many dials a room begins in a minute, whatever it was told: whoever holds the link may tell
//! hundreds of addresses, and must not make each member knock at all of them without end.

use std::time::Duration;

use crate::time::Mono;

/// Dials that a room begins in a minute; one is of one peer, at all of its addresses. A full mesh
/// that was cut in two tries each of the lost sixteen five times a minute.
pub(super) const DIALS_PER_MINUTE_MAX: u32 = 160;

/// One more may begin after each such time.
const EACH: Duration = Duration::from_micros(60_000_000 / DIALS_PER_MINUTE_MAX as u64);
/// So far ahead of that may be begun.
const AHEAD: Duration = Duration::from_micros(59_000_000);

/// What is left of it.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// When all that was begun would have begun, one after the other.
    spent_until: Mono,
}

impl Budget {
    /// When the next dial may begin; in the past, if one may now.
    pub(super) fn next(&self) -> Mono {
        self.spent_until - AHEAD
    }

    /// One begins; whether it may.
    pub(super) fn take(&mut self, now: Mono) -> bool {
        let may = self.next() <= now;
        if may {
            self.spent_until = self.spent_until.max(now) + EACH;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_dials_may_begin_at_once_and_then_one_at_a_time() {
        let mut budget = Budget::default();
        let mut now = Mono::from_micros(100_000_000);
        let at_once = (0..1_000).filter(|_| budget.take(now)).count();
        assert!((150..=DIALS_PER_MINUTE_MAX as usize).contains(&at_once), "{at_once}");
        let mut later = 0;
        while budget.next() < Mono::from_micros(160_000_000) {
            now = budget.next();
            assert!(budget.take(now) && !budget.take(now));
            later += 1;
        }
        assert!((150..=DIALS_PER_MINUTE_MAX).contains(&later), "{later}");
    }
}
