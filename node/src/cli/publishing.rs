//! A broadcast of this node in a room: begins it, tells how it goes, ends it in order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use roommate_protocol::media::clock::ClockView;
use roommate_protocol::trust::id::{BroadcastId, TrackId};
use roommate_protocol::wire::catalog::{CatalogTrack, TrackKind};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::fail::Fail;
use super::people;
use super::session::Desk;
use super::source::{Opened, catalog};
use crate::node::Room;
use crate::play::publisher::{Finish, Publisher, PublisherConfig, State};
use crate::report::ms;
use crate::status::{Child, RoomStatus};
use crate::trace::Trace;
use roommate_media::source::Source;

/// How long the end of a broadcast waits for children that are still being sent to.
const CHILDREN_WAIT: Duration = Duration::from_millis(500);

/// One broadcast, fed by one source or several.
pub(super) struct Publishing {
    room: Room,
    /// The first one counts: the broadcast lives and ends with it.
    publishers: Vec<Publisher>,
    target_kbps: Option<u32>,
    broadcast: BroadcastId,
    /// The tracks of sound.
    sounds: Vec<TrackId>,
    view: ClockView,
    /// The status when the source had ended: children leave it one by one afterwards.
    last: Option<RoomStatus>,
}

impl Publishing {
    /// Announces the sources and starts them.
    pub(super) async fn begin(
        desk: &Desk,
        room: Room,
        opened: Opened,
        trace: Option<Trace>,
    ) -> Result<Self, Fail> {
        let sources = opened.sources;
        let can_encode = |source: &dyn Source| source.video().is_some_and(|v| v.can_force_keyframe);
        let encoder = sources.iter().find(|(source, _)| can_encode(source.as_ref()));
        let encoder = encoder.map(|(_, control)| control.clone());
        let catalog = catalog(sources.iter().map(|(source, _)| source.as_ref()));
        let is_sound = |track: &&CatalogTrack| matches!(track.kind, TrackKind::Audio { .. });
        let sounds = catalog.tracks.iter().filter(is_sound).map(|track| track.id).collect();
        let view = ClockView::at_publisher(opened.start.wall, opened.start.mono);
        let publications = room.publish(catalog, view, encoder).await.map_err(Fail::new)?;
        let broadcast = publications
            .first()
            .map(|publication| publication.key.broadcast)
            .ok_or_else(|| Fail::new("the source has no track to publish"))?;
        let mut publications = publications.into_iter();
        let trace = trace.map(|trace| Arc::new(Mutex::new(trace)));
        let mut publishers = Vec::new();
        for (source, control) in sources {
            let config = PublisherConfig {
                key: desk.identity.key.clone(),
                room: room.clone(),
                publications: publications.by_ref().take(source.tracks().len()).collect(),
                clock: desk.clock,
                trace: trace.clone(),
            };
            publishers.push(Publisher::start(config, source, control).map_err(Fail::new)?);
        }
        let target_kbps = opened.target_kbps;
        Ok(Self { room, publishers, target_kbps, broadcast, view, sounds, last: None })
    }

    fn first(&self) -> &Publisher {
        &self.publishers[0]
    }

    /// How far the source is.
    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.first().state()
    }

    /// Whether an access unit was published.
    pub(super) fn is_live(&self) -> bool {
        *self.first().state().borrow() != State::Starting
    }

    /// The fields of a `publish` line.
    pub(super) fn json(&self) -> Map<String, Value> {
        let status = self.last.clone().unwrap_or_else(|| self.room.status());
        let sound = self.sound();
        let stats = self.first().stats();
        let [p50, p99] = stats.encode_ms.at_each([50.0, 99.0]);
        let children = self.children(&status);
        let Value::Object(mut fields) = json!({
            "access_units": stats.access_units,
            "bytes": stats.bytes,
            "keyframes": stats.keyframes,
            "keyframes_requested": status.keyframes_requested,
            "encode_ms": {"p50": ms(p50), "p99": ms(p99)},
            "target_kbps": self.target_kbps,
            "sound": sound,
            "children": children,
            "refused": status.refused,
            "members": people::members(&status),
            "departed": people::departed(&status),
        }) else {
            unreachable!("an object was written")
        };
        let blocked = people::blocked(&status, Some(self.view));
        fields.extend(blocked.map(|blocked| ("driver_blocked_us".into(), blocked)));
        fields
    }

    /// One line for people.
    pub(super) fn sentence(&self) -> String {
        let viewers = self.children(&self.room.status()).len();
        let stats = self.first().stats();
        format!(
            "live: {} pictures, {} viewer{}",
            stats.access_units,
            viewers,
            if viewers == 1 { "" } else { "s" },
        )
    }

    /// What was published as sound; null without any.
    fn sound(&self) -> Value {
        if self.sounds.is_empty() {
            return Value::Null;
        }
        let count = |publisher: &Publisher| {
            let stats = publisher.stats();
            (stats.packets, stats.packet_bytes)
        };
        let counts = self.publishers.iter().map(count);
        let (packets, bytes) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        json!({"packets": packets, "bytes": bytes})
    }

    /// One row a child, whatever number of tracks it is fed.
    fn children(&self, status: &RoomStatus) -> Vec<Value> {
        let mut rows: Vec<(&Child, Map<String, Value>)> = Vec::new();
        for child in &status.children {
            let at = rows.iter().position(|(other, _)| other.peer == child.peer);
            let at = at.unwrap_or_else(|| {
                rows.push((child, row(child)));
                rows.len() - 1
            });
            let fields = &mut rows[at].1;
            let sent = sent(child);
            if self.sounds.contains(&child.track.track) {
                fields.insert("sound".into(), sent.into());
            } else {
                fields.extend(sent);
            }
        }
        rows.into_iter().map(|(_, fields)| fields.into()).collect()
    }

    /// Ends the sources, lets children have what is on its way, and retracts the broadcast.
    pub(super) async fn end(&mut self) -> Result<(), Fail> {
        for publisher in &mut self.publishers {
            publisher.stop().await;
        }
        let status = self.room.status();
        wait_for_children(&status.children).await;
        self.last = Some(status);
        self.room.retract(self.broadcast).await;
        let failure = self.publishers.iter().find_map(|one| match &*one.state().borrow() {
            State::Finished(Finish::Failed(sentence)) => Some(Fail::new(sentence)),
            State::Finished(Finish::Ended) | State::Starting | State::Live => None,
        });
        failure.map_or(Ok(()), Err)
    }
}

/// Until every child has everything, at most [`CHILDREN_WAIT`].
async fn wait_for_children(children: &[Child]) {
    let all = futures::future::join_all(children.iter().map(Child::has_everything));
    if tokio::time::timeout(CHILDREN_WAIT, all).await.is_err() {
        tracing::debug!("the broadcast ends although not every child has everything");
    }
}

/// What is the same for every track of a child.
fn row(child: &Child) -> Map<String, Value> {
    let fields = [
        ("peer", child.peer.to_string().into()),
        ("route", super::watch_line::route_word(child.route).into()),
        ("rtt_ms", ms(Some(child.rtt.as_secs_f64() * 1000.0))),
        ("lost_bytes", child.counters.as_ref().map_or(0, |counters| counters.lost_bytes()).into()),
        ("sound", Value::Null),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// What a child was sent of one track.
fn sent(child: &Child) -> Map<String, Value> {
    let stats = child.stats.snapshot();
    let fields = [
        ("sent", stats.sent),
        ("skipped", stats.skipped),
        ("reset", stats.reset),
        ("max_write", stats.max_write),
        ("max_unsent", stats.max_unsent),
    ];
    fields.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use roommate_protocol::room::Route;
    use roommate_protocol::trust::id::{PeerId, TrackId, TrackKey};
    use tokio::time::Instant;

    use super::*;
    use crate::link::FeedStats;

    fn child() -> Child {
        let publisher = PeerId([1; 32]);
        let broadcast = BroadcastId([2; 16]);
        Child {
            peer: PeerId([3; 32]),
            track: TrackKey { publisher, broadcast, track: TrackId(0) },
            route: Route::Direct,
            rtt: Duration::ZERO,
            stats: Arc::new(FeedStats::default()),
            counters: None,
        }
    }

    // The clock stands still and jumps to the next timer: one that looks at intervals moves it.
    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_the_writers_themselves_and_not_for_a_timer() {
        let children = [child(), child(), child()];
        let start = Instant::now();
        wait_for_children(&[]).await;
        children[1].stats.set_over();
        let mut waiting = std::pin::pin!(wait_for_children(&children));
        for last in [0, 2] {
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            children[last].stats.set_over();
        }
        waiting.await;
        assert_eq!(Instant::now(), start, "a timer was waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_that_never_has_everything_is_not_waited_for_longer_than_said() {
        let start = Instant::now();
        wait_for_children(&[child()]).await;
        let waited = start.elapsed();
        assert!((CHILDREN_WAIT..CHILDREN_WAIT * 2).contains(&waited), "{waited:?}");
    }
}
