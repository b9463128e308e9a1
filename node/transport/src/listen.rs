//! One listen address: announces where it can be reached and takes in connections.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt};
use if_watch::IfEvent;
use if_watch::tokio::IfWatcher;
use libp2p::core::transport::{ListenerId, TransportEvent};
use quinn::{Endpoint, Incoming, ServerConfig};

use crate::address::to_multiaddr;
use crate::admission::Verdict;
use crate::counters::Counters;
use crate::dial;
use crate::error::Error;
use crate::handshake::{Shared, Upgrade};

/// Newcomers judged in one go: a flood must not keep the swarm's task from everything else.
const JUDGED_AT_ONCE: usize = 32;
/// Handshakes that wait for the swarm's task; more are dropped and come again.
const MAX_UNSEEN: usize = 256;
/// What a newcomer may send before it is judged: a client hello with ML-KEM is two datagrams.
const UNSEEN_BYTES: u64 = 16 << 10;

pub(crate) type Event = TransportEvent<Upgrade, Error>;

pub(crate) struct Listener {
    id: ListenerId,
    shared: Arc<Shared>,
    local: SocketAddr,
    server: ServerConfig,
    endpoint: Endpoint,
    /// The endpoint's socket once more, to punch holes from.
    socket: UdpSocket,
    accepting: BoxFuture<'static, Option<Incoming>>,
    /// On an unspecified address: which interfaces there are.
    watcher: Option<IfWatcher>,
    events: VecDeque<Event>,
    closed: bool,
}

impl Listener {
    pub(crate) fn new(
        id: ListenerId,
        address: SocketAddr,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        let socket = dial::bind(address)?;
        let local = socket.local_addr()?;
        let mut server = ServerConfig::with_crypto(shared.identity.server.clone());
        server
            .migration(true)
            .max_incoming(MAX_UNSEEN)
            .incoming_buffer_size(UNSEEN_BYTES)
            .incoming_buffer_size_total(UNSEEN_BYTES * MAX_UNSEEN as u64);
        let endpoint = dial::endpoint(&shared, socket.try_clone()?, Some(server.clone()))?;
        let mut events = VecDeque::new();
        let watcher = if local.ip().is_unspecified() {
            Some(IfWatcher::new()?)
        } else {
            let listen_addr = to_multiaddr(local);
            events.push_back(TransportEvent::NewAddress { listener_id: id, listen_addr });
            None
        };
        let accepting = accept(&endpoint);
        Ok(Self {
            id,
            shared,
            local,
            server,
            endpoint,
            socket,
            accepting,
            watcher,
            events,
            closed: false,
        })
    }

    pub(crate) fn id(&self) -> ListenerId {
        self.id
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    pub(crate) fn socket(&self) -> io::Result<UdpSocket> {
        self.socket.try_clone()
    }

    /// Whether a packet to `remote` can leave from here.
    pub(crate) fn reaches(&self, remote: SocketAddr) -> bool {
        !self.closed && reaches(self.local.ip(), remote.ip())
    }

    /// Takes in nobody any more; connections that exist live on.
    pub(crate) fn close(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.endpoint.set_server_config(None);
        self.watcher = None;
        self.events
            .push_back(TransportEvent::ListenerClosed { listener_id: self.id, reason: Ok(()) });
    }

    /// `None`: closed, and everything told.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        for _ in 0..JUDGED_AT_ONCE {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Some(event));
            }
            if self.closed {
                return Poll::Ready(None);
            }
            if let Poll::Ready(changed) = self.poll_interfaces(cx) {
                self.events.extend(changed);
                continue;
            }
            let Poll::Ready(incoming) = self.accepting.poll_unpin(cx) else {
                return Poll::Pending;
            };
            let Some(incoming) = incoming else {
                self.close();
                continue;
            };
            self.accepting = accept(&self.endpoint);
            self.events.extend(self.take_in(incoming));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_interfaces(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let Some(watcher) = &mut self.watcher else { return Poll::Pending };
        let event = std::task::ready!(watcher.poll_if_event(cx));
        Poll::Ready(interface_event(self.id, self.local, event))
    }

    fn take_in(&self, incoming: Incoming) -> Option<Event> {
        let admission = &self.shared.admission;
        match admission.judge(&self.shared.config, incoming.remote_address_validated()) {
            Verdict::Accept => {}
            Verdict::Retry => {
                // Fails only for validated addresses, which are never sent here.
                let _ = incoming.retry();
                return None;
            }
            Verdict::Refuse => {
                incoming.refuse();
                return None;
            }
        }
        let remote = incoming.remote_address();
        let ip = incoming.local_ip().unwrap_or(self.local.ip());
        let counters = Arc::new(Counters::new());
        let mut server = self.server.clone();
        server.transport_config(self.shared.config.for_connection(&counters));
        let connecting = match incoming.accept_with(Arc::new(server)) {
            Ok(connecting) => connecting,
            Err(error) => {
                tracing::debug!(%remote, %error, "a first packet was no handshake");
                return None;
            }
        };
        let (shared, pending) = (self.shared.clone(), admission.begin());
        let upgrade = async move {
            let _pending = pending;
            shared.finish(connecting, counters).await
        }
        .boxed();
        Some(TransportEvent::Incoming {
            listener_id: self.id,
            upgrade,
            local_addr: to_multiaddr(SocketAddr::new(ip, self.local.port())),
            send_back_addr: to_multiaddr(remote),
        })
    }
}

fn accept(endpoint: &Endpoint) -> BoxFuture<'static, Option<Incoming>> {
    let endpoint = endpoint.clone();
    async move { endpoint.accept().await }.boxed()
}

fn reaches(local: IpAddr, remote: IpAddr) -> bool {
    local.is_ipv4() == remote.is_ipv4()
        && (local.is_unspecified() || local.is_loopback() == remote.is_loopback())
}

/// What an interface's change means for a listener on an unspecified address.
fn interface_event(
    listener_id: ListenerId,
    local: SocketAddr,
    event: io::Result<IfEvent>,
) -> Option<Event> {
    let (up, net) = match event {
        Ok(IfEvent::Up(net)) => (true, net),
        Ok(IfEvent::Down(net)) => (false, net),
        Err(error) => {
            return Some(TransportEvent::ListenerError { listener_id, error: error.into() });
        }
    };
    let ip = net.addr();
    // A link-local address means nothing without its interface, which no multiaddress names.
    let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if ip.is_ipv4() != local.is_ipv4() || link_local {
        return None;
    }
    let listen_addr = to_multiaddr(SocketAddr::new(ip, local.port()));
    Some(if up {
        TransportEvent::NewAddress { listener_id, listen_addr }
    } else {
        TransportEvent::AddressExpired { listener_id, listen_addr }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_dials_where_its_packets_can_go() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (local, remote, can) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "192.0.2.1", false),
            ("192.0.2.7", "127.0.0.1", false),
            ("192.0.2.7", "192.0.2.1", true),
            ("0.0.0.0", "127.0.0.1", true),
            ("0.0.0.0", "::1", false),
            ("::", "::1", true),
        ] {
            assert_eq!(reaches(ip(local), ip(remote)), can, "{local} to {remote}");
        }
    }

    #[test]
    fn interfaces_become_addresses_of_the_listeners_family_and_port() {
        let id = ListenerId::next();
        let local = "0.0.0.0:4001".parse().unwrap();
        let event = |event| interface_event(id, local, Ok(event));
        let up = IfEvent::Up("192.0.2.7/24".parse().unwrap());
        let Some(TransportEvent::NewAddress { listen_addr, .. }) = event(up) else {
            panic!("no address")
        };
        assert_eq!(listen_addr.to_string(), "/ip4/192.0.2.7/udp/4001/quic-v1");
        let down = IfEvent::Down("192.0.2.7/24".parse().unwrap());
        assert!(matches!(event(down), Some(TransportEvent::AddressExpired { .. })));
        assert!(event(IfEvent::Up("2001:db8::1/64".parse().unwrap())).is_none());
        let v6 = interface_event(
            id,
            "[::]:4001".parse().unwrap(),
            Ok(IfEvent::Up("fe80::1/64".parse().unwrap())),
        );
        assert!(v6.is_none());
    }
}
