//! Native streams between two of ours, and what is counted while they are written.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

mod common;

use common::link::{Link, Shape};
use common::{LIMIT, own, pair};
use quinn::{ConnectionError, ReadToEndError, RecvStream, VarInt};
use roommate_transport::{Config, Congestion, Native};
use tokio::time::timeout;

const CHUNK: usize = 8 << 10;
const GATE: u64 = 32 << 10;

async fn read_all(mut stream: RecvStream) -> Vec<u8> {
    timeout(LIMIT, stream.read_to_end(usize::MAX)).await.unwrap().unwrap()
}

#[tokio::test]
async fn streams_priorities_and_resets_beside_libp2p() {
    let (mut a, at_a, mut b, at_b) = pair(Config::default(), Config::default()).await;
    let (from, to) = (at_a.native(), at_b.native());
    let mut older = from.open_uni().await.unwrap();
    let mut newest = from.open_uni().await.unwrap();
    older.set_priority(-2).unwrap();
    newest.set_priority(-1).unwrap();
    older.write_all(&[2; 50_000]).await.unwrap();
    newest.write_all(&[1; 50_000]).await.unwrap();
    older.finish().unwrap();
    newest.finish().unwrap();
    let mut got = [
        read_all(to.accept_uni().await.unwrap()).await,
        read_all(to.accept_uni().await.unwrap()).await,
    ];
    got.sort();
    assert_eq!(got, [vec![1; 50_000], vec![2; 50_000]]);

    let mut stale = from.open_uni().await.unwrap();
    stale.write_all(b"half a picture").await.unwrap();
    let mut arrived = to.accept_uni().await.unwrap();
    stale.reset(VarInt::from_u32(7)).unwrap();
    let error = timeout(LIMIT, arrived.read_to_end(100)).await.unwrap().unwrap_err();
    let ReadToEndError::Read(quinn::ReadError::Reset(code)) = error else { panic!("{error}") };
    assert_eq!(code, VarInt::from_u32(7));

    a.pings(1).await;
    b.pings(1).await;
}

#[tokio::test]
async fn both_sides_export_the_same_and_no_other_connection_does() {
    let (mut a, first_a, mut b, first_b) = pair(Config::default(), Config::default()).await;
    a.dial(b.address.clone()).await;
    let (second_a, second_b) = (a.up().await, b.up().await);
    let export = |native: &Native, label: &[u8]| native.exporter(label).unwrap();
    assert_eq!(export(first_a.native(), b"x"), export(first_b.native(), b"x"));
    assert_eq!(export(second_a.native(), b"x"), export(second_b.native(), b"x"));
    assert_ne!(export(first_a.native(), b"x"), export(first_a.native(), b"y"));
    assert_ne!(export(first_a.native(), b"x"), export(second_a.native(), b"x"));
}

/// Writes `total` bytes as the media gate does and returns the most that was ever unsent.
async fn write_gated(native: &Native, total: usize) -> u64 {
    let counters = native.counters();
    let mut stream = native.open_uni().await.unwrap();
    stream.set_priority(-1).unwrap();
    let (mut left, mut most) = (total, 0);
    while left > 0 {
        let changed = counters.notified();
        let (written, sent) = (counters.written(), counters.sent());
        assert!(sent <= written, "{sent} of {written}");
        let unsent = written - sent;
        most = most.max(unsent);
        if unsent >= GATE {
            changed.await;
            continue;
        }
        let n = CHUNK.min(left);
        counters.add_written(n as u64);
        stream.write_all(&vec![0; n]).await.unwrap();
        left -= n;
    }
    stream.finish().unwrap();
    most
}

/// Waits until the peer has acknowledged everything.
async fn dry(native: &Native) {
    let counters = native.counters();
    loop {
        let changed = counters.notified();
        if counters.in_flight() == 0 && counters.sent() == counters.written() {
            return;
        }
        changed.await;
    }
}

async fn counted(congestion: Congestion, shape: Shape) -> (u64, u64) {
    const TOTAL: usize = 5_000_000;
    let config = Config { congestion, ..Config::default() };
    let mut b = own(config.clone()).listen().await;
    let link = Link::to(&b.address, shape).await;
    let mut a = own(config);
    a.dial(link.address.clone()).await;
    let (at_a, at_b) = (a.up().await, b.up().await);
    let (from, to) = (at_a.native().clone(), at_b.native().clone());
    let reader = tokio::spawn(async move { read_all(to.accept_uni().await.unwrap()).await.len() });
    let most = timeout(LIMIT, write_gated(&from, TOTAL)).await.expect("the gate opened again");
    assert_eq!(reader.await.unwrap(), TOTAL);
    timeout(LIMIT, dry(&from)).await.expect("everything is acknowledged in the end");
    let counters = from.counters();
    assert!(counters.written() >= TOTAL as u64);
    assert!(counters.last_ack_age() < LIMIT);
    assert!(from.stats().udp_tx.bytes >= TOTAL as u64);
    // The reader wrote a few words of libp2p's at most, and owes no acknowledgement for them.
    assert!(at_b.native().counters().written() < 20_000);
    (most, counters.lost_bytes())
}

#[tokio::test]
async fn the_gate_bounds_what_is_unsent_and_the_counters_become_exact() {
    for congestion in [Congestion::Bbr, Congestion::Cubic] {
        let (most, _) = counted(congestion, Shape::default()).await;
        // One chunk above the gate, and libp2p's own few words.
        assert!(most < GATE + 2 * CHUNK as u64, "{most} bytes were unsent");
    }
}

#[tokio::test]
async fn lost_packets_count_as_unsent_until_they_left_again() {
    let shape = Shape { lose_every: Some(50), ..Shape::default() };
    let (_, lost) = counted(Congestion::Bbr, shape).await;
    assert!(lost > 50_000, "{lost} bytes lost of 2 % of 5 MB");
}

#[tokio::test]
async fn a_peer_that_moves_keeps_its_connection_and_its_counters() {
    let mut b = own(Config::default()).listen().await;
    let link = Link::to(&b.address, Shape::default()).await;
    let mut a = own(Config::default());
    a.dial(link.address.clone()).await;
    let (at_a, at_b) = (a.up().await, b.up().await);
    b.pings(2).await;

    let moved = link.move_dialler().await;
    a.pings(3).await;
    assert_eq!(at_b.native().remote_address(), moved);

    // The listener's controller is a new one now, and still counts where the old one did.
    let (from, to) = (at_b.native().clone(), at_a.native().clone());
    let reader = tokio::spawn(async move { read_all(to.accept_uni().await.unwrap()).await.len() });
    timeout(LIMIT, write_gated(&from, 500_000)).await.expect("the gate opens");
    assert_eq!(reader.await.unwrap(), 500_000);
    timeout(LIMIT, dry(&from)).await.expect("the counters go on");
}

#[tokio::test]
async fn closing_tells_the_peer_the_code() {
    let (mut a, at_a, mut b, at_b) = pair(Config::default(), Config::default()).await;
    at_a.native().close(42, b"enough");
    let reason = timeout(LIMIT, at_b.native().closed()).await.unwrap();
    let ConnectionError::ApplicationClosed(close) = reason else { panic!("{reason}") };
    assert_eq!((close.error_code, &close.reason[..]), (VarInt::from_u32(42), &b"enough"[..]));
    a.down(at_a.id).await;
    b.down(at_b.id).await;
}

#[tokio::test]
async fn libp2p_closing_a_connection_ends_it_whoever_holds_a_handle() {
    let (mut a, at_a, mut b, at_b) = pair(Config::default(), Config::default()).await;
    let id = at_a.id;
    a.with(move |swarm| swarm.behaviour_mut().door.close(id)).await;
    a.down(at_a.id).await;
    b.down(at_b.id).await;
    timeout(LIMIT, at_a.native().closed()).await.unwrap();
    assert!(at_a.native().open_uni().await.is_err());
}

#[tokio::test]
async fn a_swarm_that_ends_takes_its_connections_with_it() {
    let (a, at_a, mut b, at_b) = pair(Config::default(), Config::default()).await;
    drop(a);
    timeout(LIMIT, at_a.native().closed()).await.unwrap();
    let reason = timeout(LIMIT, at_b.native().closed()).await.unwrap();
    assert!(matches!(reason, ConnectionError::ApplicationClosed(_)), "{reason}");
    b.down(at_b.id).await;
}

#[tokio::test]
async fn media_never_starves_libp2p() {
    let mut b = own(Config::default()).listen().await;
    let link = Link::to(&b.address, Shape { rate: Some(4_000_000), ..Shape::default() }).await;
    let mut a = own(Config::default());
    a.dial(link.address.clone()).await;
    let (at_a, at_b) = (a.up().await, b.up().await);
    let (from, to) = (at_a.native().clone(), at_b.native().clone());
    let counters = from.counters();

    let mut bulk = from.open_uni().await.unwrap();
    bulk.set_priority(-1).unwrap();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let tell = counters.clone();
    let writer = tokio::spawn(async move {
        let chunk = vec![0; CHUNK];
        while stopped.try_recv().is_err() {
            bulk.write_all(&chunk).await.unwrap();
            tell.add_written(CHUNK as u64);
        }
        bulk.reset(VarInt::from_u32(0)).unwrap();
    });
    let mut bulk = timeout(LIMIT, to.accept_uni()).await.unwrap().unwrap();
    tokio::spawn(async move { while let Ok(Some(_)) = bulk.read_chunk(1 << 16, true).await {} });
    let saturated = async {
        loop {
            let changed = counters.notified();
            if counters.written() - counters.sent() > 512 << 10 {
                return;
            }
            changed.await;
        }
    };
    timeout(LIMIT, saturated).await.unwrap();

    // The counter-check: what ranks below the bulk does starve, so the link is really full.
    let mut below = from.open_uni().await.unwrap();
    below.set_priority(-2).unwrap();
    below.write_all(b"starved").await.unwrap();
    below.finish().unwrap();
    let starved = tokio::spawn(async move { read_all(to.accept_uni().await.unwrap()).await });

    // The connection is never dry: only what is seen to leave moves this counter.
    let before = counters.sent();
    a.pings(10).await;
    assert!(counters.sent() > before + CHUNK as u64);
    assert!(!starved.is_finished(), "the link was not saturated");
    stop.send(()).unwrap();
    writer.await.unwrap();
    assert_eq!(timeout(LIMIT, starved).await.unwrap().unwrap(), b"starved");
}
