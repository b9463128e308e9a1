//! The tasks of pictures, as the core orders them: for each connection one that takes streams in,
//! for each child and track one that writes. Starts and ends them; no piece passes through here.
//!
//! There are at most as many as the core has connections and children. Their news wait in queues of
//! [`NEWS_MAX`]; tasks wait for the driver there, and no picture does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roommate_protocol::media::pull::Feed;
use roommate_protocol::room::ConnId;
use roommate_protocol::time::{Now, Wall};
use roommate_protocol::trust::id::{RoomPk, TrackKey};
use roommate_protocol::wire::code::StreamCode;
use roommate_protocol::wire::header::SubscriptionId;
use roommate_protocol::wire::record::Verifier;
use roommate_transport::Native;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Driver;
use crate::link::accept::{ReadNews, accept_streams};
use crate::link::quic::QuicLink;
use crate::link::reader::ReadEnd;
use crate::link::table::SubscriptionTable;
use crate::link::writer::{FeedEnd, FeedTask, write_feed};
use crate::link::{Cancel, FeedStats, SharedTrack};
use roommate_clock::Clock;

/// News that wait for the driver: a stream ends once a group, a feed once.
const NEWS_MAX: usize = 64;

/// A writer to start.
pub(super) struct FeedOrder {
    pub(super) room: RoomPk,
    pub(super) conn: ConnId,
    pub(super) feed: Feed,
    pub(super) until: Option<Wall>,
}

/// One feed of one room.
type FeedName = (RoomPk, ConnId, SubscriptionId);

/// What the tasks tell.
#[derive(Debug)]
pub(super) enum FeedNews {
    /// A stream that came in did not end as it should.
    Read(ReadNews),
    /// A child is late and there is no newer group.
    Late(FeedName),
    /// A writer has ended.
    Ended(FeedName, FeedEnd, Arc<FeedStats>),
}

struct FeedRow {
    cancel: Cancel,
    stats: Arc<FeedStats>,
}

/// All tasks of pictures.
pub(super) struct Feeds {
    clock: Clock,
    table: SubscriptionTable,
    /// Whose streams a subscription's are, to say where they misbehaved.
    expected: BTreeMap<(ConnId, SubscriptionId), RoomPk>,
    accepting: BTreeMap<ConnId, CancellationToken>,
    feeds: BTreeMap<FeedName, FeedRow>,
    tasks: TaskTracker,
    tell: mpsc::Sender<FeedNews>,
    told: mpsc::Receiver<FeedNews>,
    tell_read: mpsc::Sender<ReadNews>,
    told_read: mpsc::Receiver<ReadNews>,
}

impl Feeds {
    pub(super) fn new(clock: Clock) -> Self {
        let (tell, told) = mpsc::channel(NEWS_MAX);
        let (tell_read, told_read) = mpsc::channel(NEWS_MAX);
        Self {
            clock,
            table: SubscriptionTable::new(),
            expected: BTreeMap::new(),
            accepting: BTreeMap::new(),
            feeds: BTreeMap::new(),
            tasks: TaskTracker::new(),
            tell,
            told,
            tell_read,
            told_read,
        }
    }

    /// The next news; never ends. Cancel-safe.
    pub(super) async fn next_news(&mut self) -> Option<FeedNews> {
        tokio::select! {
            news = self.told.recv() => news,
            news = self.told_read.recv() => news.map(FeedNews::Read),
        }
    }

    /// Takes in the streams of a new connection.
    pub(super) fn accept(&mut self, conn: ConnId, native: Native) {
        let stop = CancellationToken::new();
        self.accepting.insert(conn, stop.clone());
        let (link, table, clock) = (QuicLink::new(native), self.table.clone(), self.clock);
        let news = self.tell_read.clone();
        self.tasks.spawn(async move {
            let too_many = accept_streams(link, conn, table, clock, (news, stop)).await;
            if too_many > 0 {
                tracing::warn!(conn = conn.0, too_many, "streams were stopped as too many");
            }
        });
    }

    /// A connection is gone, and every task on it with it.
    pub(super) fn handle_disconnected(&mut self, conn: ConnId) {
        // Readers end by themselves when the connection does, and keep what came before.
        self.accepting.remove(&conn);
        self.table.forget_connection(conn);
        self.expected.retain(|(of, _), _| *of != conn);
        for (_, row) in self.feeds.extract_if(.., |(_, of, _), _| *of == conn) {
            row.cancel.cancel(StreamCode::Cancelled);
        }
    }

    /// Streams of this subscription may come from now on.
    pub(super) fn expect(
        &mut self,
        conn: ConnId,
        sub: SubscriptionId,
        (room, track): (RoomPk, TrackKey),
        shared: Arc<SharedTrack>,
    ) {
        match Verifier::new(room, track) {
            Ok(verifier) => {
                self.table.expect(conn, sub, shared, verifier);
                self.expected.insert((conn, sub), room);
            }
            // The announcement was verified with this very key.
            Err(error) => tracing::error!(%error, "a publisher's key cannot verify"),
        }
    }

    /// Streams of this subscription are stopped from now on.
    pub(super) fn forget(&mut self, conn: ConnId, sub: SubscriptionId) {
        self.table.forget(conn, sub);
        self.expected.remove(&(conn, sub));
    }

    /// Ends a writer; the core knows already.
    pub(super) fn stop(&mut self, name: FeedName, code: StreamCode) {
        if let Some(row) = self.feeds.remove(&name) {
            row.cancel.cancel(code);
        }
    }

    /// Ends every task of a room.
    pub(super) fn forget_room(&mut self, room: RoomPk) {
        for (_, row) in self.feeds.extract_if(.., |(of, ..), _| *of == room) {
            row.cancel.cancel(StreamCode::Gone);
        }
        for ((conn, sub), _) in self.expected.extract_if(.., |_, of| *of == room) {
            self.table.forget(conn, sub);
        }
    }

    /// What a child was sent.
    pub(super) fn stats(&self, name: FeedName) -> Option<Arc<FeedStats>> {
        self.feeds.get(&name).map(|row| row.stats.clone())
    }

    /// Ends every task and waits for them, at most `wait`.
    pub(super) async fn close(&mut self, wait: Duration) {
        for row in self.feeds.values() {
            row.cancel.cancel(StreamCode::Gone);
        }
        for stop in self.accepting.values() {
            stop.cancel();
        }
        self.tasks.close();
        let tasks = self.tasks.clone();
        let drain = async { while self.next_news().await.is_some() {} };
        let ended = async {
            tokio::select! {
                () = tasks.wait() => {}
                () = drain => {}
            }
        };
        if tokio::time::timeout(wait, ended).await.is_err() {
            tracing::warn!(left = tasks.len(), "tasks of pictures did not end in time");
        }
    }

    fn start(&mut self, order: FeedOrder, native: Native, track: Arc<SharedTrack>) {
        let name = (order.room, order.conn, order.feed.subscription);
        let (cancel, stats) = (Cancel::new(), Arc::new(FeedStats::default()));
        let (late, mut is_late) = mpsc::channel(1);
        let task = FeedTask {
            feed: order.feed,
            track,
            until: order.until,
            cancel: cancel.clone(),
            stats: stats.clone(),
            keyframe_wanted: late,
        };
        self.stop(name, StreamCode::Cancelled);
        let told = stats.clone();
        self.feeds.insert(name, FeedRow { cancel, stats });
        let link = QuicLink::new(native);
        let (gate, clock, tell) = (link.gate(), self.clock, self.tell.clone());
        self.tasks.spawn(async move {
            let writing = write_feed(task, link, gate, clock);
            tokio::pin!(writing);
            let end = loop {
                tokio::select! {
                    end = &mut writing => break end,
                    Some(()) = is_late.recv() => {
                        let _ = tell.try_send(FeedNews::Late(name));
                    }
                }
            };
            let _ = tell.send(FeedNews::Ended(name, end, told)).await;
        });
    }
}

impl Driver {
    pub(super) fn start_feed(&mut self, order: FeedOrder, now: Now) {
        let native = self.links.get(order.conn).and_then(|link| link.native.clone());
        let track = self.shared(order.room, order.feed.track);
        match (native, track) {
            (Some(native), Some(track)) => self.feeds.start(order, native, track),
            // The connection or the track ended while the order was on its way.
            _ => {
                if let Some(entry) = self.rooms.get_mut(&order.room) {
                    entry.machine.handle_feed_ended(order.conn, order.feed.subscription, now);
                }
            }
        }
    }

    pub(super) fn on_feed(&mut self, news: FeedNews, now: Now) {
        match news {
            FeedNews::Late((room, conn, sub)) => {
                if let Some(entry) = self.rooms.get_mut(&room) {
                    entry.machine.handle_feed_late(conn, sub, now);
                }
            }
            FeedNews::Ended(name, end, stats) => {
                tracing::debug!(conn = name.1.0, ?end, "a feed has ended");
                // One that was cancelled is forgotten already, on both sides.
                let is_this = |row: &FeedRow| Arc::ptr_eq(&row.stats, &stats);
                if matches!(end, FeedEnd::Cancelled(_))
                    // A newer feed may have taken the name meanwhile.
                    || !self.feeds.feeds.get(&name).is_some_and(is_this)
                {
                    return;
                }
                self.feeds.feeds.remove(&name);
                if let Some(entry) = self.rooms.get_mut(&name.0) {
                    entry.machine.handle_feed_ended(name.1, name.2, now);
                }
            }
            FeedNews::Read(ReadNews { conn, report }) => {
                tracing::debug!(conn = conn.0, ?report, "a stream did not end as it should");
                let offence = matches!(report.end, ReadEnd::Refused(_) | ReadEnd::CutShort);
                if let Some(sub) = report.sub.filter(|_| offence)
                    && let Some(room) = self.feeds.expected.get(&(conn, sub)).copied()
                    && let Some(entry) = self.rooms.get_mut(&room)
                {
                    tracing::warn!(conn = conn.0, end = ?report.end, "a parent broke a rule");
                    // What its track counts itself is not counted twice.
                    entry.refused += u64::from(report.end == ReadEnd::CutShort);
                    entry.machine.handle_parent_misbehaved(conn, sub, now);
                }
            }
        }
    }
}
