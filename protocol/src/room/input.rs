//! What the room machine is told: its configuration, connections, and where members may be found.

use ed25519_dalek::SigningKey;

use super::policy::DialPolicy;
use crate::address::Address;
use crate::trust::id::{Incarnation, PeerId, RoomPk};
use crate::trust::ticket::TicketChain;

/// The shell's name of a connection, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// How a connection runs. A later one in this list is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// Through a bootstrap's relay, or over TCP, which has no streams for pictures: words only.
    Relayed,
    /// Straight to the peer.
    Direct,
    /// Straight, on one of our own subnets.
    Lan,
}

impl Route {
    /// Whether pictures may take it.
    pub const fn carries_pictures(self) -> bool {
        !matches!(self, Self::Relayed)
    }
}

/// Where an address was learnt. It decides which of them may be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The user gave it: in the link, in the configuration.
    User,
    /// It was heard by mDNS.
    Lan,
    /// A registration at a bootstrap, or a record in Kademlia, sealed under the room's rid.
    Registration,
    /// The member's own signed roster entry.
    Roster,
    /// The member was seen there last time.
    Remembered,
}

/// What a room machine is born with.
///
/// The room secret is not in it: the proof of it is [`super::proof`]'s, on the stream's own task.
pub struct RoomConfig {
    /// The room's true name.
    pub room: RoomPk,
    /// The node's key.
    pub key: SigningKey,
    /// The node's tickets for this room.
    pub tickets: TicketChain,
    /// The name to show to others; cut to [`crate::limits::NAME_BYTES_MAX`].
    pub name: String,
    /// The room's title, if this node knows it.
    pub title: Option<String>,
    /// Which start of this node this is.
    pub incarnation: Incarnation,
    /// Addresses from the link: members are dialled (source [`Source::User`]), bootstraps are left
    /// to [`crate::rooms`].
    pub hints: Vec<Address>,
    /// What may be dialled.
    pub dialling: DialPolicy,
}

/// A connection that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Its name.
    pub conn: ConnId,
    /// Who the handshake says is there.
    pub peer: PeerId,
    /// Whether we dialled.
    pub dialled: bool,
    /// How it runs.
    pub route: Route,
    /// Bytes of the TLS exporter: the same at both ends, and different for every connection.
    pub exporter: [u8; 16],
}
