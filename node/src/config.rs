//! What a node is started with, what a room is joined with, and why a node cannot start.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use libp2p::Multiaddr;
use roommate_protocol::address::Address;
use roommate_protocol::rooms::reach::BOOTSTRAPS_MAX;
use roommate_protocol::trust::id::{Incarnation, RoomPk};
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::trust::ticket::TicketChain;
use roommate_transport::Congestion;

use crate::net::SwarmError;
use roommate_clock::Clock;

/// What a node is started with.
pub struct NodeConfig {
    /// Names the node.
    pub key: SigningKey,
    /// Which start of this key this is.
    pub incarnation: Incarnation,
    /// The name shown to others.
    pub name: String,
    /// Where to listen.
    pub listen: Vec<Multiaddr>,
    /// Bootstraps beside those of the links; at most [`BOOTSTRAPS_MAX`].
    pub bootstraps: Vec<Address>,
    /// The congestion controller.
    pub congestion: Congestion,
    /// The node's clocks.
    pub clock: Clock,
    /// Blocks the driver for a while, again and again: for the test that pictures do not wait for
    /// it.
    pub stumble: Option<Stumble>,
}

/// A test hook: how often and for how long the driver is blocked, once a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stumble {
    /// How long each time.
    pub length: Duration,
    /// How often.
    pub times: u32,
}

/// What a room is joined with.
pub struct JoinConfig {
    /// The room.
    pub room: RoomPk,
    /// Lets us find it.
    pub secret: RoomSecret,
    /// Lets us in.
    pub tickets: TicketChain,
    /// Its title, where known.
    pub title: Option<String>,
    /// The addresses of the link.
    pub addresses: Vec<Address>,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The network could not be built.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}: {why}; choose another with --listen")]
    Listen {
        /// The address.
        addr: Multiaddr,
        /// What the system said.
        why: String,
    },
    /// More bootstraps were given than a node keeps.
    #[error("{0} bootstraps were given, and a node keeps at most {BOOTSTRAPS_MAX}: leave some out")]
    Bootstraps(usize),
    /// The system gives no more threads.
    #[error("no thread can be started for the node: {0}")]
    Thread(String),
}
