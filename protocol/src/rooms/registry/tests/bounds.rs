//! Quotas and bounds: what one client, peer, network or room can take from the others.

use super::*;
use crate::rooms::quota::{
    CLIENTS_PER_PREFIX_MAX, REGISTRATIONS_PER_PREFIX_MAX, REGISTRATIONS_PER_ROOM_MAX,
    WATCHES_PER_CLIENT_MAX,
};

#[test]
fn a_peer_a_client_and_a_room_have_their_quotas() {
    let mut world = World::new();
    let ann = world.open(1);
    for n in 0..4 {
        assert_eq!(refusal(&world.register(ann, &room(n), 1)), None);
        world.pass(5);
    }
    assert_eq!(refusal(&world.register(ann, &room(4), 1)), Some(Reason::PeerQuota));
    assert_eq!(refusal(&world.register(ann, &room(3), 2)), None, "a renewal is no new place");

    let bob = world.open(2);
    for n in 0..=WATCHES_PER_CLIENT_MAX as u32 {
        let answers = world.say(bob, &Request::Watch { rid: room(n).rid() });
        let full = n == WATCHES_PER_CLIENT_MAX as u32;
        assert_eq!(refusal(&answers), full.then_some(Reason::WatchQuota));
        world.pass(5);
    }
    world.say(bob, &Request::Unwatch { rid: room(0).rid() });
    world.pass(5);
    assert_eq!(refusal(&world.say(bob, &Request::Watch { rid: room(9).rid() })), None);
    assert_eq!(world.registry.counts().watchers, WATCHES_PER_CLIENT_MAX);

    for n in 100..100 + REGISTRATIONS_PER_ROOM_MAX as u32 + 9 {
        let client = world.open(n);
        world.register(client, &room(50), 1);
    }
    let (total, records) = world.look(bob, &room(50));
    assert_eq!((total as usize, records.len()), (REGISTRATIONS_PER_ROOM_MAX, ANSWER_RECORDS_MAX));
    let (_, others) = world.look(bob, &room(50));
    assert_ne!(records, others, "the choice is not random");
}

#[test]
fn the_flooding_network_gives_way_first_and_within_it_the_longest_silent() {
    let mut world = World::with(RegistryConfig { records_max: 100, ..Default::default() });
    for n in 0..30 {
        let client = world.open(n);
        world.register(client, &room(n), 1);
    }
    for n in 0..200 {
        let client = world.open_from(1_000 + n, &format!("203.0.113.{n}"));
        world.register(client, &room(1_000 + n), 1);
        world.pass(0);
    }
    let counts = world.registry.counts();
    assert_eq!(counts.registrations, 30 + REGISTRATIONS_PER_PREFIX_MAX);
    let eyes = world.open(5_000);
    for n in 0..30 {
        assert_eq!(world.look(eyes, &room(n)).0, 1, "honest record {n}");
        world.pass(1);
    }
    assert_eq!(world.look(eyes, &room(1_199)).0, 1, "the newest of the flood");
    assert_eq!(world.look(eyes, &room(1_135)).0, 0, "one that gave way");
    // Six more from as many networks fill it; the next takes a place of the flood, not of them.
    for n in 6_000..6_050 {
        let client = world.open(n);
        world.register(client, &room(n), 1);
    }
    assert_eq!(world.registry.counts().registrations, 100);
    world.pass(1);
    for n in (0..30).chain(6_000..6_050) {
        assert_eq!(world.look(eyes, &room(n)).0, 1, "honest record {n}");
        world.pass(1);
    }
}

#[test]
fn clients_of_one_network_are_bounded_and_loopback_only_by_the_total() {
    let closed =
        |world: &World| world.outputs.iter().filter(|o| matches!(o, Output::Close { .. })).count();
    let clients_max = CLIENTS_PER_PREFIX_MAX + 50;
    let mut world = World::with(RegistryConfig { clients_max, ..Default::default() });
    for n in 0..CLIENTS_PER_PREFIX_MAX as u32 + 10 {
        world.open_from(n, "203.0.113.5");
    }
    assert_eq!(closed(&world), 10);
    for n in 1_000..1_060 {
        world.open(n);
    }
    // Ten of the sixty took places of the large network.
    assert_eq!((closed(&world), world.registry.counts().clients), (20, clients_max));

    let mut world = World::new();
    for n in 0..CLIENTS_PER_PREFIX_MAX as u32 + 10 {
        world.open_from(n, "127.0.0.1");
    }
    assert_eq!(closed(&world), 0);
}

#[test]
fn who_does_not_read_or_does_not_speak_is_closed() {
    let mut world = World::new();
    let (ann, bob) = (world.open(1), world.open(2));
    let frame = Request::Ping { token: 5 }.encode().unwrap();
    let mut pings = 0;
    // Nothing is told as sent: it gathers.
    let closed = loop {
        world.now.mono = world.now.mono + Duration::from_secs(1);
        world.registry.handle_frame(ann, &frame[4..], world.now).unwrap();
        world.registry.handle_frame(bob, &frame[4..], world.now).unwrap();
        pings += 1;
        let mut closed = None;
        while let Some(output) = world.registry.poll_output() {
            match output {
                Output::Send { client, frame } if client == bob => {
                    world.registry.handle_sent(client, frame.len());
                }
                Output::Send { .. } => {}
                Output::Close { client, why } => closed = Some((client, why)),
            }
        }
        if let Some(closed) = closed {
            break closed;
        }
        assert!(pings < 1_000_000);
    };
    assert_eq!(closed, (ann, CloseReason::Slow));
    assert_eq!(world.registry.counts().unsent_bytes, 0);

    let (at, _) = world.registry.poll_timeout().unwrap();
    assert_eq!(at, world.now.mono + CLIENT_SILENCE_MAX);
    world.pass(30);
    assert_eq!(world.outputs, [Output::Close { client: bob, why: CloseReason::Silent }]);
    assert_eq!(world.registry.counts().clients, 0);
    assert_eq!(world.registry.poll_timeout(), None);
}

#[test]
fn all_that_is_unsent_is_bounded_by_closing_the_slowest() {
    let config = RegistryConfig { unsent_bytes_max: 1_000, ..Default::default() };
    let mut world = World::with(config);
    let (ann, bob) = (world.open(1), world.open(2));
    let frame = Request::Ping { token: 5 }.encode().unwrap();
    for n in 0..200 {
        let from = if n % 3 == 0 { bob } else { ann };
        // Too fast at the end: refusals are unsent bytes as well.
        let _ = world.registry.handle_frame(from, &frame[4..], world.now);
        assert!(world.registry.counts().unsent_bytes <= 1_000);
    }
    let closes = std::iter::from_fn(|| world.registry.poll_output())
        .find(|output| matches!(output, Output::Close { .. }));
    assert_eq!(closes, Some(Output::Close { client: ann, why: CloseReason::Slow }));
}
