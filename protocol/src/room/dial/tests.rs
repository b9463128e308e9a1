//! When who is dialled, how long is waited after a failure, and when an address is forgotten.

use std::net::Ipv4Addr;

use super::*;
use crate::address::{Carrier, Host};

const ME: PeerId = PeerId([5; 32]);
const SMALLER: PeerId = PeerId([1; 32]);
const LARGER: PeerId = PeerId([9; 32]);

fn at(ms: u64) -> Mono {
    Mono::from_micros(ms * 1_000)
}

fn address(port: u16, peer: Option<PeerId>) -> Address {
    let host = Host::V4(Ipv4Addr::new(8, 8, 8, 8));
    Address { kind: Kind::Member, host, carrier: Carrier::Quic, port, peer }
}

fn dialler(hints: &[Address]) -> Dialler {
    Dialler::new(ME, DialPolicy::default(), hints, [7; 32])
}

fn poll(dialler: &mut Dialler, now: Mono) -> Vec<Output> {
    dialler.poll(now, true, |_| true, |_| false)
}

fn dialled(output: &[Output]) -> Vec<Option<PeerId>> {
    let peer = |output: &Output| match output {
        Output::Dial { peer, .. } => *peer,
        other => panic!("{other:?}"),
    };
    output.iter().map(peer).collect()
}

#[test]
fn the_links_members_are_dialled_at_once_and_its_bootstraps_are_not() {
    let bootstrap = Address { kind: Kind::Bootstrap, ..address(4, None) };
    let hints = [address(1, Some(SMALLER)), address(2, None), address(3, None), bootstrap];
    let mut dialler = dialler(&hints);
    let dials = poll(&mut dialler, at(0));
    assert_eq!(dialled(&dials), [Some(SMALLER), None]);
    let Output::Dial { addresses, .. } = &dials[1] else { panic!() };
    assert_eq!(addresses, &[address(3, None), address(2, None)]);
    assert_eq!(poll(&mut dialler, at(1)), [], "once");
}

#[test]
fn of_two_that_find_each_other_the_larger_waits_a_moment() {
    let mut dialler = dialler(&[]);
    for peer in [SMALLER, LARGER] {
        dialler.handle_found(peer, &[address(5_000, None)], Source::Registration, at(0));
    }
    assert_eq!(dialled(&poll(&mut dialler, at(0))), [Some(LARGER)]);
    assert_eq!(poll(&mut dialler, at(249)), []);
    assert_eq!(dialled(&poll(&mut dialler, at(250))), [Some(SMALLER)]);
}

#[test]
fn failures_wait_longer_each_time_and_a_success_or_news_ends_that() {
    let mut dialler = dialler(&[]);
    dialler.handle_found(LARGER, &[address(5_000, None)], Source::Lan, at(0));
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert_eq!(poll(&mut dialler, now).len(), 1);
        dialler.handle_failed(Some(LARGER), now);
        let (due, _) = dialler.poll_timeout(false, |_| true).unwrap();
        waits.push(due.since(now).as_millis() as u64);
        now = due;
    }
    for (wait, base) in waits.iter().zip([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000]) {
        assert!((base * 3 / 4..=base * 5 / 4).contains(wait), "{waits:?}");
    }
    let seven = now;
    assert_eq!(poll(&mut dialler, seven).len(), 1);
    dialler.handle_connected(LARGER);
    dialler.handle_live(LARGER);
    dialler.hurry(LARGER, seven);
    assert_eq!(poll(&mut dialler, seven).len(), 1);
    dialler.handle_failed(Some(LARGER), seven);
    dialler.handle_found(LARGER, &[address(5_001, None)], Source::Lan, seven);
    assert_eq!(poll(&mut dialler, seven).len(), 1, "a new address is a new chance");
}

#[test]
fn a_dial_that_is_never_answered_has_failed_after_a_while() {
    let mut dialler = dialler(&[address(1, None)]);
    assert_eq!(poll(&mut dialler, at(0)).len(), 1);
    assert_eq!(poll(&mut dialler, at(14_999)), []);
    assert_eq!(poll(&mut dialler, at(15_000)), []);
    assert_eq!(poll(&mut dialler, at(16_000)).len(), 1);
}

#[test]
fn whoever_is_never_reached_is_forgotten_unless_the_user_named_it() {
    let mut dialler = dialler(&[address(1, Some(SMALLER))]);
    dialler.handle_found(LARGER, &[address(5_000, None)], Source::Registration, at(0));
    for _ in 0..FAILURES_MAX {
        for peer in [SMALLER, LARGER] {
            dialler.handle_failed(Some(peer), at(0));
        }
    }
    poll(&mut dialler, at(0));
    assert_eq!(dialler.known().into_keys().collect::<Vec<_>>(), [SMALLER]);
}

#[test]
fn the_address_book_is_bounded_and_keeps_what_the_user_gave() {
    let mut dialler = dialler(&[address(1, Some(LARGER))]);
    let many: Vec<Address> = (2_000..2_100).map(|port| address(port, None)).collect();
    dialler.handle_found(LARGER, &many, Source::Registration, at(0));
    let target = &dialler.targets[&LARGER];
    assert_eq!(target.addresses.len(), ADDRESSES_MAX);
    assert!(target.is_users());
    for number in 0..2_000_u16 {
        let mut peer = LARGER;
        peer.0[..2].copy_from_slice(&number.to_be_bytes());
        dialler.handle_found(peer, &many[..1], Source::Registration, at(0));
    }
    assert_eq!(dialler.targets.len(), TARGETS_MAX);
}

#[test]
fn nobody_dials_himself_or_an_address_that_names_another() {
    let mut dialler = dialler(&[]);
    dialler.handle_found(ME, &[address(5_000, None)], Source::Lan, at(0));
    dialler.handle_found(LARGER, &[address(5_000, Some(SMALLER))], Source::Lan, at(0));
    assert_eq!(poll(&mut dialler, at(0)), []);
}
