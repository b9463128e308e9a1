//! To whom a member keeps a control stream: to everybody in a small room, to sixteen of its own
//! choice in a larger one. Who is reached how, and when, is `dial`'s.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::limits::FULL_MESH_MEMBERS_MAX;
use crate::time::Mono;
use crate::trust::id::PeerId;

/// From so many members on streams are chosen; between this and [`FULL_MESH_MEMBERS_MAX`] nothing
/// changes, so that a member who comes and goes does not turn the room over each time.
pub(super) const CHOSEN_MEMBERS_MIN: usize = 20;
/// Streams of one's own choice.
pub(super) const OWN_STREAMS_MAX: usize = 16;
/// Streams that others chose.
pub(super) const ACCEPTED_STREAMS_MAX: usize = 32;

/// How the room is knit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// Everybody to everybody.
    #[default]
    Mesh,
    /// Each to some.
    Chosen,
}

impl Shape {
    /// The shape once there are `members`, ourselves included.
    pub(super) fn with(self, members: usize) -> Self {
        match members {
            0..=FULL_MESH_MEMBERS_MAX => Self::Mesh,
            CHOSEN_MEMBERS_MIN.. => Self::Chosen,
            _ => self,
        }
    }
}

/// The streams to have of one's own choice: whom we need, whom we have, then at random.
pub(super) fn choose(
    seed: &[u8; 32],
    needed: &BTreeSet<PeerId>,
    had: &BTreeSet<PeerId>,
    members: &BTreeSet<PeerId>,
) -> BTreeSet<PeerId> {
    let mut order: Vec<&PeerId> = members.iter().collect();
    order.sort_by_cached_key(|peer| (!needed.contains(peer), !had.contains(peer), lot(seed, peer)));
    order.into_iter().take(OWN_STREAMS_MAX.max(needed.len())).copied().collect()
}

/// Members to name to somebody who is sent away, at random.
pub(super) fn hint<'a>(
    seed: &[u8; 32],
    members: impl Iterator<Item = &'a PeerId>,
    count: usize,
) -> Vec<PeerId> {
    let mut order: Vec<&PeerId> = members.collect();
    order.sort_by_cached_key(|peer| lot(seed, peer));
    order.into_iter().take(count).copied().collect()
}

/// Which accepted streams are one too many: the oldest that nobody needs. `accepted` are those that
/// others chose, with the time since when.
pub(super) fn crowded(accepted: &[(Mono, PeerId)], needed: &BTreeSet<PeerId>) -> Vec<PeerId> {
    let over = accepted.len().saturating_sub(ACCEPTED_STREAMS_MAX);
    let mut random: Vec<_> = accepted.iter().filter(|(_, peer)| !needed.contains(peer)).collect();
    random.sort();
    random.into_iter().take(over).map(|(_, peer)| *peer).collect()
}

/// A member's place in an order that each node draws for itself.
fn lot(seed: &[u8; 32], peer: &PeerId) -> [u8; 32] {
    Sha256::new().chain_update(b"lot/1").chain_update(seed).chain_update(peer.0).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(range: std::ops::Range<u8>) -> BTreeSet<PeerId> {
        range.map(|n| PeerId([n; 32])).collect()
    }

    #[test]
    fn between_18_and_19_members_nothing_changes() {
        let mut shape = Shape::default();
        for (members, expected) in [
            (17, Shape::Mesh),
            (19, Shape::Mesh),
            (20, Shape::Chosen),
            (18, Shape::Chosen),
            (17, Shape::Mesh),
            (18, Shape::Mesh),
        ] {
            shape = shape.with(members);
            assert_eq!(shape, expected, "{members}");
        }
    }

    #[test]
    fn whom_we_need_and_whom_we_have_come_first() {
        let (needed, had) = (peers(90..93), peers(50..55));
        let chosen = choose(&[1; 32], &needed, &had, &peers(0..100));
        assert_eq!(chosen.len(), OWN_STREAMS_MAX);
        assert!(needed.is_subset(&chosen) && had.is_subset(&chosen));
        assert_ne!(chosen, choose(&[2; 32], &needed, &had, &peers(0..100)), "others draw others");
        assert_eq!(choose(&[1; 32], &peers(0..40), &had, &peers(0..100)), peers(0..40));
    }

    #[test]
    fn the_oldest_random_stream_goes_and_never_a_needed_one() {
        let accepted: Vec<_> =
            (0..34_u8).map(|n| (Mono::from_micros(n.into()), PeerId([n; 32]))).collect();
        assert_eq!(crowded(&accepted, &peers(0..2)), [PeerId([2; 32]), PeerId([3; 32])]);
        assert_eq!(crowded(&accepted, &peers(0..34)), []);
        assert_eq!(crowded(&accepted[..32], &peers(0..0)), []);
    }
}
