//! To whom a member keeps a control stream: to everybody in a small room, to sixteen of its own
//! choice in a larger one. Who is reached how, and when, is `dial`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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

/// So long an accepted stream is not one too many: its peer may be about to subscribe.
const NEWCOMER: Duration = Duration::from_secs(5);

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

/// The streams to have of one's own choice: whom we need, whom we have, then by the lots that were
/// drawn for `members`.
pub(super) fn choose(
    needed: &BTreeSet<PeerId>,
    had: &BTreeSet<PeerId>,
    members: &BTreeMap<PeerId, u64>,
) -> BTreeSet<PeerId> {
    let rank =
        |(peer, lot): (&PeerId, &u64)| (!needed.contains(peer), !had.contains(peer), *lot, *peer);
    let mut order: Vec<_> = members.iter().map(rank).collect();
    order.sort_unstable();
    let count = OWN_STREAMS_MAX.max(needed.len());
    order.into_iter().take(count).map(|(.., peer)| peer).collect()
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

/// Which accepted streams are one too many: the oldest that nobody needs, and none so new that its
/// peer could not yet say what it came for. `accepted` are those that others chose, with the time
/// since when.
pub(super) fn crowded(
    accepted: &[(Mono, PeerId)],
    needed: &BTreeSet<PeerId>,
    now: Mono,
) -> Vec<PeerId> {
    let over = accepted.len().saturating_sub(ACCEPTED_STREAMS_MAX);
    let random =
        |(since, peer): &&(Mono, PeerId)| !needed.contains(peer) && now.since(*since) >= NEWCOMER;
    let mut random: Vec<_> = accepted.iter().filter(random).collect();
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
        let lots = |factor: u64| -> BTreeMap<PeerId, u64> {
            let lot = |peer: &PeerId| u64::from(peer.0[0]).wrapping_mul(factor) % 101;
            peers(0..100).into_iter().map(|peer| (peer, lot(&peer))).collect()
        };
        let chosen = choose(&needed, &had, &lots(7));
        assert_eq!(chosen.len(), OWN_STREAMS_MAX);
        assert!(needed.is_subset(&chosen) && had.is_subset(&chosen));
        assert_ne!(chosen, choose(&needed, &had, &lots(31)), "others draw others");
        assert_eq!(choose(&peers(0..40), &had, &lots(7)), peers(0..40));
    }

    #[test]
    fn the_oldest_random_stream_goes_and_never_a_needed_one() {
        let at = |secs: u64| Mono::from_micros(secs * 1_000_000);
        let accepted: Vec<_> =
            (0..34_u8).map(|n| (Mono::from_micros(n.into()), PeerId([n; 32]))).collect();
        assert_eq!(crowded(&accepted, &peers(0..2), at(9)), [PeerId([2; 32]), PeerId([3; 32])]);
        assert_eq!(crowded(&accepted, &peers(0..34), at(9)), []);
        assert_eq!(crowded(&accepted[..32], &peers(0..0), at(9)), []);
        assert_eq!(crowded(&accepted, &peers(0..2), at(4)), [], "they have only just come");
    }
}
