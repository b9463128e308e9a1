//! Reads where this machine is: its subnets, and where the node listens. What follows from that is
//! `protocol`'s to decide.

use std::net::IpAddr;

use libp2p::{Multiaddr, Swarm};
use roommate_protocol::address::{Address, Kind};
use roommate_protocol::room::policy::{DialPolicy, SUBNETS_MAX};

use super::address::from_multiaddr;
use super::behaviour::Behaviour;

/// What may be dialled from here.
pub(crate) fn dial_policy(listen: &[Address]) -> DialPolicy {
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
    DialPolicy::new(listen, subnets)
}

/// Where the node listens now.
pub(crate) fn listening(swarm: &Swarm<Behaviour>) -> Vec<Address> {
    swarm.listeners().filter_map(|addr| from_multiaddr(addr, Kind::Member).ok()).collect()
}

/// The IP address that `addr` begins with.
pub(crate) fn host_of(addr: &Multiaddr) -> Option<IpAddr> {
    match addr.iter().next()? {
        libp2p::multiaddr::Protocol::Ip4(ip) => Some(ip.into()),
        libp2p::multiaddr::Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}
