//! More than a full mesh: everybody still knows of everybody.

use roommate_protocol::room::Event;

use crate::broadcasts::{on_air, watch};
use crate::world::{S, World};

const MEMBERS: usize = 24;

#[test]
fn the_members_of_a_crowd_know_each_other_with_few_streams_each() {
    let mut world = World::with_members(MEMBERS);
    world.run(20 * S);
    for who in 0..MEMBERS {
        assert_eq!(world.seen_by(who).len(), MEMBERS - 1, "{who}");
        let streams: usize = (0..MEMBERS)
            .filter(|other| *other != who)
            .map(|other| world.wires_between(who, other).len())
            .sum();
        assert!(streams <= 16 + 32, "{who} has {streams}");
    }
    let all: usize = (0..MEMBERS)
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .map(|(a, b)| world.wires_between(a, b).len())
        .sum();
    assert!(all < MEMBERS * (MEMBERS - 1) / 2, "a mesh would be {all}");

    world.forget_logs();
    let track = on_air(&mut world, 7);
    world.run(S);
    for who in (0..MEMBERS).filter(|who| *who != 7) {
        assert_eq!(world.see(who).broadcasts().len(), 1, "{who}");
    }
    for who in 10..20 {
        watch(&mut world, who, track);
    }
    world.run(3 * S);
    assert_eq!(world.see(7).children().len(), 10, "whom we need is dialled");

    world.kill(21);
    world.act(22, |room, now| room.leave(now));
    world.run(S);
    for who in (0..MEMBERS).filter(|who| ![21, 22].contains(who)) {
        assert!(!world.seen_by(who).contains(&22), "{who} heard the goodbye");
    }
    world.run(21 * S);
    for who in (0..MEMBERS).filter(|who| ![21, 22].contains(who)) {
        assert_eq!(world.seen_by(who).len(), MEMBERS - 3, "{who}");
    }
    let wrong = |event: &Event| {
        let gone = [21, 22].map(|who| world.nodes[who].peer);
        matches!(event, Event::PeerLeft { peer, .. } if !gone.contains(peer))
    };
    assert_eq!(world.when(0, wrong), None, "nobody else");
}
