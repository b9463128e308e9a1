//! When a member whom we do not reach ourselves is gone.
//!
//! Its entry names neighbours, each in one start: who came again is another, and holds no old stream.
//! - At once, when one of them, or we who held a stream ourselves, said `lost`, and no other neighbour
//!   *in reach* is silent about it: those out of reach may be dead as well, and are not waited for.
//!   Whoever owes us an answer for a second is out of reach for as long. For this, whoever names the
//!   member is its neighbour as well: its own entry may be older than the stream.
//! - Where any member has said it, after [`DISOWNED_MAX`] in which nobody vouches.
//! - Where nobody has, after [`ALONE_MAX`] in which nobody vouches.
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
pub(super) const DISOWNED_MAX: Duration = Duration::from_millis(2_500);

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

/// What all members' entries say together.
#[derive(Debug)]
struct Scene {
    shorts: BTreeMap<ShortId, PeerId>,
    reached: BTreeSet<PeerId>,
    /// Which of those in reach name whom.
    naming: BTreeMap<ShortId, Vec<PeerId>>,
}

impl Word {
    /// How long that is borne.
    const fn borne(self) -> Option<Duration> {
        match self {
            Self::Lost => Some(Duration::ZERO),
            Self::Disowned => Some(DISOWNED_MAX),
            Self::Alone => Some(ALONE_MAX),
            Self::Vouched => None,
        }
    }
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
        let scene = self.scene(streams);
        let word = |(peer, member): (&PeerId, &Member)| {
            let linked = streams.linked.contains(peer);
            (*peer, if linked { Word::Vouched } else { self.word(peer, member, &scene) })
        };
        let words: Vec<(PeerId, Word)> = self.members.iter().map(word).collect();
        let mut lost = BTreeSet::new();
        for (peer, word) in words {
            let Some(member) = self.members.get_mut(&peer) else { continue };
            let since = member.alone.map_or(now, |(since, _)| since);
            member.alone = word.borne().map(|max| (since, max));
            if member.alone.is_some_and(|(since, max)| now.since(since) >= max) {
                lost.insert(peer);
            }
        }
        lost
    }

    fn scene(&self, streams: &Streams) -> Scene {
        let shorts = self.members.iter().map(|(peer, member)| (member.short, *peer)).collect();
        let reached = self.reached(streams, &shorts);
        let mut naming: BTreeMap<ShortId, Vec<PeerId>> = BTreeMap::new();
        for peer in &reached {
            let neighbours = self.members.get(peer).map(|member| &member.neighbours);
            for short in neighbours.into_iter().flatten() {
                naming.entry(*short).or_default().push(*peer);
            }
        }
        Scene { shorts, reached, naming }
    }

    fn word(&self, peer: &PeerId, member: &Member, scene: &Scene) -> Word {
        let named = |other: &PeerId| self.is_neighbour(other, member);
        let said_by: Vec<&PeerId> = member
            .claims
            .iter()
            .filter(|(who, claim)| claim.is_about(member) && self.is_here(who))
            .map(|(who, _)| who)
            .collect();
        let by_neighbour = said_by.iter().any(|who| **who == self.me || named(who));
        let mut silent = named(&self.me) && !member.is_lost_by(&self.me);
        let mut vouched = false;
        let own = member.neighbours.iter().filter_map(|short| scene.shorts.get(short));
        let naming = scene.naming.get(&member.short).into_iter().flatten();
        for other in own.chain(naming) {
            if other != peer && scene.reached.contains(other) && !member.is_lost_by(other) {
                silent = true;
                let holds = self.members.get(other).is_some_and(|other| other.may_hold(member));
                vouched |= holds && named(other);
            }
        }
        match (vouched, said_by.is_empty()) {
            _ if by_neighbour && !silent => Word::Lost,
            (true, _) => Word::Vouched,
            (false, false) => Word::Disowned,
            (false, true) => Word::Alone,
        }
    }

    /// Everybody to whom a chain of streams leads from us, as far as entries tell. Whoever owes us an
    /// answer is not among them, although others may reach it: what we see ourselves counts more than
    /// a list that is seconds old.
    fn reached(&self, streams: &Streams, shorts: &BTreeMap<ShortId, PeerId>) -> BTreeSet<PeerId> {
        let mut reached: BTreeSet<PeerId> = BTreeSet::new();
        let mut open: Vec<PeerId> = streams.answering.iter().copied().collect();
        while let Some(peer) = open.pop() {
            let slow = streams.linked.contains(&peer) && !streams.answering.contains(&peer);
            let Some(member) = self.members.get(&peer).filter(|_| !slow) else { continue };
            if !reached.insert(peer) {
                continue;
            }
            // A stream that its other end has lost is none.
            let holds = |next: &&PeerId| {
                self.members.get(*next).is_some_and(|next| !next.is_lost_by(&peer))
            };
            open.extend(member.neighbours.iter().filter_map(|s| shorts.get(s)).filter(holds));
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
