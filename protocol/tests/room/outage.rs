//! A network that fails for minutes between two halves of a room, and is whole again.

use roommate_protocol::room::Output;
use roommate_protocol::trust::ticket::Roles;

use crate::world::{S, Who, World};

const OUTAGE: u64 = 240 * S;

/// After an outage everybody sees everybody again within this time.
const HEALED: u64 = 15 * S;

/// Nothing goes from one half to the other any more, or all does again.
fn cut(world: &mut World, halves: [&[Who]; 2], whether: bool) {
    for (a, b) in halves[0].iter().flat_map(|a| halves[1].iter().map(move |b| (*a, *b))) {
        for pair in [(a, b), (b, a)] {
            if whether {
                world.cut.insert(pair)
            } else {
                world.cut.remove(&pair)
            };
        }
    }
}

fn assert_all_see_all(world: &World, members: &[Who]) {
    for who in members {
        let others = members.iter().filter(|other| *other != who).copied().collect();
        assert_eq!(world.seen_by(*who), others, "{who}");
    }
}

/// Cuts the halves apart for as long as the outage lasts, and looks whether they find each other.
fn split_and_heal(world: &mut World, halves: [&[Who]; 2]) {
    let all = halves.concat();
    assert_all_see_all(world, &all);
    cut(world, halves, true);
    world.run(OUTAGE);
    for half in halves {
        assert_all_see_all(world, half);
    }
    world.forget_logs();
    cut(world, halves, false);
    world.run(HEALED);
    assert_all_see_all(world, &all);
}

/// Members of whom no link names an address: a bootstrap tells each of the others, once. It is up all
/// the time, so it neither takes anybody back nor tells anybody anew.
fn found_by_a_bootstrap(count: usize) -> World {
    let mut world = World::new();
    for _ in 0..count {
        let who = world.add(|world, peer| world.ticket(peer, Roles::USUAL, None));
        world.nodes[who].hints.clear();
        world.start(who);
        for other in 0..who {
            world.introduce(who, other);
        }
    }
    world.run(3 * S);
    world
}

#[test]
fn halves_that_a_bootstrap_told_of_each_other_once_find_each_other_after_minutes() {
    let mut world = found_by_a_bootstrap(6);
    split_and_heal(&mut world, [&[0, 2, 4], &[1, 3, 5]]);
    world.run(5 * S);
    split_and_heal(&mut world, [&[0], &[1, 2, 3, 4, 5]]);
}

#[test]
fn halves_that_know_each_other_from_the_roster_alone_find_each_other_after_minutes() {
    // Whose address the link names has left; the others know each other from there.
    let mut world = World::with_members(5);
    world.act(0, |room, now| room.leave(now));
    world.run(S);
    split_and_heal(&mut world, [&[1, 2], &[3, 4]]);
}

#[test]
fn whom_the_bootstrap_no_longer_holds_is_not_dialled_for_ever() {
    let mut world = found_by_a_bootstrap(3);
    world.kill(2);
    let gone = world.nodes[2].peer;
    world.run(30 * S);
    for who in [0, 1] {
        world.act(who, |room, now| room.handle_unregistered(gone, now));
    }
    world.run(20 * S);
    world.forget_logs();
    world.run(600 * S);
    let dials = |(_, output): &&(u64, Output)| matches!(output, Output::Dial { .. });
    for who in [0, 1] {
        assert_eq!(world.nodes[who].outputs.iter().filter(dials).count(), 0, "{who}");
    }
}
