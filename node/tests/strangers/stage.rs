//! A publisher on air, an honest viewer, and what they must not have given to a stranger.

use roommate_protocol::room::proof::PROOF_FRAME_BYTES_MAX;
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::wire::close::CloseCode;

use crate::world::live::{Broadcast, PICTURE, Viewing};
use crate::world::peer::{Peer, Wire};
use crate::world::{House, Member, PUBLISHER, STRANGER, VIEWER};

/// Handshake, pings and a few words come to less; two access units alone are more.
const QUIET_BYTES: u64 = 16_000;

/// Pictures that the honest viewer gets while a stranger gets none.
const PICTURES: u64 = 10;

pub(crate) struct Stage {
    pub(crate) house: House,
    pub(crate) publisher: Member,
    pub(crate) broadcast: Broadcast,
    pub(crate) viewer: Member,
    pub(crate) viewing: Viewing,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let house = House::new();
        let publisher = Member::enter(&house, PUBLISHER, Vec::new()).await;
        let viewer = Member::enter(&house, VIEWER, vec![publisher.hint()]).await;
        let broadcast = Broadcast::begin(&publisher).await;
        let mut viewing = Viewing::begin(&viewer, broadcast.key).await;
        viewing.more(1).await;
        publisher.meets(viewer.peer()).await;
        Self { house, publisher, broadcast, viewer, viewing }
    }

    /// While the honest viewer was shown pictures, the stranger got not a byte of one, and nobody
    /// lists it. The counters are proven by [`Self::gave_pictures`].
    pub(crate) async fn gave_nothing(&mut self, peer: &Peer, wire: &Wire) {
        self.viewing.more(PICTURES).await;
        assert_eq!(*wire.counts.borrow(), (0, 0), "streams and bytes of media");
        assert_eq!((wire.media.count(PICTURE), peer.log.count(PICTURE)), (0, 0));
        if wire.native.is_some() {
            let bytes = wire.network_bytes();
            assert!(bytes < QUIET_BYTES, "{bytes} bytes came over the network");
        }
        assert_eq!(self.traces_of(peer.name()), 0);
    }

    /// The control of [`Self::gave_nothing`]: whoever belongs here is counted by the same counters.
    pub(crate) async fn gave_pictures(&mut self, peer: &Peer, wire: &Wire) {
        let mut counts = wire.counts.clone();
        let bytes = 2 * QUIET_BYTES;
        let many = counts.wait_for(|(streams, got)| *streams > 0 && *got > bytes);
        crate::world::in_time("media for whoever belongs here", many).await.unwrap();
        assert!(wire.media.count(PICTURE) > 0 && wire.network_bytes() > QUIET_BYTES);
        self.publisher.meets(peer.name()).await;
        self.viewer.meets(peer.name()).await;
        assert_eq!(self.traces_of(peer.name()), 4, "name and id, in two lists");
    }

    /// In how many places the members of this room speak of `peer`.
    fn traces_of(&self, peer: PeerId) -> usize {
        let traces = |member: &Member| {
            let status = member.room.status();
            let told = format!("{:?} {:?}", status.members, status.title);
            let fed = format!("{:?} {:?}", status.children, status.fed);
            let words = [STRANGER.to_owned(), peer.short()];
            assert_eq!(fed.matches(STRANGER).count(), 0);
            words.iter().filter(|word| told.contains(*word)).count()
        };
        traces(&self.publisher) + traces(&self.viewer)
    }

    /// What is connected and did not ask to be let in is put out, and told no more than that.
    pub(crate) async fn puts_out(&mut self, strangers: &[(Peer, Wire)]) {
        for (peer, wire) in strangers {
            assert_eq!(wire.closed().await, CloseCode::Refused);
            self.gave_nothing(peer, wire).await;
        }
    }

    pub(crate) async fn end(mut self) {
        self.viewing.stop().await;
        self.broadcast.end(&self.publisher).await;
        self.viewer.node.shutdown().await;
        self.publisher.node.shutdown().await;
    }

    /// Nobody is fed but the viewer.
    pub(crate) fn feeds_only_the_viewer(&self) {
        let children = self.publisher.room.status().children;
        let fed: Vec<_> = children.iter().map(|child| child.peer).collect();
        assert_eq!(fed, [self.viewer.peer()]);
    }
}

/// Whether a substream brought what the negotiation brings, a nonce, and not a byte more.
pub(crate) fn is_nonce(row: &[u8]) -> bool {
    let frame = 4 + PROOF_FRAME_BYTES_MAX;
    let nonce = [0, 0, 0, 34, 0, 1];
    row.len() > frame && row[row.len() - frame..].starts_with(&nonce)
}
