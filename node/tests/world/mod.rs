//! A room with honest members in it, on real sockets of 127.0.0.1, and peers that speak whatever a
//! test wants. Names and title are words that are found wherever they leak.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

pub mod control;
pub mod live;
pub mod peer;
pub mod tap;

use std::future::Future;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use libp2p::Multiaddr;
use roommate::net::address::from_multiaddr;
use roommate::node::{JoinConfig, Node, NodeConfig, Room, RoomEvents};
use roommate::status::RoomStatus;
use roommate_clock::Clock;
use roommate_protocol::address::{Address, Kind};
use roommate_protocol::room::proof::ProofKey;
use roommate_protocol::time::Wall;
use roommate_protocol::trust::id::{Incarnation, PeerId, RoomPk};
use roommate_protocol::trust::invite::{CertificateTerms, Invite};
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::trust::terms::{Expiry, Roles};
use roommate_protocol::trust::ticket::TicketChain;

/// Longer than anything here takes on a busy machine; a test that waits so long has failed.
pub const LIMIT: Duration = Duration::from_secs(20);

pub const TITLE: &str = "TITLE-OF-THE-ROOM";
pub const PUBLISHER: &str = "NAME-OF-THE-PUBLISHER";
pub const VIEWER: &str = "NAME-OF-THE-VIEWER";
pub const STRANGER: &str = "NAME-OF-A-STRANGER";

pub const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
pub const TCP: &str = "/ip4/127.0.0.1/tcp/0";

/// What `future` gives; a panic that says what was waited for if it gives nothing.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {LIMIT:?} in vain for {what}"),
    }
}

pub fn any_key() -> SigningKey {
    SigningKey::from_bytes(&rand::random())
}

pub fn name_of(key: &SigningKey) -> PeerId {
    PeerId(key.verifying_key().to_bytes())
}

/// Everything that whoever made a room has.
pub struct House {
    key: SigningKey,
    pub secret: RoomSecret,
}

impl House {
    pub fn new() -> Self {
        Self { key: any_key(), secret: RoomSecret { bytes: rand::random(), epoch: 0 } }
    }

    pub fn room(&self) -> RoomPk {
        RoomPk(self.key.verifying_key().to_bytes())
    }

    pub fn proof(&self) -> ProofKey {
        ProofKey::new(self.room(), &self.secret)
    }

    /// What `peer` would mint by a link that ends then.
    pub fn ticket(&self, peer: PeerId, minted: Wall, expires: Expiry) -> TicketChain {
        let terms = CertificateTerms { roles: Roles::USUAL, expires };
        let seed = rand::random();
        let invite = Invite::create(&self.key, &self.secret, terms, Vec::new(), &seed).unwrap();
        invite.mint(peer, [7; 32], minted, &rand::random()).unwrap()
    }

    /// A ticket that is good now and for ever.
    pub fn good_ticket(&self, peer: PeerId) -> TicketChain {
        self.ticket(peer, Clock::new().now().wall, Expiry::NEVER)
    }

    pub fn join_config(&self, peer: PeerId, addresses: Vec<Address>) -> JoinConfig {
        JoinConfig {
            room: self.room(),
            secret: self.secret,
            tickets: self.good_ticket(peer),
            title: Some(TITLE.to_owned()),
            addresses,
        }
    }
}

/// An honest member: a node in one room.
pub struct Member {
    pub key: SigningKey,
    pub node: Node,
    pub room: Room,
    pub events: RoomEvents,
}

pub async fn start(key: &SigningKey, counter: u64, name: &str, listen: &[&str]) -> Node {
    let config = NodeConfig {
        key: key.clone(),
        incarnation: Incarnation { counter, nonce: rand::random() },
        name: name.to_owned(),
        listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
        bootstraps: Vec::new(),
        congestion: roommate_transport::Congestion::default(),
        clock: Clock::new(),
        stumble: None,
    };
    Node::start(config).await.unwrap()
}

impl Member {
    /// A node that enters the room and looks for members at `addresses`.
    pub async fn enter(house: &House, name: &str, addresses: Vec<Address>) -> Self {
        Self::enter_with(house, (any_key(), 1), name, &[QUIC], addresses).await
    }

    pub async fn enter_with(
        house: &House,
        (key, counter): (SigningKey, u64),
        name: &str,
        listen: &[&str],
        addresses: Vec<Address>,
    ) -> Self {
        let node = start(&key, counter, name, listen).await;
        let config = house.join_config(node.peer(), addresses);
        let (room, events) = node.join(config).await.unwrap();
        Self { key, node, room, events }
    }

    pub fn peer(&self) -> PeerId {
        self.node.peer()
    }

    pub fn address(&self) -> Multiaddr {
        self.node.listen()[0].clone()
    }

    /// Where a link says that this member is.
    pub fn hint(&self) -> Address {
        hint(&self.address(), Some(self.peer()))
    }

    /// Waits until the status is as it should be.
    pub async fn sees(&self, what: &str, is: impl Fn(&RoomStatus) -> bool) -> RoomStatus {
        let mut status = self.room.watch();
        let found = in_time(what, status.wait_for(is)).await;
        found.unwrap().clone()
    }

    /// Waits until `peer` is in the list.
    pub async fn meets(&self, peer: PeerId) {
        self.sees("a member", |status| lists(status, peer)).await;
    }
}

pub fn lists(status: &RoomStatus, peer: PeerId) -> bool {
    status.members.iter().any(|member| member.peer == peer)
}

pub fn hint(address: &Multiaddr, peer: Option<PeerId>) -> Address {
    Address { peer, ..from_multiaddr(address, Kind::Member).unwrap() }
}
