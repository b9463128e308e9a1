//! What the swarm speaks: the door to connections and substreams, and identify.

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{StreamProtocol, Swarm, SwarmBuilder, identify};
use roommate_protocol::room::CONNECTIONS_MAX;
use roommate_transport::{Config, Door, QuicTransport};

/// The words between members.
pub(crate) const CONTROL: StreamProtocol = StreamProtocol::new("/roommate/control/1");

/// The words with a bootstrap.
pub(crate) const ROOMS: StreamProtocol = StreamProtocol::new(roommate_protocol::rooms::PROTOCOL);

/// Why the swarm cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("the network cannot be started: {0}")]
pub struct SwarmError(String);

/// The node's behaviours.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(crate) door: Door,
    identify: identify::Behaviour,
}

/// A swarm with our QUIC transport, and TCP for bootstraps where UDP is blocked.
///
/// Must be called inside the runtime.
pub(crate) fn swarm(key: Keypair, config: Config) -> Result<Swarm<Behaviour>, SwarmError> {
    let fail = |error: &dyn std::fmt::Display| SwarmError(error.to_string());
    let (transport, door) = QuicTransport::new(config, &key).map_err(|error| fail(&error))?;
    let door = door.accepting([CONTROL]);
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            libp2p::tcp::Config::default().nodelay(true),
            libp2p::noise::Config::new,
            libp2p::yamux::Config::default,
        )
        .map_err(|error| fail(&error))?
        .with_other_transport(|_| transport)
        .map_err(|error| fail(&error))?
        .with_dns()
        .map_err(|error| fail(&error))?
        .with_behaviour(|key| Behaviour {
            limits: connection_limits::Behaviour::new(limits()),
            door,
            identify: identify::Behaviour::new(identity(key)),
        })
        .map_err(|error| fail(&error))?
        .build();
    Ok(swarm)
}

/// Connections in all, above what one room knows.
const SPARE: u32 = 64;

/// Nobody needs more than a handful of connections. In all there may be more than a room knows: then
/// it is the room that decides who gives way, and whoever opens and never speaks goes first. Turned
/// away here, a member would wait behind strangers.
fn limits() -> ConnectionLimits {
    let known = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(64))
        .with_max_established(Some(known.saturating_add(SPARE)))
        .with_max_established_per_peer(Some(8))
}

/// Strangers who find the node learn that it speaks Roommate, and no listen address: members hear
/// those through the room.
fn identity(key: &Keypair) -> identify::Config {
    identify::Config::new("/roommate/1".into(), key.public())
        .with_agent_version(concat!("roommate/", env!("CARGO_PKG_VERSION")).into())
        .with_hide_listen_addrs(true)
}
