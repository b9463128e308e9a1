//! Which of our own addresses are told to whom. A pure rule: loopback means another machine anywhere
//! else, and a link-local address another link. Never more than it is given.

use crate::address::{Address, Host};
use crate::trust::id::PeerId;

/// What a bootstrap is told of `listen`, where this node (`me`) listens: everything, where the bootstrap
/// is on this machine's loopback itself, else what means the same from elsewhere. In order, each once.
pub fn told_to_bootstrap(listen: &[Address], me: PeerId, bootstrap: &Address) -> Vec<Address> {
    told(listen, me, bootstrap.host.is_loopback())
}

/// What members are told, under our signature: loopback only where we listen on nothing else.
pub fn told_to_members(listen: &[Address], me: PeerId) -> Vec<Address> {
    told(listen, me, listen.iter().all(|address| address.host.is_loopback()))
}

/// `near`: to somebody on this machine.
fn told(listen: &[Address], me: PeerId, near: bool) -> Vec<Address> {
    let means_us = |address: &&Address| match &address.host {
        _ if near => true,
        Host::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        host => !host.is_loopback(),
    };
    // Who is meant is told beside the addresses.
    let plain = |address: &Address| {
        let peer = address.peer.filter(|peer| *peer != me);
        Address { peer, ..address.clone() }
    };
    let mut addresses: Vec<Address> = listen.iter().filter(means_us).map(plain).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Carrier, Kind};

    const ME: PeerId = PeerId([1; 32]);

    fn at(ip: &str) -> Address {
        let host = match ip.parse() {
            Ok(std::net::IpAddr::V4(ip)) => Host::V4(ip),
            Ok(std::net::IpAddr::V6(ip)) => Host::V6(ip),
            Err(_) => Host::Dns(ip.to_owned()),
        };
        Address { kind: Kind::Member, host, carrier: Carrier::Quic, port: 5, peer: None }
    }

    #[test]
    fn loopback_is_told_only_to_a_bootstrap_that_is_there_too() {
        let listen = ["127.0.0.1", "10.1.2.3", "::1", "fe80::1", "2001:db8::1"].map(at);
        for near in ["127.0.0.1", "::1"] {
            assert_eq!(told_to_bootstrap(&listen, ME, &at(near)).len(), 5, "{near}");
        }
        for far in ["31.7.1.2", "boot.example.org"] {
            let told = told_to_bootstrap(&listen, ME, &at(far));
            assert_eq!(told, ["10.1.2.3", "2001:db8::1"].map(at), "{far}");
        }
    }

    #[test]
    fn members_are_told_loopback_where_we_listen_on_nothing_else() {
        assert_eq!(told_to_members(&["127.0.0.1", "10.1.2.3"].map(at), ME), [at("10.1.2.3")]);
        assert_eq!(told_to_members(&[at("127.0.0.1")], ME), [at("127.0.0.1")]);
        assert_eq!(told_to_members(&[], ME), []);
    }

    #[test]
    fn each_is_told_once_and_without_our_own_name() {
        let named = Address { peer: Some(ME), ..at("10.1.2.3") };
        let told = told_to_members(&[named, at("10.1.2.3")], ME);
        assert_eq!(told, [at("10.1.2.3")]);
    }
}
