//! When a member whom we do not reach ourselves is gone.
//!
//! At least one, and every, listed neighbour that is still present has said `lost`; or for ten
//! seconds none of those that have not is reachable. With no neighbour left, only the second counts.

use std::collections::{BTreeMap, BTreeSet};

use super::{ALONE_MAX, Member, Roster};
use crate::time::Mono;
use crate::trust::id::PeerId;
use crate::wire::signed::ShortId;

/// When there was reason to look last. In a large room looking costs too much for every frame.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Entries or claims have changed since.
    pub(super) changed: bool,
    linked: BTreeSet<PeerId>,
}

impl Roster {
    /// Whether anything could come out otherwise than the last time.
    fn look_again(&mut self, linked: &BTreeSet<PeerId>, now: Mono) -> bool {
        let is_due = |since: Mono| now.since(since) >= ALONE_MAX;
        let due = self.members.values().any(|member| member.alone_since.is_some_and(is_due));
        let again = self.look.changed || due || self.look.linked != *linked;
        if again {
            self.look = Look { changed: false, linked: linked.clone() };
        }
        again
    }

    /// Who is lost, of those to whom we hold no stream. Starts and stops their clocks.
    pub(super) fn lost(
        &mut self,
        me: &PeerId,
        linked: &BTreeSet<PeerId>,
        now: Mono,
    ) -> BTreeSet<PeerId> {
        if !self.look_again(linked, now) {
            return BTreeSet::new();
        }
        let shorts: BTreeMap<ShortId, PeerId> =
            self.members.keys().chain([me]).map(|peer| (ShortId::from(peer), *peer)).collect();
        let reachable = self.reachable(linked, &shorts);
        let mut lost = BTreeSet::new();
        for (peer, member) in &mut self.members {
            if linked.contains(peer) {
                member.alone_since = None;
                continue;
            }
            let present = member.neighbours.iter().filter_map(|short| shorts.get(short));
            let (said, silent): (Vec<&PeerId>, Vec<&PeerId>) =
                present.filter(|other| *other != peer).partition(|other| member.is_lost_by(other));
            if silent.is_empty() && !said.is_empty() {
                lost.insert(*peer);
            } else if silent.iter().any(|other| reachable.contains(*other)) {
                member.alone_since = None;
            } else if now.since(*member.alone_since.get_or_insert(now)) >= ALONE_MAX {
                lost.insert(*peer);
            }
        }
        lost
    }

    /// Everybody to whom a chain of streams leads from us, as far as entries tell. We ourselves are
    /// not in it: whom we do not reach, we do not vouch for.
    fn reachable(
        &self,
        linked: &BTreeSet<PeerId>,
        shorts: &BTreeMap<ShortId, PeerId>,
    ) -> BTreeSet<PeerId> {
        let mut reached: BTreeSet<PeerId> = BTreeSet::new();
        let mut open: Vec<PeerId> =
            linked.iter().filter(|peer| self.members.contains_key(*peer)).copied().collect();
        while let Some(peer) = open.pop() {
            if !reached.insert(peer) {
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
    /// Whether its entry names `other` as a neighbour.
    pub(in crate::room) fn is_neighbour(&self, other: &PeerId) -> bool {
        self.neighbours.contains(&ShortId::from(other))
    }

    fn is_lost_by(&self, other: &PeerId) -> bool {
        self.claims.get(other).is_some_and(|claim| {
            claim.incarnation == self.incarnation && claim.version >= self.version
        })
    }
}
