//! The door: which connection is which, and substreams on the one that was named.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

mod common;

use common::{Node, Own, PROTOCOL, own, pair};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::swarm::ConnectionId;
use libp2p::{PeerId, Stream, StreamProtocol};
use roommate_transport::{Config, DoorEvent, OpenError};

async fn opened(node: &mut Node<Own>) -> (ConnectionId, Stream, bool) {
    node.door("substream", |event| match event {
        DoorEvent::Opened { id, protocol, stream, dialled, .. } => {
            assert_eq!(protocol, PROTOCOL);
            Some((id, stream, dialled))
        }
        DoorEvent::OpenFailed { why, .. } => panic!("{why}"),
        _ => None,
    })
    .await
}

async fn refused(node: &mut Node<Own>) -> OpenError {
    node.door("refusal", |event| match event {
        DoorEvent::OpenFailed { why, .. } => Some(why),
        DoorEvent::Opened { .. } => panic!("it opened"),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn substreams_open_on_the_named_connection_both_ways() {
    let (mut a, first_a, mut b, first_b) = pair(Config::default(), Config::default()).await;
    a.dial(b.address.clone()).await;
    let (second_a, second_b) = (a.up().await, b.up().await);
    assert_ne!(first_a.id, second_a.id);
    // Same peer, same address, same direction: each side's handle is of the right connection.
    for (at_a, at_b) in [(&first_a, &first_b), (&second_a, &second_b)] {
        assert!(at_a.dialled && !at_b.dialled);
        assert_eq!(at_a.native().exporter(b"x").unwrap(), at_b.native().exporter(b"x").unwrap());
        a.open(at_a.id, b.peer, PROTOCOL).await;
        let (id, mut near, ours) = opened(&mut a).await;
        assert_eq!((id, ours), (at_a.id, true));
        near.write_all(b"from the dialler").await.unwrap();
        let (id, mut far, ours) = opened(&mut b).await;
        assert_eq!((id, ours), (at_b.id, false));
        near.close().await.unwrap();
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"from the dialler");

        b.open(at_b.id, a.peer, PROTOCOL).await;
        assert_eq!(opened(&mut b).await.0, at_b.id);
        assert_eq!(opened(&mut a).await.0, at_a.id);
    }
}

/// Handshakes that end together end in no order that anybody is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_connections_at_once_each_handle_is_of_its_own() {
    const MANY: usize = 24;
    let mut b = own(Config::default()).listen().await;
    let mut a = own(Config::default());
    for _ in 0..MANY {
        a.dial(b.address.clone()).await;
    }
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..MANY {
        near.push(a.up().await);
        far.push(b.up().await);
    }
    for up in near {
        a.open(up.id, b.peer, PROTOCOL).await;
        let (_, _near, _) = opened(&mut a).await;
        let (id, _far, _) = opened(&mut b).await;
        let other = far.iter().find(|other| other.id == id).unwrap();
        let exporter = |native: &roommate_transport::Native| native.exporter(b"x").unwrap();
        assert_eq!(exporter(up.native()), exporter(other.native()));
    }
}

#[tokio::test]
async fn a_substream_dropped_in_the_middle_does_not_look_complete() {
    let (mut a, at_a, mut b, _at_b) = pair(Config::default(), Config::default()).await;
    a.open(at_a.id, b.peer, PROTOCOL).await;
    let (_, mut near, _) = opened(&mut a).await;
    let (_, mut far, _) = opened(&mut b).await;
    near.write_all(b"half").await.unwrap();
    let mut half = [0; 4];
    far.read_exact(&mut half).await.unwrap();
    drop(near);
    far.read_to_end(&mut Vec::new()).await.unwrap_err();
}

#[tokio::test]
async fn what_cannot_be_opened_is_told() {
    let (mut a, at_a, b, _at_b) = pair(Config::default(), Config::default()).await;
    a.open(at_a.id, b.peer, StreamProtocol::new("/unknown/1")).await;
    assert_eq!(refused(&mut a).await, OpenError::Unsupported);
    a.open(ConnectionId::new_unchecked(usize::MAX), b.peer, PROTOCOL).await;
    assert_eq!(refused(&mut a).await, OpenError::Gone);
    a.open(at_a.id, PeerId::random(), PROTOCOL).await;
    assert_eq!(refused(&mut a).await, OpenError::Gone);
}

#[tokio::test]
async fn openings_are_bounded_and_every_one_is_answered_before_the_end() {
    let (mut a, at_a, b, _at_b) = pair(Config::default(), Config::default()).await;
    let (id, peer) = (at_a.id, b.peer);
    const ASKED: usize = 40;
    a.with(move |swarm| {
        let door = &mut swarm.behaviour_mut().door;
        for _ in 0..ASKED {
            door.open(id, peer, PROTOCOL);
        }
        door.close(id);
    })
    .await;
    let (mut answers, mut busy) = (0, 0);
    a.door("end", |event| match event {
        DoorEvent::OpenFailed { why, .. } => {
            busy += usize::from(why == OpenError::Busy);
            answers += 1;
            None
        }
        DoorEvent::Opened { .. } => {
            answers += 1;
            None
        }
        DoorEvent::Down { .. } => Some(()),
        DoorEvent::Up { .. } => None,
    })
    .await;
    assert_eq!((answers, busy), (ASKED, ASKED - 32));
}

#[tokio::test]
async fn a_connection_to_the_wrong_peer_never_comes_up_and_leaves_nothing() {
    let mut b = own(Config::default()).listen().await;
    let mut a = own(Config::default());
    // The swarm itself refuses: somebody else was expected at that address.
    let wrong = b.address.clone().with_p2p(PeerId::random()).unwrap();
    a.dial(wrong).await;
    a.wait("failure", |event| match event {
        libp2p::swarm::SwarmEvent::OutgoingConnectionError { .. } => Some(()),
        _ => None,
    })
    .await;
    // The next one is matched with its own connection, not with a left-over.
    a.dial(b.address.clone()).await;
    let (at_a, mut at_b) = (a.up().await, b.up().await);
    if at_b.native().exporter(b"x").unwrap() != at_a.native().exporter(b"x").unwrap() {
        at_b = b.up().await; // b may have seen the first one come and go
    }
    assert_eq!(at_a.native().exporter(b"x").unwrap(), at_b.native().exporter(b"x").unwrap());
}
