//! One broadcast being played: which of its tracks, by whom it is fed, and what came of it so far.
//!
//! Plays the first track of pictures and the first of sound that are no renditions of others. The
//! pictures count: what is told of a broadcast is told of them, and of the sound beside them; only
//! where there are none, the sound stands for the broadcast.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use roommate_protocol::room::Broadcast;
use roommate_protocol::time::Mono;
use roommate_protocol::trust::id::{BroadcastId, PeerId, TrackKey};
use roommate_protocol::wire::catalog::{CatalogTrack, TrackKind};

use super::totals::{Facts, SoundFacts};
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
    /// One or two; the first one stands for the broadcast.
    tracks: Vec<PlayedTrack>,
    /// Bytes at the last line, and when that was.
    told: (u64, Mono),
    kbps: Option<f64>,
    /// Who feeds it; kept when they are gone, for the summary.
    fed: Option<Fed>,
}

struct PlayedTrack {
    key: TrackKey,
    player: Player,
    clock: Arc<SharedClock>,
    track: Arc<SharedTrack>,
    /// What the catalog says of it.
    described: CatalogTrack,
}

/// The tracks of a broadcast that are played: pictures first.
pub(super) fn chosen(broadcast: &Broadcast) -> Vec<&CatalogTrack> {
    let first = |is: fn(&TrackKind) -> bool| {
        let mut tracks = broadcast.catalog.tracks.iter();
        tracks.find(|track| is(&track.kind) && track.rendition_of.is_none())
    };
    let pictures = first(|kind| matches!(kind, TrackKind::Video { .. }));
    let sound = first(is_sound);
    pictures.into_iter().chain(sound).collect()
}

fn is_sound(kind: &TrackKind) -> bool {
    matches!(kind, TrackKind::Audio { .. })
}

impl Played {
    /// Subscribes to `tracks` of the broadcast, at least one, and plays each into its `sinks`.
    ///
    /// # Errors
    /// [`RoomError`] if the room refuses.
    pub(super) async fn start(
        room: &Room,
        broadcast: &Broadcast,
        tracks: &[&CatalogTrack],
        how: &Playing,
        sinks: Vec<Vec<Box<dyn Sink>>>,
    ) -> Result<Self, RoomError> {
        let mut played = Vec::new();
        for (track, sinks) in tracks.iter().zip(sinks) {
            played.push(PlayedTrack::start(room, broadcast, track, how, sinks).await?);
        }
        Ok(Self {
            publisher: broadcast.publisher,
            broadcast: broadcast.id,
            tracks: played,
            told: (0, how.clock.mono()),
            kbps: None,
            fed: None,
        })
    }

    fn lead(&self) -> &PlayedTrack {
        &self.tracks[0]
    }

    /// Notes who feeds it now, if anybody does.
    pub(super) fn note_fed(&mut self, status: &RoomStatus) {
        if let Some(now) = self.fed_now(status).filter(|fed| fed.parent.is_some()) {
            self.fed = Some(now.clone());
        }
    }

    /// Who feeds it as the status has it.
    pub(super) fn fed_now<'a>(&self, status: &'a RoomStatus) -> Option<&'a Fed> {
        status.fed.iter().find(|fed| fed.track == self.lead().key)
    }

    /// Who feeds it, or did last.
    pub(super) fn fed(&self) -> Option<&Fed> {
        self.fed.as_ref()
    }

    /// Its publisher's clock as known here.
    pub(super) fn clock(&self) -> &SharedClock {
        &self.lead().clock
    }

    /// Whether nothing more will come of it.
    pub(super) fn is_over(&self) -> bool {
        self.tracks.iter().all(|track| track.player.is_over())
    }

    /// Takes what is there, and ends.
    pub(super) async fn stop(&mut self) {
        for track in &mut self.tracks {
            track.player.stop().await;
        }
    }

    /// Ends the subscriptions.
    pub(super) async fn unsubscribe(&self, room: &Room) {
        for track in &self.tracks {
            room.unsubscribe(track.key).await;
        }
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
            track: self.lead().described.clone(),
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
        let lead = self.lead();
        let since = |at: Option<Mono>| at.map(|at| at.since(start).as_secs_f64() * 1000.0);
        let (mut verified, mut refused) = (0, 0);
        for track in &self.tracks {
            let reads = track.track.reads();
            verified += reads.verified;
            refused += reads.refused;
        }
        let sound = self.tracks.iter().find(|track| is_sound(&track.described.kind));
        let sound = sound.map(PlayedTrack::sound);
        let stats = lead.player.stats();
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
            subscribed_ms: since(lead.clock.subscribed_at()),
            first_picture_ms: since(stats.first_picture),
            live_ms: since(stats.live),
            latency: stats.latency_ms.at_each([50.0, 99.0, 100.0]),
            clock_error_ms: stats.clock.map(|view| view.error_us as f64 / 1000.0),
            sound,
            verified,
            refused,
        }
    }
}

impl PlayedTrack {
    async fn start(
        room: &Room,
        broadcast: &Broadcast,
        track: &CatalogTrack,
        how: &Playing,
        sinks: Vec<Box<dyn Sink>>,
    ) -> Result<Self, RoomError> {
        let key =
            TrackKey { publisher: broadcast.publisher, broadcast: broadcast.id, track: track.id };
        let subscription = room.subscribe(key, how.latency).await?;
        let (clock, shared) = (subscription.clock.clone(), subscription.track.clone());
        let player = Player::start(PlayerConfig {
            subscription,
            latency: how.latency,
            clock: how.clock,
            trace: how.trace.clone(),
            sinks,
        });
        Ok(Self { key, player, clock, track: shared, described: track.clone() })
    }

    fn sound(&self) -> SoundFacts {
        let stats = self.player.stats();
        SoundFacts {
            received: stats.received,
            caught_up: stats.caught_up,
            gaps: stats.gaps,
            stalls: stats.stalls,
            bytes: stats.bytes,
            latency: stats.latency_ms.at_each([50.0, 99.0, 100.0]),
        }
    }
}
