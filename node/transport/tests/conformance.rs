//! Against the stock libp2p QUIC transport, in both directions.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

mod common;

use std::time::{Duration, Instant};

use common::{Node, OwnEvent, Stock, StockEvent, own, stock};
use libp2p::swarm::SwarmEvent;
use libp2p::{identify, ping};
use roommate_transport::{Config, NativeError, OpenError};

/// Waits until the node has both been told who the other is and had two pings answered.
macro_rules! knows_and_pings {
    ($node:expr, $event:ident, $other:expr) => {{
        let (mut known, mut pings, other) = (false, 0, $other);
        $node
            .wait("identify and ping", |event| {
                match event {
                    SwarmEvent::Behaviour($event::Identify(identify::Event::Received {
                        peer_id,
                        info,
                        ..
                    })) => {
                        assert_eq!(peer_id, other);
                        assert_eq!(info.public_key.to_peer_id(), other);
                        known = true;
                    }
                    SwarmEvent::Behaviour($event::Ping(ping::Event { result, .. })) => {
                        result.unwrap();
                        pings += 1;
                    }
                    _ => {}
                }
                (known && pings >= 2).then_some(())
            })
            .await
    }};
}

async fn stock_listener() -> Node<Stock> {
    stock().listen().await
}

#[tokio::test]
async fn we_dial_a_stock_peer() {
    let mut theirs = stock_listener().await;
    let mut ours = own(Config::default());
    ours.dial(theirs.address.clone()).await;
    let up = ours.up().await;
    assert!(up.dialled && up.native.is_some());
    assert_eq!(up.peer, theirs.peer);
    knows_and_pings!(ours, OwnEvent, theirs.peer);
    knows_and_pings!(theirs, StockEvent, ours.peer);
}

#[tokio::test]
async fn a_stock_peer_dials_us() {
    let mut ours = own(Config::default()).listen().await;
    let mut theirs = stock();
    theirs.dial(ours.address.clone()).await;
    let up = ours.up().await;
    assert!(!up.dialled && up.native.is_some());
    assert_eq!(up.peer, theirs.peer);
    knows_and_pings!(ours, OwnEvent, theirs.peer);
    knows_and_pings!(theirs, StockEvent, ours.peer);
}

#[tokio::test]
async fn a_stock_peer_grants_no_native_stream_and_is_not_waited_for() {
    let theirs = stock_listener().await;
    let config = Config { open_timeout: Duration::from_millis(300), ..Config::default() };
    let mut ours = own(config);
    ours.dial(theirs.address.clone()).await;
    let up = ours.up().await;
    let start = Instant::now();
    let refused = up.native().open_uni().await;
    assert!(matches!(refused, Err(NativeError::NoCredit)), "{refused:?}");
    assert!(start.elapsed() < Duration::from_secs(5));

    ours.open(up.id, up.peer, common::PROTOCOL).await;
    let why = ours
        .door("refusal", |event| match event {
            roommate_transport::DoorEvent::OpenFailed { why, .. } => Some(why),
            _ => None,
        })
        .await;
    assert_eq!(why, OpenError::Unsupported);
    ours.pings(2).await;
}
