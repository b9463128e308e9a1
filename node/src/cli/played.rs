//! One broadcast being played: which of its tracks, by whom it is fed, and what came of it so far.
//!
//! Plays the pictures alone, the first track of them that is no rendition of another.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use roommate_protocol::room::Broadcast;
use roommate_protocol::time::Mono;
use roommate_protocol::trust::id::{BroadcastId, PeerId, TrackKey};
use roommate_protocol::wire::catalog::{CatalogTrack, TrackKind};

use super::totals::Facts;
use super::watch_line::{kbps, route};
use crate::link::SharedTrack;
use crate::node::{Room, RoomError};
use crate::play::player::{Player, PlayerConfig, Sink};
use crate::status::{Fed, RoomStatus, SharedClock};
use crate::trace::Trace;
use roommate_clock::Clock;

/// What the page shows of one broadcast.
pub(super) struct Seen {
    pub(super) publisher: PeerId,
    pub(super) broadcast: BroadcastId,
    pub(super) track: CatalogTrack,
    pub(super) route: String,
    pub(super) depth: u32,
    /// p50, p99, max
    pub(super) latency: [Option<f64>; 3],
    pub(super) clock_error_ms: Option<f64>,
    pub(super) kbps: Option<f64>,
    pub(super) gaps: u64,
    pub(super) stalls: u64,
}

/// How a broadcast is played.
#[derive(Clone)]
pub(super) struct Playing {
    pub(super) clock: Clock,
    /// How late a picture may be before a newer group replaces it.
    pub(super) latency: Duration,
    pub(super) trace: Option<Arc<Mutex<Trace>>>,
}

/// A broadcast being played.
pub(super) struct Played {
    pub(super) publisher: PeerId,
    pub(super) broadcast: BroadcastId,
    key: TrackKey,
    player: Player,
    clock: Arc<SharedClock>,
    track: Arc<SharedTrack>,
    /// What the catalog says of it.
    described: CatalogTrack,
    /// Bytes at the last line, and when that was.
    told: (u64, Mono),
    kbps: Option<f64>,
    /// Who feeds it; kept when they are gone, for the summary.
    fed: Option<Fed>,
}

/// The track of a broadcast that is played, if it has one.
pub(super) fn pictures(broadcast: &Broadcast) -> Option<&CatalogTrack> {
    broadcast
        .catalog
        .tracks
        .iter()
        .find(|track| matches!(track.kind, TrackKind::Video { .. }) && track.rendition_of.is_none())
}

impl Played {
    /// Subscribes to `track` of the broadcast, and plays it into `sinks`.
    ///
    /// # Errors
    /// [`RoomError`] if the room refuses.
    pub(super) async fn start(
        room: &Room,
        broadcast: &Broadcast,
        track: &CatalogTrack,
        how: Playing,
        sinks: impl FnOnce() -> Vec<Box<dyn Sink>>,
    ) -> Result<Self, RoomError> {
        let key =
            TrackKey { publisher: broadcast.publisher, broadcast: broadcast.id, track: track.id };
        let subscription = room.subscribe(key, how.latency).await?;
        let (clock, shared) = (subscription.clock.clone(), subscription.track.clone());
        let player = Player::start(PlayerConfig {
            subscription,
            latency: how.latency,
            clock: how.clock,
            trace: how.trace,
            sinks: sinks(),
        });
        Ok(Self {
            publisher: broadcast.publisher,
            broadcast: broadcast.id,
            key,
            player,
            clock,
            track: shared,
            described: track.clone(),
            told: (0, how.clock.mono()),
            kbps: None,
            fed: None,
        })
    }

    /// Notes who feeds it now, if anybody does.
    pub(super) fn note_fed(&mut self, status: &RoomStatus) {
        if let Some(now) = self.fed_now(status).filter(|fed| fed.parent.is_some()) {
            self.fed = Some(now.clone());
        }
    }

    /// Who feeds it as the status has it.
    pub(super) fn fed_now<'a>(&self, status: &'a RoomStatus) -> Option<&'a Fed> {
        status.fed.iter().find(|fed| fed.track == self.key)
    }

    /// Who feeds it, or did last.
    pub(super) fn fed(&self) -> Option<&Fed> {
        self.fed.as_ref()
    }

    /// Its publisher's clock as known here.
    pub(super) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Whether nothing more will come of it.
    pub(super) fn is_over(&self) -> bool {
        self.player.is_over()
    }

    /// Takes what is there, and ends.
    pub(super) async fn stop(&mut self) {
        self.player.stop().await;
    }

    /// Ends the subscription.
    pub(super) async fn unsubscribe(&self, room: &Room) {
        room.unsubscribe(self.key).await;
    }

    /// The bit rate since the last call.
    pub(super) fn take_kbps(&mut self, bytes: u64, now: Mono) -> f64 {
        let (before, since) = std::mem::replace(&mut self.told, (bytes, now));
        let kbps = kbps(bytes.saturating_sub(before), now.since(since));
        self.kbps = Some(kbps);
        kbps
    }

    /// The bit rate at the last line.
    pub(super) fn kbps(&self) -> Option<f64> {
        self.kbps
    }

    /// What the page shows.
    pub(super) fn seen(&self, status: &RoomStatus, facts: &Facts) -> Seen {
        let fed = self.fed_now(status);
        Seen {
            publisher: self.publisher,
            broadcast: self.broadcast,
            track: self.described.clone(),
            route: route(Some(self.publisher), fed),
            depth: fed.map_or(0, |fed| fed.path.len() as u32),
            latency: facts.latency,
            clock_error_ms: facts.clock_error_ms,
            kbps: self.kbps,
            gaps: facts.gaps,
            stalls: facts.stalls,
        }
    }

    /// What it came to so far; times are counted from `start`.
    pub(super) fn facts(&self, start: Mono) -> Facts {
        let stats = self.player.stats();
        let since = |at: Option<Mono>| at.map(|at| at.since(start).as_secs_f64() * 1000.0);
        let reads = self.track.reads();
        Facts {
            publisher: Some(self.publisher),
            fed: self.fed.clone(),
            received: stats.received,
            caught_up: stats.caught_up,
            gaps: stats.gaps,
            stalls: stats.stalls,
            stalled_ms: stats.stalled.as_secs_f64() * 1000.0,
            bytes: stats.bytes,
            first_at: stats.first_picture,
            subscribed_ms: since(self.clock.subscribed_at()),
            first_picture_ms: since(stats.first_picture),
            live_ms: since(stats.live),
            latency: stats.latency_ms.at_each([50.0, 99.0, 100.0]),
            clock_error_ms: stats.clock.map(|view| view.error_us as f64 / 1000.0),
            verified: reads.verified,
            refused: reads.refused,
        }
    }
}
