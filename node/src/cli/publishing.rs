//! A broadcast of this node in a room: begins it, tells how it goes, ends it in order.

use std::sync::Arc;
use std::time::Duration;

use roommate_protocol::media::clock::ClockView;
use roommate_protocol::trust::id::BroadcastId;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::fail::Fail;
use super::people;
use super::session::Desk;
use super::source::{Opened, catalog};
use crate::media::source::SourceControl;
use crate::node::Room;
use crate::play::publisher::{Finish, Publisher, PublisherConfig, State};
use crate::report::ms;
use crate::status::{Child, RoomStatus};
use crate::trace::Trace;

/// How long the end of a broadcast waits for children that are still being sent to.
const CHILDREN_WAIT: Duration = Duration::from_millis(500);

/// How often it looks whether they have everything.
const CHILDREN_LOOK: Duration = Duration::from_millis(10);

pub(super) struct Publishing {
    room: Room,
    publisher: Publisher,
    target_kbps: Option<u32>,
    broadcast: BroadcastId,
    view: ClockView,
    /// The status when the source had ended: children leave it one by one afterwards.
    last: Option<RoomStatus>,
}

impl Publishing {
    /// Announces the source and starts it.
    pub(super) async fn begin(
        desk: &Desk,
        room: Room,
        opened: Opened,
        trace: Option<Trace>,
    ) -> Result<Self, Fail> {
        let control = Arc::new(SourceControl::new());
        let encoder = opened.source.format().can_force_keyframe.then(|| control.clone());
        let catalog = catalog(opened.source.as_ref());
        let view = ClockView::at_publisher(opened.start.wall, opened.start.mono);
        let publications = room.publish(catalog, view, encoder).await.map_err(Fail::new)?;
        let publication = publications
            .into_iter()
            .next()
            .ok_or_else(|| Fail::new("the source has no track to publish"))?;
        let broadcast = publication.key.broadcast;
        let config = PublisherConfig {
            key: desk.identity.key.clone(),
            room: room.clone(),
            publication,
            clock: desk.clock,
            trace,
        };
        let publisher = Publisher::start(config, opened.source, control).map_err(Fail::new)?;
        let target_kbps = opened.target_kbps;
        Ok(Self { room, publisher, target_kbps, broadcast, view, last: None })
    }

    /// How far the source is.
    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.publisher.state()
    }

    /// Whether an access unit was published.
    pub(super) fn is_live(&self) -> bool {
        self.publisher.stats().access_units > 0
    }

    /// The fields of a `publish` line.
    pub(super) fn json(&self) -> Map<String, Value> {
        let status = self.last.clone().unwrap_or_else(|| self.room.status());
        let stats = self.publisher.stats();
        let [p50, p99] = stats.encode_ms.at_each([50.0, 99.0]);
        let children: Vec<Value> = status.children.iter().map(child).collect();
        let Value::Object(mut fields) = json!({
            "access_units": stats.access_units,
            "bytes": stats.bytes,
            "keyframes": stats.keyframes,
            "keyframes_requested": status.keyframes_requested,
            "encode_ms": {"p50": ms(p50), "p99": ms(p99)},
            "target_kbps": self.target_kbps,
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
        let status = self.room.status();
        let stats = self.publisher.stats();
        format!(
            "live: {} pictures, {} viewer{}",
            stats.access_units,
            status.children.len(),
            if status.children.len() == 1 { "" } else { "s" },
        )
    }

    /// Ends the source, lets children have what is on its way, and retracts the broadcast.
    pub(super) async fn end(&mut self) -> Result<(), Fail> {
        self.publisher.stop().await;
        let status = self.room.status();
        let deadline = tokio::time::Instant::now() + CHILDREN_WAIT;
        while !status.children.iter().all(Child::has_everything)
            && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(CHILDREN_LOOK).await;
        }
        self.last = Some(status);
        self.room.retract(self.broadcast).await;
        match &*self.publisher.state().borrow() {
            State::Finished(Finish::Failed(sentence)) => Err(Fail::new(sentence)),
            State::Finished(Finish::Ended) | State::Starting | State::Live => Ok(()),
        }
    }
}

fn child(child: &Child) -> Value {
    let stats = child.stats.snapshot();
    json!({
        "peer": child.peer.to_string(),
        "route": super::watching::route_word(child.route),
        "rtt_ms": ms(Some(child.rtt.as_secs_f64() * 1000.0)),
        "sent": stats.sent,
        "skipped": stats.skipped,
        "reset": stats.reset,
        "max_write": stats.max_write,
        "max_unsent": stats.max_unsent,
        "lost_bytes": child.counters.as_ref().map_or(0, |counters| counters.lost_bytes()),
    })
}
