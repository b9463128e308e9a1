//! Who has a place in the roster: whoever is linked to us, and of the others as many as each neighbour
//! may bring ([`HEARSAY_MAX`]).

use super::{MEMBERS_MAX, Member, Roster};
use crate::trust::id::PeerId;

/// Members out of our own reach that one neighbour may bring: whoever holds the link can invent as many
/// as he likes. In a room larger than this several neighbours bring the others.
pub(super) const HEARSAY_MAX: usize = 64;

/// How an entry or a goodbye came.
#[derive(Clone, Copy)]
pub(in crate::room) struct Brought<'a> {
    /// The neighbour on whose stream it came.
    pub(in crate::room) from: PeerId,
    /// Whom we hold a stream to.
    pub(in crate::room) linked: &'a dyn Fn(&PeerId) -> bool,
}

impl Brought<'_> {
    /// Whether `peer` is linked: its ticket was checked, and it has shown that the key is its own.
    pub(super) fn is_linked(&self, peer: &PeerId) -> bool {
        *peer == self.from || (self.linked)(peer)
    }

    /// Whose share what is said of `peer` falls to.
    pub(super) fn via(&self, peer: PeerId) -> PeerId {
        if self.is_linked(&peer) { peer } else { self.from }
    }
}

impl Roster {
    /// Whether there is a place for `peer`; somebody else may have lost his for it.
    pub(super) fn make_place(&mut self, peer: &PeerId, brought: Brought<'_>) -> bool {
        let unlinked = |(other, _): &(&PeerId, &Member)| !brought.is_linked(other);
        if !brought.is_linked(peer) {
            let hearsay = self.members.iter().filter(unlinked);
            let share = hearsay.filter(|(_, member)| member.via == brought.from).count();
            return self.members.len() < MEMBERS_MAX && share < HEARSAY_MAX;
        }
        if self.members.len() >= MEMBERS_MAX {
            let newest = self.members.iter().filter(unlinked).max_by_key(|(_, m)| m.since);
            let Some(newest) = newest.map(|(other, _)| *other) else { return false };
            self.members.remove(&newest);
            self.displaced.push(newest);
        }
        true
    }
}
