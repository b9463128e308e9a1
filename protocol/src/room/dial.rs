//! Whom to dial and when: addresses from all sources at once, back-off, a slow start for the one of
//! a pair whose connection would lose anyway. Remembers at most [`TARGETS_MAX`] peers of
//! [`ADDRESSES_MAX`] addresses each; whether an address may be dialled is [`super::policy`]'s.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use super::input::Source;
use super::output::Output;
use super::policy::DialPolicy;
use crate::address::{Address, Kind};
use crate::time::{Deadline, Mono, Why};
use crate::trust::id::PeerId;

/// Peers whose addresses are remembered: a full roster and as many who are not in it yet.
const TARGETS_MAX: usize = 512;
/// Addresses remembered a peer; the ones learnt first leave first, the user's never.
const ADDRESSES_MAX: usize = 8;
/// The first wait after a failure; it doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// The longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A dial of which nothing was heard for so long has failed.
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Of two that find each other at the same time the larger PeerId waits so long: its connection
/// would lose anyway, but the smaller one may be unable to reach it.
const LARGER_WAITS: Duration = Duration::from_millis(250);
/// Somebody who misbehaved, or sent us away, is not dialled for so long.
const PENALTY: Duration = Duration::from_secs(60);
/// Someone found and never reached, nor in the roster, is forgotten after so many failures.
const FAILURES_MAX: u32 = 8;

#[derive(Clone, Debug, Default)]
struct Target {
    addresses: Vec<(Address, Source)>,
    dialling_since: Option<Mono>,
    failures: u32,
    not_before: Mono,
    lot: u64,
}

/// The address book and its clockwork.
#[derive(Debug)]
pub(super) struct Dialler {
    me: PeerId,
    policy: DialPolicy,
    rng: ChaCha12Rng,
    targets: BTreeMap<PeerId, Target>,
    /// Addresses of the link that do not say who answers.
    nameless: Target,
}

impl Dialler {
    pub(super) fn new(me: PeerId, policy: DialPolicy, hints: &[Address], seed: [u8; 32]) -> Self {
        let rng = ChaCha12Rng::from_seed(seed);
        let mut dialler =
            Self { me, policy, rng, targets: BTreeMap::new(), nameless: Target::default() };
        for hint in hints.iter().filter(|hint| hint.kind == Kind::Member) {
            match hint.peer {
                Some(peer) => {
                    let once = std::slice::from_ref(hint);
                    dialler.handle_found(peer, once, Source::User, Mono::default());
                }
                None => dialler.nameless.learn(hint, Source::User),
            }
        }
        dialler
    }

    /// Somebody may be reached there.
    pub(super) fn handle_found(
        &mut self,
        peer: PeerId,
        found: &[Address],
        source: Source,
        now: Mono,
    ) {
        let known = self.targets.contains_key(&peer);
        if peer == self.me || (!known && self.targets.len() >= TARGETS_MAX) {
            return;
        }
        let allowed: Vec<_> = found
            .iter()
            .filter(|address| address.kind == Kind::Member)
            .filter(|address| address.peer.is_none_or(|named| named == peer))
            .filter(|address| self.policy.check(address, source).is_ok())
            .collect();
        if allowed.is_empty() {
            return;
        }
        let waits = peer < self.me && matches!(source, Source::Registration | Source::Roster);
        let not_before = if waits { now + LARGER_WAITS } else { now };
        let lot = self.rng.next_u64();
        let target = self.targets.entry(peer).or_insert_with(|| Target {
            not_before,
            lot,
            ..Target::default()
        });
        let before = target.addresses.len();
        for address in allowed {
            target.learn(address, source);
        }
        if target.addresses.len() > before && target.failures > 0 {
            // A new address is a new chance.
            target.failures = 0;
            target.not_before = target.not_before.min(not_before);
        }
    }

    pub(super) fn handle_failed(&mut self, peer: Option<PeerId>, now: Mono) {
        let jitter = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        let Some(target) = self.target(peer) else { return };
        target.dialling_since = None;
        target.failures = target.failures.saturating_add(1);
        let doubled = BACKOFF_MIN.saturating_mul(1 << (target.failures - 1).min(10));
        target.not_before = now + doubled.min(BACKOFF_MAX).mul_f64(0.75 + jitter / 2.0);
    }

    /// A connection is up; its hello is still to come.
    pub(super) fn handle_connected(&mut self, peer: PeerId) {
        for target in [self.targets.get_mut(&peer), Some(&mut self.nameless)].into_iter().flatten()
        {
            target.dialling_since = None;
        }
    }

    /// The hello was right: whatever failed before is forgotten.
    pub(super) fn handle_live(&mut self, peer: PeerId) {
        for target in [self.targets.get_mut(&peer), Some(&mut self.nameless)].into_iter().flatten()
        {
            target.failures = 0;
            target.not_before = Mono::default();
        }
    }

    /// The link was lost, or has gone silent, or this machine slept: dial again without waiting.
    pub(super) fn hurry(&mut self, peer: PeerId, now: Mono) {
        if let Some(target) = self.targets.get_mut(&peer) {
            target.failures = 0;
            target.not_before = target.not_before.min(now);
        }
    }

    /// [`Self::hurry`] for everybody.
    pub(super) fn hurry_all(&mut self, now: Mono) {
        for target in self.targets.values_mut().chain([&mut self.nameless]) {
            target.failures = 0;
            target.dialling_since = None;
            target.not_before = now;
        }
    }

    /// Leave this one alone for a while.
    pub(super) fn penalise(&mut self, peer: PeerId, now: Mono) {
        if let Some(target) = self.targets.get_mut(&peer) {
            target.not_before = now + PENALTY;
        }
    }

    /// Everybody of whom an address is known, with the lot that was drawn for each.
    pub(super) fn known(&self) -> BTreeMap<PeerId, u64> {
        self.targets.iter().map(|(peer, target)| (*peer, target.lot)).collect()
    }

    /// What to dial now, of those that `wanted` says; `alone` is whether we reach nobody, so that the
    /// link's nameless addresses are tried. `present` tells who is in the roster and never forgotten.
    pub(super) fn poll(
        &mut self,
        now: Mono,
        alone: bool,
        wanted: impl Fn(&PeerId) -> bool,
        present: impl Fn(&PeerId) -> bool,
    ) -> Vec<Output> {
        let late = |target: &Target| {
            target.dialling_since.is_some_and(|since| now.since(since) >= DIAL_TIMEOUT)
        };
        let lates: Vec<_> = self
            .targets
            .iter()
            .filter(|(_, target)| late(target))
            .map(|(peer, _)| Some(*peer))
            .collect();
        for peer in lates.into_iter().chain(late(&self.nameless).then_some(None)) {
            self.handle_failed(peer, now);
        }
        self.targets.retain(|peer, target| {
            target.failures < FAILURES_MAX || target.is_users() || present(peer)
        });
        let mut dials = Vec::new();
        for (peer, target) in &mut self.targets {
            if wanted(peer) {
                dials.extend(target.dial(Some(*peer), now));
            }
        }
        if alone {
            dials.extend(self.nameless.dial(None, now));
        }
        dials
    }

    pub(super) fn poll_timeout(
        &self,
        alone: bool,
        wanted: impl Fn(&PeerId) -> bool,
    ) -> Option<Deadline> {
        let targets = self
            .targets
            .iter()
            .filter(|(peer, target)| target.dialling_since.is_some() || wanted(peer));
        let nameless = Some(&self.nameless).filter(|_| alone);
        let times = targets.map(|(_, target)| target).chain(nameless).filter_map(Target::due);
        times.min().map(|at| (at, Why("dial")))
    }

    fn target(&mut self, peer: Option<PeerId>) -> Option<&mut Target> {
        match peer {
            Some(peer) => self.targets.get_mut(&peer),
            None => Some(&mut self.nameless),
        }
    }
}

impl Target {
    fn learn(&mut self, address: &Address, source: Source) {
        // Who must answer is told beside the addresses.
        let address = Address { peer: None, ..address.clone() };
        if self.addresses.iter().any(|(known, _)| *known == address) {
            return;
        }
        if self.addresses.len() >= ADDRESSES_MAX {
            let Some(oldest) = self.addresses.iter().position(|(_, s)| *s != Source::User) else {
                return;
            };
            self.addresses.remove(oldest);
        }
        self.addresses.push((address, source));
    }

    fn is_users(&self) -> bool {
        self.addresses.iter().any(|(_, source)| *source == Source::User)
    }

    fn dial(&mut self, peer: Option<PeerId>, now: Mono) -> Option<Output> {
        if self.dialling_since.is_some() || now < self.not_before || self.addresses.is_empty() {
            return None;
        }
        self.dialling_since = Some(now);
        let addresses = self.addresses.iter().rev().map(|(address, _)| address.clone()).collect();
        Some(Output::Dial { peer, addresses })
    }

    fn due(&self) -> Option<Mono> {
        match self.dialling_since {
            Some(since) => Some(since + DIAL_TIMEOUT),
            None if self.addresses.is_empty() => None,
            None => Some(self.not_before),
        }
    }
}

#[cfg(test)]
mod tests;
