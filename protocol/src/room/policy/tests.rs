//! Which addresses may be dialled, by who gave them.

use super::*;
use crate::address::Carrier;
use crate::address::Kind;

fn at(ip: &str, port: u16) -> Address {
    let host = match ip.parse() {
        Ok(IpAddr::V4(ip)) => Host::V4(ip),
        Ok(IpAddr::V6(ip)) => Host::V6(ip),
        Err(_) => Host::Dns(ip.to_owned()),
    };
    Address { kind: Kind::Member, host, carrier: Carrier::Quic, port, peer: None }
}

fn home() -> DialPolicy {
    let ours = |ip: &str, prefix| (ip.parse().unwrap(), prefix);
    DialPolicy { loopback: false, subnets: vec![ours("192.168.7.20", 24), ours("fd00::1", 64)] }
}

#[test]
fn what_the_user_gave_is_dialled_unless_nobody_is_there() {
    let policy = DialPolicy::default();
    for ip in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "example.org", "::1", "8.8.8.8"] {
        assert_eq!(policy.check(&at(ip, 53), Source::User), Ok(()), "{ip}");
    }
    for ip in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "ff02::1", "::", "::ffff:224.0.0.1"] {
        assert_eq!(policy.check(&at(ip, 5000), Source::User), Err(NotDialled::Nobody), "{ip}");
    }
}

#[test]
fn what_others_told_obeys() {
    use NotDialled::{LinkLocal, Loopback, Name, Nobody, Port, Private};
    for source in [Source::Registration, Source::Roster, Source::Remembered] {
        for (ip, port, expected) in [
            ("8.8.8.8", 5000, Ok(())),
            ("2606:4700::1", 5000, Ok(())),
            ("192.168.7.99", 5000, Ok(())),
            ("fd00::99", 5000, Ok(())),
            ("8.8.8.8", 53, Err(Port)),
            ("127.0.0.1", 5000, Err(Loopback)),
            ("127.9.9.9", 5000, Err(Loopback)),
            ("::1", 5000, Err(Loopback)),
            ("::ffff:127.0.0.1", 5000, Err(Loopback)),
            ("169.254.169.254", 5000, Err(LinkLocal)),
            ("::ffff:169.254.169.254", 5000, Err(LinkLocal)),
            ("fe80::1", 5000, Err(LinkLocal)),
            ("192.168.8.1", 5000, Err(Private)),
            ("10.1.2.3", 5000, Err(Private)),
            ("172.16.0.1", 5000, Err(Private)),
            ("100.64.0.1", 5000, Err(Private)),
            ("0.1.2.3", 5000, Err(Private)),
            ("240.0.0.1", 5000, Err(Private)),
            ("fd01::1", 5000, Err(Private)),
            ("239.1.1.1", 5000, Err(Nobody)),
            ("rebind.example.org", 5000, Err(Name)),
        ] {
            assert_eq!(home().check(&at(ip, port), source), expected, "{ip} {source:?}");
        }
    }
}

#[test]
fn what_was_heard_on_the_link_may_be_local_to_it() {
    for (ip, expected) in [
        ("10.1.2.3", Ok(())),
        ("fe80::1", Ok(())),
        ("127.0.0.1", Err(NotDialled::Loopback)),
        ("224.0.0.1", Err(NotDialled::Nobody)),
    ] {
        assert_eq!(home().check(&at(ip, 5000), Source::Lan), expected, "{ip}");
    }
}

#[test]
fn pictures_need_streams_and_the_lan_is_where_our_subnets_are() {
    let ip = |ip: &str| ip.parse().ok();
    for (host, streams, route) in [
        (ip("192.168.7.99"), true, Route::Lan),
        (ip("192.168.8.99"), true, Route::Direct),
        (None, true, Route::Direct),
        (ip("192.168.7.99"), false, Route::Relayed),
    ] {
        assert_eq!(home().route(host, streams), route, "{host:?}");
    }
}

#[test]
fn loopback_is_ours_where_we_listen_on_it() {
    assert!(DialPolicy::new(&[at("10.0.0.1", 5000), at("::1", 5000)], vec![]).loopback);
    assert!(!DialPolicy::new(&[at("10.0.0.1", 5000)], vec![]).loopback);
}

#[test]
fn loopback_is_allowed_where_we_are_on_it() {
    let policy = DialPolicy { loopback: true, ..home() };
    assert_eq!(policy.check(&at("127.0.0.1", 5000), Source::Roster), Ok(()));
    assert_eq!(policy.check(&at("127.0.0.1", 80), Source::Roster), Err(NotDialled::Port));
}

#[test]
fn a_prefix_of_nothing_makes_nothing_ours() {
    let policy = DialPolicy { loopback: false, subnets: vec![(Ipv4Addr::UNSPECIFIED.into(), 0)] };
    assert_eq!(policy.check(&at("10.1.2.3", 5000), Source::Roster), Err(NotDialled::Private));
    let whole = DialPolicy { loopback: false, subnets: vec![("10.0.0.1".parse().unwrap(), 99)] };
    assert!(
        whole.is_ours("10.0.0.1".parse().unwrap()) && !whole.is_ours("10.0.0.2".parse().unwrap())
    );
}
