//! Members who have left, remembered as long as their entries could be played back.
//!
//! Bound: [`GRAVES_MAX`]. Whoever brought most of them gives way, so that a flood of goodbyes, which
//! anybody can sign, makes nobody else's forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::shares;
use super::HOLD;
use crate::limits::CLOCK_SKEW_MAX;
use crate::time::Mono;
use crate::trust::id::{Incarnation, PeerId};
use crate::wire::message::Signed;

/// Members who left that one node remembers.
pub(super) const GRAVES_MAX: usize = 512;

/// How long whoever left is remembered: until no clock forgives its last entry any more.
pub(super) const FORGET: Duration =
    Duration::from_secs(HOLD.as_secs() + 2 * CLOCK_SKEW_MAX.as_secs());

/// What is remembered of a member who left.
#[derive(Clone, Debug)]
pub(super) struct Grave {
    pub(super) incarnation: Incarnation,
    pub(super) version: u32,
    /// It said so itself: nothing of this incarnation counts any more.
    pub(super) goodbye: Option<Signed>,
    /// We saw its ticket: in its entry, or in its hello.
    pub(super) proven: bool,
    /// Which neighbour brought it to us; itself, if we were linked.
    pub(super) via: PeerId,
    pub(super) until: Mono,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Graves(BTreeMap<PeerId, Grave>);

impl Graves {
    pub(super) fn get(&self, peer: &PeerId) -> Option<&Grave> {
        self.0.get(peer)
    }

    pub(super) fn remove(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }

    /// Forgets those whose entries hold nowhere any more.
    pub(super) fn pass(&mut self, now: Mono) {
        self.0.retain(|_, grave| now < grave.until);
    }

    /// The goodbyes that could be needed against entries played back. A goodbye of which no ticket was
    /// seen counts here and is not passed on: a goodbye itself carries none.
    pub(super) fn goodbyes(&self) -> impl Iterator<Item = &Signed> {
        let proven = self.0.values().filter(|grave| grave.proven);
        proven.filter_map(|grave| grave.goodbye.as_ref())
    }

    pub(super) fn bury(&mut self, peer: PeerId, grave: Grave) {
        self.0.insert(peer, grave);
        if self.0.len() > GRAVES_MAX {
            let rows = self.0.iter().map(|(peer, grave)| (*peer, grave.via, grave.until));
            if let Some(victim) = shares::gives_way(rows) {
                self.0.remove(&victim);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
