//! The swarm: QUIC through our own transport, TCP with noise and yamux for networks that block UDP;
//! identify, ping and the door to `/roommate/rooms/1`.
//!
//! Bounds: connections in all and of one peer; handshakes under way; no native stream is granted
//! (media has no way in), and few substreams.

use std::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, Transport};
use libp2p::core::upgrade::Version;
use libp2p::futures::future::Either;
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{
    PeerId, StreamProtocol, Swarm, connection_limits, identify, noise, ping, swarm, tcp, yamux,
};
use roommate_protocol::rooms;
use roommate_transport::{Door, QuicTransport};

use crate::error::Error;

/// Substreams that a client may have open: the rooms stream, identify, ping, and room for more.
const SUBSTREAMS_MAX: u32 = 16;
/// Bytes of one client that may wait unread: a few requests.
const WINDOW_BYTES: u32 = 64 * 1024;
/// Connections of one peer: a restart beside its ghost, QUIC beside TCP.
const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// TCP handshakes under way. Those of QUIC are bounded by its transport.
const PENDING_MAX: u32 = 512;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) door: Door,
}

pub(crate) fn protocol() -> StreamProtocol {
    StreamProtocol::new(rooms::PROTOCOL)
}

pub(crate) fn build(key: &Keypair, clients_max: usize) -> Result<Swarm<Behaviour>, Error> {
    let (transport, door) = transport(key)?;
    let clients_max = u32::try_from(clients_max).unwrap_or(u32::MAX);
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_MAX))
        // One above the registry's own bound: then it is the registry that decides who gives way.
        .with_max_established_incoming(Some(clients_max.saturating_add(1)))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX));
    let identify = identify::Config::new("/roommate/1".into(), key.public())
        .with_agent_version(concat!("roommate-bootstrap/", env!("CARGO_PKG_VERSION")).into())
        .with_cache_size(0);
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::default(),
        door: door.accepting([protocol()]),
    };
    let config = swarm::Config::with_tokio_executor();
    Ok(Swarm::new(transport, behaviour, key.public().to_peer_id(), config))
}

fn transport(key: &Keypair) -> Result<(Boxed<(PeerId, StreamMuxerBox)>, Door), Error> {
    let config = roommate_transport::Config {
        uni_streams: 0,
        substreams: SUBSTREAMS_MAX,
        stream_window: WINDOW_BYTES,
        connection_window: 4 * WINDOW_BYTES,
        ..Default::default()
    };
    let unusable = |error: &dyn std::fmt::Display| Error::Key(error.to_string());
    let (quic, door) = QuicTransport::new(config, key).map_err(|error| unusable(&error))?;
    let mut muxing = yamux::Config::default();
    muxing.set_max_num_streams(SUBSTREAMS_MAX as usize);
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true))
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(key).map_err(|error| unusable(&error))?)
        .multiplex(muxing)
        .timeout(HANDSHAKE_TIMEOUT);
    let both = quic.or_transport(tcp).map(|connection, _| match connection {
        Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
    });
    Ok((both.boxed(), door))
}
