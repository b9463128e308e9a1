//! Reads this machine's surroundings for the dial policy, and turns the listen addresses into what
//! is told to others. The rule itself is `protocol`'s.

use std::net::IpAddr;

use libp2p::Multiaddr;
use roommate_protocol::address::{Address, Host, Kind};
use roommate_protocol::room::policy::{DialPolicy, SUBNETS_MAX};
use roommate_protocol::trust::id::PeerId;

use super::address::from_multiaddr;

/// What may be dialled from here: loopback only where something of ours is on it.
pub(crate) fn dial_policy(ours: &[Multiaddr]) -> DialPolicy {
    let is_loopback = |addr: &Multiaddr| host_of(addr).is_some_and(|ip| ip.is_loopback());
    let subnets = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .filter(|interface| !interface.is_loopback())
        .map(|interface| match interface.addr {
            if_addrs::IfAddr::V4(addr) => (IpAddr::V4(addr.ip), addr.prefixlen),
            if_addrs::IfAddr::V6(addr) => (IpAddr::V6(addr.ip), addr.prefixlen),
        })
        .take(SUBNETS_MAX)
        .collect();
    DialPolicy { loopback: ours.iter().any(is_loopback), subnets }
}

/// What is registered for others to dial: every listen address; those on loopback only where the
/// bootstrap is there as well, since they mean another machine anywhere else.
pub(crate) fn reachable_at<'a>(
    listen: impl Iterator<Item = &'a Multiaddr>,
    me: PeerId,
    bootstrap: &Multiaddr,
) -> Vec<Address> {
    let near = host_of(bootstrap).is_some_and(|ip| ip.is_loopback());
    let mut addresses: Vec<Address> = listen
        .filter_map(|addr| from_multiaddr(addr, Kind::Member).ok())
        .filter(|address| match &address.host {
            Host::V4(ip) => near || !ip.is_loopback(),
            Host::V6(ip) => near || !(ip.is_loopback() || ip.is_unicast_link_local()),
            Host::Dns(_) => true,
        })
        // The record names the peer already.
        .map(|address| Address { peer: address.peer.filter(|peer| *peer != me), ..address })
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// What members are told, under our signature: every listen address, loopback only where we listen on
/// nothing else.
pub(crate) fn told_to_members(listen: &[Multiaddr], me: PeerId) -> Vec<Address> {
    let is_loopback = |addr: &&Multiaddr| host_of(addr).is_some_and(|ip| ip.is_loopback());
    let far = !listen.iter().all(|addr| is_loopback(&addr));
    // As towards a bootstrap that is as far away as our farthest address.
    let seen_from = listen.iter().find(|addr| is_loopback(addr) != far);
    seen_from.map_or(Vec::new(), |from| reachable_at(listen.iter(), me, from))
}

/// The IP address that `addr` begins with.
pub(crate) fn host_of(addr: &Multiaddr) -> Option<IpAddr> {
    match addr.iter().next()? {
        libp2p::multiaddr::Protocol::Ip4(ip) => Some(ip.into()),
        libp2p::multiaddr::Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_only_to_a_bootstrap_that_is_there_too() {
        let listen: Vec<Multiaddr> =
            ["/ip4/127.0.0.1/udp/5/quic-v1", "/ip4/10.1.2.3/udp/5/quic-v1"]
                .map(|text| text.parse().unwrap())
                .into();
        let me = PeerId([1; 32]);
        let near: Multiaddr = "/ip4/127.0.0.1/udp/4001/quic-v1".parse().unwrap();
        let far: Multiaddr = "/ip4/31.7.1.2/udp/4001/quic-v1".parse().unwrap();
        assert_eq!(reachable_at(listen.iter(), me, &near).len(), 2);
        let told = reachable_at(listen.iter(), me, &far);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].host, Host::V4([10, 1, 2, 3].into()));
    }
}
