//! Strangers who try again and again, or come in numbers; and members who look like strangers and
//! are none.

use roommate_protocol::room::RefuseReason;
use roommate_protocol::room::proof::{FAILURES_PER_MINUTE_MAX, ProofFailed, ProofKey};
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::wire::close::CloseCode;
use roommate_protocol::wire::message::Incoming;

use crate::stage::{Stage, is_nonce};
use crate::world::live::Broadcast;
use crate::world::peer::Peer;
use crate::world::{House, Member, PUBLISHER, QUIC, TCP, VIEWER, any_key, start};

fn nonces(peer: &Peer) -> u32 {
    u32::try_from(peer.log.rows().iter().filter(|row| is_nonce(row)).count()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_three_failures_a_peer_is_not_listened_to() {
    let mut stage = Stage::set().await;
    let wrong = ProofKey::new(stage.house.room(), &RoomSecret { bytes: rand::random(), epoch: 0 });
    let mut peer = Peer::new();
    let wire = peer.dial(&stage.publisher.address()).await;
    for tried in 1..=FAILURES_PER_MINUTE_MAX {
        let mut control = peer.control(&wire).await;
        assert_eq!(control.prove(wrong.clone()).await, Err(ProofFailed));
        assert_eq!(nonces(&peer), tried, "it was listened to");
    }
    // Now not even with the right secret, on this connection or on another.
    let again = peer.dial(&stage.publisher.address()).await;
    for wire in [&wire, &again] {
        if let Some(mut control) = peer.try_control(wire).await {
            assert_eq!(control.prove(stage.house.proof()).await, Err(ProofFailed));
        }
        assert_eq!(nonces(&peer), FAILURES_PER_MINUTE_MAX);
    }
    stage.gave_nothing(&peer, &again).await;
    // Control: somebody else comes in meanwhile.
    let mut other = Peer::new();
    let wire = other.dial(&stage.publisher.address()).await;
    let mut control = other.control(&wire).await;
    control.come_in(&stage.house, &other.key).await;
    control.subscribe(stage.broadcast.key, 1).await;
    stage.gave_pictures(&other, &wire).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_proofs_at_once_are_no_way_around_it() {
    let house = House::new();
    let publisher = Member::enter(&house, PUBLISHER, Vec::new()).await;
    let mut peer = Peer::new();
    let wire = peer.dial(&publisher.address()).await;
    let mut controls = Vec::new();
    let nonce = [&[0, 0, 0, 34, 0, 1][..], &[7; 32]].concat();
    for _ in 0..30 {
        // None of them comes to its end.
        let Some(mut control) = peer.try_control(&wire).await else { continue };
        control.raw(&nonce).await;
        controls.push(control);
    }
    // All together: a stream that is given up takes with it what nobody has read yet.
    futures::future::join_all(controls.iter_mut().map(|control| control.drain())).await;
    assert_eq!(nonces(&peer), FAILURES_PER_MINUTE_MAX);
    publisher.node.shutdown().await;
}

/// More connections than a room knows, on none of which anything is said. (With every place taken by
/// them, as without the eviction in `pairs.rs`, the newcomer comes in only as their five seconds run
/// out, and without those in `conn.rs` never.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_strangers_keep_no_member_out() {
    let house = House::new();
    let publisher = Member::enter(&house, PUBLISHER, Vec::new()).await;
    // Not all of one peer: that is bounded apart.
    let (mut peers, mut wires) = (Vec::new(), Vec::new());
    while wires.len() < roommate_protocol::room::CONNECTIONS_MAX + 4 {
        let mut peer = Peer::new();
        for _ in 0..4 {
            wires.push(peer.dial(&publisher.address()).await);
        }
        peers.push(peer);
    }
    let viewer = Member::enter(&house, VIEWER, vec![publisher.hint()]).await;
    viewer.meets(publisher.peer()).await;
    publisher.meets(viewer.peer()).await;
    for wire in &wires {
        assert_eq!(wire.closed().await, CloseCode::Refused);
    }
    assert_eq!(publisher.room.status().members.len(), 1);
    viewer.node.shutdown().await;
    publisher.node.shutdown().await;
}

/// Its other rooms are nobody's business here, and a proof of them would fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_in_other_rooms_as_well_is_no_stranger() {
    let house = House::new();
    let publisher = Member::enter(&house, PUBLISHER, Vec::new()).await;
    let (key, others) = (any_key(), [House::new(), House::new(), House::new()]);
    for counter in 1..=4 {
        let node = start(&key, counter, VIEWER, &[QUIC]).await;
        for other in &others {
            node.join(other.join_config(node.peer(), Vec::new())).await.unwrap();
        }
        let config = house.join_config(node.peer(), vec![publisher.hint()]);
        node.join(config).await.unwrap();
        publisher.meets(node.peer()).await;
        node.shutdown().await;
        publisher.sees("nobody", |status| status.members.is_empty()).await;
    }
    publisher.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp_there_are_words_and_no_pictures() {
    let house = House::new();
    let listen = [QUIC, TCP];
    let key = (any_key(), 1);
    let publisher = Member::enter_with(&house, key, PUBLISHER, &listen, Vec::new()).await;
    let mut broadcast = Broadcast::begin(&publisher).await;
    for (address, pictures) in publisher.node.listen().to_vec().iter().zip([true, false]) {
        let mut peer = Peer::new();
        let wire = peer.dial(address).await;
        assert_eq!(wire.native.is_some(), pictures);
        let mut control = peer.control(&wire).await;
        control.come_in(&house, &peer.key).await;
        control.subscribe(broadcast.key, 1).await;
        let answer = |message: &Incoming| match message {
            Incoming::Admit(_) => Some(None),
            Incoming::Refuse(refuse) => Some(Some(RefuseReason::from_number(refuse.reason))),
            _ => None,
        };
        let refused = control.until("an answer", answer).await;
        assert_eq!(refused, (!pictures).then_some(RefuseReason::Relayed));
        publisher.meets(peer.name()).await;
        let child = |status: &roommate::status::RoomStatus| {
            status.children.iter().any(|child| child.peer == peer.name())
        };
        if pictures {
            publisher.sees("a child", child).await;
        } else {
            assert!(!child(&publisher.room.status()));
        }
    }
    broadcast.end(&publisher).await;
    publisher.node.shutdown().await;
}
