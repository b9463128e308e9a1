//! Whom we feed. A child must hold a ticket to view that has not ended, and ask for a track that we
//! publish, over a connection that may carry pictures. At most [`CHILDREN_MAX`] feeds.

use std::collections::BTreeMap;

use super::Room;
use super::input::ConnId;
use super::output::{Output, Violation};
use super::reasons::RefuseReason;
use crate::limits::CHILDREN_MAX;
use crate::media::pull::Medium;
use crate::media::track::Lacking;
use crate::time::Now;
use crate::trust::id::{BroadcastId, PeerId, TrackKey};
use crate::trust::ticket::Roles;
use crate::wire::code::StreamCode;
use crate::wire::header::SubscriptionId;
use crate::wire::message::{Admit, ClockReport, ReceiverReport, Refuse, Subscribe};

/// One child and track.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub(super) peer: PeerId,
    pub(super) track: TrackKey,
    pub(super) report: Option<ReceiverReport>,
}

/// The table of feeds.
#[derive(Debug, Default)]
pub(super) struct Children(BTreeMap<(ConnId, SubscriptionId), Feed>);

impl Children {
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, SubscriptionId, &Feed)> {
        self.0.iter().map(|((conn, sub), feed)| (*conn, *sub, feed))
    }

    fn which(&self, is: impl Fn(ConnId, &Feed) -> bool) -> Vec<(ConnId, SubscriptionId)> {
        self.0.iter().filter(|((conn, _), feed)| is(*conn, feed)).map(|(key, _)| *key).collect()
    }
}

impl Room {
    pub(super) fn on_subscribe(
        &mut self,
        conn: ConnId,
        asked: Subscribe,
        now: Now,
    ) -> Result<(), Violation> {
        let Some(peer) = self.conns.get(&conn).map(|conn| conn.peer) else { return Ok(()) };
        if self.children.0.contains_key(&(conn, asked.sub)) {
            return Err(Violation::SubscriptionReused);
        }
        // Asked anew, on this connection or another: the older feed is the child's no longer, and
        // must not take a second slot.
        let anew = |_, feed: &Feed| feed.peer == peer && feed.track == asked.track;
        for (conn, sub) in self.children.which(anew) {
            self.stop_feed(conn, sub, StreamCode::Cancelled);
        }
        match self.may_feed(conn, peer, asked.track, now) {
            Ok(granted) => self.start_feed(conn, peer, asked, granted),
            Err(reason) => {
                self.send(conn, &Refuse { sub: asked.sub, reason: reason.number() });
            }
        }
        Ok(())
    }

    fn may_feed(
        &self,
        conn: ConnId,
        peer: PeerId,
        track: TrackKey,
        now: Now,
    ) -> Result<(ClockReport, Medium), RefuseReason> {
        let pair = self.pairs.get(&peer).ok_or(RefuseReason::NotAllowed)?;
        if pair.grant.is_over(now.wall) {
            return Err(RefuseReason::Expired);
        }
        if !pair.grant.roles.contains(Roles::VIEW) {
            return Err(RefuseReason::NotAllowed);
        }
        if !self.conns.get(&conn).is_some_and(|conn| conn.route.carries_pictures()) {
            return Err(RefuseReason::Relayed);
        }
        if peer > self.me && self.parents.is_open_to(&track, peer) {
            return Err(RefuseReason::Loop);
        }
        if track.publisher != self.me {
            return Err(RefuseReason::NotForwarded);
        }
        let (view, medium) = self
            .publishing
            .track(track)
            .map_err(|over| if over { RefuseReason::Over } else { RefuseReason::Unknown })?;
        if self.children.0.len() >= CHILDREN_MAX {
            return Err(RefuseReason::Full);
        }
        Ok((ClockReport { offset_us: view.offset_us, error_us: view.error_us }, medium))
    }

    fn start_feed(
        &mut self,
        conn: ConnId,
        peer: PeerId,
        asked: Subscribe,
        (clock, medium): (ClockReport, Medium),
    ) {
        let Subscribe { sub, track, lacking, latency_ms } = asked;
        let path = vec![self.me];
        self.send(conn, &Admit { sub, path: path.clone(), clock });
        self.children.0.insert((conn, sub), Feed { peer, track, report: None });
        let until = self.pairs.get(&peer).and_then(|pair| pair.grant.expires);
        self.emit(Output::StartFeed {
            conn,
            sub,
            track,
            medium,
            lacking: lacking.map(|lacking| Lacking {
                group: lacking.group,
                seq: lacking.seq,
                piece: lacking.piece,
            }),
            latency: std::time::Duration::from_millis(latency_ms.into()),
            path,
            until,
        });
    }

    pub(super) fn on_unsubscribe(&mut self, conn: ConnId, sub: SubscriptionId) {
        // An unknown one has ended already, by our doing: words may cross.
        self.stop_feed(conn, sub, StreamCode::Cancelled);
    }

    pub(super) fn on_keyframe_wanted(&mut self, conn: ConnId, sub: SubscriptionId, now: Now) {
        if let Some(feed) = self.children.0.get(&(conn, sub)) {
            let (track, peer) = (feed.track, feed.peer);
            self.publishing.want_keyframe(track, peer, now.mono);
        }
    }

    pub(super) fn on_report(&mut self, conn: ConnId, report: ReceiverReport) {
        if let Some(feed) = self.children.0.get_mut(&(conn, report.sub)) {
            feed.report = Some(report);
        }
    }

    /// The writer of this child is late and has no newer group: as if the child had asked.
    pub fn handle_feed_late(&mut self, conn: ConnId, sub: SubscriptionId, now: Now) {
        self.notice(now);
        self.on_keyframe_wanted(conn, sub, now);
        self.settle(now);
    }

    /// The writer task of this child has ended by itself.
    pub fn handle_feed_ended(&mut self, conn: ConnId, sub: SubscriptionId, now: Now) {
        self.notice(now);
        self.children.0.remove(&(conn, sub));
        self.settle(now);
    }

    fn stop_feed(&mut self, conn: ConnId, sub: SubscriptionId, code: StreamCode) {
        if self.children.0.remove(&(conn, sub)).is_some() {
            self.emit(Output::StopFeed { conn, sub, code });
        }
    }

    pub(super) fn stop_feeds_on(&mut self, conn: ConnId) {
        for (conn, sub) in self.children.which(|on, _| on == conn) {
            self.stop_feed(conn, sub, StreamCode::Cancelled);
        }
    }

    /// A broadcast of ours is over: its children are told by its retraction.
    pub(super) fn stop_feeds_of(&mut self, broadcast: BroadcastId) {
        for (conn, sub) in self.children.which(|_, feed| feed.track.broadcast == broadcast) {
            self.stop_feed(conn, sub, StreamCode::Gone);
        }
    }
}
