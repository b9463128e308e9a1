//! A publisher's track, a writer to a child over a fake network, and the child's readers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use roommate_protocol::media::publish::TrackPublisher;
use roommate_protocol::media::pull::{Feed, Medium};
use roommate_protocol::media::track::{AccessUnit, Append, Lacking};
use roommate_protocol::room::ConnId;
use roommate_protocol::time::{Mono, Wall};
use roommate_protocol::trust::id::{BroadcastId, PeerId, RoomPk, TrackId, TrackKey};
use roommate_protocol::wire::header::SubscriptionId;
use roommate_protocol::wire::record::{Signer, Verifier};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::net::{Net, Quality};
use crate::link::accept::{ReadNews, accept_streams};
use crate::link::sink::Time as _;
use crate::link::table::SubscriptionTable;
use crate::link::writer::{FeedEnd, FeedTask, write_feed};
use crate::link::{Cancel, FeedStats, SharedTrack};

pub(super) const ROOM: RoomPk = RoomPk([9; 32]);
pub(super) const CONN: ConnId = ConnId(1);
pub(super) const SUB: SubscriptionId = SubscriptionId(5);

pub(super) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(super) fn track() -> TrackKey {
    TrackKey {
        publisher: PeerId(key().verifying_key().to_bytes()),
        broadcast: BroadcastId([3; 16]),
        track: TrackId(0),
    }
}

pub(super) fn verifier() -> Verifier {
    Verifier::new(ROOM, track()).unwrap()
}

pub(super) fn feed(lacking: Option<Lacking>) -> Feed {
    let latency = Duration::from_millis(300);
    let medium = Medium::Pictures;
    Feed { subscription: SUB, track: track(), medium, path: Vec::new(), latency, lacking }
}

/// Access units of a publisher, a tenth of them keyframes.
pub(super) struct Studio {
    publisher: TrackPublisher,
    pub(super) seq: u64,
    pub(super) gop: u64,
    pub(super) key_bytes: usize,
    pub(super) delta_bytes: usize,
}

impl Studio {
    pub(super) fn new() -> Self {
        let signer = Signer::new(key(), ROOM, track()).unwrap();
        let publisher = TrackPublisher::new(signer);
        Self { publisher, seq: 0, gop: 10, key_bytes: 60_000, delta_bytes: 9_000 }
    }

    pub(super) fn next(&mut self) -> Vec<Append> {
        let keyframe = self.seq.is_multiple_of(self.gop);
        let length = if keyframe { self.key_bytes } else { self.delta_bytes };
        let data: Bytes = (0..length).map(|at| (at as u64 * 7 + self.seq) as u8).collect();
        let captured_us = self.seq as i64 * 33_333;
        let unit = AccessUnit { pts: captured_us, decode_offset: 0, captured_us, keyframe, data };
        self.seq += 1;
        self.publisher.publish(&unit).unwrap()
    }

    pub(super) fn end(&mut self) -> Append {
        self.publisher.end().unwrap()
    }
}

/// Everything between a publisher and one child.
pub(super) struct World {
    pub(super) net: Net,
    pub(super) studio: Studio,
    pub(super) ours: Arc<SharedTrack>,
    pub(super) theirs: Arc<SharedTrack>,
    pub(super) stats: Arc<FeedStats>,
    pub(super) cancel: Cancel,
    pub(super) keyframes_wanted: mpsc::Receiver<()>,
    pub(super) news: mpsc::Receiver<ReadNews>,
    pub(super) stop_reading: CancellationToken,
    pub(super) writer: JoinHandle<FeedEnd>,
    /// When each access unit was appended here.
    pub(super) appended: Vec<Mono>,
    carrier: JoinHandle<()>,
    pub(super) accepting: JoinHandle<u64>,
}

impl World {
    pub(super) fn new(seed: u64, quality: Quality, until: Option<Wall>) -> Self {
        let net = Net::new(seed, quality);
        let (ours, theirs) = (Arc::new(SharedTrack::new()), Arc::new(SharedTrack::new()));
        let (stats, cancel) = (Arc::new(FeedStats::default()), Cancel::new());
        let (keyframe_wanted, keyframes_wanted) = mpsc::channel(1);
        let task = FeedTask {
            feed: feed(None),
            track: ours.clone(),
            until,
            cancel: cancel.clone(),
            stats: stats.clone(),
            keyframe_wanted,
        };
        let writer = tokio::spawn(write_feed(task, net.clone(), net.clone(), net.clone()));
        let table = SubscriptionTable::new();
        table.expect(CONN, SUB, theirs.clone(), verifier());
        let (tell, news) = mpsc::channel(64);
        let stop_reading = CancellationToken::new();
        let accepting = tokio::spawn(accept_streams(
            net.clone(),
            CONN,
            table,
            net.clone(),
            (tell, stop_reading.clone()),
        ));
        let carrier = tokio::spawn(net.clone().run());
        Self {
            net,
            studio: Studio::new(),
            ours,
            theirs,
            stats,
            cancel,
            keyframes_wanted,
            news,
            stop_reading,
            writer,
            appended: Vec::new(),
            carrier,
            accepting,
        }
    }

    /// A second feed on the same connection.
    pub(super) fn another_writer(&self) -> Arc<FeedStats> {
        let stats = Arc::new(FeedStats::default());
        let task = FeedTask {
            feed: Feed { subscription: SubscriptionId(6), ..feed(None) },
            track: self.ours.clone(),
            until: None,
            cancel: self.cancel.clone(),
            stats: stats.clone(),
            keyframe_wanted: mpsc::channel(1).0,
        };
        let net = self.net.clone();
        tokio::spawn(write_feed(task, net.clone(), net.clone(), net));
        stats
    }

    /// Publishes `count` access units, 33 ms apart.
    pub(super) async fn publish(&mut self, count: u64) {
        for _ in 0..count {
            let appends = self.studio.next();
            self.appended.push(self.net.mono());
            self.ours.append(&appends, self.net.mono());
            sleep(33).await;
        }
    }

    /// The longest that a received access unit was on its way, and how many were received.
    pub(super) fn worst_delay(&self) -> (Duration, usize) {
        self.theirs.look(|cache| {
            let units = cache.groups().flat_map(|group| group.units());
            let delays: Vec<Duration> = units
                .filter_map(|unit| {
                    let appended = self.appended[unit.signed().head().seq as usize];
                    Some(unit.completed_at()?.since(appended))
                })
                .collect();
            (delays.iter().max().copied().unwrap_or(Duration::MAX), delays.len())
        })
    }

    /// Seq behind the newest complete access unit at the child.
    pub(super) fn received(&self) -> u64 {
        self.theirs.look(|cache| cache.newest().map_or(0, |group| group.next().0))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.writer.abort();
        self.carrier.abort();
        self.accepting.abort();
    }
}

pub(super) async fn sleep(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
