//! Without ticket, secret, proof or hello there is no picture and no place.

use roommate_protocol::room::UnwelcomeReason;
use roommate_protocol::room::proof::{ProofFailed, ProofKey};
use roommate_protocol::time::Wall;
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::trust::terms::Expiry;
use roommate_protocol::wire::close::CloseCode;
use roommate_protocol::wire::code::StreamCode;
use roommate_protocol::wire::header::{StreamHeader, SubscriptionId};
use roommate_protocol::wire::message::{Incoming, Unwelcome, encode};

use crate::stage::{Stage, is_nonce};
use crate::world::control::hello;
use crate::world::peer::{Peer, stopped};
use crate::world::{House, any_key, name_of};

const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);

fn now() -> Wall {
    roommate_clock::Clock::new().now().wall
}

/// Every chain that does not admit `me`, with what whoever presents it is told.
fn bad_chains(house: &House, me: PeerId) -> Vec<(&'static str, Vec<u8>, UnwelcomeReason)> {
    use UnwelcomeReason::{Expired, NotYet, Ticket};
    let good = house.good_ticket(me).to_bytes();
    let altered = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let (foreign, somebody) = (House::new(), name_of(&any_key()));
    // Another room's signatures under this room's name.
    let mut renamed = foreign.good_ticket(me).to_bytes();
    renamed[2..34].copy_from_slice(&house.room().0);
    let over = house.ticket(me, now() - 2 * HOUR, Expiry::at(now() - HOUR));
    let early = house.ticket(me, now() + HOUR, Expiry::NEVER);
    vec![
        ("no chain", Vec::new(), Ticket),
        ("a foreign room's chain", foreign.good_ticket(me).to_bytes(), Ticket),
        ("a foreign room's chain, renamed", renamed, Ticket),
        ("somebody else's chain", house.good_ticket(somebody).to_bytes(), Ticket),
        ("a chain whose signature was altered", altered(good.len() - 1), Ticket),
        ("a chain cut short", good[..good.len() - 1].to_vec(), Ticket),
        ("an expired chain", over.to_bytes(), Expired),
        ("a chain of tomorrow", early.to_bytes(), NotYet),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_without_a_valid_ticket_gets_one_refusal() {
    let mut stage = Stage::set().await;
    let mut tried = 0;
    for at in 0..bad_chains(&stage.house, stage.viewer.peer()).len() {
        let mut peer = Peer::new();
        let (what, chain, reason) = bad_chains(&stage.house, peer.name()).remove(at);
        let wire = peer.dial(&stage.publisher.address()).await;
        let mut control = peer.control(&wire).await;
        control.prove(stage.house.proof()).await.unwrap();
        // All at once, so that nothing waits for the answer to the hello.
        control.greet(&stage.house, &peer.key, &chain).await;
        control.subscribe(stage.broadcast.key, 1).await;
        let heard = control.read_all().await;
        let told = Incoming::Unwelcome(Unwelcome { reason: reason.number() });
        assert!(matches!(&heard[..], [Incoming::Hello(_), last] if *last == told), "{what}");
        assert_eq!(wire.closed().await, CloseCode::Unwelcome, "{what}");
        stage.gave_nothing(&peer, &wire).await;
        tried += 1;
        stage.publisher.sees("a ticket turned away", |status| status.refused == tried).await;
    }
    assert_eq!(tried, 8);
    stage.feeds_only_the_viewer();
    // Control: the same peer, played by the same hand, with a ticket.
    let mut peer = Peer::new();
    let wire = peer.dial(&stage.publisher.address()).await;
    let mut control = peer.control(&wire).await;
    control.come_in(&stage.house, &peer.key).await;
    control.subscribe(stage.broadcast.key, 1).await;
    stage.gave_pictures(&peer, &wire).await;
    assert_eq!(stage.publisher.room.status().refused, tried);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_without_the_secret_gets_a_nonce_and_silence() {
    let mut stage = Stage::set().await;
    let (room, secret) = (stage.house.room(), stage.house.secret);
    let wrong = [
        ProofKey::new(room, &RoomSecret { bytes: rand::random(), ..secret }),
        ProofKey::new(room, &RoomSecret { epoch: 1, ..secret }),
        ProofKey::new(House::new().room(), &secret),
    ];
    let mut strangers = Vec::new();
    for key in wrong {
        let mut peer = Peer::new();
        let wire = peer.dial(&stage.publisher.address()).await;
        let mut control = peer.control(&wire).await;
        let before = peer.log.bytes();
        assert_eq!(control.prove(key).await, Err(ProofFailed));
        // Whoever goes on as if it had passed speaks to nobody.
        let chain = stage.house.good_ticket(peer.name()).to_bytes();
        control.greet(&stage.house, &peer.key, &chain).await;
        control.subscribe(stage.broadcast.key, 1).await;
        assert_eq!(control.read_all().await, []);
        let heard = peer.log.rows().iter().filter(|row| is_nonce(row)).count();
        assert!(heard == 1 && peer.log.bytes() >= before, "a nonce, and nothing behind it");
        stage.gave_nothing(&peer, &wire).await;
        strangers.push((peer, wire));
    }
    stage.puts_out(&strangers).await;
    assert_eq!(stage.publisher.room.status().refused, 0, "no ticket was ever looked at");
    stage.feeds_only_the_viewer();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_proof_nothing_that_is_said_is_heard() {
    let mut stage = Stage::set().await;
    let track = stage.broadcast.key;
    let subscribe = roommate_protocol::wire::message::Subscribe {
        sub: SubscriptionId(1),
        track,
        lacking: None,
        latency_ms: 300,
    };
    let chain = stage.house.good_ticket(stage.viewer.peer()).to_bytes();
    let words: [(&str, Vec<u8>); 6] = [
        ("nothing", Vec::new()),
        ("hello at once", encode(&hello(&chain)).unwrap().to_vec()),
        ("subscribe at once", encode(&subscribe).unwrap().to_vec()),
        ("noise", (0..4_096_u32).map(|at| (at * 31 % 251) as u8).collect()),
        ("a length that lies", [u32::MAX.to_be_bytes(), [0, 1, 0, 0]].concat()),
        ("half a nonce", [0, 0, 0, 34, 0, 1, 7, 7, 7].to_vec()),
    ];
    let (mut strangers, mut controls) = (Vec::new(), Vec::new());
    for (what, bytes) in words {
        let mut peer = Peer::new();
        let wire = peer.dial(&stage.publisher.address()).await;
        let mut control = peer.control(&wire).await;
        control.raw(&bytes).await;
        controls.push((what, control));
        strangers.push((peer, wire));
    }
    for (what, mut control) in controls {
        assert_eq!(control.content().await, None, "{what}");
    }
    for (peer, wire) in &strangers {
        stage.gave_nothing(peer, wire).await;
    }
    stage.puts_out(&strangers).await;
    assert_eq!(stage.publisher.room.status().refused, 0);
    stage.feeds_only_the_viewer();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_subscribes_before_its_hello_is_thrown_out() {
    let mut stage = Stage::set().await;
    for hello_behind in [false, true] {
        let mut peer = Peer::new();
        let wire = peer.dial(&stage.publisher.address()).await;
        let mut control = peer.control(&wire).await;
        control.prove(stage.house.proof()).await.unwrap();
        control.subscribe(stage.broadcast.key, 1).await;
        if hello_behind {
            let chain = stage.house.good_ticket(peer.name()).to_bytes();
            control.greet(&stage.house, &peer.key, &chain).await;
            control.subscribe(stage.broadcast.key, 2).await;
        }
        assert!(matches!(&control.read_all().await[..], [Incoming::Hello(_)]));
        assert_eq!(wire.closed().await, CloseCode::Violation);
        stage.gave_nothing(&peer, &wire).await;
    }
    // And whoever proves and then says nothing at all.
    let mut peer = Peer::new();
    let wire = peer.dial(&stage.publisher.address()).await;
    let mut control = peer.control(&wire).await;
    control.prove(stage.house.proof()).await.unwrap();
    assert!(matches!(&control.read_all().await[..], [Incoming::Hello(_)]));
    stage.puts_out(&[(peer, wire)]).await;
    stage.feeds_only_the_viewer();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn native_streams_of_a_stranger_are_stopped_and_answered_by_none() {
    let mut stage = Stage::set().await;
    let key = stage.broadcast.key;
    let header = |sub: u32| {
        let header = StreamHeader {
            subscription: SubscriptionId(sub),
            broadcast: key.broadcast,
            track: key.track,
            group: 0,
            layer: 0,
            first_seq: 0,
            first_piece: 0,
            path: vec![key.publisher],
        };
        header.encode().to_vec()
    };
    let mut strangers = Vec::new();
    for address in [stage.publisher.address(), stage.viewer.address()] {
        let mut peer = Peer::new();
        let wire = peer.dial(&address).await;
        for sub in [0, 1, 2, u32::MAX] {
            let code = stopped(wire.send(&header(sub), false).await).await;
            assert_eq!(code, Some(StreamCode::Gone.code().into()), "a subscription of nobody");
        }
        let noise = stopped(wire.send(&[0xAA; 2_000], false).await).await;
        assert_eq!(noise, Some(StreamCode::Violation.code().into()));
        let cut = stopped(wire.send(&header(1)[..20], true).await).await;
        assert_eq!(cut, None, "half a header and a FIN: it was taken, and nothing came of it");
        // More at once than are read: the rest is stopped, not kept.
        let mut held = Vec::new();
        for _ in 0..33 {
            held.push(wire.send(&header(1)[..20], false).await);
        }
        let last = stopped(held.pop().unwrap()).await;
        assert_eq!(last, Some(StreamCode::TooMany.code().into()));
        stage.gave_nothing(&peer, &wire).await;
        strangers.push((peer, wire));
    }
    stage.puts_out(&strangers).await;
    assert_eq!(stage.viewing.track.reads().refused, 0, "none of it came near the honest track");
    stage.feeds_only_the_viewer();
    stage.end().await;
}
