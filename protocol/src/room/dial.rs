//! Whom to dial and when: addresses from all sources at once, back-off, a slow start for the one of
//! a pair whose connection would lose anyway. Failures alone make nobody forgotten: who told an address
//! once may hold it for known, and not tell it again when an outage is over. Whether an address may be
//! dialled is [`super::policy`]'s, and asked when it is dialled.
//!
//! Bounds: [`TARGETS_MAX`] peers of [`target::ADDRESSES_MAX`] addresses each, and
//! [`budget::DIALS_PER_MINUTE_MAX`] dials a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use self::budget::Budget;
use self::target::{Target, may_change};
use super::input::Source;
use super::output::Output;
use super::policy::DialPolicy;
use crate::address::{Address, Kind};
use crate::time::{Deadline, Mono, Why};
use crate::trust::id::PeerId;

mod budget;
mod target;

/// Peers whose addresses are remembered: a full roster and as many who are not in it yet.
const TARGETS_MAX: usize = 512;
/// Of two that find each other at the same time the larger PeerId waits so long: its connection
/// would lose anyway, but the smaller one may be unable to reach it.
const LARGER_WAITS: Duration = Duration::from_millis(250);
/// Somebody who misbehaved, or sent us away, is not dialled for so long.
const PENALTY: Duration = Duration::from_secs(60);
/// Peers with so many failures that a large room tries at the same time.
const UNLUCKY_TRIED: usize = 4;

/// The address book and its clockwork.
#[derive(Debug)]
pub(super) struct Dialler {
    me: PeerId,
    policy: DialPolicy,
    rng: ChaCha12Rng,
    targets: BTreeMap<PeerId, Target>,
    /// Addresses of the link that do not say who answers.
    nameless: Target,
    budget: Budget,
}

impl Dialler {
    pub(super) fn new(me: PeerId, policy: DialPolicy, hints: &[Address], seed: [u8; 32]) -> Self {
        let rng = ChaCha12Rng::from_seed(seed);
        let (targets, nameless, budget) = Default::default();
        let mut dialler = Self { me, policy, rng, targets, nameless, budget };
        for hint in hints.iter().filter(|hint| hint.kind == Kind::Member) {
            match hint.peer {
                Some(peer) => {
                    let once = std::slice::from_ref(hint);
                    dialler.handle_found(peer, once, Source::User, Mono::default());
                }
                None => {
                    dialler.nameless.learn(hint, Source::User, &dialler.policy);
                }
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
        if peer == self.me {
            return;
        }
        let policy = &self.policy;
        let worth: Vec<_> = found
            .iter()
            .filter(|address| address.kind == Kind::Member)
            .filter(|address| address.peer.is_none_or(|named| named == peer))
            .filter(|address| may_change(policy.check(address, source)))
            .collect();
        let usable = worth.iter().any(|address| policy.check(address, source).is_ok());
        if worth.is_empty() || !self.has_place(peer, usable) {
            return;
        }
        let told = matches!(source, Source::Registration | Source::Roster);
        let not_before = if peer < self.me && told { now + LARGER_WAITS } else { now };
        let lot = self.rng.next_u64();
        let target = self.targets.entry(peer).or_insert_with(|| Target::new(not_before, lot));
        target.registered |= source == Source::Registration;
        target.gone = false;
        target.word_at = now;
        let mut news = false;
        for address in worth {
            news |= target.learn(address, source, &self.policy);
        }
        if news {
            target.take_chance(told, not_before, now);
        }
    }

    /// It is in the roster again, or for the first time: somebody reaches it, so we may as well.
    pub(super) fn handle_joined(&mut self, peer: PeerId, now: Mono) {
        let not_before = if peer < self.me { now + LARGER_WAITS } else { now };
        if let Some(target) = self.targets.get_mut(&peer) {
            target.gone = false;
            target.take_chance(true, not_before, now);
        }
    }

    /// Whether `peer` has a place, if need be that of the one who failed most. Who can be dialled now
    /// (`usable`) goes before who cannot; who did not fail, the roster's and the user's stay.
    fn has_place(&mut self, peer: PeerId, usable: bool) -> bool {
        if self.targets.len() < TARGETS_MAX || self.targets.contains_key(&peer) {
            return true;
        }
        let policy = &self.policy;
        let useless = |target: &Target| match target.is_dialable(policy) {
            true => target.failures,
            false => u32::MAX,
        };
        let others =
            self.targets.iter().filter(|(_, target)| !target.present && !target.is_users());
        let worst = others.max_by_key(|(_, target)| useless(target));
        let Some(worst) = worst.filter(|(_, target)| usable && useless(target) > 0) else {
            return false;
        };
        let worst = *worst.0;
        self.targets.remove(&worst);
        true
    }

    /// No bootstrap holds a registration of `peer` any more: unless the roster, the user or the LAN
    /// know it, it is forgotten when it is not reached.
    pub(super) fn handle_unregistered(&mut self, peer: PeerId) {
        if let Some(target) = self.targets.get_mut(&peer) {
            target.registered = false;
            target.gone = true;
        }
    }

    /// It said goodbye: it is forgotten at once, save where the user or the LAN know it. Should it come
    /// back, it is told anew.
    pub(super) fn handle_left(&mut self, peer: PeerId) {
        self.targets.retain(|other, target| *other != peer || target.is_near());
    }

    /// The surroundings have changed: what may be dialled from here is judged anew. Who can be dialled
    /// in another way than before is dialled without waiting.
    pub(super) fn set_policy(&mut self, policy: DialPolicy, now: Mono) {
        let before = std::mem::replace(&mut self.policy, policy);
        for target in self.targets.values_mut().chain([&mut self.nameless]) {
            let opens = |(address, source): &(Address, Source)| {
                self.policy.check(address, *source).is_ok()
                    && before.check(address, *source).is_err()
            };
            if target.addresses.iter().any(opens) {
                target.failures = 0;
                target.not_before = target.not_before.min(now);
            }
        }
    }

    pub(super) fn handle_failed(&mut self, peer: Option<PeerId>, now: Mono) {
        let jitter = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        if let Some(target) = self.target(peer) {
            target.handle_failed(jitter, now);
        }
    }

    /// A connection is up; its hello is still to come.
    pub(super) fn handle_connected(&mut self, peer: PeerId) {
        for target in [self.targets.get_mut(&peer), Some(&mut self.nameless)].into_iter().flatten()
        {
            target.dialling_since = None;
        }
    }

    /// The hello was right: whatever failed before is forgotten.
    pub(super) fn handle_live(&mut self, peer: PeerId, now: Mono) {
        for target in [self.targets.get_mut(&peer), Some(&mut self.nameless)].into_iter().flatten()
        {
            target.failures = 0;
            target.not_before = Mono::default();
            target.gone = false;
            target.word_at = now;
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
            // Without a failure no news cut that short.
            target.failures = 0;
        }
    }

    /// Everybody of whom an address is known that may be dialled.
    pub(super) fn known(&self) -> BTreeSet<PeerId> {
        self.dialable().map(|(peer, _)| *peer).collect()
    }

    /// Those of them whom there is hope to reach, with the place of each: whoever failed less goes
    /// first, so that addresses where nobody is are soon behind all others, then the lot decides.
    pub(super) fn hopeful(&self) -> BTreeMap<PeerId, u64> {
        let hopeful = self.dialable().filter(|(_, target)| !target.is_unlucky());
        let place = |target: &Target| u64::from(target.failures.min(15)) << 60 | target.lot >> 4;
        hopeful.map(|(peer, target)| (*peer, place(target))).collect()
    }

    /// The others, a few at a time, by turns: a room that was split is whole again by them.
    pub(super) fn unlucky(&self) -> impl Iterator<Item = PeerId> {
        let unlucky = self.dialable().filter(|(_, target)| target.is_unlucky());
        let mut order: Vec<_> = unlucky.map(|(peer, target)| (target.not_before, *peer)).collect();
        order.sort_unstable();
        order.into_iter().take(UNLUCKY_TRIED).map(|(_, peer)| peer)
    }

    fn dialable(&self) -> impl Iterator<Item = (&PeerId, &Target)> {
        self.targets.iter().filter(|(_, target)| target.is_dialable(&self.policy))
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
        let late: Vec<_> = self
            .targets
            .iter()
            .filter(|(_, target)| target.is_late(now))
            .map(|(peer, _)| Some(*peer))
            .collect();
        for peer in late.into_iter().chain(self.nameless.is_late(now).then_some(None)) {
            self.handle_failed(peer, now);
        }
        self.targets.retain(|peer, target| {
            target.present = present(peer);
            if target.present {
                target.word_at = now;
            }
            !target.is_over(now)
        });
        self.begin(now, alone, wanted)
    }

    /// Begins what is due: the user's first, then whoever waits longest, as far as the budget goes.
    fn begin(&mut self, now: Mono, alone: bool, wanted: impl Fn(&PeerId) -> bool) -> Vec<Output> {
        let policy = &self.policy;
        let due = |(peer, target): &(&PeerId, &Target)| wanted(peer) && target.is_due(policy, now);
        let rank = |(peer, target): (&PeerId, &Target)| {
            (!target.is_users(), target.not_before, false, Some(*peer))
        };
        let mut order: Vec<_> = self.targets.iter().filter(due).map(rank).collect();
        if alone && self.nameless.is_due(policy, now) {
            order.push((false, self.nameless.not_before, true, None));
        }
        order.sort_unstable();
        let mut dials = Vec::new();
        for (.., peer) in order {
            if !self.budget.take(now) {
                break;
            }
            let target = match peer {
                Some(peer) => self.targets.get_mut(&peer),
                None => Some(&mut self.nameless),
            };
            dials.extend(target.map(|target| target.dial(peer, &self.policy, now)));
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
        let targets = targets.map(|(_, target)| target).chain(nameless);
        let next = self.budget.next();
        let times = targets.filter_map(|target| target.due(&self.policy, next));
        times.min().map(|at| (at, Why("dial")))
    }

    fn target(&mut self, peer: Option<PeerId>) -> Option<&mut Target> {
        match peer {
            Some(peer) => self.targets.get_mut(&peer),
            None => Some(&mut self.nameless),
        }
    }
}

#[cfg(test)]
mod tests;
