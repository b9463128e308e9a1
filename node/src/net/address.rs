//! Between the compact addresses of invites and libp2p's multiaddresses. Never dials.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId as Libp2pPeerId};
use roommate_protocol::address::{Address, Carrier, Host, Kind, dns_name_is_sound};
use roommate_protocol::trust::id::PeerId;

/// Why a multiaddress is none that Roommate dials or listens on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no address for Roommate: write /ip4/A/udp/PORT/quic-v1 or /ip4/A/tcp/PORT, with \
     /p2p/PEER behind it where a peer is meant"
)]
pub struct UnknownForm(pub Multiaddr);

/// The compact form of `addr`.
///
/// # Errors
/// [`UnknownForm`] for anything but an IP address or DNS name with QUIC or TCP and an optional
/// Ed25519 peer.
pub fn from_multiaddr(addr: &Multiaddr, kind: Kind) -> Result<Address, UnknownForm> {
    parse(addr, kind).ok_or_else(|| UnknownForm(addr.clone()))
}

fn parse(addr: &Multiaddr, kind: Kind) -> Option<Address> {
    let mut parts = addr.iter();
    let host = match parts.next()? {
        Protocol::Ip4(ip) => Host::V4(ip),
        Protocol::Ip6(ip) => Host::V6(ip),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
            let name = name.to_ascii_lowercase();
            if !dns_name_is_sound(name.as_bytes()) {
                return None;
            }
            Host::Dns(name)
        }
        _ => return None,
    };
    let (carrier, port) = match parts.next()? {
        Protocol::Udp(port) if parts.next()? == Protocol::QuicV1 => (Carrier::Quic, port),
        Protocol::Tcp(port) => (Carrier::Tcp, port),
        _ => return None,
    };
    let peer = match parts.next() {
        Some(Protocol::P2p(peer)) => Some(from_libp2p(&peer)?),
        Some(_) => return None,
        None => None,
    };
    (parts.next().is_none() && port != 0).then_some(Address { kind, host, carrier, port, peer })
}

/// The multiaddress of `address`, with `/p2p/…` where the peer is known.
pub fn to_multiaddr(address: &Address) -> Multiaddr {
    let mut addr = Multiaddr::empty();
    addr.push(match &address.host {
        Host::V4(ip) => Protocol::Ip4(*ip),
        Host::V6(ip) => Protocol::Ip6(*ip),
        Host::Dns(name) => Protocol::Dns(name.clone().into()),
    });
    match address.carrier {
        Carrier::Quic => {
            addr.push(Protocol::Udp(address.port));
            addr.push(Protocol::QuicV1);
        }
        Carrier::Tcp => addr.push(Protocol::Tcp(address.port)),
    }
    if let Some(peer) = address.peer {
        addr.push(Protocol::P2p(to_libp2p(&peer)));
    }
    addr
}

/// Our name of a libp2p peer; `None` if its key is not Ed25519.
pub fn from_libp2p(peer: &Libp2pPeerId) -> Option<PeerId> {
    PeerId::from_libp2p_bytes(&peer.to_bytes())
}

/// libp2p's name of a peer.
pub fn to_libp2p(peer: &PeerId) -> Libp2pPeerId {
    Libp2pPeerId::from_bytes(&peer.to_libp2p_bytes())
        .expect("38 bytes of an identity multihash are a PeerId")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_the_same_after_both_ways() {
        let peer = PeerId([5; 32]);
        for text in [
            "/ip4/127.0.0.1/udp/4001/quic-v1".to_owned(),
            format!("/ip4/31.7.1.2/udp/4001/quic-v1/p2p/{peer}"),
            format!("/ip6/::1/tcp/4001/p2p/{peer}"),
            "/dns/boot.example.org/udp/443/quic-v1".to_owned(),
        ] {
            let addr: Multiaddr = text.parse().unwrap();
            let address = from_multiaddr(&addr, Kind::Bootstrap).unwrap();
            assert_eq!(to_multiaddr(&address), addr, "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused_with_the_form_that_is_meant() {
        for text in ["/ip4/1.2.3.4/udp/4001", "/ip4/1.2.3.4/tcp/80/ws", "/ip4/1.2.3.4/tcp/0"] {
            let addr: Multiaddr = text.parse().unwrap();
            let said = from_multiaddr(&addr, Kind::Member).unwrap_err().to_string();
            assert!(said.contains("quic-v1") && said.contains(text), "{said}");
        }
    }
}
