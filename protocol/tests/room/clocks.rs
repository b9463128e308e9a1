//! Clocks that are wrong, and machines that sleep.

use roommate_protocol::media::clock::ClockView;
use roommate_protocol::room::{EndReason, Event};
use roommate_protocol::trust::id::TrackKey;
use roommate_protocol::trust::ticket::Roles;

use crate::broadcasts::{on_air, watch};
use crate::world::{DELAY, MS, S, Who, World};

const H: u64 = 3_600 * S;

/// What the viewer would show as the broadcast's time now, less what it is at the publisher.
fn clock_error(world: &World, viewer: Who, publisher: Who, track: TrackKey) -> (i64, u64) {
    let view = |who: Who| -> ClockView {
        let clock = world.see(who).clock(track.publisher, track.broadcast);
        clock.expect("the clock is known")
    };
    let at = |who: Who| view(who).at(world.now_of(who).mono);
    (at(viewer) - at(publisher), view(viewer).error_us)
}

#[test]
fn a_wall_clock_five_seconds_off_moves_no_latency() {
    for wrong in [0, 5 * S as i64, -5 * S as i64] {
        let mut world = World::new();
        world.add_member();
        let viewer = world.add(|world, peer| world.ticket(peer, Roles::USUAL, None));
        world.nodes[viewer].wall_error = wrong;
        world.start(viewer);
        world.run(2 * S);
        let track = on_air(&mut world, 0);
        watch(&mut world, viewer, track);
        world.run(2 * S);
        let (off, bound) = clock_error(&world, viewer, 0, track);
        assert!(off.unsigned_abs() <= bound && bound == DELAY, "{wrong}: {off} {bound}");
    }
}

#[test]
fn a_clock_set_while_the_room_runs_moves_nothing() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    watch(&mut world, 1, track);
    world.run(2 * S);
    for who in [0, 1] {
        world.nodes[who].wall_error = 60 * S as i64 * (1 - 2 * who as i64);
        world.run(200 * S);
        let (off, bound) = clock_error(&world, 1, 0, track);
        assert!(off.unsigned_abs() <= bound, "{off} {bound}");
        assert_eq!(world.seen_by(0), [1].into());
    }
}

#[test]
fn without_a_parent_there_is_no_clock() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    assert_eq!(world.see(1).clock(track.publisher, track.broadcast), None);
    assert!(world.see(0).clock(track.publisher, track.broadcast).is_some());
}

#[test]
fn a_viewer_that_slept_for_eight_hours_is_right_two_seconds_after() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    watch(&mut world, 1, track);
    world.run(5 * S);
    world.sleep(1);
    world.run(8 * H);
    assert_eq!(world.seen_by(0), [].into());
    world.forget_logs();
    world.wake(1);
    world.run(S);
    assert_eq!(world.seen_by(0), [1].into());
    assert_eq!(world.seen_by(1), [0].into());
    // It was gone for so long that the broadcast was announced to it anew.
    assert!(world.when(1, |event| matches!(event, Event::Announced { .. })).is_some());
    watch(&mut world, 1, track);
    assert!(world.when(1, |event| matches!(event, Event::Admitted { .. })).is_some());
    let (off, bound) = clock_error(&world, 1, 0, track);
    assert!(off.unsigned_abs() <= bound && bound <= DELAY, "{off} {bound}");
    world.run(600 * S);
    assert_eq!(world.seen_by(0), [1].into(), "and stays");
}

#[test]
fn a_publisher_that_slept_for_eight_hours_is_on_again_two_seconds_after() {
    let mut world = World::with_members(2);
    on_air(&mut world, 1);
    world.sleep(1);
    world.run(8 * H);
    assert_eq!(world.see(0).broadcasts(), []);
    world.wake(1);
    world.run(2 * S);
    assert_eq!(world.see(0).broadcasts().len(), 1);
    assert_eq!(world.seen_by(0), [1].into());
}

#[test]
fn a_ticket_that_ended_during_the_sleep_ends_the_room_at_once() {
    let mut world = World::with_members(1);
    let sleeper = world.add(|world, peer| world.ticket(peer, Roles::USUAL, Some(4 * 3_600)));
    world.start(sleeper);
    world.run(2 * S);
    world.sleep(sleeper);
    world.run(8 * H);
    world.wake(sleeper);
    let woken = world.now;
    world.run(2 * S);
    let ended = Event::Ended { reason: EndReason::Expired };
    assert_eq!(world.when(sleeper, |event| *event == ended), Some(woken));
    assert_eq!(world.seen_by(0), [].into());
}

#[test]
fn a_stopped_viewer_is_fed_again_within_a_second_of_going_on() {
    for stopped in [3 * S, 9 * S, 30 * S] {
        let mut world = World::with_members(3);
        let track = on_air(&mut world, 0);
        watch(&mut world, 2, track);
        world.run(10 * S);
        world.sleep(2);
        world.run(stopped);
        world.forget_logs();
        world.wake(2);
        world.run(900 * MS);
        let fed = world.see(2).feeding(&track).expect("subscribed again");
        assert!(!fed.path.is_empty(), "{stopped}");
        assert_eq!(world.see(0).children().len(), 1);
        world.run(2 * S);
        for who in 0..3 {
            assert_eq!(world.seen_by(who).len(), 2, "{stopped} {who}");
        }
    }
}

#[test]
fn a_room_that_slept_as_a_whole_finds_together_again() {
    let mut world = World::with_members(3);
    for who in 0..3 {
        world.sleep(who);
    }
    world.run(8 * H);
    for who in 0..3 {
        world.wake(who);
    }
    world.run(3 * S);
    for who in 0..3 {
        assert_eq!(world.seen_by(who).len(), 2, "{who}");
    }
}

#[test]
fn after_a_sleep_no_older_sample_counts() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    watch(&mut world, 1, track);
    let known = |world: &World| world.see(1).clock(track.publisher, track.broadcast).is_some();
    assert!(known(&world));
    world.act(1, |room, now| room.handle_resumed(now));
    assert!(!known(&world));
    world.run(2 * DELAY);
    assert!(known(&world), "asked at once, not at the next second");
}
