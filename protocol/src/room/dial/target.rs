//! One peer that may be dialled: its addresses, how it went, and when it is forgotten.

use std::time::Duration;

use super::super::input::Source;
use super::super::output::Output;
use super::super::policy::{DialPolicy, NotDialled};
use crate::address::Address;
use crate::time::Mono;
use crate::trust::id::PeerId;

/// Addresses remembered a peer; of those that may not be dialled now, then of all, the ones learnt
/// first leave first, the user's never.
pub(super) const ADDRESSES_MAX: usize = 8;
/// The first wait after a failure; it doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// The longest wait, before the dice: at most 15 seconds after an outage everybody is tried again.
const BACKOFF_MAX: Duration = Duration::from_secs(12);
/// A dial of which nothing was heard for so long has failed.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Someone found and not reached so many times, nor in the roster, is no choice for a large room's
/// streams, but is one of the few who are tried beside them.
const FAILURES_MANY: u32 = 8;
/// New addresses and a return to the roster, as others tell them, cut a back-off short once in this
/// time, so that nobody can make us dial as fast as he tells news.
const NEWS_EVERY: Duration = Duration::from_secs(60);
/// Somebody whom no bootstrap holds, the roster does not list and the user did not name is tried for
/// so long after the last word of it: longer than outages last, and not for ever.
pub(super) const REMEMBERED: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub(super) addresses: Vec<(Address, Source)>,
    pub(super) dialling_since: Option<Mono>,
    pub(super) failures: u32,
    pub(super) not_before: Mono,
    pub(super) lot: u64,
    /// It is in the roster, as of the last poll.
    pub(super) present: bool,
    /// Some bootstrap told of it and did not take that back.
    pub(super) registered: bool,
    /// No bootstrap holds its registration any more, and nothing was told of it since.
    pub(super) gone: bool,
    /// When there was last word of it: it was told, reached, or in the roster.
    pub(super) word_at: Mono,
    /// When news that others told last cut its back-off short.
    news_at: Option<Mono>,
}

/// Whether an address is worth keeping: it may be dialled, or might be in other surroundings.
pub(super) fn may_change(judged: Result<(), NotDialled>) -> bool {
    matches!(judged, Ok(()) | Err(NotDialled::Private | NotDialled::Loopback))
}

impl Target {
    pub(super) fn new(not_before: Mono, lot: u64) -> Self {
        Self { not_before, lot, ..Self::default() }
    }

    /// Whether that gave one more way to dial.
    pub(super) fn learn(&mut self, address: &Address, source: Source, policy: &DialPolicy) -> bool {
        // Who must answer is told beside the addresses.
        let address = Address { peer: None, ..address.clone() };
        let usable = policy.check(&address, source).is_ok();
        if let Some((_, known)) = self.addresses.iter_mut().find(|(known, _)| *known == address) {
            // The nearest source counts: more may be dialled that was heard on the LAN.
            let before = policy.check(&address, *known).is_ok();
            *known = source.min(*known);
            return usable && !before;
        }
        if self.addresses.len() >= ADDRESSES_MAX {
            let useless = |(address, source): &(Address, Source)| {
                *source != Source::User && policy.check(address, *source).is_err()
            };
            let others = |(_, source): &(Address, Source)| *source != Source::User && usable;
            let oldest = self.addresses.iter().position(useless);
            let Some(oldest) = oldest.or_else(|| self.addresses.iter().position(others)) else {
                return false;
            };
            self.addresses.remove(oldest);
        }
        self.addresses.push((address, source));
        usable
    }

    /// Something about it is new, so it may be reached where it was not before: it is dialled from
    /// `not_before` on. What others tell (`told`) does that once in [`NEWS_EVERY`].
    pub(super) fn take_chance(&mut self, told: bool, not_before: Mono, now: Mono) {
        let often = told && self.news_at.is_some_and(|at| now.since(at) < NEWS_EVERY);
        if self.failures == 0 || often {
            return;
        }
        if told {
            self.news_at = Some(now);
        }
        self.failures = 0;
        self.not_before = self.not_before.min(not_before);
    }

    /// It was not reached; `jitter` is from 0 to 1.
    pub(super) fn handle_failed(&mut self, jitter: f64, now: Mono) {
        self.dialling_since = None;
        self.failures = self.failures.saturating_add(1);
        let doubled = BACKOFF_MIN.saturating_mul(1 << (self.failures - 1).min(10));
        self.not_before = now + doubled.min(BACKOFF_MAX).mul_f64(0.75 + jitter / 2.0);
    }

    /// Whether its dial was answered by nobody.
    pub(super) fn is_late(&self, now: Mono) -> bool {
        self.dialling_since.is_some_and(|since| now.since(since) >= DIAL_TIMEOUT)
    }

    pub(super) fn is_users(&self) -> bool {
        self.addresses.iter().any(|(_, source)| *source == Source::User)
    }

    /// The user or the LAN know it.
    pub(super) fn is_near(&self) -> bool {
        self.addresses.iter().any(|(_, source)| matches!(source, Source::User | Source::Lan))
    }

    /// Nobody expects it any more, and it was not reached.
    pub(super) fn is_over(&self, now: Mono) -> bool {
        let old = !self.registered && now.since(self.word_at) >= REMEMBERED;
        let over = old || (self.gone && !self.is_near());
        self.failures > 0 && !self.present && !self.is_users() && over
    }

    /// It failed so often that a large room spends none of its choices on it.
    pub(super) fn is_unlucky(&self) -> bool {
        self.failures >= FAILURES_MANY && !self.present && !self.is_users()
    }

    /// What may be dialled now, what was learnt last first.
    fn usable<'a>(&'a self, policy: &'a DialPolicy) -> impl Iterator<Item = &'a Address> {
        let usable =
            |(address, source): &&(Address, Source)| policy.check(address, *source).is_ok();
        self.addresses.iter().rev().filter(usable).map(|(address, _)| address)
    }

    pub(super) fn is_dialable(&self, policy: &DialPolicy) -> bool {
        self.usable(policy).next().is_some()
    }

    /// Whether a dial of it is to begin.
    pub(super) fn is_due(&self, policy: &DialPolicy, now: Mono) -> bool {
        self.dialling_since.is_none() && self.not_before <= now && self.is_dialable(policy)
    }

    /// Begins a dial.
    pub(super) fn dial(&mut self, peer: Option<PeerId>, policy: &DialPolicy, now: Mono) -> Output {
        self.dialling_since = Some(now);
        Output::Dial { peer, addresses: self.usable(policy).cloned().collect() }
    }

    /// When it is to be looked at, where a dial may begin at `next` at the earliest.
    pub(super) fn due(&self, policy: &DialPolicy, next: Mono) -> Option<Mono> {
        match self.dialling_since {
            Some(since) => Some(since + DIAL_TIMEOUT),
            None if !self.is_dialable(policy) => None,
            None => Some(self.not_before.max(next)),
        }
    }
}
