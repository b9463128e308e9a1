//! Rooms from the first word to the last picture: the product's room machines, proof, presence,
//! subscriptions and clocks, over bad lines, with restarts and deaths.

use std::time::Duration;

use roommate_protocol::room::Event;
use roommate_protocol::time::Mono;
use roommate_protocol::trust::id::{PeerId, TrackKey};
use sim::member::Skew;
use sim::net::Line;
use sim::town::Town;

const MS: Duration = Duration::from_millis(1);
const NEAR: Line = Line::clean(Duration::from_millis(10));
const EXACT: Skew = Skew { mono: Duration::ZERO, wall_us: 0 };

fn skews(number: u64) -> Skew {
    let wall_us = match number % 3 {
        0 => 0,
        1 => 5_000_000,
        _ => -5_000_000,
    };
    Skew { mono: Duration::from_secs(1_000 * number), wall_us }
}

/// Members that have found each other.
fn town(seed: u64, members: u64, line: Line) -> Town {
    let mut town = Town::new(seed);
    for number in 0..members {
        town.join(line, skews(number));
    }
    if let Err(wrong) = town.run_for(2_000 * MS) {
        panic!("{wrong}");
    }
    town
}

fn knows(town: &Town, member: usize, peer: PeerId) -> bool {
    town.members[member].room.members().iter().any(|other| other.peer == peer)
}

/// When a member heard what `is` accepts, after `since`.
fn heard(town: &Town, member: usize, since: Mono, is: impl Fn(&Event) -> bool) -> Option<Duration> {
    let events = town.members[member].events.iter();
    events.clone().find(|(at, event)| *at >= since && is(event)).map(|(at, _)| at.since(since))
}

fn joined(peer: PeerId) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::PeerJoined { peer: who, .. } if *who == peer)
}

fn left(peer: PeerId) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::PeerLeft { peer: who, .. } if *who == peer)
}

/// How old the newest picture is that a member has shown of a track.
fn age(town: &Town, member: usize, track: &TrackKey) -> Duration {
    let shown = town.members[member].watching.get(track).and_then(|viewer| viewer.shown.last());
    shown.map_or(Duration::MAX, |shown| town.now.since(shown.captured))
}

#[test]
fn a_join_a_goodbye_and_a_death_are_heard_by_all() {
    let mut town = town(1, 5, NEAR);
    let start = town.now;
    let newcomer = town.join(NEAR, EXACT);
    let peer = town.members[newcomer].peer;
    town.run_for(2_000 * MS).unwrap();
    for member in 0..5 {
        let after = heard(&town, member, start, joined(peer)).expect("heard of the join");
        assert!(after <= 500 * MS, "member {member} heard of the join after {after:?}");
        assert!(knows(&town, newcomer, town.members[member].peer));
    }
    let start = town.now;
    town.leave(newcomer);
    town.run_for(2_000 * MS).unwrap();
    for member in 0..5 {
        let after = heard(&town, member, start, left(peer)).expect("heard of the goodbye");
        assert!(after <= 1_000 * MS, "member {member} heard of the goodbye after {after:?}");
    }
    let (start, victim) = (town.now, town.members[4].peer);
    town.kill(4);
    town.run_for(15_000 * MS).unwrap();
    for member in 0..4 {
        let after = heard(&town, member, start, left(victim)).expect("heard of the death");
        assert!(after <= 12_000 * MS, "member {member} heard of the death after {after:?}");
    }
}

#[test]
fn who_watches_before_anybody_publishes_sees_the_first_picture() {
    let mut town = town(2, 4, Line { loss_ppm: 10_000, ..Line::clean(15 * MS) });
    let track = town.publish(0, 1_000 * MS);
    town.run_for(5_000 * MS).unwrap();
    for member in 1..4 {
        let viewer = &town.members[member].watching[&track];
        assert_eq!(viewer.shown[0].seq, 0, "member {member} missed the beginning");
        assert!(age(&town, member, &track) <= 500 * MS);
        assert!(viewer.shown[0].ready.since(viewer.shown[0].captured) <= 500 * MS);
    }
}

#[test]
fn a_late_joiner_sees_the_open_group_and_costs_no_keyframe() {
    let mut town = town(3, 2, NEAR);
    let track = town.publish(0, 20_000 * MS);
    town.run_for(8_000 * MS).unwrap();
    let start = town.now;
    let late = town.join(NEAR, skews(3));
    town.run_for(3_000 * MS).unwrap();
    let viewer = &town.members[late].watching[&track];
    assert_eq!(viewer.shown[0].seq, 0);
    assert!(viewer.shown[0].ready.since(start) <= 1_000 * MS);
    assert_eq!(viewer.gaps(), 0);
    assert_eq!(town.source(&track).unwrap().1.forced(), 0);
}

/// Its old connections have not timed out: by key it is the same member, at another address.
#[test]
fn a_publisher_that_was_killed_comes_again_and_its_ghost_is_gone() {
    let mut town = town(4, 3, NEAR);
    town.publish(0, 1_000 * MS);
    town.run_for(3_000 * MS).unwrap();
    town.kill(0);
    town.run_for(500 * MS).unwrap();
    let again = town.restart(0);
    let track = town.publish(again, 1_000 * MS);
    let start = town.now;
    town.run_for(3_000 * MS).unwrap();
    for member in 1..3 {
        let viewer = town.members[member].watching.get(&track).expect("it is watched again");
        let first = viewer.shown.first().expect("it is seen again").ready.since(start);
        assert!(first <= 3_000 * MS, "member {member} saw it after {first:?}");
    }
    // Nobody takes the ghost for the member when it fades.
    town.run_for(12_000 * MS).unwrap();
    for member in 1..3 {
        assert!(knows(&town, member, town.members[again].peer));
        assert!(age(&town, member, &track) <= 500 * MS, "member {member}");
    }
}

#[test]
fn everybody_watches_everybody() {
    let mut town = town(6, 4, NEAR);
    let tracks: Vec<_> = (0..4).map(|member| town.publish(member, 1_000 * MS)).collect();
    town.run_for(4_000 * MS).unwrap();
    for member in 0..4 {
        for (publisher, track) in tracks.iter().enumerate().filter(|(p, _)| *p != member) {
            let age = age(&town, member, track);
            assert!(age <= 500 * MS, "member {member} sees {publisher} {age:?} late");
        }
    }
}

#[test]
fn lossy_lines_bring_everybody_together_all_the_same() {
    for seed in 0..10 {
        let line =
            Line { jitter: 10 * MS, loss_ppm: 30_000, reorder_ppm: 20_000, ..Line::clean(30 * MS) };
        let mut town = town(100 + seed, 4, line);
        let track = town.publish(1, 1_000 * MS);
        town.run_for(6_000 * MS).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        for member in (0..4).filter(|member| *member != 1) {
            assert_eq!(town.members[member].room.members().len(), 3, "seed {seed}");
            let age = age(&town, member, &track);
            assert!(age <= 2_000 * MS, "seed {seed}: member {member} is {age:?} late");
        }
    }
}

/// It takes what it reads for older than it is: its round trips look shorter and its offset is wrong,
/// by more than it admits.
#[test]
fn a_member_whose_clock_is_wrong_is_seen() {
    let mut town = town(7, 3, NEAR);
    town.publish(0, 1_000 * MS);
    town.members[2].stamps_early = 30 * MS;
    let why = town.run_for(4_000 * MS).expect_err("nothing was seen");
    assert!(why.contains("member 2: its clock is"), "{why}");
}
