//! Deaths without a word: alone, together, beside a restart; and whoever only looks dead.

use roommate_protocol::room::{Event, LeftWhy};

use crate::broadcasts::on_air;
use crate::world::{DELAY, MS, S, Who, World};

/// Within 12 s everybody knows, by the promise; with a margin for machines under load.
const KNOWN_MAX: u64 = 10 * S;

fn lost(world: &World, who: Who, dead: Who) -> Option<u64> {
    let peer = world.nodes[dead].peer;
    world.when(who, |event| *event == Event::PeerLeft { peer, why: LeftWhy::Lost })
}

fn left(event: &Event) -> bool {
    matches!(event, Event::PeerLeft { .. })
}

/// When everybody in `living` had heard of the death of each of `dead`, after it.
#[track_caller]
fn all_know(world: &World, living: &[Who], dead: &[(Who, u64)]) {
    for &who in living {
        for &(dead, died) in dead {
            let heard =
                lost(world, who, dead).unwrap_or_else(|| panic!("{who} still lists {dead}"));
            assert!(
                heard - died <= KNOWN_MAX,
                "{who} heard of {dead} {} ms late",
                (heard - died) / MS
            );
            assert!(!world.seen_by(who).contains(&dead));
        }
        assert!(world.seen_by(who).len() >= living.len() - 1, "{who} lost somebody who is here");
    }
}

#[test]
fn a_killed_member_is_gone_from_every_list_within_12_s() {
    for phase in [0, 300 * MS, 700 * MS] {
        let mut world = World::with_members(4);
        world.run(phase);
        world.kill(3);
        let died = world.now;
        world.run(7 * S);
        for who in 0..3 {
            assert!(world.seen_by(who).contains(&3), "nobody is given up early");
        }
        world.run(5 * S);
        all_know(&world, &[0, 1, 2], &[(3, died)]);
    }
}

#[test]
fn who_dies_while_the_others_wait_for_another_death_costs_no_more_time() {
    for apart in [0, 500 * MS, 2 * S, 5 * S, 8 * S] {
        let mut world = World::with_members(5);
        let mut dead = Vec::new();
        for who in [4, 3, 2] {
            world.kill(who);
            dead.push((who, world.now));
            world.run(apart);
        }
        world.run(12 * S);
        all_know(&world, &[0, 1], &dead);
    }
}

#[test]
fn the_last_one_is_alone_within_12_s() {
    let mut world = World::with_members(3);
    world.kill(0);
    world.kill(1);
    let died = world.now;
    world.run(12 * S);
    all_know(&world, &[2], &[(0, died), (1, died)]);
}

/// Its neighbour that came again never held a stream to the dead one, and never says that it lost it.
#[test]
fn a_neighbour_that_restarted_does_not_keep_a_dead_one_here() {
    for apart in [0, S, 5 * S, 8 * S, 8_900 * MS] {
        for first in [true, false] {
            let mut world = World::with_members(4);
            let restart = |world: &mut World| {
                world.kill(2);
                world.start(2);
            };
            if first {
                restart(&mut world);
                world.run(apart.min(150 * MS));
            }
            world.kill(3);
            let died = world.now;
            if !first {
                world.run(apart);
                restart(&mut world);
            }
            world.run(died + 12 * S - world.now);
            all_know(&world, &[0, 1], &[(3, died)]);
            for who in [0, 1, 2] {
                assert_eq!(world.seen_by(who).len(), 2, "{who}: {apart} {first}");
            }
        }
    }
}

/// What is said of the dead before somebody came is told to who comes.
#[test]
fn who_comes_in_the_last_moment_of_a_dead_one_does_not_keep_it() {
    for late in (8_000..9_400).step_by(100) {
        let mut world = World::with_members(4);
        world.kill(3);
        let died = world.now;
        world.run(late * MS);
        let newcomer = world.add_member();
        world.run(died + 12 * S + 500 * MS - world.now);
        for who in [0, 1, 2, newcomer] {
            assert!(!world.seen_by(who).contains(&3), "{who} lists the dead, come after {late} ms");
            assert_eq!(world.seen_by(who).len(), 3);
        }
    }
}

#[test]
fn who_ended_a_stream_for_another_reason_does_not_keep_a_dead_one_here() {
    let mut world = World::with_members(4);
    let conn = world.wires_between(0, 3)[0];
    // Node 0 throws node 3 out, which dies before it can say so in its next entry.
    let _ = world.inject(0, conn, &[0, 1, 99]);
    world.kill(3);
    let died = world.now;
    world.run(13 * S);
    for who in [0, 1, 2] {
        let heard = lost(&world, who, 3).expect("it is gone");
        assert!(heard - died <= 12 * S + 500 * MS, "{who} after {} ms", (heard - died) / MS);
    }
}

#[test]
fn a_member_whose_loop_was_blocked_for_eight_seconds_has_left_nobody_and_nobody_it() {
    for blocked in [S, 4 * S, 5 * S, 8 * S] {
        let mut world = World::with_members(4);
        let track = on_air(&mut world, 3);
        world.forget_logs();
        world.block(3);
        world.run(blocked);
        world.unblock(3);
        world.run(20 * S);
        for who in 0..4 {
            assert_eq!(world.when(who, left), None, "{who}: {:?}", world.nodes[who].events);
            assert_eq!(world.nodes[who].violations, []);
        }
        let on = world.see(0).broadcasts();
        assert_eq!(on.first().map(|on| on.id), Some(track.broadcast), "what is on stays on");
    }
}

#[test]
fn a_path_that_was_silent_for_eight_seconds_is_no_death() {
    let mut world = World::with_members(4);
    for other in 0..3 {
        world.cut.extend([(3, other), (other, 3)]);
    }
    world.run(8 * S);
    world.cut.clear();
    world.run(20 * S);
    for who in 0..4 {
        assert_eq!(world.when(who, left), None, "{who}: {:?}", world.nodes[who].events);
        assert_eq!(world.seen_by(who).len(), 3);
    }
}

#[test]
fn who_was_held_for_lost_and_lives_is_here_again_at_once() {
    let mut world = World::with_members(4);
    world.block(3);
    world.run(9_500 * MS);
    for who in 0..3 {
        assert!(lost(&world, who, 3).is_some(), "it answered nothing for nine seconds");
    }
    world.forget_logs();
    world.unblock(3);
    // Its streams are closed; it dials, proves, greets and says a higher version.
    world.run(20 * DELAY + 2 * S);
    for who in 0..3 {
        assert!(world.seen_by(who).contains(&3), "{who}");
    }
    assert_eq!(world.seen_by(3), [0, 1, 2].into());
}
