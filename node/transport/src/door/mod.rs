//! The way from a swarm to its connections: tells which came up and on which QUIC connection,
//! and opens and takes in substreams on a connection that the caller names.
//!
//! It picks no connection by itself and it keeps every connection alive: whoever holds the door
//! closes what is not wanted. Bounds: [`MAX_OPENING`] substreams being opened on a connection,
//! and as many taken in and not yet fetched by the swarm; more are refused.

mod handler;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};

use self::handler::{Handler, Told};
use crate::address;
use crate::admission::{Admission, Handshakes};
use crate::native::Native;
use crate::registry::Registry;

/// Substreams being opened on one connection: a control stream for each of 32 rooms.
pub(crate) const MAX_OPENING: usize = 32;

/// What happened to connections and substreams.
#[derive(Debug)]
pub enum DoorEvent {
    /// A connection is there.
    Up {
        /// The swarm's name of the connection.
        id: ConnectionId,
        /// Who is at the other end, proven by TLS or noise.
        peer: PeerId,
        /// Whether this side dialled; after a punch, whether it was QUIC's client. The two sides
        /// never both say yes.
        dialled: bool,
        /// The address dialled, or the one that the peer came from.
        address: Multiaddr,
        /// The QUIC connection; `None` over TCP or a relay.
        native: Option<Native>,
    },
    /// A connection is gone. Follows every [`Up`](Self::Up), after the last event of its
    /// substreams.
    Down {
        /// The connection.
        id: ConnectionId,
        /// Its peer.
        peer: PeerId,
    },
    /// A substream is open.
    Opened {
        /// The connection.
        id: ConnectionId,
        /// Its peer.
        peer: PeerId,
        /// What is spoken on the stream.
        protocol: StreamProtocol,
        /// The stream.
        stream: Stream,
        /// Whether this side opened it, by [`Door::open`].
        dialled: bool,
    },
    /// A substream asked for by [`Door::open`] did not come about.
    OpenFailed {
        /// The connection.
        id: ConnectionId,
        /// Its peer.
        peer: PeerId,
        /// What was to be spoken.
        protocol: StreamProtocol,
        /// The reason.
        why: OpenError,
    },
}

/// Why a substream could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The connection ended, or never was.
    #[error("the connection is gone")]
    Gone,
    /// The bound on parallel openings.
    #[error("too many substreams are being opened on this connection")]
    Busy,
    /// The peer does not know the protocol.
    #[error("the peer does not speak this protocol")]
    Unsupported,
    /// No answer.
    #[error("the peer did not answer in time")]
    Timeout,
    /// The stream broke while being negotiated.
    #[error("the substream broke: {0}")]
    Broken(String),
}

struct Live {
    peer: PeerId,
    opening: Vec<StreamProtocol>,
    /// What is to be told with [`DoorEvent::Up`], until it was: the handler first finds its QUIC
    /// connection.
    up: Option<(bool, Multiaddr)>,
}

/// A [`NetworkBehaviour`] for one swarm, made by [`QuicTransport::new`].
///
/// [`QuicTransport::new`]: crate::QuicTransport::new
pub struct Door {
    registry: Arc<Registry>,
    admission: Arc<Admission>,
    protocols: Arc<[StreamProtocol]>,
    live: HashMap<ConnectionId, Live>,
    queue: VecDeque<ToSwarm<DoorEvent, StreamProtocol>>,
    waker: Option<Waker>,
}

impl Door {
    pub(crate) fn new(registry: Arc<Registry>, admission: Arc<Admission>) -> Self {
        Self {
            registry,
            admission,
            protocols: Arc::new([]),
            live: HashMap::new(),
            queue: VecDeque::new(),
            waker: None,
        }
    }

    /// Also takes in substreams for `protocols`; each is told as [`DoorEvent::Opened`].
    pub fn accepting(mut self, protocols: impl IntoIterator<Item = StreamProtocol>) -> Self {
        self.protocols = protocols.into_iter().collect();
        self
    }

    /// Opens a substream on this very connection. [`DoorEvent::Opened`] or
    /// [`DoorEvent::OpenFailed`] follows, within 5 seconds.
    pub fn open(&mut self, id: ConnectionId, peer: PeerId, protocol: StreamProtocol) {
        let why = match self.live.get_mut(&id) {
            Some(live) if live.peer != peer => OpenError::Gone,
            Some(live) if live.opening.len() >= MAX_OPENING => OpenError::Busy,
            Some(live) => {
                live.opening.push(protocol.clone());
                return self.push(ToSwarm::NotifyHandler {
                    peer_id: peer,
                    handler: NotifyHandler::One(id),
                    event: protocol,
                });
            }
            None => OpenError::Gone,
        };
        self.tell(DoorEvent::OpenFailed { id, peer, protocol, why });
    }

    /// Closes a connection; [`DoorEvent::Down`] follows. Nothing happens if it is gone already.
    pub fn close(&mut self, id: ConnectionId) {
        if let Some(live) = self.live.get(&id) {
            self.push(ToSwarm::CloseConnection {
                peer_id: live.peer,
                connection: CloseConnection::One(id),
            });
        }
    }

    /// How many handshakes are under way, were sent to prove their address, or were refused.
    pub fn handshakes(&self) -> Handshakes {
        self.admission.counts()
    }

    fn handler(&self, address: &Multiaddr) -> Handler {
        let registry = address::is_direct_quic(address).then(|| self.registry.clone());
        Handler::new(self.protocols.clone(), registry)
    }

    fn established(&mut self, id: ConnectionId, peer: PeerId, up: (bool, Multiaddr)) {
        let is_quic = address::is_direct_quic(&up.1);
        self.live.insert(id, Live { peer, opening: Vec::new(), up: Some(up) });
        if !is_quic {
            self.up(id, None);
        }
    }

    fn up(&mut self, id: ConnectionId, native: Option<Native>) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let (peer, up) = (live.peer, live.up.take());
        if let Some((dialled, address)) = up {
            self.tell(DoorEvent::Up { id, peer, dialled, address, native });
        }
    }

    fn down(&mut self, id: ConnectionId) {
        // One that never came up was never told of.
        let Some(Live { peer, opening, up: None }) = self.live.remove(&id) else { return };
        for protocol in opening {
            self.tell(DoorEvent::OpenFailed { id, peer, protocol, why: OpenError::Gone });
        }
        self.tell(DoorEvent::Down { id, peer });
    }

    fn tell(&mut self, event: DoorEvent) {
        self.push(ToSwarm::GenerateEvent(event));
    }

    fn push(&mut self, item: ToSwarm<DoorEvent, StreamProtocol>) {
        self.queue.push_back(item);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl NetworkBehaviour for Door {
    type ConnectionHandler = Handler;
    type ToSwarm = DoorEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(remote))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(address))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(e) => {
                let dialled = matches!(
                    e.endpoint,
                    ConnectedPoint::Dialer { role_override: Endpoint::Dialer, .. }
                );
                let address = e.endpoint.get_remote_address().clone();
                self.established(e.connection_id, e.peer_id, (dialled, address));
            }
            FromSwarm::ConnectionClosed(e) => self.down(e.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let mut opened = |protocol: &StreamProtocol| {
            if let Some(n) = live.opening.iter().position(|p| p == protocol) {
                live.opening.swap_remove(n);
            }
        };
        let event = match event {
            Told::Native(native) => return self.up(id, Some(native)),
            Told::Inbound(protocol, stream) => {
                DoorEvent::Opened { id, peer, protocol, stream, dialled: false }
            }
            Told::Outbound(protocol, stream) => {
                opened(&protocol);
                DoorEvent::Opened { id, peer, protocol, stream, dialled: true }
            }
            Told::Failed(protocol, why) => {
                opened(&protocol);
                DoorEvent::OpenFailed { id, peer, protocol, why }
            }
        };
        self.tell(event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(item) = self.queue.pop_front() {
            return Poll::Ready(item);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
