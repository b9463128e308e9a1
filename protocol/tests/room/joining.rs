//! Joining, leaving, vanishing: who sees it, and when.

use roommate_protocol::room::{Event, LeftWhy};
use roommate_protocol::trust::ticket::Roles;

use crate::world::{DELAY, MS, S, World};

fn joined(event: &Event) -> bool {
    matches!(event, Event::PeerJoined { .. })
}

fn left(event: &Event, how: LeftWhy) -> bool {
    matches!(event, Event::PeerLeft { why, .. } if *why == how)
}

#[test]
fn everybody_hears_of_a_join_within_a_round_trip_of_the_hello() {
    let mut world = World::with_members(4);
    let newcomer = world.add_member();
    // Handshake 2, proof 4, hello 1, its entry 1, and 1 to be passed on by the first member.
    world.run(9 * DELAY + MS);
    for who in 0..4 {
        assert!(world.when(who, joined).is_some(), "{who} {:?}", world.nodes[who].events);
        assert!(world.seen_by(who).contains(&newcomer));
    }
    assert_eq!(world.seen_by(newcomer), (0..4).collect());
    world.run(S);
    for who in 0..4 {
        assert_eq!(world.wires_between(who, newcomer).len(), 1, "a full mesh");
    }
    let names: Vec<_> = world.see(newcomer).members().into_iter().map(|m| m.name).collect();
    assert!(names.contains(&"node 2".to_owned()), "{names:?}");
    assert_eq!(world.see(newcomer).title(), Some("the den"));
}

#[test]
fn a_polite_leave_is_seen_at_once() {
    let mut world = World::with_members(4);
    world.act(3, |room, now| room.leave(now));
    world.run(2 * DELAY);
    for who in 0..3 {
        assert!(world.when(who, |event| left(event, LeftWhy::Goodbye)).is_some());
        assert_eq!(world.seen_by(who).len(), 2);
    }
    world.run(60 * S);
    for who in 0..3 {
        assert_eq!(
            world.nodes[who].events.len(),
            1,
            "and stays seen: {:?}",
            world.nodes[who].events
        );
    }
}

#[test]
fn whoever_is_reached_by_one_neighbour_alone_is_still_here() {
    let mut world = World::with_members(3);
    world.cut.extend([(1, 2), (2, 1)]);
    world.run(60 * S);
    assert!(world.seen_by(1).contains(&2), "node 0 still reaches both");
    assert!(world.seen_by(2).contains(&1));
    let leaves = |who: usize| world.when(who, |event| left(event, LeftWhy::Lost));
    assert_eq!((leaves(0), leaves(1), leaves(2)), (None, None, None));
    // And a goodbye reaches, through the one between, who has no stream to the leaver.
    world.act(2, |room, now| room.leave(now));
    world.run(3 * DELAY);
    assert!(!world.seen_by(1).contains(&2));
}

#[test]
fn two_halves_of_a_room_forget_each_other_and_find_together_again() {
    let mut world = World::with_members(4);
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        world.cut.extend([(a, b), (b, a)]);
    }
    world.run(40 * S);
    assert_eq!(world.seen_by(0), [1].into());
    assert_eq!(world.seen_by(3), [2].into());
    world.cut.clear();
    world.run(40 * S);
    assert_eq!(world.seen_by(0), [1, 2, 3].into());
    assert_eq!(world.seen_by(3), [0, 1, 2].into());
}

#[test]
fn a_blink_of_a_connection_is_told_to_nobody() {
    let mut world = World::with_members(3);
    let conn = world.wires_between(1, 2)[0];
    for who in [1, 2] {
        world.act(who, |room, now| room.handle_disconnected(conn, now));
    }
    world.run(10 * S);
    for who in 0..3 {
        assert_eq!(world.nodes[who].events, [], "{who}");
        assert_eq!(world.seen_by(who).len(), 2);
    }
}

#[test]
fn who_finds_each_other_at_a_bootstrap_meets_without_a_link_between_them() {
    let mut world = World::new();
    for _ in 0..3 {
        let who = world.add(|world, peer| world.ticket(peer, Roles::USUAL, None));
        world.nodes[who].hints.clear();
        world.start(who);
    }
    world.introduce(0, 1);
    world.introduce(1, 2);
    world.run(S);
    for who in 0..3 {
        assert_eq!(world.seen_by(who).len(), 2, "the roster tells the addresses of the rest");
    }
    assert_eq!(world.wires_between(0, 2).len(), 1);
}
