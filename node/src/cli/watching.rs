//! What this node watches in a room: follows every broadcast, tells how it goes, adds it up.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roommate_protocol::room::Broadcast;
use roommate_protocol::room::Route;
use roommate_protocol::time::Mono;
use roommate_protocol::trust::id::{BroadcastId, PeerId, TrackKey};
use roommate_protocol::wire::catalog::{CatalogTrack, TrackKind};
use serde_json::{Map, Value, json};

use super::fail::Fail;
use super::people;
use super::totals::{Facts, Totals};
use crate::link::SharedTrack;
use crate::node::{Room, RoomError};
use crate::play::player::{Player, PlayerConfig, Sink};
use crate::play::recorder::Recorder;
use crate::status::{Fed, RoomStatus, SharedClock};
use crate::trace::Trace;
use roommate_clock::Clock;

/// Makes the sinks of a broadcast that is about to be played.
pub(super) trait Sinks: Send {
    /// The sinks of this track.
    fn of(&mut self, broadcast: &Broadcast, track: &CatalogTrack) -> Vec<Box<dyn Sink>>;
    /// Nothing more will come of it.
    fn ended(&mut self, publisher: PeerId, broadcast: BroadcastId);
    /// The recording, to finish it when every player has ended.
    fn take_recorder(&mut self) -> Option<Recorder>;
}

/// How a viewer watches.
pub(super) struct WatchingConfig {
    pub(super) clock: Clock,
    pub(super) latency: Duration,
    /// `--peer`: only broadcasts of the peer whose id ends so.
    pub(super) peer: Option<String>,
    /// When the command began, or what its times are counted from.
    pub(super) start: Mono,
    pub(super) trace: Option<PathBuf>,
    pub(super) sinks: Box<dyn Sinks>,
}

struct Row {
    publisher: PeerId,
    broadcast: BroadcastId,
    key: TrackKey,
    player: Player,
    clock: Arc<SharedClock>,
    track: Arc<SharedTrack>,
    /// What the catalog says of it.
    described: CatalogTrack,
    told: (u64, Mono),
    kbps: Option<f64>,
    /// Who feeds it; kept when they are gone, for the summary.
    fed: Option<Fed>,
}

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

pub(super) struct Watching {
    room: Room,
    config: WatchingConfig,
    trace: Option<Arc<Mutex<Trace>>>,
    rows: Vec<Row>,
    past: Totals,
    /// Broadcasts that are over or cannot be played, as long as the status still tells of them.
    done: Vec<BroadcastId>,
}

impl Watching {
    /// Watches nothing yet: call [`Watching::follow`] whenever the status has changed.
    pub(super) fn new(room: Room, config: WatchingConfig) -> Result<Self, Fail> {
        let trace = match &config.trace {
            Some(path) => Some(Trace::create(path).map_err(Fail::new)?),
            None => None,
        };
        let trace = trace.map(|trace| Arc::new(Mutex::new(trace)));
        Ok(Self {
            room,
            config,
            trace,
            rows: Vec::new(),
            past: Totals::default(),
            done: Vec::new(),
        })
    }

    /// Counts times from now on: for a viewer that was there before there was anything to see.
    #[cfg(feature = "demo")]
    pub(super) fn count_from_now(&mut self) {
        self.config.start = self.config.clock.mono();
    }

    /// Begins to play what is new, and puts away what is over.
    pub(super) async fn follow(&mut self, status: &RoomStatus) {
        for row in &mut self.rows {
            if let Some(now) = fed(status, row.key).filter(|fed| fed.parent.is_some()) {
                row.fed = Some(now.clone());
            }
        }
        self.put_away().await;
        self.done.retain(|id| status.broadcasts.iter().any(|broadcast| broadcast.id == *id));
        for broadcast in &status.broadcasts {
            let known = self.rows.iter().any(|row| row.broadcast == broadcast.id)
                || self.done.contains(&broadcast.id)
                || broadcast.publisher == self.room.me()
                || !self.is_wanted(broadcast.publisher);
            if !known && let Err(error) = self.play(broadcast).await {
                tracing::warn!(publisher = %broadcast.publisher, %error, "cannot subscribe");
                self.done.push(broadcast.id);
            }
        }
    }

    /// Whether anything is being played.
    pub(super) fn is_playing(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Whether anything was ever played.
    pub(super) fn has_played(&self) -> bool {
        self.is_playing() || self.past.facts.received > 0
    }

    fn is_wanted(&self, publisher: PeerId) -> bool {
        let wanted = self.config.peer.as_ref();
        wanted.is_none_or(|end| publisher.to_string().ends_with(end.as_str()))
    }

    async fn play(&mut self, broadcast: &Broadcast) -> Result<(), RoomError> {
        let video = |track: &&CatalogTrack| {
            matches!(track.kind, TrackKind::Video { .. }) && track.rendition_of.is_none()
        };
        let Some(track) = broadcast.catalog.tracks.iter().find(video) else {
            tracing::info!(publisher = %broadcast.publisher, "a broadcast without pictures");
            self.done.push(broadcast.id);
            return Ok(());
        };
        let key =
            TrackKey { publisher: broadcast.publisher, broadcast: broadcast.id, track: track.id };
        let subscription = self.room.subscribe(key, self.config.latency).await?;
        let (clock, shared) = (subscription.clock.clone(), subscription.track.clone());
        let player = Player::start(PlayerConfig {
            subscription,
            latency: self.config.latency,
            clock: self.config.clock,
            trace: self.trace.clone(),
            sinks: self.config.sinks.of(broadcast, track),
        });
        self.rows.push(Row {
            publisher: broadcast.publisher,
            broadcast: broadcast.id,
            key,
            player,
            clock,
            track: shared,
            described: track.clone(),
            told: (0, self.config.clock.mono()),
            kbps: None,
            fed: None,
        });
        Ok(())
    }

    async fn put_away(&mut self) {
        let mut at = 0;
        while at < self.rows.len() {
            if !self.rows[at].player.is_over() {
                at += 1;
                continue;
            }
            let mut row = self.rows.remove(at);
            row.player.stop().await;
            self.done.push(row.broadcast);
            self.past.add(&self.facts(&row));
            self.room.unsubscribe(row.key).await;
            self.config.sinks.ended(row.publisher, row.broadcast);
        }
    }

    /// One object for each broadcast; one that says "none" where there is none.
    pub(super) fn lines(&mut self) -> Vec<Map<String, Value>> {
        let status = self.room.status();
        let now = self.config.clock.mono();
        let mut lines = Vec::new();
        for at in 0..self.rows.len() {
            let facts = self.facts(&self.rows[at]);
            let row = &mut self.rows[at];
            let (bytes, since) = std::mem::replace(&mut row.told, (facts.bytes, now));
            let kbps = kbps(facts.bytes.saturating_sub(bytes), now.since(since));
            row.kbps = Some(kbps);
            lines.push(line(row.publisher, fed(&status, row.key), &facts, kbps));
        }
        if lines.is_empty() {
            lines.push(self.waiting(now));
        }
        for line in &mut lines {
            self.add_room(line, &status);
        }
        lines
    }

    /// What the page shows.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let status = self.room.status();
        let seen = |row: &Row| {
            let facts = self.facts(row);
            let fed = fed(&status, row.key);
            Seen {
                publisher: row.publisher,
                broadcast: row.broadcast,
                track: row.described.clone(),
                route: route(row.publisher, fed),
                depth: fed.map_or(0, |fed| fed.path.len() as u32),
                latency: facts.latency,
                clock_error_ms: facts.clock_error_ms,
                kbps: row.kbps,
                gaps: facts.gaps,
                stalls: facts.stalls,
            }
        };
        self.rows.iter().map(seen).collect()
    }

    /// Everything added up.
    pub(super) fn summary(&self) -> Map<String, Value> {
        let now = self.config.clock.mono();
        let mut totals = self.past.clone();
        for row in &self.rows {
            totals.add(&self.facts(row));
        }
        let kbps = kbps(totals.facts.bytes, now.since(totals.facts.first_at.unwrap_or(now)));
        let last = self.rows.last();
        let publisher = last.map(|row| row.publisher).or(totals.publisher);
        let mut fields = match publisher {
            Some(publisher) => line(publisher, totals.fed.as_ref(), &totals.facts, kbps),
            None => self.waiting(now),
        };
        self.add_room(&mut fields, &self.room.status());
        fields
    }

    fn add_room(&self, fields: &mut Map<String, Value>, status: &RoomStatus) {
        // What was turned away belongs to no broadcast, so it stands beside each of them.
        let streams = fields.get("refused").and_then(Value::as_u64).unwrap_or(0);
        fields.insert("refused".into(), (streams + status.refused).into());
        fields.insert("members".into(), people::members(status));
        fields.insert("departed".into(), people::departed(status));
        let view = self.rows.last().and_then(|row| row.clock.view());
        fields.extend(people::blocked(status, view).map(|b| ("driver_blocked_us".into(), b)));
    }

    fn waiting(&self, now: Mono) -> Map<String, Value> {
        let facts = &self.past.facts;
        let mut fields = line(self.room.me(), None, facts, kbps(0, now.since(now)));
        fields.insert("publisher".into(), Value::Null);
        fields
    }

    /// One line for people.
    pub(super) fn sentence(&self) -> String {
        let Some(row) = self.rows.first() else {
            return "waiting: nobody is publishing".to_owned();
        };
        let facts = self.facts(row);
        format!(
            "watching {} ({}): {} pictures, {} gaps, {:.1} Mbit/s, latency p50 {} p99 {} ms",
            row.publisher.short(),
            route(row.publisher, row.fed.as_ref()),
            facts.received,
            facts.gaps,
            row.kbps.unwrap_or_default() / 1000.0,
            facts.latency[0].map_or("?".into(), |ms| format!("{ms:.0}")),
            facts.latency[1].map_or("?".into(), |ms| format!("{ms:.0}")),
        )
    }

    /// Stops every player, and what they feed.
    pub(super) async fn end(&mut self) {
        for row in &mut self.rows {
            row.player.stop().await;
        }
        let rows: Vec<_> = self.rows.iter().map(|row| (row.publisher, row.broadcast)).collect();
        for (publisher, broadcast) in rows {
            self.config.sinks.ended(publisher, broadcast);
        }
    }

    /// Closes the recording, if there is one; every player has ended by then.
    pub(super) async fn finish_recording(&mut self) -> Result<(), Fail> {
        match self.config.sinks.take_recorder() {
            Some(recorder) => recorder.finish().await.map_err(Fail::new),
            None => Ok(()),
        }
    }

    fn facts(&self, row: &Row) -> Facts {
        let stats = row.player.stats();
        let since =
            |at: Option<Mono>| at.map(|at| at.since(self.config.start).as_secs_f64() * 1000.0);
        let reads = row.track.reads();
        Facts {
            publisher: Some(row.publisher),
            fed: row.fed.clone(),
            received: stats.received,
            caught_up: stats.caught_up,
            gaps: stats.gaps,
            stalls: stats.stalls,
            stalled_ms: stats.stalled.as_secs_f64() * 1000.0,
            bytes: stats.bytes,
            first_at: stats.first_picture,
            subscribed_ms: since(row.clock.subscribed_at()),
            first_picture_ms: since(stats.first_picture),
            live_ms: since(stats.live),
            latency: stats.latency_ms.at_each([50.0, 99.0, 100.0]),
            clock_error_ms: stats.clock.map(|view| view.error_us as f64 / 1000.0),
            verified: reads.verified,
            refused: reads.refused,
        }
    }
}

fn fed(status: &RoomStatus, key: TrackKey) -> Option<&Fed> {
    status.fed.iter().find(|fed| fed.track == key)
}

fn kbps(bytes: u64, over: Duration) -> f64 {
    if over.is_zero() { 0.0 } else { bytes as f64 * 8.0 / 1000.0 / over.as_secs_f64() }
}

/// `direct` and `lan`: the publisher feeds us; `via:…`: another member does.
fn route(publisher: PeerId, fed: Option<&Fed>) -> String {
    match fed.and_then(|fed| fed.parent.zip(fed.route)) {
        None => "none".to_owned(),
        Some((parent, route)) if parent == publisher => route_word(route).to_owned(),
        Some((parent, _)) => format!("via:{parent}"),
    }
}

/// The word for a route in JSON.
pub(super) fn route_word(route: Route) -> &'static str {
    match route {
        Route::Direct => "direct",
        Route::Lan => "lan",
        Route::Relayed => "relayed",
    }
}

fn line(publisher: PeerId, fed: Option<&Fed>, facts: &Facts, kbps: f64) -> Map<String, Value> {
    let [p50, p99, max] = facts.latency.map(crate::report::ms);
    let Value::Object(fields) = json!({
        "publisher": publisher.to_string(),
        "route": route(publisher, fed),
        "parent": fed.and_then(|fed| fed.parent).map(|parent| parent.to_string()),
        "depth": fed.map_or(0, |fed| fed.path.len()),
        "received": facts.received,
        "caught_up": facts.caught_up,
        "decoded": null,
        "gaps": facts.gaps,
        "stalls": facts.stalls,
        "stalled_ms": facts.stalled_ms.round(),
        "kbps": kbps.round(),
        "subscribed_ms": crate::report::ms(facts.subscribed_ms),
        "first_picture_ms": crate::report::ms(facts.first_picture_ms),
        "live_ms": crate::report::ms(facts.live_ms),
        "latency_ms": {"p50": p50, "p99": p99, "max": max},
        "clock_error_ms": crate::report::ms(facts.clock_error_ms),
        "verified": facts.verified,
        "refused": facts.refused,
    }) else {
        unreachable!("an object was written")
    };
    fields
}
