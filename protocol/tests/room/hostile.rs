//! What a member with a valid ticket may try.

use proptest::prelude::*;
use roommate_protocol::room::{Event, Output, Violation};
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::trust::ticket::Roles;
use roommate_protocol::wire::message::{self, Signed};
use roommate_protocol::wire::signed::{LostNote, RosterEntry};
use roommate_protocol::wire::{close::CloseCode, frame};

use crate::broadcasts::{on_air, watch};
use crate::stranger::Stranger;
use crate::world::{S, World};

fn guest(world: &mut World) -> Stranger {
    let mut stranger = Stranger::member(world, Roles::USUAL);
    stranger.come_in(world, 0);
    stranger
}

fn is_thrown_out(world: &World, stranger: &Stranger) -> bool {
    let conn = stranger.conn(0);
    let closed = Output::CloseConnection { conn, code: CloseCode::Violation };
    world.nodes[0].outputs.iter().any(|(_, output)| *output == closed)
}

#[test]
fn twenty_unknown_frames_a_second_are_news_and_more_are_a_nuisance() {
    let mut world = World::with_members(2);
    let stranger = guest(&mut world);
    for _ in 0..3 {
        for kind in 0..20_u16 {
            let [high, low] = (1_000 + kind).to_be_bytes();
            stranger.say(&mut world, 0, &[high, low, 1, 2, 3]).unwrap();
        }
        stranger.answer_pings(&mut world);
        world.run(S);
    }
    assert_eq!(world.see(0).unknown_frames(), 60);
    let flood = (0..21).map(|_| stranger.say(&mut world, 0, &[9, 9])).find_map(Result::err);
    assert_eq!(flood, Some(Violation::Frame(frame::Violation::UnknownFlood)));
    assert!(is_thrown_out(&world, &stranger));
    world.run(S);
    assert_eq!(world.seen_by(0), [1].into(), "nobody else is hurt");
}

#[test]
fn before_the_hello_there_is_only_a_hello_and_there_is_only_one() {
    let mut world = World::with_members(1);
    let mut early = Stranger::member(&mut world, Roles::USUAL);
    early.prove(&mut world, 0);
    let ping = message::Ping { seq: 1, sent_us: 0 };
    assert_eq!(early.tell(&mut world, 0, &ping), Err(Violation::Order));
    let twice = guest(&mut world);
    let hello = twice.hello();
    assert_eq!(twice.tell(&mut world, 0, &hello), Err(Violation::Order));
    assert!(is_thrown_out(&world, &twice));
    let mut mute = Stranger::member(&mut world, Roles::USUAL);
    let (conn, since) = (mute.prove(&mut world, 0), world.now);
    world.run(4 * S);
    let closed = Output::CloseConnection { conn, code: CloseCode::Refused };
    assert!(world.nodes[0].outputs.contains(&(since + 3 * S, closed)));
}

#[test]
fn nobody_speaks_for_another() {
    let mut world = World::with_members(3);
    let track = on_air(&mut world, 1);
    watch(&mut world, 2, track);
    let victim = world.nodes[1].peer;
    // A signature that is its own, passed off as the victim's.
    let forge = |stranger: &Stranger, world: &mut World| {
        let entry = stranger.seal(
            world,
            &LostNote { subject: victim, incarnation: stranger.incarnation, version: 1 },
        );
        let mut bytes = entry.0;
        bytes[1..33].copy_from_slice(&victim.0);
        Signed(bytes)
    };
    for kind in 0..4 {
        let stranger = guest(&mut world);
        let signed = forge(&stranger, &mut world);
        let result = match kind {
            0 => stranger.tell(&mut world, 0, &message::Goodbye { signed, hint: vec![] }),
            1 => stranger.tell(&mut world, 0, &message::Retract { signed }),
            2 => stranger.tell(&mut world, 0, &message::Roster { entries: vec![signed] }),
            _ => stranger.tell(&mut world, 0, &message::Lost { signed }),
        };
        assert_eq!(result, Err(Violation::Signature));
        assert!(is_thrown_out(&world, &stranger));
    }
    world.run(S);
    assert_eq!(world.see(2).broadcasts().len(), 1);
    let left = |event: &Event| matches!(event, Event::PeerLeft { peer, .. } if *peer == victim);
    assert_eq!((world.when(0, left), world.when(2, left)), (None, None));
}

#[test]
fn one_member_alone_cannot_declare_another_lost() {
    let mut world = World::with_members(3);
    let stranger = guest(&mut world);
    let (victim, incarnation) = (world.nodes[1].peer, world.see(0).members()[0].incarnation);
    for version in 0..200 {
        let note = LostNote { subject: victim, incarnation, version };
        let signed = stranger.seal(&world, &note);
        stranger.tell(&mut world, 0, &message::Lost { signed }).unwrap();
    }
    for _ in 0..40 {
        stranger.answer_pings(&mut world);
        world.run(S / 2);
    }
    for who in [0, 2] {
        assert!(world.seen_by(who).contains(&1));
    }
}

#[test]
fn a_flood_of_signed_news_closes_the_flooders_connection_alone() {
    let mut world = World::with_members(2);
    let mut stranger = guest(&mut world);
    let result = (0..4_000).find_map(|_| {
        let entries = vec![stranger.entry(&world)];
        stranger.tell(&mut world, 0, &message::Roster { entries }).err()
    });
    assert_eq!(result, Some(Violation::Flood));
    world.run(S);
    assert!(world.seen_by(0).contains(&1));
    assert_eq!(world.nodes[0].violations, []);
}

#[test]
fn a_subscription_id_is_used_once_while_it_runs_and_feeds_are_bounded() {
    let mut world = World::with_members(1);
    let track = on_air(&mut world, 0);
    let max = roommate_protocol::limits::CHILDREN_MAX;
    let mut guests: Vec<Stranger> = (0..max as u32 + 6)
        .map(|number| {
            let mut stranger = guest(&mut world);
            stranger.subscribe(&mut world, 0, track, number);
            stranger
        })
        .collect();
    assert_eq!(world.see(0).children().len(), max);
    assert_eq!(guests[max + 5].refusals(&mut world).len(), 1);
    // Asking for the same again moves the slot; the same name while it runs is an offence.
    guests[0].subscribe(&mut world, 0, track, 500);
    assert_eq!(world.see(0).children().len(), max);
    let again = message::Subscribe {
        sub: roommate_protocol::wire::header::SubscriptionId(500),
        track,
        lacking: None,
        latency_ms: 300,
    };
    assert_eq!(guests[0].tell(&mut world, 0, &again), Err(Violation::SubscriptionReused));
}

#[test]
fn an_entry_from_the_future_or_the_past_is_not_shown() {
    let mut world = World::with_members(1);
    world.run(3_600 * S);
    for error_s in [-500, -421, 121, 100_000_i64] {
        let mut stranger = Stranger::member(&mut world, Roles::USUAL);
        stranger.prove(&mut world, 0);
        let hello = stranger.hello();
        stranger.tell(&mut world, 0, &hello).unwrap();
        let wall = world.now_of(0).wall.as_micros() + error_s * 1_000_000;
        let entry = stranger.seal(
            &world,
            &RosterEntry {
                incarnation: stranger.incarnation,
                version: 1,
                wall: roommate_protocol::time::Wall::from_micros(wall),
                chain: stranger.chain.clone(),
                name: String::new(),
                addresses: vec![],
                neighbours: vec![],
            },
        );
        stranger.tell(&mut world, 0, &message::Roster { entries: vec![entry] }).unwrap();
        assert_eq!(world.see(0).members(), [], "{error_s}");
    }
}

#[test]
fn lists_longer_than_their_bound_are_an_offence() {
    let mut world = World::with_members(1);
    let stranger = guest(&mut world);
    let hint = vec![PeerId([1; 32]); message::CANDIDATES_MAX + 1];
    assert!(stranger.tell(&mut world, 0, &message::Parting { hint }).is_err());
    assert!(is_thrown_out(&world, &stranger));
    let stranger = guest(&mut world);
    let entries = vec![Signed(vec![1]); message::ROSTER_ENTRIES_MAX + 1];
    assert!(stranger.tell(&mut world, 0, &message::Roster { entries }).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_bring_a_room_down(
        frames in proptest::collection::vec((0..60_u16, any::<Vec<u8>>()), 1..20),
    ) {
        let mut world = World::with_members(1);
        let mut stranger = Stranger::member(&mut world, Roles::USUAL);
        for (kind, body) in frames {
            if stranger.conns.is_empty() || is_thrown_out(&world, &stranger) {
                stranger.come_in(&mut world, 0);
            }
            let content = [kind.to_be_bytes().as_slice(), &body].concat();
            let _ = stranger.say(&mut world, 0, &content);
        }
        world.run(S);
        let friend = world.add_member();
        world.run(S);
        prop_assert!(world.seen_by(0).contains(&friend));
    }
}
