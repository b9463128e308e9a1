//! The tasks of pictures, as the core orders them: accept and read what comes in, write to children.

use std::sync::Arc;
use std::time::Duration;

use roommate_protocol::media::track::{Lacking, Over};
use roommate_protocol::room::{ConnId, Event, RetractedWhy};
use roommate_protocol::time::{Now, Wall};
use roommate_protocol::trust::id::{PeerId, RoomPk, TrackKey};
use roommate_protocol::wire::code::StreamCode;
use roommate_protocol::wire::header::SubscriptionId;
use roommate_transport::Native;

use super::Driver;
use crate::clock::Clock;
use crate::link::SharedTrack;
use crate::status::{Child, Fed, Member, RoomStatus};

pub(super) struct FeedOrder {
    pub(super) room: RoomPk,
    pub(super) conn: ConnId,
    pub(super) sub: SubscriptionId,
    pub(super) track: TrackKey,
    pub(super) lacking: Option<Lacking>,
    pub(super) latency: Duration,
    pub(super) path: Vec<PeerId>,
    pub(super) until: Option<Wall>,
}
pub(super) struct Feeds;
pub(super) enum FeedNews {}
impl Feeds {
    pub(super) fn new(_: Clock) -> Self {
        Self
    }
    pub(super) async fn next_news(&mut self) -> Option<FeedNews> {
        std::future::pending().await
    }
    pub(super) fn accept(&mut self, _: ConnId, _: Native) {}
    pub(super) fn handle_disconnected(&mut self, _: ConnId) {}
    pub(super) fn expect(
        &mut self,
        _: ConnId,
        _: SubscriptionId,
        _: (RoomPk, TrackKey),
        _: Arc<SharedTrack>,
    ) {
    }
    pub(super) fn forget(&mut self, _: ConnId, _: SubscriptionId) {}
    pub(super) fn stop(&mut self, _: ConnId, _: SubscriptionId, _: StreamCode) {}
    pub(super) fn forget_room(&mut self, _: RoomPk) {}
    pub(super) async fn close(&mut self, _: Duration) {}
    pub(super) fn stats(
        &self,
        _: ConnId,
        _: SubscriptionId,
    ) -> Option<Arc<crate::link::FeedStats>> {
        None
    }
}
impl Driver {
    pub(super) fn start_feed(&mut self, _: FeedOrder) {}
    pub(super) fn on_feed(&mut self, _: FeedNews, _: Now) {}
}
