//! Multiaddresses and socket addresses of QUIC version 1.

use std::net::{IpAddr, SocketAddr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// The socket address of `/ip4|ip6/…/udp/…/quic-v1[/p2p/…]`; `None` for anything else, so also
/// for DNS names, relay circuits and protocols on top of QUIC.
pub(crate) fn to_socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    let Protocol::Udp(port) = parts.next()? else { return None };
    let Protocol::QuicV1 = parts.next()? else { return None };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// `/ip4|ip6/…/udp/…/quic-v1`.
pub(crate) fn to_multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::empty()
        .with(address.ip().into())
        .with(Protocol::Udp(address.port()))
        .with(Protocol::QuicV1)
}

/// Whether the last hop to the peer is QUIC itself: not a relay circuit over QUIC, not TCP.
pub(crate) fn is_direct_quic(address: &Multiaddr) -> bool {
    let mut quic = false;
    for part in address.iter() {
        match part {
            Protocol::QuicV1 => quic = true,
            Protocol::P2pCircuit => return false,
            _ => {}
        }
    }
    quic
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";

    #[test]
    fn quic_addresses_map_both_ways() {
        for text in ["/ip4/127.0.0.1/udp/4001/quic-v1", "/ip6/::1/udp/9/quic-v1"] {
            let address: Multiaddr = text.parse().unwrap();
            assert_eq!(to_multiaddr(to_socket(&address).unwrap()), address);
        }
        let with_peer: Multiaddr =
            format!("/ip4/10.0.0.1/udp/1/quic-v1/p2p/{PEER}").parse().unwrap();
        assert_eq!(to_socket(&with_peer), Some("10.0.0.1:1".parse().unwrap()));
        assert!(is_direct_quic(&with_peer));
    }

    #[test]
    fn other_addresses_do_not_map() {
        for text in [
            "/ip4/127.0.0.1/udp/4001/quic",
            "/ip4/127.0.0.1/tcp/4001",
            "/dns4/example.com/udp/4001/quic-v1",
            "/ip4/127.0.0.1/udp/4001/quic-v1/webtransport",
            "/ip4/127.0.0.1/udp/4001",
            "/ip4/127.0.0.1",
            "",
        ] {
            assert_eq!(to_socket(&text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn a_circuit_over_quic_is_neither_dialled_nor_direct() {
        let circuit: Multiaddr =
            format!("/ip4/127.0.0.1/udp/1/quic-v1/p2p/{PEER}/p2p-circuit").parse().unwrap();
        assert_eq!(to_socket(&circuit), None);
        assert!(!is_direct_quic(&circuit));
        assert!(!is_direct_quic(&"/ip4/127.0.0.1/tcp/1".parse().unwrap()));
        assert!(is_direct_quic(&"/dns4/example.com/udp/1/quic-v1".parse().unwrap()));
    }
}
