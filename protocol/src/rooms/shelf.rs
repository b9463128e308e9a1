//! The records that a bootstrap keeps, and which of them gives way.
//!
//! It knows nothing of clients. A record that gives way does so in silence: its peer may be as well
//! as before, only this bootstrap's memory ends.

use std::collections::BTreeMap;

use rand_core::Rng;

use super::TTL;
use super::quota::{
    Crowd, Prefix, REGISTRATIONS_PER_PEER_MAX, REGISTRATIONS_PER_PREFIX_MAX,
    REGISTRATIONS_PER_ROOM_MAX,
};
use super::record::{Claim, Record};
use crate::time::Mono;
use crate::trust::id::PeerId;
use crate::trust::rid::Rid;

/// What a new record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// The peer came, or its addresses changed.
    News,
    /// It says what the last one said.
    Renewed,
}

/// The peer is registered in as many rooms as one may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PeerQuota;

#[derive(Debug)]
struct Entry {
    record: Record,
    prefix: Prefix,
    renewed: Mono,
}

#[derive(Debug)]
pub(super) struct Shelf {
    rooms: BTreeMap<Rid, BTreeMap<PeerId, Entry>>,
    per_peer: BTreeMap<PeerId, usize>,
    crowd: Crowd<(Rid, PeerId)>,
    records_max: usize,
}

impl Shelf {
    pub(super) fn new(records_max: usize) -> Self {
        let (rooms, per_peer) = (BTreeMap::new(), BTreeMap::new());
        Self { rooms, per_peer, crowd: Crowd::new(), records_max }
    }

    /// The record that is there of the same peer in the same room.
    pub(super) fn get(&self, claim: &Claim) -> Option<&Record> {
        Some(&self.rooms.get(&claim.rid())?.get(&claim.peer())?.record)
    }

    /// Keeps a record, which must be newer than the one that is there. Others may give way.
    pub(super) fn put(
        &mut self,
        record: Record,
        prefix: Prefix,
        now: Mono,
    ) -> Result<Kept, PeerQuota> {
        let (rid, peer) = (record.rid(), record.peer());
        let before = self.take(rid, peer);
        if before.is_none() && self.of_peer(peer) >= REGISTRATIONS_PER_PEER_MAX {
            return Err(PeerQuota);
        }
        self.make_place(rid, prefix);
        let kept = match before {
            Some(entry) if entry.record.sealed() == record.sealed() => Kept::Renewed,
            _ => Kept::News,
        };
        self.crowd.insert(prefix, now, (rid, peer));
        *self.per_peer.entry(peer).or_default() += 1;
        self.rooms.entry(rid).or_default().insert(peer, Entry { record, prefix, renewed: now });
        Ok(kept)
    }

    /// Forgets a record; whether it was there.
    pub(super) fn remove(&mut self, rid: Rid, peer: PeerId) -> bool {
        self.take(rid, peer).is_some()
    }

    /// Forgets the next record whose time is over.
    pub(super) fn expire(&mut self, now: Mono) -> Option<(Rid, PeerId)> {
        let (renewed, (rid, peer)) = self.crowd.oldest()?;
        if renewed + TTL > now {
            return None;
        }
        self.take(rid, peer);
        Some((rid, peer))
    }

    /// When the next record's time is over.
    pub(super) fn next_expiry(&self) -> Option<Mono> {
        self.crowd.oldest().map(|(renewed, _)| renewed + TTL)
    }

    /// How many are in a room, and up to `limit` of them, chosen at random where there are more.
    pub(super) fn sample(
        &self,
        rid: Rid,
        limit: usize,
        rng: &mut impl Rng,
    ) -> (usize, Vec<&Record>) {
        let Some(room) = self.rooms.get(&rid) else { return (0, Vec::new()) };
        let mut records: Vec<_> = room.values().map(|entry| &entry.record).collect();
        if records.len() > limit {
            for place in 0..limit {
                let others = records.len() - place;
                records.swap(place, place + rng.next_u32() as usize % others);
            }
            records.truncate(limit);
        }
        (room.len(), records)
    }

    pub(super) fn records(&self) -> usize {
        self.crowd.len()
    }

    pub(super) fn rooms(&self) -> usize {
        self.rooms.len()
    }

    fn of_peer(&self, peer: PeerId) -> usize {
        self.per_peer.get(&peer).copied().unwrap_or(0)
    }

    fn make_place(&mut self, rid: Rid, prefix: Prefix) {
        if self.rooms.get(&rid).is_some_and(|room| room.len() >= REGISTRATIONS_PER_ROOM_MAX) {
            self.evict(self.victim_in(rid));
        }
        if prefix != Prefix::Here && self.crowd.count(prefix) >= REGISTRATIONS_PER_PREFIX_MAX {
            self.evict(self.crowd.oldest_in(prefix));
        }
        if self.crowd.len() >= self.records_max {
            self.evict(self.crowd.victim());
        }
    }

    fn evict(&mut self, victim: Option<(Rid, PeerId)>) {
        if let Some((rid, peer)) = victim {
            self.take(rid, peer);
        }
    }

    fn victim_in(&self, rid: Rid) -> Option<(Rid, PeerId)> {
        let mut crowd = Crowd::new();
        for (peer, entry) in self.rooms.get(&rid)? {
            crowd.insert(entry.prefix, entry.renewed, (rid, *peer));
        }
        crowd.victim()
    }

    fn take(&mut self, rid: Rid, peer: PeerId) -> Option<Entry> {
        let room = self.rooms.get_mut(&rid)?;
        let entry = room.remove(&peer)?;
        if room.is_empty() {
            self.rooms.remove(&rid);
        }
        self.crowd.remove(entry.prefix, entry.renewed, (rid, peer));
        match self.per_peer.get_mut(&peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                self.per_peer.remove(&peer);
            }
        }
        Some(entry)
    }
}
