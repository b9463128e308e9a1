//! Who may be here, and until when.

use roommate_protocol::room::{EndReason, Event, LeftWhy, Output, UnwelcomeReason};
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::trust::ticket::{Roles, TicketChain};
use roommate_protocol::wire::message::Incoming;

use crate::broadcasts::{on_air, watch};
use crate::stranger::Stranger;
use crate::world::{MS, S, World};

/// What a node of the room may never have done for somebody who is not admitted.
fn nothing_was_given(world: &World) {
    for (who, node) in world.nodes.iter().enumerate() {
        assert!(!node.outputs.iter().any(|(_, out)| matches!(out, Output::StartFeed { .. })));
        let joined = |event: &Event| matches!(event, Event::PeerJoined { .. });
        assert_eq!(world.when(who, joined), None);
        assert_eq!(world.see(who).children(), []);
    }
}

#[test]
fn without_the_secret_not_one_word_is_said() {
    let mut world = World::with_members(2);
    on_air(&mut world, 0);
    world.forget_logs();
    let outsider = world.add(|world, peer| world.ticket(peer, Roles::USUAL, None));
    world.nodes[outsider].secret = RoomSecret { bytes: [0; 16], epoch: 0 };
    world.start(outsider);
    world.run(20 * S);
    nothing_was_given(&world);
    assert_eq!(world.see(outsider).broadcasts(), []);
    assert_eq!(world.see(outsider).title(), None);
    assert_eq!(world.frames_to(outsider), 0);
}

#[test]
fn without_a_valid_ticket_nobody_gets_in() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    world.forget_logs();
    let others = World::other_room();
    let tickets: [fn(&World, &World, _) -> Vec<u8>; 4] = [
        |_, _, _| Vec::new(),
        |world, _, _| world.nodes[1].tickets.to_bytes(),
        |_, others, peer| others.ticket(peer, Roles::USUAL, None).to_bytes(),
        |world, _, peer| {
            let mut bytes = world.ticket(peer, Roles::USUAL, None).to_bytes();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            bytes
        },
    ];
    for ticket in tickets {
        let mut stranger = Stranger::member(&mut world, Roles::USUAL);
        stranger.chain = ticket(&world, &others, stranger.peer);
        stranger.prove(&mut world, 0);
        let hello = stranger.hello();
        stranger.tell(&mut world, 0, &hello).unwrap();
        let entry = stranger.entry(&world);
        let roster = roommate_protocol::wire::message::Roster { entries: vec![entry] };
        let _ = stranger.tell(&mut world, 0, &roster);
        stranger.subscribe(&mut world, 0, track, 1);
        let said = stranger.heard_messages(&mut world);
        // Our hello, as the protocol has it, and why not. Nothing of the room.
        assert!(matches!(said[..], [Incoming::Hello(_), Incoming::Unwelcome(_)]), "{said:?}");
    }
    world.run(S);
    nothing_was_given(&world);
}

#[test]
fn a_member_cannot_bring_in_somebody_without_a_ticket() {
    let mut world = World::with_members(2);
    let mut member = Stranger::member(&mut world, Roles::USUAL);
    member.come_in(&mut world, 0);
    world.run(S);
    world.forget_logs();
    let mut friend = Stranger::member(&mut world, Roles::USUAL);
    friend.chain = member.chain.clone();
    let entry = friend.entry(&world);
    let roster = roommate_protocol::wire::message::Roster { entries: vec![entry] };
    member.tell(&mut world, 0, &roster).unwrap();
    world.run(S);
    nothing_was_given(&world);
}

#[test]
fn the_end_of_a_ticket_is_warned_of_and_ends_everything() {
    let mut world = World::new();
    world.add(|world, peer| {
        let now = world.now_of_new();
        TicketChain::for_creator(&world.room_key, peer, [0; 32], now, &[1; 32])
    });
    world.start(0);
    let guest = world.add(|world, peer| world.ticket(peer, Roles::USUAL, Some(1_000)));
    world.start(guest);
    world.run(2 * S);
    let track = on_air(&mut world, 0);
    watch(&mut world, guest, track);
    assert_eq!(world.see(0).children().len(), 1);
    world.run(390 * S);
    let warned = |event: &Event| matches!(event, Event::EndsSoon { .. });
    assert_eq!(world.when(guest, warned), None);
    world.run(20 * S);
    assert_eq!(world.when(guest, warned).map(|at| at / S), Some(400));
    assert_eq!(world.when(0, warned), None, "no link ends the creator");
    world.run(600 * S);
    let ended = Event::Ended { reason: EndReason::Expired };
    let at = world.when(guest, |event| *event == ended);
    assert_eq!(at.map(|at| at / S), Some(1_000));
    assert_eq!(world.seen_by(0), [].into());
    assert_eq!(world.see(0).children(), []);
    assert_eq!(world.see(0).ended(), None);
}

#[test]
fn whoever_ignores_the_end_of_its_ticket_is_put_out_by_the_others() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    let tickets = |world: &World, peer| world.ticket(peer, Roles::USUAL, Some(100));
    let mut stranger = Stranger::with(&mut world, tickets);
    stranger.come_in(&mut world, 0);
    stranger.subscribe(&mut world, 0, track, 1);
    world.run(S);
    assert_eq!(world.see(0).children().len(), 1);
    // Two minutes are forgiven to its clock, then it is over; it goes on talking meanwhile.
    while world.now < 225 * S {
        stranger.answer_pings(&mut world);
        world.run(500 * MS);
    }
    assert_eq!(world.see(0).children(), []);
    for who in 0..2 {
        let expired = |event: &Event| matches!(event, Event::PeerLeft { peer, why: LeftWhy::Expired } if *peer == stranger.peer);
        let at = world.when(who, expired).unwrap();
        assert!((220 * S..222 * S).contains(&at), "{at}");
    }
    stranger.come_in(&mut world, 0);
    let unwelcome = |said: &Incoming| matches!(said, Incoming::Unwelcome(no) if no.reason == UnwelcomeReason::Expired.number());
    assert!(stranger.heard_messages(&mut world).iter().any(unwelcome));
}

#[test]
fn a_node_whose_own_tickets_are_over_says_so_first() {
    let mut world = World::new();
    let late = world.add(|world, peer| world.ticket(peer, Roles::USUAL, Some(10)));
    world.run(200 * S);
    world.start(late);
    assert_eq!(world.nodes[late].events[0].1, Event::Ended { reason: EndReason::Expired });
    world.run(60 * S);
    assert_eq!(world.nodes[late].events.len(), 1);
}
