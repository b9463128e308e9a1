//! Swarm events in: connections and substreams become inputs of the core.

use std::collections::HashMap;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, Swarm, TransportError};
use roommate_protocol::address::Address;
use roommate_protocol::room::{ConnId, Connected};
use roommate_protocol::rooms::telling::told_to_members;
use roommate_protocol::time::Now;
use roommate_protocol::trust::id::{PeerId, RoomPk};
use roommate_protocol::wire::close::CloseCode;
use roommate_transport::{DoorEvent, OpenError};

use super::Driver;
use crate::config::StartError;
use crate::net::address::{from_libp2p, to_libp2p, to_multiaddr};
use crate::net::behaviour::{Behaviour, BehaviourEvent, CONTROL, ROOMS};
use crate::net::links::Link;
use crate::net::outgoing;
use crate::net::surroundings::{dial_policy, host_of, listening};
use crate::net::words::{self, Side};

/// Names the two ends of a connection alike, for the rule that chooses between two connections.
const EXPORTER_LABEL: &[u8] = b"roommate/connection/1";

/// What a dial under way is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// A member of this room.
    Member(RoomPk, PeerId),
    /// An address of a link that names nobody.
    Hint(RoomPk),
    /// A bootstrap.
    Bootstrap(Address),
}

/// Dials under way, bounded by the core that asks for them.
pub(super) type Dials = HashMap<ConnectionId, Purpose>;

/// Listens on every address and waits until each is up.
pub(super) async fn listen(
    swarm: &mut Swarm<Behaviour>,
    addrs: &[Multiaddr],
    wait: Duration,
) -> Result<Vec<Multiaddr>, StartError> {
    let mut open = Vec::new();
    for addr in addrs {
        let fail = |why: String| StartError::Listen { addr: addr.clone(), why };
        let id = swarm.listen_on(addr.clone()).map_err(|error| fail(transport_says(error)))?;
        let up = async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::NewListenAddr { listener_id, address } => {
                        let done = listener_id == id;
                        open.push(address);
                        if done {
                            return Ok(());
                        }
                    }
                    SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == id => {
                        return Err(fail(
                            reason.err().map_or("it closed again".into(), |e| e.to_string()),
                        ));
                    }
                    SwarmEvent::ListenerError { listener_id, error } if listener_id == id => {
                        return Err(fail(error.to_string()));
                    }
                    _ => {}
                }
            }
        };
        match tokio::time::timeout(wait, up).await {
            Ok(result) => result?,
            Err(_) => return Err(fail("no interface has this address".into())),
        }
    }
    Ok(open)
}

/// What the core is told of a connection.
pub(super) fn connected(link: &Link) -> Connected {
    let exporter = link
        .native
        .as_ref()
        .and_then(|native| native.exporter(EXPORTER_LABEL).ok())
        .unwrap_or_default();
    let Link { conn, peer, dialled, route, .. } = *link;
    Connected { conn, peer, dialled, route, exporter }
}

/// Why a connection ended, for the log.
fn close_reason(error: quinn::ConnectionError) -> String {
    match &error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            match u32::try_from(close.error_code.into_inner()) {
                Ok(code) => format!("closed by the other side: {}", CloseCode::from_code(code)),
                Err(_) => error.to_string(),
            }
        }
        _ => error.to_string(),
    }
}

fn transport_says(error: TransportError<std::io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => {
            "it is neither /ip4/A/udp/PORT/quic-v1 nor /ip4/A/tcp/PORT".into()
        }
        TransportError::Other(error) => error.to_string(),
    }
}

impl Driver {
    pub(super) fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>, now: Now) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Door(event)) => self.on_door(event, now),
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                tracing::debug!(%error, "a dial failed");
                self.on_dial_failed(connection_id, now);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.on_listen_change(now);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                tracing::info!(%address, "no longer listening");
                self.on_listen_change(now);
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::warn!(?addresses, ?reason, "a listener has closed");
                self.on_listen_change(now);
            }
            other => tracing::trace!(?other, "swarm"),
        }
    }

    fn on_door(&mut self, event: DoorEvent, now: Now) {
        match event {
            DoorEvent::Up { id, peer, dialled, address, native } => {
                let Some(peer) = from_libp2p(&peer) else {
                    tracing::debug!(%peer, "a peer whose key is not Ed25519 is not for us");
                    self.swarm.behaviour_mut().door.close(id);
                    return;
                };
                let conn = self.links.name(id);
                let route = dial_policy(&[]).route(host_of(&address), native.is_some());
                let link = Link { conn, id, peer, dialled, address, route, native };
                self.on_up(link, now);
            }
            DoorEvent::Down { id, .. } => self.on_down(id, now),
            DoorEvent::Opened { id, protocol, stream, dialled, .. } => {
                self.on_opened(id, &protocol, stream, dialled, now);
            }
            DoorEvent::OpenFailed { id, protocol, why, .. } => {
                self.on_open_failed(id, &protocol, &why, now);
            }
        }
    }

    fn on_up(&mut self, link: Link, now: Now) {
        let (conn, id, peer) = (link.conn, link.id, link.peer);
        tracing::debug!(%peer, conn = conn.0, address = %link.address, dialled = link.dialled, "connected");
        let connected = connected(&link);
        if let Some(native) = &link.native {
            self.feeds.accept(conn, native.clone());
        }
        let purpose = self.dialling.remove(&id);
        let address = link.address.clone();
        self.links.insert(link);
        if let Some(Purpose::Bootstrap(bootstrap)) = purpose {
            tracing::info!(%address, "bootstrap connected");
            if self.bootstraps.handle_connected(conn, &bootstrap) {
                self.swarm.behaviour_mut().door.open(id, to_libp2p(&peer), ROOMS);
            } else {
                self.close_connection(conn, CloseCode::Done);
            }
            return;
        }
        let asked = purpose.and_then(|purpose| match purpose {
            Purpose::Member(room, _) | Purpose::Hint(room) => Some(room),
            Purpose::Bootstrap(_) => None,
        });
        let mut wanted = false;
        // A connection that we made is its room's alone: where the peer is not, a proof would fail,
        // and three of those make us a stranger to it. One that a peer made may be for any room.
        for (room, entry) in &mut self.rooms {
            if entry.ended.is_none() && asked.is_none_or(|asked| asked == *room) {
                entry.machine.handle_connected(connected, now);
                wanted = true;
            }
        }
        if !wanted {
            self.close_connection(conn, CloseCode::Done);
        }
    }

    fn on_down(&mut self, id: ConnectionId, now: Now) {
        let Some(link) = self.links.remove(id) else { return };
        let conn = link.conn;
        let why = link.native.and_then(|native| native.closed().now_or_never());
        let why = why.map(close_reason);
        tracing::debug!(peer = %link.peer, conn = conn.0, why, "disconnected");
        self.feeds.handle_disconnected(conn);
        self.closing.forget(conn);
        self.bootstraps.handle_disconnected(conn, now);
        for entry in self.rooms.values_mut() {
            entry.opening.retain(|opening| *opening != conn);
            entry.streams.remove(&conn);
            entry.machine.handle_disconnected(conn, now);
        }
    }

    fn on_dial_failed(&mut self, id: ConnectionId, now: Now) {
        match self.dialling.remove(&id) {
            Some(Purpose::Member(room, peer)) => {
                if let Some(entry) = self.rooms.get_mut(&room) {
                    entry.machine.handle_dial_failed(Some(peer), now);
                }
            }
            Some(Purpose::Hint(room)) => {
                if let Some(entry) = self.rooms.get_mut(&room) {
                    entry.machine.handle_dial_failed(None, now);
                }
            }
            Some(Purpose::Bootstrap(address)) => {
                tracing::debug!(address = %to_multiaddr(&address), "bootstrap does not answer");
                self.bootstraps.handle_failed(&address, now);
            }
            None => {}
        }
    }

    fn on_opened(
        &mut self,
        id: ConnectionId,
        protocol: &libp2p::StreamProtocol,
        stream: libp2p::Stream,
        dialled: bool,
        now: Now,
    ) {
        let Some(link) = self.links.by_id(id) else { return };
        let (conn, peer) = (link.conn, link.peer);
        if *protocol == ROOMS {
            let (out, waiting) = outgoing::queue();
            tokio::spawn(words::rooms(self.desk.clone(), stream, conn, waiting));
            self.bootstraps.handle_opened(conn, out, now);
            return;
        }
        let side = if dialled {
            let Some(entry) = self.rooms.values_mut().find(|entry| entry.is_opening(conn)) else {
                return;
            };
            entry.opened(conn);
            Side::Dialler(entry.proof.clone())
        } else if self.closing.is_closing(conn)
            || !self.failures.begin(peer, self.rooms.len(), now.mono)
        {
            return;
        } else {
            Side::Listener(self.proof_keys())
        };
        tokio::spawn(words::control(self.desk.clone(), stream, conn, peer, side));
    }

    fn on_open_failed(
        &mut self,
        id: ConnectionId,
        protocol: &libp2p::StreamProtocol,
        why: &OpenError,
        now: Now,
    ) {
        let Some(link) = self.links.by_id(id) else { return };
        let conn = link.conn;
        tracing::debug!(%protocol, %why, conn = conn.0, "no substream");
        if *protocol == ROOMS {
            tracing::warn!("the bootstrap {} does not speak the rooms protocol", link.address);
            self.close_connection(conn, CloseCode::Done);
        } else if *protocol == CONTROL
            && let Some(entry) = self.rooms.values_mut().find(|entry| entry.is_opening(conn))
        {
            entry.opened(conn);
            entry.machine.handle_control_failed(conn, now);
        }
    }

    fn on_listen_change(&mut self, now: Now) {
        let listen = listening(&self.swarm);
        self.bootstraps.set_addresses(&listen, now);
        let dialling = dial_policy(&listen);
        for entry in self.rooms.values_mut() {
            entry.machine.set_dialling(dialling.clone(), now);
            entry.machine.set_addresses(told_to_members(&listen, self.desk.me), now);
        }
    }

    /// Starts one dial.
    pub(super) fn dial(&mut self, peer: Option<PeerId>, addrs: Vec<Multiaddr>, purpose: Purpose) {
        let opts = match peer {
            Some(peer) => DialOpts::peer_id(to_libp2p(&peer))
                .addresses(addrs)
                // Whether another connection is wanted is the core's to say.
                .condition(PeerCondition::Always)
                .build(),
            None => {
                // Nobody is named: each address is a dial of its own.
                let mut addrs = addrs.into_iter();
                let Some(first) = addrs.next() else { return };
                let rest: Vec<_> = addrs.collect();
                if let (false, Purpose::Hint(room)) = (rest.is_empty(), &purpose) {
                    self.dial(None, rest, Purpose::Hint(*room));
                }
                DialOpts::unknown_peer_id().address(first).build()
            }
        };
        let id = opts.connection_id();
        self.dialling.insert(id, purpose);
        if let Err(error) = self.swarm.dial(opts) {
            tracing::debug!(%error, "a dial could not begin");
            let now = self.desk.clock.now();
            self.on_dial_failed(id, now);
        }
    }

    /// Closes a connection at once, with everything on it. Over QUIC the other side is told why.
    pub(super) fn close_connection(&mut self, conn: ConnId, code: CloseCode) {
        if let Some(link) = self.links.get(conn) {
            tracing::debug!(peer = %link.peer, conn = conn.0, %code, "connection closed");
            let id = link.id;
            if let Some(native) = &link.native {
                native.close(code.code(), b"");
            }
            self.swarm.behaviour_mut().door.close(id);
        }
    }

    /// Closes every connection: nothing is said on any of them any more.
    pub(super) fn close_connections(&mut self) {
        for (conn, code) in self.closing.take_all() {
            self.close_connection(conn, code);
        }
        for conn in self.links.iter().map(|link| link.conn).collect::<Vec<_>>() {
            self.close_connection(conn, CloseCode::Done);
        }
    }
}
