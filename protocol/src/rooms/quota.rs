//! How much of a bootstrap one peer, one network and one room may hold, and who gives way.
//!
//! An identity costs nothing, an address block does: so places are counted by network, and where
//! there is no room the network that holds most gives way first, its longest silent member before
//! the others. Loopback is nobody's network: whoever is there owns the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::time::Mono;

/// Rooms in which one peer is registered: two, each under two periods near an edge.
pub const REGISTRATIONS_PER_PEER_MAX: usize = 4;

/// Registrations from one network: a household or an office; a flood stays this small.
pub const REGISTRATIONS_PER_PREFIX_MAX: usize = 64;

/// Registrations in one room. Whoever joins needs a few members to begin with, not all.
pub const REGISTRATIONS_PER_ROOM_MAX: usize = 256;

/// Rooms that one client watches: as many as it may register in, each under two periods.
pub const WATCHES_PER_CLIENT_MAX: usize = 8;

/// Clients from one network at a time: some watch without registering.
pub const CLIENTS_PER_PREFIX_MAX: usize = 256;

/// What counts as one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prefix {
    /// Loopback: this machine, bound only by the totals.
    Here,
    /// The first 24 bits of an IPv4 address.
    V4([u8; 3]),
    /// The first 48 bits of an IPv6 address.
    V6([u8; 6]),
}

impl Prefix {
    /// The network of an address; IPv4 in IPv6 is IPv4.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::Here,
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }
}

/// Who holds a place, by network and by when they were last heard of.
#[derive(Debug)]
pub(super) struct Crowd<K> {
    by_prefix: BTreeMap<Prefix, BTreeSet<(Mono, K)>>,
    sizes: BTreeSet<(usize, Prefix)>,
    by_age: BTreeSet<(Mono, K)>,
}

impl<K: Copy + Ord> Crowd<K> {
    pub(super) fn new() -> Self {
        Self { by_prefix: BTreeMap::new(), sizes: BTreeSet::new(), by_age: BTreeSet::new() }
    }

    pub(super) fn insert(&mut self, prefix: Prefix, heard: Mono, key: K) {
        if self.by_age.insert((heard, key)) {
            let members = self.by_prefix.entry(prefix).or_default();
            self.sizes.remove(&(members.len(), prefix));
            members.insert((heard, key));
            self.sizes.insert((members.len(), prefix));
        }
    }

    pub(super) fn remove(&mut self, prefix: Prefix, heard: Mono, key: K) {
        let Some(members) = self.by_prefix.get_mut(&prefix) else { return };
        let before = members.len();
        if members.remove(&(heard, key)) {
            self.by_age.remove(&(heard, key));
            self.sizes.remove(&(before, prefix));
            if members.is_empty() {
                self.by_prefix.remove(&prefix);
            } else {
                self.sizes.insert((before - 1, prefix));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }

    pub(super) fn count(&self, prefix: Prefix) -> usize {
        self.by_prefix.get(&prefix).map_or(0, BTreeSet::len)
    }

    /// The longest silent of all.
    pub(super) fn oldest(&self) -> Option<(Mono, K)> {
        self.by_age.first().copied()
    }

    /// The longest silent of one network.
    pub(super) fn oldest_in(&self, prefix: Prefix) -> Option<K> {
        self.by_prefix.get(&prefix)?.first().map(|(_, key)| *key)
    }

    /// Who gives way where all places are taken: the longest silent of the network that holds
    /// most, and of all where every network holds one.
    pub(super) fn victim(&self) -> Option<K> {
        match self.sizes.last()? {
            (1, _) => self.oldest().map(|(_, key)| key),
            (_, prefix) => self.oldest_in(*prefix),
        }
    }

    /// How many the network that holds most holds.
    pub(super) fn largest(&self) -> usize {
        self.sizes.last().map_or(0, |(size, _)| *size)
    }
}

/// What one client may ask: a bucket that fills with time and that every request empties.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    micro_tokens: i64,
    at: Mono,
}

/// Tokens that a quiet client has at hand: four registrations and watches at once, half of them
/// again on a second stream, and its pings.
const TOKENS_MAX: i64 = 192;
/// Tokens that come back in a second.
const TOKENS_PER_S: i64 = 8;
/// Requests beyond its tokens that a client may make (and see refused) before it is cut off.
const DEBT_MAX: i64 = 128;
const MICRO: i64 = 1_000_000;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    Granted,
    TooFast,
    Flood,
}

impl Budget {
    pub(super) fn new(now: Mono) -> Self {
        Self { micro_tokens: TOKENS_MAX * MICRO, at: now }
    }

    pub(super) fn spend(&mut self, cost: i64, now: Mono) -> Spent {
        let passed = i64::try_from(now.since(self.at).as_micros()).unwrap_or(i64::MAX);
        let gained = passed.saturating_mul(TOKENS_PER_S);
        self.micro_tokens = self.micro_tokens.saturating_add(gained).min(TOKENS_MAX * MICRO);
        self.at = now;
        if self.micro_tokens >= cost * MICRO {
            self.micro_tokens -= cost * MICRO;
            return Spent::Granted;
        }
        self.micro_tokens -= MICRO;
        if self.micro_tokens < -DEBT_MAX * MICRO { Spent::Flood } else { Spent::TooFast }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn a_network_is_a_24_or_a_48() {
        let prefix = |text: &str| Prefix::of(text.parse().unwrap());
        assert_eq!(prefix("192.0.2.1"), prefix("192.0.2.254"));
        assert_ne!(prefix("192.0.2.1"), prefix("192.0.3.1"));
        assert_eq!(prefix("::ffff:192.0.2.9"), prefix("192.0.2.1"));
        assert_eq!(prefix("2001:db8:1::1"), prefix("2001:db8:1:ffff::1"));
        assert_ne!(prefix("2001:db8:1::1"), prefix("2001:db8:2::1"));
        for here in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(prefix(here), Prefix::Here);
        }
    }

    #[test]
    fn a_patient_client_is_served_and_a_flood_is_cut_off() {
        let start = Mono::from_micros(7);
        let mut budget = Budget::new(start);
        for second in 0..10_000 {
            let now = start + Duration::from_secs(second);
            assert_eq!(budget.spend(TOKENS_PER_S, now), Spent::Granted);
        }
        let now = start + Duration::from_secs(9_999);
        let spent: Vec<_> = (0..400).map(|_| budget.spend(16, now)).collect();
        assert_eq!(spent.iter().filter(|s| **s == Spent::Granted).count(), 11);
        assert!(spent.contains(&Spent::TooFast));
        assert_eq!(spent.last(), Some(&Spent::Flood));
    }

    proptest! {
        /// Whatever comes and goes, the three views of one crowd agree.
        #[test]
        fn a_crowd_agrees_with_itself(
            moves in proptest::collection::vec((any::<bool>(), 0u8..4, 0u64..20, 0u8..20), 0..200),
        ) {
            let mut crowd = Crowd::new();
            let mut plain: BTreeMap<u8, (Prefix, Mono)> = BTreeMap::new();
            for (come, net, at, key) in moves {
                if let Some((prefix, heard)) = plain.remove(&key) {
                    crowd.remove(prefix, heard, key);
                }
                if come {
                    let (prefix, heard) = (Prefix::V4([net; 3]), Mono::from_micros(at));
                    crowd.insert(prefix, heard, key);
                    plain.insert(key, (prefix, heard));
                }
                let count = |p: Prefix| plain.values().filter(|(q, _)| *q == p).count();
                let nets = (0..4).map(|net| Prefix::V4([net; 3]));
                prop_assert_eq!(crowd.len(), plain.len());
                prop_assert_eq!(crowd.largest(), nets.clone().map(count).max().unwrap_or(0));
                for net in nets {
                    prop_assert_eq!(crowd.count(net), count(net));
                }
                let oldest = plain.iter().map(|(key, (_, at))| (*at, *key)).min();
                prop_assert_eq!(crowd.oldest(), oldest);
                let victim = crowd.victim().map(|key| count(plain[&key].0));
                prop_assert_eq!(victim.unwrap_or(0), crowd.largest());
            }
        }
    }
}
