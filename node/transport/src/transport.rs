//! The transport that a swarm is built with.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint as Role;
use libp2p::core::transport::{
    DialOpts, ListenerId, PortUse, Transport, TransportError, TransportEvent,
};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};

use crate::address::to_socket;
use crate::config::Config;
use crate::dial::{self, Dialers};
use crate::door::Door;
use crate::error::Error;
use crate::handshake::{Shared, Upgrade};
use crate::identity::Identity;
use crate::listen::{Event, Listener};
use crate::muxer::Muxer;
use crate::punch::Punches;
use crate::registry::Registry;

/// QUIC version 1 for libp2p, on tokio.
///
/// Its inbound and outbound connections are already secured and multiplexed.
pub struct QuicTransport {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    dialers: Dialers,
    punches: Punches,
    waker: Option<Waker>,
}

impl QuicTransport {
    /// The transport of the node that `keypair` names, and the door to its connections.
    ///
    /// Both belong into the same swarm.
    pub fn new(config: Config, keypair: &Keypair) -> Result<(Self, Door), Error> {
        let shared = Arc::new(Shared {
            identity: Identity::new(keypair)?,
            config,
            registry: Registry::new(),
            admission: Arc::default(),
        });
        let door = Door::new(shared.registry.clone(), shared.admission.clone());
        let transport = Self {
            shared,
            listeners: Vec::new(),
            dialers: Dialers::default(),
            punches: Punches::default(),
            waker: None,
        };
        Ok((transport, door))
    }

    fn poll_listeners(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut n = 0;
        while let Some(listener) = self.listeners.get_mut(n) {
            match listener.poll(cx) {
                Poll::Ready(Some(event)) => {
                    // The others come first next time.
                    self.listeners.rotate_left(n + 1);
                    return Poll::Ready(event);
                }
                Poll::Ready(None) => _ = self.listeners.remove(n),
                Poll::Pending => n += 1,
            }
        }
        Poll::Pending
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Transport for QuicTransport {
    type Output = (PeerId, Muxer);
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        let Some(local) = to_socket(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let listener =
            Listener::new(id, local, self.shared.clone()).map_err(TransportError::Other)?;
        self.listeners.push(listener);
        self.dialers.forget(local);
        self.wake();
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(listener) = self.listeners.iter_mut().find(|l| l.id() == id) else {
            return false;
        };
        listener.close();
        self.wake();
        true
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        let remote = match to_socket(&address) {
            Some(remote) if remote.port() != 0 && !remote.ip().is_unspecified() => remote,
            _ => return Err(TransportError::MultiaddrNotSupported(address)),
        };
        let listener = self.listeners.iter().find(|l| l.reaches(remote));
        if options.role == Role::Listener {
            let listener = listener.ok_or(TransportError::Other(Error::PunchWithoutListener))?;
            let socket = listener.socket().map_err(|e| TransportError::Other(e.into()))?;
            return self.punches.begin(&self.shared, socket, remote).map_err(TransportError::Other);
        }
        let endpoint = match (options.port_use, listener) {
            (PortUse::New, _) => dial::fresh(&self.shared, remote),
            (PortUse::Reuse, Some(listener)) => Ok(listener.endpoint()),
            (PortUse::Reuse, None) => self.dialers.shared(&self.shared, remote),
        };
        Ok(dial::dial(self.shared.clone(), endpoint.map_err(TransportError::Other)?, remote))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        while let Poll::Ready(event) = self.poll_listeners(cx) {
            let TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr } =
                event
            else {
                return Poll::Ready(event);
            };
            let offered = match to_socket(&send_back_addr) {
                Some(remote) => self.punches.offer(remote, upgrade),
                None => Some(upgrade),
            };
            if let Some(upgrade) = offered {
                return Poll::Ready(TransportEvent::Incoming {
                    listener_id,
                    upgrade,
                    local_addr,
                    send_back_addr,
                });
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
