//! A member who invents others, as whoever holds the link can: their tickets are valid, and nobody is
//! there.

use roommate_protocol::room::MEMBERS_MAX;
use roommate_protocol::trust::id::{BroadcastId, PeerId, TrackKey};
use roommate_protocol::trust::ticket::Roles;
use roommate_protocol::wire::message::{self, Signed};
use roommate_protocol::wire::signed::{Leave, Retraction, RosterEntry, ShortId};

use crate::broadcasts::on_air;
use crate::stranger::Stranger;
use crate::world::{S, Who, World, address};

const HONEST: usize = 5;

/// An entry of somebody who is not there, and who names the flooder as its neighbour.
fn invented(world: &mut World, flooder: &Stranger, port: u16) -> Signed {
    let nobody = Stranger::member(world, Roles::USUAL);
    nobody.seal(
        world,
        &RosterEntry {
            incarnation: nobody.incarnation,
            version: 1,
            wall: world.now_of(0).wall,
            chain: nobody.chain.clone(),
            name: "nobody".to_owned(),
            addresses: vec![address(port, None)],
            neighbours: vec![ShortId::of(&flooder.peer, flooder.incarnation)],
        },
    )
}

/// Tells each of `whom` of so many members, others to each.
fn flood(world: &mut World, flooder: &Stranger, whom: &[Who], count: u16) {
    for (to, number) in whom.iter().flat_map(|to| (0..count).map(move |number| (*to, number))) {
        let entry = invented(world, flooder, 1_000 + count * to as u16 + number);
        flooder.tell(world, to, &message::Roster { entries: vec![entry] }).unwrap();
    }
}

fn pass(world: &mut World, flooder: &Stranger, seconds: u64) {
    for _ in 0..2 * seconds {
        flooder.answer_pings(world);
        world.run(S / 2);
    }
}

fn assert_all_see_all(world: &World, members: usize) {
    for who in 0..members {
        let seen = world.seen_by(who);
        let missing: Vec<Who> = (0..members).filter(|m| *m != who && !seen.contains(m)).collect();
        assert_eq!(missing, [], "not seen by {who}");
        assert!(world.see(who).members().len() <= MEMBERS_MAX);
    }
}

#[test]
fn a_neighbour_who_invents_members_keeps_nobody_out() {
    let mut world = World::with_members(HONEST);
    let mut flooder = Stranger::member(&mut world, Roles::USUAL);
    flooder.come_in(&mut world, 0);
    flood(&mut world, &flooder, &[0], 300);
    pass(&mut world, &flooder, 2);
    assert!(world.see(0).members().len() <= HONEST + 64, "one neighbour's share");
    assert_all_see_all(&world, HONEST);
    world.add_member();
    pass(&mut world, &flooder, 3);
    assert_all_see_all(&world, HONEST + 1);
}

#[test]
fn a_list_that_he_filled_through_everybody_has_a_place_for_whoever_is_there() {
    let mut world = World::with_members(HONEST);
    let mut flooder = Stranger::member(&mut world, Roles::USUAL);
    (0..HONEST).for_each(|who| flooder.come_in(&mut world, who));
    flood(&mut world, &flooder, &[0, 1, 2, 3, 4], 70);
    pass(&mut world, &flooder, 2);
    assert_eq!(world.see(0).members().len(), MEMBERS_MAX, "the list is full");
    assert_all_see_all(&world, HONEST);
    let late = world.add_member();
    pass(&mut world, &flooder, 1);
    assert_eq!(world.see(0).members().len(), MEMBERS_MAX, "the list is still full");
    assert!(world.seen_by(0).contains(&late), "whom it reaches");
    // Nobody is where the invented are said to be, and everybody tries it a while.
    pass(&mut world, &flooder, 15);
    assert_all_see_all(&world, HONEST + 1);
}

#[test]
fn a_flood_of_goodbyes_brings_nobody_back_who_has_left() {
    let mut world = World::with_members(HONEST);
    let mut gone = Stranger::member(&mut world, Roles::USUAL);
    gone.come_in(&mut world, 1);
    let old = gone.entry(&world);
    world.run(S);
    let leave = Leave { incarnation: gone.incarnation };
    let signed = gone.seal(&world, &leave);
    gone.tell(&mut world, 1, &message::Goodbye { signed, hint: vec![] }).unwrap();
    world.run(S);
    let mut flooder = Stranger::member(&mut world, Roles::USUAL);
    flooder.come_in(&mut world, 0);
    for _ in 0..1_000 {
        let nobody = Stranger::member(&mut world, Roles::USUAL);
        let signed = nobody.seal(&world, &leave);
        flooder.tell(&mut world, 0, &message::Goodbye { signed, hint: vec![] }).unwrap();
    }
    flooder.tell(&mut world, 0, &message::Roster { entries: vec![old] }).unwrap();
    world.run(S);
    let is_seen = |world: &World, peer: PeerId| {
        world.see(0).members().iter().any(|member| member.peer == peer)
    };
    assert!(!is_seen(&world, gone.peer));
    assert!(is_seen(&world, flooder.peer), "who did no more than that");
    // A newcomer is told of those who were here, not of the thousand.
    let before = world.frames_to(HONEST - 1);
    let late = world.add_member();
    world.run(S);
    assert!(world.frames_to(late) < 200, "{}", world.frames_to(late));
    assert!(world.frames_to(HONEST - 1) - before < 200);
    assert_all_see_all(&world, HONEST + 1);
}

#[test]
fn a_flood_of_ended_broadcasts_brings_no_others_back() {
    let mut world = World::with_members(2);
    let TrackKey { broadcast, .. } = on_air(&mut world, 1);
    let mut witness = Stranger::member(&mut world, Roles::USUAL);
    witness.come_in(&mut world, 1);
    let announced = witness.heard_messages(&mut world).into_iter().find_map(|heard| match heard {
        message::Incoming::Announce(announce) => Some(announce),
        _ => None,
    });
    world.act(1, |room, now| room.retract(broadcast, now)).unwrap();
    world.run(S);
    let mut flooder = Stranger::member(&mut world, Roles::USUAL);
    flooder.come_in(&mut world, 0);
    for number in 0..1_500_u16 {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let (incarnation, broadcast) = (flooder.incarnation, BroadcastId(id));
        let signed = flooder.seal(&world, &Retraction { incarnation, broadcast });
        flooder.tell(&mut world, 0, &message::Retract { signed }).unwrap();
    }
    let heard = |world: &mut World| {
        let heard = flooder.heard_messages(world).into_iter();
        heard.filter(|heard| matches!(heard, message::Incoming::Announce(_))).count()
    };
    world.stranger_heard.clear();
    // What counts as news is passed on: to the witness, if the flooder says it.
    witness.come_in(&mut world, 0);
    witness.tell(&mut world, 0, &announced.unwrap()).unwrap();
    assert_eq!(heard(&mut world), 0, "it is over");
}
