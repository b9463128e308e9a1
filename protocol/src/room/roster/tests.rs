//! The *gone* rule, case by case.

use ed25519_dalek::SigningKey;

use super::places::HEARSAY_MAX;
use super::*;
use crate::trust::id::RoomPk;
use crate::trust::ticket::TicketChain;

const ME: PeerId = PeerId([0; 32]);
const FIRST: Incarnation = Incarnation { counter: 1, nonce: 1 };

fn peer(n: u8) -> PeerId {
    PeerId([n; 32])
}

fn at(secs: u64) -> Now {
    let wall = Wall::from_secs(1_780_000_000 + secs as i64);
    Now { mono: Mono::from_micros(secs * 1_000_000), wall }
}

fn grant() -> Grant {
    let key = SigningKey::from_bytes(&[1; 32]);
    let chain = TicketChain::for_creator(&key, peer(9), [0; 32], at(0).wall, &[2; 32]);
    chain.verify(&RoomPk(key.verifying_key().to_bytes()), &peer(9), at(0).wall).unwrap()
}

fn entry(version: u32, now: Now, neighbours: &[PeerId]) -> RosterEntry {
    RosterEntry {
        incarnation: FIRST,
        version,
        wall: now.wall,
        chain: vec![],
        name: String::new(),
        addresses: vec![],
        neighbours: neighbours.iter().map(|peer| ShortId::of(peer, FIRST)).collect(),
    }
}

fn put(roster: &mut Roster, who: PeerId, version: u32, now: Now, neighbours: &[PeerId]) -> Taken {
    let entry = entry(version, now, neighbours);
    let signed = Signed(vec![who.0[0], version as u8]);
    roster.handle_entry(who, entry, (grant(), signed), by(who), now)
}

/// Told by itself.
fn by(from: PeerId) -> Brought<'static> {
    Brought { from, linked: &|_| false }
}

fn bye(roster: &mut Roster, who: PeerId, from: PeerId, secs: u64) -> bool {
    let signed = Signed(vec![who.0[0]]);
    roster.handle_goodbye(who, FIRST, signed, by(from), at(secs).mono)
}

fn lose(roster: &mut Roster, reporter: PeerId, subject: PeerId, version: u32) -> bool {
    let signed = Signed(vec![reporter.0[0], subject.0[0], version as u8]);
    roster.handle_lost(reporter, LostNote { subject, incarnation: FIRST, version }, signed)
}

fn gone(roster: &mut Roster, linked: &[PeerId], now: Now) -> Vec<(PeerId, LeftWhy)> {
    let linked: BTreeSet<PeerId> = linked.iter().copied().collect();
    roster.poll_gone(&Streams { answering: linked.clone(), linked }, now)
}

/// Members 1, 2 and 3 in a full mesh with us, at second 0.
fn mesh() -> Roster {
    let mut roster = Roster::new(ME, FIRST);
    for n in 1..=3 {
        let others: Vec<_> = (1..=3).filter(|m| *m != n).map(peer).chain([ME]).collect();
        assert_eq!(put(&mut roster, peer(n), 1, at(0), &others), Taken::Joined);
    }
    roster
}

#[test]
fn every_neighbour_must_say_it() {
    let mut roster = mesh();
    let linked = [peer(1), peer(2)];
    assert!(lose(&mut roster, ME, peer(3), 1));
    assert_eq!(gone(&mut roster, &linked, at(1)), []);
    assert!(lose(&mut roster, peer(1), peer(3), 1));
    assert_eq!(gone(&mut roster, &linked, at(1)), []);
    assert!(lose(&mut roster, peer(2), peer(3), 1));
    assert!(!lose(&mut roster, peer(2), peer(3), 1), "each claim is news once");
    assert_eq!(gone(&mut roster, &linked, at(1)), [(peer(3), LeftWhy::Lost)]);
}

#[test]
fn a_neighbour_who_has_left_need_not_say_it() {
    let mut roster = mesh();
    lose(&mut roster, ME, peer(3), 1);
    lose(&mut roster, peer(1), peer(3), 1);
    assert!(bye(&mut roster, peer(2), peer(1), 1));
    assert_eq!(gone(&mut roster, &[peer(1)], at(1)), [(peer(3), LeftWhy::Lost)]);
}

#[test]
fn a_higher_version_refutes_and_a_claim_about_a_later_version_waits_for_it() {
    let mut roster = mesh();
    let linked = [peer(1), peer(2)];
    for reporter in [ME, peer(1)] {
        lose(&mut roster, reporter, peer(3), 1);
    }
    let others = [ME, peer(1), peer(2)];
    assert_eq!(put(&mut roster, peer(3), 2, at(2), &others), Taken::Renewed);
    lose(&mut roster, peer(2), peer(3), 2);
    assert_eq!(gone(&mut roster, &linked, at(3)), []);
    assert!(!lose(&mut roster, peer(1), peer(3), 1), "refuted already");
    // Said of version 3 before version 3 has come here: it counts now, and then.
    lose(&mut roster, peer(1), peer(3), 3);
    lose(&mut roster, peer(2), peer(3), 3);
    put(&mut roster, peer(3), 3, at(4), &others);
    lose(&mut roster, ME, peer(3), 3);
    assert_eq!(gone(&mut roster, &linked, at(4)), [(peer(3), LeftWhy::Lost)]);
}

#[test]
fn whoever_is_linked_to_us_is_not_gone_whatever_others_say() {
    let mut roster = mesh();
    for reporter in [peer(1), peer(2)] {
        lose(&mut roster, reporter, peer(3), 1);
    }
    let linked = [peer(1), peer(2), peer(3)];
    assert_eq!(gone(&mut roster, &linked, at(20)), []);
}

#[test]
fn ten_seconds_without_a_reachable_neighbour_mean_gone_and_one_in_reach_does_not() {
    let mut roster = Roster::new(ME, FIRST);
    put(&mut roster, peer(1), 1, at(0), &[ME]);
    put(&mut roster, peer(2), 1, at(0), &[peer(3)]);
    put(&mut roster, peer(3), 1, at(0), &[peer(2)]);
    let linked = [peer(1)];
    assert_eq!(gone(&mut roster, &linked, at(0)), []);
    let times = roster.poll_timeout(&linked.into(), at(0)).unwrap();
    assert_eq!(times.0, at(10).mono);
    assert_eq!(gone(&mut roster, &linked, at(9)), []);
    // At second 9 the first member finds the second: both are in reach, the clock starts anew.
    put(&mut roster, peer(1), 2, at(9), &[ME, peer(2)]);
    assert_eq!(gone(&mut roster, &linked, at(10)), []);
    assert_eq!(gone(&mut roster, &linked, at(100)), []);
    put(&mut roster, peer(1), 3, at(100), &[ME]);
    assert_eq!(gone(&mut roster, &linked, at(100)), []);
    let both = [(peer(2), LeftWhy::Lost), (peer(3), LeftWhy::Lost)];
    assert_eq!(gone(&mut roster, &linked, at(110)), both);
}

#[test]
fn with_no_neighbour_left_ten_seconds_are_waited() {
    let mut roster = Roster::new(ME, FIRST);
    put(&mut roster, peer(1), 1, at(0), &[]);
    put(&mut roster, peer(2), 1, at(0), &[peer(7)]);
    assert_eq!(gone(&mut roster, &[], at(1)), []);
    assert_eq!(gone(&mut roster, &[], at(10)), []);
    assert_eq!(gone(&mut roster, &[], at(11)).len(), 2);
}

#[test]
fn an_entry_fades_after_five_minutes_and_its_wall_time_may_be_two_off() {
    let mut roster = Roster::new(ME, FIRST);
    put(&mut roster, peer(1), 1, at(0), &[]);
    for (signed, taken) in [(479, true), (581, true), (621, true), (622, false)] {
        let mut fresh = Roster::new(ME, FIRST);
        let entry = entry(1, at(signed), &[]);
        let what =
            fresh.handle_entry(peer(2), entry, (grant(), Signed(vec![])), by(peer(2)), at(501));
        assert_eq!(what == Taken::Joined, taken, "{signed}");
    }
    put(&mut roster, peer(3), 1, at(0), &[peer(1)]);
    let linked = [peer(1)];
    put(&mut roster, peer(1), 2, at(200), &[peer(3)]);
    assert_eq!(gone(&mut roster, &linked, at(299)), []);
    assert_eq!(gone(&mut roster, &linked, at(300)), [(peer(3), LeftWhy::Faded)]);
}

#[test]
fn after_a_goodbye_only_a_new_start_counts() {
    let mut roster = mesh();
    assert!(bye(&mut roster, peer(3), peer(1), 5));
    assert!(!bye(&mut roster, peer(3), peer(1), 5));
    assert_eq!(put(&mut roster, peer(3), 99, at(6), &[]), Taken::Stale);
    assert_eq!(roster.goodbyes().count(), 1);
    let newer =
        RosterEntry { incarnation: Incarnation { counter: 2, nonce: 0 }, ..entry(1, at(6), &[]) };
    assert_eq!(
        roster.handle_entry(peer(3), newer, (grant(), Signed(vec![])), by(peer(3)), at(6)),
        Taken::Joined
    );
    assert!(!bye(&mut roster, peer(3), peer(1), 7), "an old goodbye");
}

#[test]
fn whoever_was_lost_must_say_a_higher_version() {
    let mut roster = mesh();
    for reporter in [ME, peer(1), peer(2)] {
        lose(&mut roster, reporter, peer(3), 1);
    }
    gone(&mut roster, &[peer(1), peer(2)], at(1));
    assert_eq!(put(&mut roster, peer(3), 1, at(2), &[]), Taken::HeldForLost(1));
    assert_eq!(put(&mut roster, peer(3), 2, at(2), &[]), Taken::Joined);
}

#[test]
fn strangers_claims_do_not_count_and_do_not_fill_the_table() {
    let mut roster = mesh();
    assert!(!lose(&mut roster, peer(77), peer(3), 1), "no member");
    for n in 100..200 {
        put(&mut roster, peer(n), 1, at(0), &[]);
        lose(&mut roster, peer(n), peer(3), 1);
    }
    assert_eq!(roster.members[&peer(3)].claims.len(), CLAIMS_MAX);
    for reporter in [ME, peer(1), peer(2)] {
        assert!(lose(&mut roster, reporter, peer(3), 1), "a neighbour's claim finds a place");
    }
    assert_eq!(roster.members[&peer(3)].claims.len(), CLAIMS_MAX);
}

fn numbered(n: u16) -> PeerId {
    let mut peer = peer(0xAB);
    peer.0[..2].copy_from_slice(&n.to_be_bytes());
    peer
}

/// `from` tells of somebody; `linked` are those to whom we hold a stream, besides.
fn tell(roster: &mut Roster, who: PeerId, from: PeerId, linked: &[PeerId], secs: u64) -> Taken {
    let linked = |peer: &PeerId| *peer == from || linked.contains(peer);
    let signed = Signed(vec![who.0[0]]);
    let brought = Brought { from, linked: &linked };
    roster.handle_entry(who, entry(1, at(secs), &[]), (grant(), signed), brought, at(secs))
}

#[test]
fn one_neighbour_fills_only_its_share_and_others_still_find_a_place() {
    let mut roster = mesh();
    for n in 0..1_000 {
        let taken = tell(&mut roster, numbered(n), peer(1), &[peer(2)], 1);
        let expected = if usize::from(n) < HEARSAY_MAX { Taken::Joined } else { Taken::Full };
        assert_eq!(taken, expected, "{n}");
    }
    assert_eq!(tell(&mut roster, numbered(2_000), peer(2), &[peer(1)], 2), Taken::Joined);
    // Whoever of them comes to us itself counts for itself.
    assert_eq!(put(&mut roster, numbered(0), 2, at(3), &[]), Taken::Renewed);
    assert_eq!(tell(&mut roster, numbered(2_001), peer(1), &[], 3), Taken::Joined);
    assert_eq!(tell(&mut roster, numbered(2_002), peer(1), &[], 3), Taken::Full);
}

#[test]
fn whoever_is_linked_takes_the_place_of_the_newest_who_is_not() {
    let mut roster = mesh();
    let linked = [peer(1), peer(2), peer(3)];
    for n in 0..MEMBERS_MAX as u16 - 3 {
        // Several neighbours fill the table together.
        let from = linked[usize::from(n) % 3];
        let via = numbered(10_000 + n / HEARSAY_MAX as u16);
        assert_eq!(tell(&mut roster, numbered(n), via, &[from], 1 + u64::from(n)), Taken::Joined);
    }
    assert_eq!(roster.len(), MEMBERS_MAX);
    assert_eq!(tell(&mut roster, peer(9), peer(1), &linked, 300), Taken::Full);
    assert_eq!(tell(&mut roster, peer(9), peer(9), &linked, 300), Taken::Joined);
    let newest = numbered(MEMBERS_MAX as u16 - 4);
    let left = roster.poll_gone(&Streams::default(), at(0));
    assert_eq!(left, [(newest, LeftWhy::Displaced)]);
    assert!(linked.iter().chain([&peer(9)]).all(|peer| roster.contains(peer)));
    // And where all are linked, there is no place.
    let all = |_: &PeerId| true;
    let brought = Brought { from: peer(10), linked: &all };
    let new = (grant(), Signed(vec![]));
    let taken = roster.handle_entry(peer(10), entry(1, at(301), &[]), new, brought, at(301));
    assert_eq!(taken, Taken::Full);
}

#[test]
fn a_flood_of_goodbyes_makes_nobody_elses_forgotten_and_is_not_passed_on() {
    let mut roster = mesh();
    assert!(bye(&mut roster, peer(3), peer(2), 1));
    for n in 0..2_000 {
        assert!(!bye(&mut roster, numbered(n), peer(1), 2), "of no member");
    }
    assert_eq!(roster.graves.len(), graves::GRAVES_MAX);
    assert_eq!(roster.goodbyes().collect::<Vec<_>>(), [&Signed(vec![3])]);
    assert_eq!(put(&mut roster, peer(3), 9, at(3), &[]), Taken::Stale, "it is remembered");
    // The same with members that are invented for it.
    for n in 2_000..4_000 {
        assert_eq!(tell(&mut roster, numbered(n), peer(1), &[], 3), Taken::Joined);
        assert!(bye(&mut roster, numbered(n), peer(1), 3));
    }
    assert_eq!(roster.graves.len(), graves::GRAVES_MAX);
    assert_eq!(put(&mut roster, peer(3), 9, at(4), &[]), Taken::Stale, "it is remembered");
}
