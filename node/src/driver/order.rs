//! In which order broadcasts were announced to this node: the core keeps them by name, and whoever
//! may take only one takes the first. Bound: the broadcasts that the core shows.

use roommate_protocol::room::{Broadcast, Event};
use roommate_protocol::trust::id::{BroadcastId, PeerId};

/// The names of broadcasts, the first announced first.
#[derive(Debug, Default)]
pub(super) struct Order(Vec<(PeerId, BroadcastId)>);

impl Order {
    /// Notes what is new. A broadcast that is announced again keeps its place.
    pub(super) fn note(&mut self, event: &Event) {
        if let Event::Announced { broadcast } = event
            && !self.0.contains(&name(broadcast))
        {
            self.0.push(name(broadcast));
        }
    }

    /// Brings all that are on into this order, those that were never announced last, and forgets the
    /// places of the others.
    pub(super) fn sort(&mut self, on: &mut [Broadcast]) {
        self.0.retain(|noted| on.iter().any(|broadcast| name(broadcast) == *noted));
        on.sort_by_key(|broadcast| {
            self.0.iter().position(|noted| *noted == name(broadcast)).unwrap_or(usize::MAX)
        });
    }
}

fn name(broadcast: &Broadcast) -> (PeerId, BroadcastId) {
    (broadcast.publisher, broadcast.id)
}

#[cfg(test)]
mod tests {
    use roommate_protocol::wire::catalog::Catalog;

    use super::*;

    fn broadcast(publisher: u8, id: u8) -> Broadcast {
        let catalog = Catalog { tracks: Vec::new() };
        Broadcast { publisher: PeerId([publisher; 32]), id: BroadcastId([id; 16]), catalog }
    }

    #[test]
    fn the_first_announced_is_the_first_whatever_its_name() {
        let mut order = Order::default();
        for announced in [broadcast(9, 1), broadcast(3, 2), broadcast(9, 1), broadcast(5, 3)] {
            order.note(&Event::Announced { broadcast: announced });
        }
        let mut on = [broadcast(1, 7), broadcast(3, 2), broadcast(5, 3), broadcast(9, 1)];
        order.sort(&mut on);
        assert_eq!(on.each_ref().map(|broadcast| broadcast.publisher.0[0]), [9, 3, 5, 1]);

        // What is over has no place any more: it is the last when it comes back.
        order.sort(&mut on[1..]);
        order.note(&Event::Announced { broadcast: broadcast(9, 1) });
        let mut on = [broadcast(3, 2), broadcast(5, 3), broadcast(9, 1)];
        order.sort(&mut on);
        assert_eq!(on.each_ref().map(|broadcast| broadcast.publisher.0[0]), [3, 5, 9]);
        assert_eq!(order.0.len(), 3);
    }
}
