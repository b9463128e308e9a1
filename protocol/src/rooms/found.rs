//! Who was found in a room, under which of its ids, and where.
//!
//! It believes a record that is signed by the room, not over, and newer than what it holds. Bound:
//! [`FOUND_PEERS_MAX`] peers; later ones are not taken in.

use std::collections::{BTreeMap, BTreeSet};

use super::quota::REGISTRATIONS_PER_ROOM_MAX;
use super::record::Claim;
use crate::address::Address;
use crate::limits::CLOCK_SKEW_MAX;
use crate::time::Wall;
use crate::trust::id::PeerId;
use crate::trust::rid::{Rid, RidKey};

/// Peers that are held as found: as many as a bootstrap holds of a room.
pub const FOUND_PEERS_MAX: usize = REGISTRATIONS_PER_ROOM_MAX;

/// What a record was worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Nothing: forged, over, unreadable or one too many.
    Nothing,
    /// The peer is there, as before.
    Known,
    /// The peer is new, or has these addresses now.
    News(Vec<Address>),
}

#[derive(Debug)]
struct Known {
    seq: u64,
    addresses: Vec<Address>,
    rids: BTreeSet<Rid>,
}

#[derive(Debug, Default)]
pub(super) struct Found(BTreeMap<PeerId, Known>);

impl Found {
    /// Takes in a claim about `key`'s room.
    pub(super) fn take(&mut self, key: &RidKey, claim: Claim, now: Wall) -> Worth {
        let (rid, peer, seq) = (key.rid(), claim.peer(), claim.seq());
        if claim.rid() != rid || claim.expires() + CLOCK_SKEW_MAX < now {
            return Worth::Nothing;
        }
        let known = self.0.get(&peer);
        if known.is_some_and(|known| known.rids.contains(&rid) && known.seq >= seq) {
            return Worth::Known;
        }
        if known.is_none() && self.0.len() >= FOUND_PEERS_MAX {
            return Worth::Nothing;
        }
        let Ok(record) = claim.verify() else { return Worth::Nothing };
        let Ok(addresses) = record.addresses(key) else { return Worth::Nothing };
        let Some(known) = self.0.get_mut(&peer) else {
            let rids = BTreeSet::from([rid]);
            self.0.insert(peer, Known { seq, addresses: addresses.clone(), rids });
            return Worth::News(addresses);
        };
        known.rids.insert(rid);
        if seq <= known.seq {
            return Worth::Known;
        }
        known.seq = seq;
        if known.addresses == addresses {
            return Worth::Known;
        }
        known.addresses.clone_from(&addresses);
        Worth::News(addresses)
    }

    /// The peer is no longer under `rid`; whether it is now under none.
    pub(super) fn forget(&mut self, rid: Rid, peer: PeerId) -> bool {
        let Some(known) = self.0.get_mut(&peer) else { return false };
        let gone = known.rids.remove(&rid) && known.rids.is_empty();
        if gone {
            self.0.remove(&peer);
        }
        gone
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.0.contains_key(peer)
    }

    /// Everybody.
    pub(super) fn peers(&self) -> Vec<PeerId> {
        self.0.keys().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
