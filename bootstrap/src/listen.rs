//! Opens the listen addresses, and says in a sentence why one cannot be had.

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, Swarm, TransportError};

use crate::config::default_listen;
use crate::error::Error;
use crate::swarm::Behaviour;

/// Begins to listen on `addresses`, or on the default ones where there are none.
pub(crate) fn begin(
    swarm: &mut Swarm<Behaviour>,
    addresses: &[Multiaddr],
) -> Result<Vec<ListenerId>, Error> {
    let told = !addresses.is_empty();
    let addresses = if told { addresses.to_vec() } else { default_listen() };
    // TCP listeners of libp2p share their port with whoever else shares it: ask before, and before
    // the first of them is there.
    for address in &addresses {
        if let Some((host, port)) = tcp(address) {
            let free = probe(SocketAddr::new(host, port));
            free.or_else(|error| judge(address, told, &error))?;
        }
    }
    let mut listeners = Vec::new();
    for address in addresses {
        match swarm.listen_on(address.clone()) {
            Ok(id) => listeners.push(id),
            Err(TransportError::MultiaddrNotSupported(_)) => return Err(Error::Address(address)),
            Err(TransportError::Other(error)) => judge(&address, told, &error)?,
        }
    }
    Ok(listeners)
}

/// A machine without IPv6 is no reason to fail where nobody asked for IPv6.
fn judge(address: &Multiaddr, told: bool, error: &io::Error) -> Result<(), Error> {
    if is_taken(error) {
        return Err(Error::PortTaken(address.clone()));
    }
    if !told && matches!(address.iter().next(), Some(Protocol::Ip6(_))) {
        tracing::info!(%address, %error, "not listening over IPv6");
        return Ok(());
    }
    Err(Error::Listen { address: address.clone(), why: error.to_string() })
}

/// Whether the port is taken. libp2p wraps the system's error in some of its own.
fn is_taken(error: &io::Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        next = match error.downcast_ref::<io::Error>() {
            Some(io) if io.kind() == io::ErrorKind::AddrInUse => return true,
            // The source of a wrapped error is the wrapped one's source: it would be passed over.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    false
}

fn tcp(address: &Multiaddr) -> Option<(IpAddr, u16)> {
    let mut parts = address.iter();
    match (ip(parts.next()?)?, parts.next()?) {
        (host, Protocol::Tcp(port)) => Some((host, port)),
        _ => None,
    }
}

/// The IP address at the head of a multiaddress.
pub(crate) fn ip(head: Protocol<'_>) -> Option<IpAddr> {
    match head {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

#[cfg(unix)]
fn probe(address: SocketAddr) -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket(family, SocketType::STREAM, None)?;
    // As libp2p does, without sharing the port: a server that ended a moment ago is no obstacle.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(bind(&socket, &address)?)
}

#[cfg(not(unix))]
fn probe(_: SocketAddr) -> io::Result<()> {
    Ok(())
}
