//! Sockets, and which endpoint a dial leaves from.
//!
//! A dial with `PortUse::Reuse` leaves from a listener of the same family, so that the NAT mapping
//! it makes is the one that others are told of; without a listener, all share one endpoint a
//! family. `PortUse::New` takes a fresh port each time.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use futures::future::FutureExt;
use quinn::{ClientConfig, Endpoint, ServerConfig, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};

use crate::counters::Counters;
use crate::error::Error;
use crate::handshake::{Shared, Upgrade};

/// The name that stock peers send in the handshake; ours must not tell that it is ours.
const SERVER_NAME: &str = "l";

/// The endpoints for dials without a listener; at most one for each family.
#[derive(Default)]
pub(crate) struct Dialers {
    v4: Option<Endpoint>,
    v6: Option<Endpoint>,
}

impl Dialers {
    /// The shared endpoint of `remote`'s family.
    pub(crate) fn shared(
        &mut self,
        shared: &Shared,
        remote: SocketAddr,
    ) -> Result<Endpoint, Error> {
        let slot = self.slot(remote);
        if let Some(endpoint) = slot {
            return Ok(endpoint.clone());
        }
        let endpoint = fresh(shared, remote)?;
        *slot = Some(endpoint.clone());
        Ok(endpoint)
    }

    /// A listener of this family is there now: it ends with its last connection.
    pub(crate) fn forget(&mut self, family: SocketAddr) {
        *self.slot(family) = None;
    }

    fn slot(&mut self, family: SocketAddr) -> &mut Option<Endpoint> {
        if family.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

/// An endpoint on a port of its own that only dials.
pub(crate) fn fresh(shared: &Shared, remote: SocketAddr) -> Result<Endpoint, Error> {
    let any = match remote {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    endpoint(shared, bind(any)?, None)
}

/// Binds a UDP socket; an IPv6 one leaves IPv4's port space alone.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Makes a quinn endpoint of a socket.
pub(crate) fn endpoint(
    shared: &Shared,
    socket: UdpSocket,
    server: Option<ServerConfig>,
) -> Result<Endpoint, Error> {
    let config = shared.identity.endpoint(socket.local_addr()?)?;
    Ok(Endpoint::new(config, server, socket, Arc::new(TokioRuntime))?)
}

/// The dial itself; nothing is sent before it is polled.
pub(crate) fn dial(shared: Arc<Shared>, endpoint: Endpoint, remote: SocketAddr) -> Upgrade {
    async move {
        let counters = Arc::new(Counters::new());
        let mut config = ClientConfig::new(shared.identity.client.clone());
        config.transport_config(shared.config.for_connection(&counters));
        let connecting = endpoint.connect_with(config, remote, SERVER_NAME)?;
        shared.finish(connecting, counters).await
    }
    .boxed()
}
