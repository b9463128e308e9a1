//! The same reader and writer over real connections, on 127.0.0.1.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::identity::Keypair;
use libp2p::swarm::{Swarm, SwarmEvent};
use roommate_protocol::limits::{UNSENT_BYTES_MAX, WRITE_BYTES_MAX};
use roommate_protocol::media::track::Over;
use roommate_protocol::wire::code::StreamCode;
use roommate_transport::{Config, Door, DoorEvent, Native, QuicTransport};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::{CONN, SUB, Studio, feed, verifier};
use crate::link::accept::{ReadNews, accept_streams};
use crate::link::quic::QuicLink;
use crate::link::reader::ReadEnd;
use crate::link::table::SubscriptionTable;
use crate::link::writer::{FeedEnd, FeedTask, write_feed};
use crate::link::{Cancel, FeedStats, SharedTrack};
use roommate_clock::Clock;

fn swarm() -> Swarm<Door> {
    let key = Keypair::generate_ed25519();
    let (transport, door) = QuicTransport::new(Config::default(), &key).unwrap();
    let transport = transport.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed();
    let config = libp2p::swarm::Config::with_tokio_executor();
    Swarm::new(transport, door, key.public().to_peer_id(), config)
}

/// Runs a swarm until it is aborted; tells its connections.
fn run(mut swarm: Swarm<Door>) -> (mpsc::UnboundedReceiver<Native>, JoinHandle<()>) {
    let (tell, up) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        loop {
            if let SwarmEvent::Behaviour(DoorEvent::Up { native: Some(native), .. }) =
                swarm.select_next_some().await
            {
                let _ = tell.send(native);
            }
        }
    });
    (up, task)
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("no {what}"))
}

/// A publisher and a child on one connection.
struct Pair {
    ours: Arc<SharedTrack>,
    theirs: Arc<SharedTrack>,
    stats: Arc<FeedStats>,
    cancel: Cancel,
    writer: JoinHandle<FeedEnd>,
    news: mpsc::Receiver<ReadNews>,
    native: Native,
    swarms: [JoinHandle<()>; 2],
    _reading: JoinHandle<u64>,
}

impl Pair {
    async fn new() -> Self {
        let mut listener = swarm();
        listener.listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } =
                soon("address", listener.select_next_some()).await
            {
                break address;
            }
        };
        let mut dialler = swarm();
        dialler.dial(address).unwrap();
        let (mut up, first) = run(listener);
        let (mut dialled, second) = run(dialler);
        let native = soon("connection", up.recv()).await.unwrap();
        let far = soon("connection", dialled.recv()).await.unwrap();

        let (ours, theirs) = (Arc::new(SharedTrack::new()), Arc::new(SharedTrack::new()));
        let (stats, cancel) = (Arc::new(FeedStats::default()), Cancel::new());
        let task = FeedTask {
            feed: feed(None),
            track: ours.clone(),
            until: None,
            cancel: cancel.clone(),
            stats: stats.clone(),
            keyframe_wanted: mpsc::channel(1).0,
        };
        let link = QuicLink::new(native.clone());
        let gate = link.gate();
        let writer = tokio::spawn(write_feed(task, link, gate, Clock::new()));
        let table = SubscriptionTable::new();
        table.expect(CONN, SUB, theirs.clone(), verifier());
        let (tell, news) = mpsc::channel(8);
        let reading = accept_streams(
            QuicLink::new(far),
            CONN,
            table,
            Clock::new(),
            (tell, CancellationToken::new()),
        );
        let _reading = tokio::spawn(reading);
        let swarms = [first, second];
        Self { ours, theirs, stats, cancel, writer, news, native, swarms, _reading }
    }

    /// Waits until the child has `seq`, whole.
    async fn received(&self, seq: u64) {
        let mut changes = self.theirs.changes();
        let there =
            || self.theirs.look(|cache| cache.newest().is_some_and(|group| group.next().0 > seq));
        while !there() {
            soon("picture", changes.changed()).await.unwrap();
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.swarms.iter().for_each(JoinHandle::abort);
    }
}

#[tokio::test]
async fn a_broadcast_arrives_whole_and_nothing_is_written_ahead() {
    let mut pair = Pair::new().await;
    let mut studio = Studio::new();
    for seq in 0..25 {
        pair.ours.append(&studio.next(), Clock::new().mono());
        pair.received(seq).await;
    }
    pair.ours.append(&[studio.end()], Clock::new().mono());
    assert_eq!(soon("end", &mut pair.writer).await.unwrap(), FeedEnd::Over(Over::Finished));
    let mut changes = pair.theirs.changes();
    while pair.theirs.look(|cache| cache.over()).is_none() {
        soon("signed end", changes.changed()).await.unwrap();
    }
    let sent = pair.stats.snapshot();
    assert_eq!((sent.sent, sent.skipped, sent.reset), (25, 0, 0));
    assert!(sent.max_write <= WRITE_BYTES_MAX as u64, "{sent:?}");
    assert!(sent.max_unsent < UNSENT_BYTES_MAX as u64, "{sent:?}");
    assert_eq!(pair.theirs.reads().refused, 0);
    assert!(pair.news.try_recv().is_err(), "a stream that ended as it should is no news");
}

#[tokio::test]
async fn the_child_hears_why_a_stream_was_reset() {
    let mut pair = Pair::new().await;
    let mut studio = Studio::new();
    pair.ours.append(&studio.next(), Clock::new().mono());
    pair.received(0).await;
    pair.cancel.cancel(StreamCode::Cancelled);
    let news = soon("news", pair.news.recv()).await.unwrap();
    assert_eq!(news.report.end, ReadEnd::Reset(Some(StreamCode::Cancelled)));
    let end = soon("end", &mut pair.writer).await.unwrap();
    assert_eq!(end, FeedEnd::Cancelled(StreamCode::Cancelled));
}

#[tokio::test]
async fn a_writer_that_is_aborted_does_not_end_its_stream_as_if_all_were_sent() {
    let mut pair = Pair::new().await;
    let mut studio = Studio::new();
    pair.ours.append(&studio.next(), Clock::new().mono());
    pair.received(0).await;
    pair.writer.abort();
    let news = soon("news", pair.news.recv()).await.unwrap();
    assert_eq!(news.report.end, ReadEnd::Reset(Some(StreamCode::Cancelled)));
}

#[tokio::test]
async fn a_lost_link_ends_both_sides() {
    let mut pair = Pair::new().await;
    let mut studio = Studio::new();
    pair.ours.append(&studio.next(), Clock::new().mono());
    pair.received(0).await;
    pair.native.close(0, b"");
    let news = soon("news", pair.news.recv()).await.unwrap();
    assert_eq!(news.report.end, ReadEnd::LinkDown);
    pair.ours.append(&studio.next(), Clock::new().mono());
    assert_eq!(soon("end", &mut pair.writer).await.unwrap(), FeedEnd::LinkDown);
}
