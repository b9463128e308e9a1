//! Several connections of one pair: dialled at the same time, after a restart, through a relay.

use std::time::Duration;

use roommate_protocol::room::{EndReason, Event, LeftWhy, Output, RetractedWhy, Route};
use roommate_protocol::trust::id::TrackKey;
use roommate_protocol::wire::close::CloseCode;

use crate::broadcasts::{on_air, watch};
use crate::world::{DELAY, MS, S, World};

fn subscribed(world: &World, who: usize, track: TrackKey) -> bool {
    world.see(who).feeding(&track).is_some_and(|feeding| !feeding.path.is_empty())
}

#[test]
fn two_that_dial_each_other_at_once_keep_one_connection_and_lose_no_subscription() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    watch(&mut world, 1, track);
    for (dialler, listener) in [(0, 1), (1, 0), (0, 1)] {
        world.connect(dialler, listener);
        world.run(10 * MS);
    }
    world.run(5 * S);
    assert_eq!(world.wires_between(0, 1).len(), 1);
    assert!(subscribed(&world, 1, track));
    assert_eq!(world.see(0).children().len(), 1, "and no slot is taken twice");
    let kept = world.wires_between(0, 1)[0];
    assert_eq!(world.see(1).feeding(&track).unwrap().conn, kept);
    assert_eq!(world.see(0).children()[0].conn, kept);
    assert!(world.when(0, |event| matches!(event, Event::PeerLeft { .. })).is_none());
}

#[test]
fn a_direct_connection_takes_over_from_a_relayed_one_which_carries_no_pictures() {
    let mut world = World::new();
    world.route = Route::Relayed;
    for _ in 0..2 {
        world.add_member();
    }
    world.run(2 * S);
    let track = on_air(&mut world, 0);
    watch(&mut world, 1, track);
    world.run(2 * S);
    assert_eq!(world.seen_by(1), [0].into(), "words pass");
    assert!(!subscribed(&world, 1, track), "pictures do not");
    world.route = Route::Direct;
    world.connect(1, 0);
    world.run(2 * S);
    assert!(subscribed(&world, 1, track));
    world.run(4 * S);
    assert_eq!(world.wires_between(0, 1).len(), 1);
    assert_eq!(world.see(1).members()[0].route, Some(Route::Direct));
}

#[test]
fn a_restarted_publisher_is_seen_again_at_once_although_its_ghost_still_holds_connections() {
    let mut world = World::with_members(4);
    let track = on_air(&mut world, 3);
    watch(&mut world, 1, track);
    world.kill(3);
    world.run(300 * MS);
    world.forget_logs();
    let restarted = world.now;
    world.start(3);
    let again = on_air(&mut world, 3);
    world.run(2 * S);
    for who in 0..3 {
        let joined = world.when(who, |event| matches!(event, Event::PeerJoined { .. }));
        assert!(joined.unwrap() - restarted < S, "{who}");
        let superseded = |output: &Output| {
            matches!(output, Output::CloseConnection { code: CloseCode::Superseded, .. })
        };
        let closed: Vec<u64> = world.nodes[who]
            .outputs
            .iter()
            .filter(|(_, output)| superseded(output))
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(closed.len(), 1, "{who}: the ghost's connection, and not the new one");
        assert!(closed[0] <= joined.unwrap(), "{who}: at once");
        let restart =
            |event: &Event| matches!(event, Event::PeerLeft { why: LeftWhy::Restarted, .. });
        assert!(world.when(who, restart).is_some());
        let over = |event: &Event| {
            matches!(event, Event::Retracted { why: RetractedWhy::PublisherLeft, .. })
        };
        assert!(world.when(who, over).is_some());
        let ids: Vec<_> = world.see(who).broadcasts().iter().map(|on| on.id).collect();
        assert_eq!(ids, [again.broadcast], "the old broadcast is over, the new one is on");
    }
    watch(&mut world, 1, again);
    world.run(S);
    assert!(subscribed(&world, 1, again));
    world.run(20 * S);
    for who in 0..3 {
        assert_eq!(world.seen_by(who).len(), 3, "the ghost's end takes nobody along");
    }
}

#[test]
fn a_viewer_restarted_at_once_is_fed_again() {
    let mut world = World::with_members(3);
    let track = on_air(&mut world, 0);
    watch(&mut world, 2, track);
    world.kill(2);
    world.start(2);
    world.run(S);
    watch(&mut world, 2, track);
    world.run(S);
    assert!(subscribed(&world, 2, track));
    assert_eq!(world.see(0).children().len(), 1);
}

#[test]
fn the_older_of_two_processes_with_one_key_is_told_so_and_stops() {
    let mut world = World::with_members(3);
    // The same key again in another place: a copied data directory.
    let copy = world.add(|world, _| world.nodes[2].tickets.clone());
    world.nodes[copy].key = world.nodes[2].key.clone();
    world.nodes[copy].peer = world.nodes[2].peer;
    world.nodes[copy].starts = 5;
    world.start(copy);
    world.run(10 * S);
    assert_eq!(world.see(2).ended(), Some(EndReason::Elsewhere));
    assert!(world.when(2, |event| *event == Event::Elsewhere { newer: true }).is_some());
    assert_eq!(world.see(copy).ended(), None);
    for who in 0..2 {
        assert_eq!(world.seen_by(who).len(), 3, "one of the others, and the name of both");
        let goodbye =
            |event: &Event| matches!(event, Event::PeerLeft { why: LeftWhy::Goodbye, .. });
        assert!(world.when(who, goodbye).is_none(), "the older one does not speak for the newer");
    }
}

#[test]
fn a_silent_connection_is_replaced_before_it_is_dead() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    watch(&mut world, 1, track);
    let old = world.wires_between(0, 1)[0];
    world.mute(old);
    world.run(3 * S + 10 * DELAY);
    let fed = world.see(1).feeding(&track).unwrap();
    assert!(fed.conn != old && !fed.path.is_empty(), "{fed:?}");
    assert!(world.when(1, |event| matches!(event, Event::PeerLeft { .. })).is_none());
    world.run(10 * S);
    assert!(!world.wires_between(0, 1).contains(&old));
}

#[test]
fn a_subscription_moves_by_asking_again_what_is_lacking() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    watch(&mut world, 1, track);
    world.forget_logs();
    let conn = world.wires_between(0, 1)[0];
    for who in [0, 1] {
        world.act(who, |room, now| room.handle_disconnected(conn, now));
    }
    world.run(S);
    let order: Vec<&str> = world.nodes[1]
        .outputs
        .iter()
        .filter_map(|(_, output)| match output {
            Output::ForgetStreams { .. } => Some("forget"),
            Output::AskLacking { .. } => Some("ask"),
            Output::ExpectStreams { .. } => Some("expect"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["forget", "ask", "expect"]);
    let stopped = |output: &Output| matches!(output, Output::StopFeed { .. });
    assert!(world.nodes[0].outputs.iter().any(|(_, output)| stopped(output)));
    assert!(world.when(1, |event| *event == Event::Unfed { track }).is_some());
    let latency = world.nodes[0].outputs.iter().find_map(|(_, output)| match output {
        Output::StartFeed { latency, .. } => Some(*latency),
        _ => None,
    });
    assert_eq!(latency, Some(Duration::from_millis(300)));
}

#[test]
fn who_leaves_does_not_miss_what_fed_them() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    watch(&mut world, 1, track);
    world.act(1, |room, now| room.leave(now));
    world.run(S);
    assert!(world.when(1, |event| *event == Event::Unfed { track }).is_none());
    assert!(world.when(1, |event| matches!(event, Event::Ended { .. })).is_some());
}
