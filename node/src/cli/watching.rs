//! What this node watches in a room: follows every broadcast, tells how it goes, adds it up.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roommate_protocol::room::Broadcast;
use roommate_protocol::time::Mono;
use roommate_protocol::trust::id::{BroadcastId, PeerId};
use roommate_protocol::wire::catalog::CatalogTrack;
use serde_json::{Map, Value};

use super::fail::Fail;
use super::peer::Wanted;
use super::people;
use super::played::{Played, Playing, Seen, chosen};
use super::recordings::Recordings;
use super::totals::{Facts, Totals};
use super::watch_line::{kbps, line, route};
use crate::node::{Room, RoomError};
use crate::play::player::Sink;
use crate::status::RoomStatus;
use crate::trace::Trace;
use roommate_clock::Clock;

/// Makes the sinks of a broadcast that is about to be played.
pub(super) trait Sinks: Send {
    /// The sinks of each of these tracks, in their order.
    fn of(&mut self, broadcast: &Broadcast, tracks: &[&CatalogTrack]) -> Vec<Vec<Box<dyn Sink>>>;
    /// Nothing more will come of it.
    fn ended(&mut self, publisher: PeerId, broadcast: BroadcastId);
    /// The recordings, to finish them when every player has ended.
    fn take_recordings(&mut self) -> Recordings;
}

/// How a viewer watches.
pub(super) struct WatchingConfig {
    pub(super) clock: Clock,
    pub(super) latency: Duration,
    /// `--peer`: only broadcasts of this one.
    pub(super) peer: Option<Wanted>,
    /// When the command began, or what its times are counted from.
    pub(super) start: Mono,
    pub(super) trace: Option<PathBuf>,
    pub(super) sinks: Box<dyn Sinks>,
}

/// The broadcasts of one room.
pub(super) struct Watching {
    room: Room,
    config: WatchingConfig,
    trace: Option<Arc<Mutex<Trace>>>,
    rows: Vec<Played>,
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

    /// Begins to play what is new, what was announced first first, and puts away what is over.
    ///
    /// # Errors
    /// [`Fail`] if `--peer` means several who publish.
    pub(super) async fn follow(&mut self, status: &RoomStatus) -> Result<(), Fail> {
        self.rows.iter_mut().for_each(|row| row.note_fed(status));
        self.put_away().await;
        self.done.retain(|id| status.broadcasts.iter().any(|broadcast| broadcast.id == *id));
        let chosen = self.config.peer.as_mut().map(|peer| peer.choose(status)).transpose()?;
        for broadcast in &status.broadcasts {
            let known = self.rows.iter().any(|row| row.broadcast == broadcast.id)
                || self.done.contains(&broadcast.id)
                || broadcast.publisher == self.room.me()
                || chosen.is_some_and(|chosen| chosen != Some(broadcast.publisher));
            if !known && let Err(error) = self.play(broadcast).await {
                tracing::warn!(publisher = %broadcast.publisher, %error, "cannot subscribe");
                self.done.push(broadcast.id);
            }
        }
        Ok(())
    }

    /// Whether anything is being played.
    pub(super) fn is_playing(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Whether anything was ever played.
    pub(super) fn has_played(&self) -> bool {
        self.is_playing() || self.past.facts.received > 0
    }

    async fn play(&mut self, broadcast: &Broadcast) -> Result<(), RoomError> {
        let tracks = chosen(broadcast);
        if tracks.is_empty() {
            tracing::info!(publisher = %broadcast.publisher, "a broadcast of nothing we know");
            self.done.push(broadcast.id);
            return Ok(());
        }
        let how = Playing {
            clock: self.config.clock,
            latency: self.config.latency,
            trace: self.trace.clone(),
        };
        let sinks = self.config.sinks.of(broadcast, &tracks);
        let row = Played::start(&self.room, broadcast, &tracks, &how, sinks).await?;
        self.rows.push(row);
        Ok(())
    }

    async fn put_away(&mut self) {
        let mut at = 0;
        while at < self.rows.len() {
            if !self.rows[at].is_over() {
                at += 1;
                continue;
            }
            let mut row = self.rows.remove(at);
            row.stop().await;
            self.done.push(row.broadcast);
            self.past.add(&self.facts(&row));
            row.unsubscribe(&self.room).await;
            self.config.sinks.ended(row.publisher, row.broadcast);
        }
    }

    /// One object for each broadcast; one that says "none" where there is none.
    pub(super) fn lines(&mut self) -> Vec<Map<String, Value>> {
        let status = self.room.status();
        let now = self.config.clock.mono();
        let mut lines = Vec::new();
        for row in &mut self.rows {
            let facts = row.facts(self.config.start);
            let kbps = row.take_kbps(facts.bytes, now);
            lines.push(line(Some(row.publisher), row.fed_now(&status), &facts, kbps));
        }
        if lines.is_empty() {
            lines.push(self.waiting());
        }
        for line in &mut lines {
            self.add_room(line, &status);
        }
        lines
    }

    /// What the page shows.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let status = self.room.status();
        self.rows.iter().map(|row| row.seen(&status, &self.facts(row))).collect()
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
            Some(_) => line(publisher, totals.fed.as_ref(), &totals.facts, kbps),
            None => self.waiting(),
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
        let view = self.rows.last().and_then(|row| row.clock().view());
        fields.extend(people::blocked(status, view).map(|b| ("driver_blocked_us".into(), b)));
    }

    fn waiting(&self) -> Map<String, Value> {
        let facts = &self.past.facts;
        line(None, None, facts, 0.0)
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
            route(Some(row.publisher), row.fed()),
            facts.received,
            facts.gaps,
            row.kbps().unwrap_or_default() / 1000.0,
            facts.latency[0].map_or("?".into(), |ms| format!("{ms:.0}")),
            facts.latency[1].map_or("?".into(), |ms| format!("{ms:.0}")),
        )
    }

    /// Stops every player, and what they feed.
    pub(super) async fn end(&mut self) {
        for row in &mut self.rows {
            row.stop().await;
        }
        let rows: Vec<_> = self.rows.iter().map(|row| (row.publisher, row.broadcast)).collect();
        for (publisher, broadcast) in rows {
            self.config.sinks.ended(publisher, broadcast);
        }
    }

    /// Closes the recordings, if there are any; every player has ended by then.
    pub(super) async fn finish_recordings(&mut self) -> Result<(), Fail> {
        self.config.sinks.take_recordings().finish().await.map_err(Fail::new)
    }

    fn facts(&self, row: &Played) -> Facts {
        row.facts(self.config.start)
    }
}
