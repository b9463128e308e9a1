//! When a member whom we do not reach ourselves is gone.
//!
//! Its entry names neighbours, each in one start: who came again is another, and holds no old stream.
//! - At once, when at least one and every neighbour *in reach* has said `lost`: those who are out of
//!   reach may be dead as well, and are not waited for. Whoever owes us an answer for a second is out
//!   of reach for as long; we ourselves are in our reach.
//! - Where somebody has said it, after [`DISOWNED_MAX`] in which none of the others vouches.
//! - Where nobody has, after [`ALONE_MAX`] in which none vouches.
//!
//! A neighbour *vouches* that is in reach, has not said `lost`, and names the member in its own entry
//! as well. In a list that is as long as lists may be, it need not: some are always left out there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Member, Roster};
use crate::time::Mono;
use crate::trust::id::PeerId;
use crate::wire::signed::{NEIGHBOURS_MAX, ShortId};

/// Nobody has said `lost`, and nobody vouches: a member that is found by others just now, or the half
/// of a room that was cut off, may be back.
pub(super) const ALONE_MAX: Duration = Duration::from_secs(10);
/// Somebody has said `lost`, and the others neither say so nor list the member: they ended the stream
/// for another reason, or their word went astray. An entry is up to two seconds behind its member's
/// streams, and takes a moment to come here.
pub(super) const DISOWNED_MAX: Duration = Duration::from_secs(3);

/// Our own control streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::room) struct Streams {
    /// To whom we hold one: whoever that is, is here.
    pub(in crate::room) linked: BTreeSet<PeerId>,
    /// Those of them who owe us no answer.
    pub(in crate::room) answering: BTreeSet<PeerId>,
}

/// When there was reason to look last. In a large room looking costs too much for every frame.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Entries or claims have changed since.
    pub(super) changed: bool,
    streams: Streams,
}

/// What the neighbours of one member make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// One and all say that it is lost.
    Lost,
    /// One says so, and nobody vouches.
    Disowned,
    /// Nobody says so, and nobody vouches.
    Alone,
    /// It is here.
    Vouched,
}

impl Roster {
    /// Whether anything could come out otherwise than the last time.
    fn look_again(&mut self, streams: &Streams, now: Mono) -> bool {
        let due = |(since, max): (Mono, Duration)| now.since(since) >= max;
        let due = self.members.values().any(|member| member.alone.is_some_and(due));
        let again = self.look.changed || due || self.look.streams != *streams;
        if again {
            self.look = Look { changed: false, streams: streams.clone() };
        }
        again
    }

    /// Who is lost, of those to whom we hold no stream. Starts and stops their clocks.
    pub(super) fn lost(&mut self, streams: &Streams, now: Mono) -> BTreeSet<PeerId> {
        if !self.look_again(streams, now) {
            return BTreeSet::new();
        }
        let shorts: BTreeMap<ShortId, PeerId> =
            self.members.iter().map(|(peer, member)| (member.short, *peer)).collect();
        let reached = self.reached(streams, &shorts);
        let words: Vec<(PeerId, Word)> =
            self.members.keys().map(|peer| (*peer, self.word(peer, &reached, &shorts))).collect();
        let mut lost = BTreeSet::new();
        for (peer, word) in words {
            let Some(member) = self.members.get_mut(&peer) else { continue };
            let max = match word {
                _ if streams.linked.contains(&peer) => None,
                Word::Vouched => None,
                Word::Lost => Some(Duration::ZERO),
                Word::Disowned => Some(DISOWNED_MAX),
                Word::Alone => Some(ALONE_MAX),
            };
            member.alone = max.map(|max| (member.alone.map_or(now, |(since, _)| since), max));
            if member.alone.is_some_and(|(since, max)| now.since(since) >= max) {
                lost.insert(peer);
            }
        }
        lost
    }

    fn word(
        &self,
        peer: &PeerId,
        reached: &BTreeSet<PeerId>,
        shorts: &BTreeMap<ShortId, PeerId>,
    ) -> Word {
        let Some(member) = self.members.get(peer) else { return Word::Alone };
        let (mut said, mut silent, mut vouched) = (false, false, false);
        if member.neighbours.contains(&self.short) {
            said |= member.is_lost_by(&self.me);
            silent |= !said;
        }
        for other in member.neighbours.iter().filter_map(|short| shorts.get(short)) {
            if member.is_lost_by(other) {
                said = true;
            } else if reached.contains(other) && other != peer {
                silent = true;
                vouched |= self.members.get(other).is_some_and(|other| other.may_hold(member));
            }
        }
        match (said, silent, vouched) {
            (true, false, _) => Word::Lost,
            (_, _, true) => Word::Vouched,
            (true, true, false) => Word::Disowned,
            (false, _, false) => Word::Alone,
        }
    }

    /// Everybody to whom a chain of streams leads from us, as far as entries tell. Whoever
    /// owes us an answer is not among them, although others may reach it: what we see ourselves counts
    /// more than a list that is seconds old.
    fn reached(&self, streams: &Streams, shorts: &BTreeMap<ShortId, PeerId>) -> BTreeSet<PeerId> {
        let mut reached: BTreeSet<PeerId> = BTreeSet::new();
        let mut open: Vec<PeerId> = streams
            .answering
            .iter()
            .filter(|peer| self.members.contains_key(*peer))
            .copied()
            .collect();
        while let Some(peer) = open.pop() {
            let slow = streams.linked.contains(&peer) && !streams.answering.contains(&peer);
            if slow || !reached.insert(peer) {
                continue;
            }
            let Some(member) = self.members.get(&peer) else { continue };
            open.extend(member.neighbours.iter().filter_map(|short| shorts.get(short)).filter(
                |next| {
                    // A stream that its other end has lost is none.
                    self.members.get(*next).is_some_and(|next| !next.is_lost_by(&peer))
                },
            ));
        }
        reached
    }
}

impl Member {
    /// Whether its entry names this start of somebody as a neighbour.
    pub(in crate::room) fn is_neighbour(&self, other: ShortId) -> bool {
        self.neighbours.contains(&other)
    }

    /// Whether it may hold a stream to `other`, as far as its entry tells.
    fn may_hold(&self, other: &Member) -> bool {
        self.is_neighbour(other.short) || self.neighbours.len() >= NEIGHBOURS_MAX
    }

    fn is_lost_by(&self, other: &PeerId) -> bool {
        self.claims.get(other).is_some_and(|claim| claim.is_about(self))
    }
}
