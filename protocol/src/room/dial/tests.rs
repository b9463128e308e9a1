//! When who is dialled, how long is waited after a failure, and when an address is forgotten.

use std::net::Ipv4Addr;

use super::budget::DIALS_PER_MINUTE_MAX;
use super::target::{ADDRESSES_MAX, REMEMBERED};
use super::*;
use crate::address::{Carrier, Host};

const ME: PeerId = PeerId([5; 32]);
const SMALLER: PeerId = PeerId([1; 32]);
const LARGER: PeerId = PeerId([9; 32]);

const THIRD: PeerId = PeerId([11; 32]);

fn numbered(number: u16) -> PeerId {
    let mut peer = LARGER;
    peer.0[..2].copy_from_slice(&number.to_be_bytes());
    peer
}

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
    for (wait, base) in waits.iter().zip([500, 1_000, 2_000, 4_000, 8_000, 12_000, 12_000]) {
        assert!((base * 3 / 4..=base * 5 / 4).contains(wait), "{waits:?}");
    }
    let seven = now;
    assert_eq!(poll(&mut dialler, seven).len(), 1);
    dialler.handle_connected(LARGER);
    dialler.handle_live(LARGER, seven);
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

/// Many dials of `peers` that nobody answers.
fn fail(dialler: &mut Dialler, peers: &[PeerId], now: Mono) {
    for _ in 0..100 {
        peers.iter().for_each(|peer| dialler.handle_failed(Some(*peer), now));
    }
}

#[test]
fn failures_alone_make_nobody_forgotten_but_what_was_told_may_be_taken_back() {
    let mut dialler = dialler(&[address(1, Some(SMALLER))]);
    for (peer, source) in [(LARGER, Source::Registration), (THIRD, Source::Roster)] {
        dialler.handle_found(peer, &[address(5_000, None)], source, at(0));
    }
    fail(&mut dialler, &[SMALLER, LARGER, THIRD], at(1));
    poll(&mut dialler, at(240_000));
    assert_eq!(dialler.known(), [SMALLER, LARGER, THIRD].into());
    for peer in [SMALLER, LARGER] {
        dialler.handle_unregistered(peer);
    }
    poll(&mut dialler, at(240_000));
    assert_eq!(dialler.known(), [SMALLER, THIRD].into(), "the user's stays");
}

#[test]
fn what_a_bootstrap_took_back_stays_while_the_roster_knows_it_or_a_dial_is_under_way() {
    let mut dialler = dialler(&[]);
    dialler.handle_found(LARGER, &[address(5_000, None)], Source::Registration, at(0));
    dialler.handle_unregistered(LARGER);
    assert_eq!(poll(&mut dialler, at(0)).len(), 1);
    dialler.handle_failed(Some(LARGER), at(1));
    dialler.poll(at(1), true, |_| true, |_| true);
    assert_eq!(dialler.known(), [LARGER].into(), "the roster knows it");
    dialler.handle_found(LARGER, &[address(5_000, None)], Source::Registration, at(1));
    poll(&mut dialler, at(1));
    assert_eq!(dialler.known(), [LARGER].into(), "it is back");
    dialler.handle_unregistered(LARGER);
    poll(&mut dialler, at(1));
    assert!(dialler.known().is_empty());
}

#[test]
fn whoever_said_goodbye_is_not_dialled_and_whom_nobody_expects_only_for_a_while() {
    let mut dialler = dialler(&[]);
    let peers = [(SMALLER, Source::Roster), (LARGER, Source::Registration), (THIRD, Source::Lan)];
    for (peer, source) in peers {
        dialler.handle_found(peer, &[address(5_000, None)], source, at(0));
    }
    dialler.handle_left(SMALLER);
    dialler.handle_left(THIRD);
    assert_eq!(dialler.known(), [LARGER, THIRD].into(), "mDNS may not say it twice");
    dialler.handle_found(SMALLER, &[address(5_000, None)], Source::Roster, at(0));
    fail(&mut dialler, &[SMALLER, LARGER, THIRD], at(0));
    poll(&mut dialler, at(0) + REMEMBERED - Duration::from_secs(1));
    assert_eq!(dialler.known(), [SMALLER, LARGER, THIRD].into());
    poll(&mut dialler, at(0) + REMEMBERED);
    assert_eq!(dialler.known(), [LARGER].into(), "a bootstrap still holds it");
}

#[test]
fn news_cut_a_back_off_short_once_a_minute() {
    let mut dialler = dialler(&[]);
    let mut dials = 0;
    for second in 0..600_u16 {
        let now = at(u64::from(second) * 1_000);
        let moved = [address(5_000 + second, None)];
        dialler.handle_found(LARGER, &moved, Source::Registration, now);
        dialler.handle_joined(LARGER, now);
        if !poll(&mut dialler, now).is_empty() {
            dials += 1;
            dialler.handle_failed(Some(LARGER), now);
        }
    }
    // In each minute five at the cap, and five more while the wait doubles from its start.
    assert!((50..=100).contains(&dials), "{dials}");
    fail(&mut dialler, &[LARGER], at(600_000));
    assert_eq!(poll(&mut dialler, at(601_000)), []);
    dialler.handle_joined(LARGER, at(700_000));
    assert_eq!(
        dialled(&poll(&mut dialler, at(700_000))),
        [Some(LARGER)],
        "it is back in the roster"
    );
    dialler.handle_failed(Some(LARGER), at(700_000));
    dialler.penalise(LARGER, at(700_000));
    dialler.handle_found(LARGER, &[address(1_999, None)], Source::Roster, at(758_000));
    assert_eq!(poll(&mut dialler, at(759_000)), [], "no news shorten a penalty");
}

#[test]
fn a_large_room_tries_those_who_failed_often_a_few_at_a_time_by_turns() {
    let mut dialler = dialler(&[]);
    let peers: Vec<PeerId> = (0..20).map(numbered).collect();
    for peer in &peers {
        dialler.handle_found(*peer, &[address(5_000, None)], Source::Registration, at(0));
    }
    fail(&mut dialler, &peers[..12], at(0));
    let hopeful: Vec<PeerId> = dialler.hopeful().into_keys().collect();
    assert_eq!(hopeful, peers[12..]);
    let mut tried = BTreeSet::new();
    for second in 20..60 {
        let wanted: BTreeSet<PeerId> = dialler.unlucky().collect();
        assert_eq!(wanted.len(), UNLUCKY_TRIED);
        let now = at(second * 1_000);
        for peer in dialled(&dialler.poll(now, false, |peer| wanted.contains(peer), |_| false)) {
            tried.extend(peer);
            dialler.handle_failed(peer, now);
        }
    }
    assert_eq!(tried.into_iter().collect::<Vec<_>>(), peers[..12], "each has its turn");
}

#[test]
fn addresses_are_judged_where_we_are_when_they_are_dialled() {
    let local = Address { host: Host::V4(Ipv4Addr::LOCALHOST), ..address(5_000, None) };
    let mut dialler = dialler(&[]);
    dialler.handle_found(LARGER, std::slice::from_ref(&local), Source::Roster, at(0));
    assert_eq!(poll(&mut dialler, at(0)), []);
    assert_eq!(dialler.poll_timeout(true, |_| true), None, "nothing to wait for");
    let here = DialPolicy { loopback: true, subnets: vec![] };
    dialler.set_policy(here, at(1));
    let dial = Output::Dial { peer: Some(LARGER), addresses: vec![local] };
    assert_eq!(poll(&mut dialler, at(1)), [dial]);
    fail(&mut dialler, &[LARGER], at(2));
    dialler.set_policy(DialPolicy::default(), at(2));
    assert_eq!(poll(&mut dialler, at(99_000)), []);
    dialler.set_policy(DialPolicy { loopback: true, subnets: vec![] }, at(99_000));
    assert_eq!(poll(&mut dialler, at(99_000)).len(), 1, "without the old back-off");
}

#[test]
fn a_flood_of_addresses_makes_no_flood_of_dials_and_what_the_user_named_goes_first() {
    let mut dialler = dialler(&[address(1, Some(LARGER)), address(2, None)]);
    for number in 0..400 {
        let found = [address(5_000, None)];
        dialler.handle_found(numbered(number), &found, Source::Registration, at(0));
    }
    let (mut dials, mut users) = (0, 0);
    for second in 0..60 {
        let begun = dialled(&poll(&mut dialler, at(second * 1_000)));
        for peer in begun {
            dials += 1;
            users += u32::from(peer.is_none_or(|peer| peer == LARGER));
            dialler.handle_failed(peer, at(second * 1_000));
        }
    }
    assert!((200..=2 * DIALS_PER_MINUTE_MAX).contains(&dials), "{dials}");
    assert!(users >= 12, "{users}");
}

#[test]
fn the_address_book_is_bounded_and_keeps_what_the_user_gave() {
    let mut dialler = dialler(&[address(1, Some(LARGER))]);
    let many: Vec<Address> = (2_000..2_100).map(|port| address(port, None)).collect();
    dialler.handle_found(LARGER, &many, Source::Registration, at(0));
    let target = &dialler.targets[&LARGER];
    assert_eq!(target.addresses.len(), ADDRESSES_MAX);
    assert!(target.is_users());
    for number in 0..2_000 {
        dialler.handle_found(numbered(number), &many[..1], Source::Registration, at(0));
    }
    assert_eq!(dialler.targets.len(), TARGETS_MAX);
    let late = numbered(5_000);
    dialler.handle_found(late, &many[..1], Source::Registration, at(0));
    assert!(!dialler.known().contains(&late), "nobody has failed yet");
    fail(&mut dialler, &[LARGER, numbered(7)], at(0));
    dialler.handle_found(late, &many[..1], Source::Registration, at(0));
    assert!(dialler.known().contains(&late));
    assert!(dialler.known().contains(&LARGER), "the user's stays");
    assert!(!dialler.known().contains(&numbered(7)), "whoever failed most gives way");
    assert_eq!(dialler.targets.len(), TARGETS_MAX);
}

#[test]
fn nobody_dials_himself_or_an_address_that_names_another() {
    let mut dialler = dialler(&[]);
    dialler.handle_found(ME, &[address(5_000, None)], Source::Lan, at(0));
    dialler.handle_found(LARGER, &[address(5_000, Some(SMALLER))], Source::Lan, at(0));
    assert_eq!(poll(&mut dialler, at(0)), []);
}
