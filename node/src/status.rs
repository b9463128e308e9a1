//! What is told about a room: one snapshot, always the newest, so that a late reader misses nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libp2p::Multiaddr;
use roommate_protocol::media::clock::ClockView;
use roommate_protocol::room::{Broadcast, EndReason, Event, Route};
use roommate_protocol::rooms::reach::BOOTSTRAPS_MAX;
use roommate_protocol::time::{Mono, Wall};
use roommate_protocol::trust::id::{PeerId, TrackKey};
use roommate_protocol::trust::ticket::Roles;
use roommate_transport::Counters;

use crate::link::FeedStats;

/// Somebody in the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub peer: PeerId,
    /// The name to show, escaped by whoever shows it.
    pub name: String,
    /// What they may do.
    pub roles: Roles,
    /// Since when we know of them.
    pub since: Wall,
}

/// Somebody whom we feed.
#[derive(Clone, Debug)]
pub struct Child {
    /// Who.
    pub peer: PeerId,
    /// What they are fed.
    pub track: TrackKey,
    /// How we reach them.
    pub route: Route,
    /// The round trip of the connection; zero where it is not known.
    pub rtt: Duration,
    /// What was sent.
    pub stats: Arc<FeedStats>,
    /// What the connection has written, sent and lost; `None` where it is gone.
    pub counters: Option<Arc<Counters>>,
}

impl Child {
    /// Completes when the writer has ended and all that was written on the connection has arrived;
    /// on a connection that is lost perhaps never.
    pub async fn has_everything(&self) {
        self.stats.ended().await;
        if let Some(counters) = &self.counters {
            counters.dry().await;
        }
    }
}

/// One subscription of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fed {
    /// What we are fed.
    pub track: TrackKey,
    /// Who feeds us; `None` while nobody does.
    pub parent: Option<PeerId>,
    /// How we reach the parent.
    pub route: Option<Route>,
    /// The parent first, the publisher last.
    pub path: Vec<PeerId>,
}

/// The state of a room.
#[derive(Clone, Debug, Default)]
pub struct RoomStatus {
    /// The room's title, where known.
    pub title: Option<String>,
    /// Who is there, this node not among them.
    pub members: Vec<Member>,
    /// What is on, what was announced first to this node first.
    pub broadcasts: Vec<Broadcast>,
    /// Whom we feed.
    pub children: Vec<Child>,
    /// What we are fed.
    pub fed: Vec<Fed>,
    /// How often children's requests made our encoder begin anew.
    pub keyframes_requested: u64,
    /// Tickets that were turned away, and members that broke a rule. Streams whose signature or hash
    /// was not right are counted by their track: [`crate::link::SharedTrack::reads`].
    pub refused: u64,
    /// Who left last, and when we heard of it: at most 32, the newest last.
    pub departed: Vec<(PeerId, Wall)>,
    /// When the test hook blocked the driver: from, to.
    pub driver_blocked: Vec<(Mono, Mono)>,
    /// Bootstraps of the node, of all its rooms, and whether each is connected.
    pub bootstraps: Vec<(String, bool)>,
    /// The room is over for this node.
    pub ended: Option<EndReason>,
}

/// The broadcast's clock as known here, and when we were let in; the driver writes, players read.
#[derive(Debug, Default)]
pub struct SharedClock(Mutex<ClockFacts>);

#[derive(Clone, Copy, Debug, Default)]
struct ClockFacts {
    view: Option<ClockView>,
    admitted_at: Option<Mono>,
    subscribed_at: Option<Mono>,
}

impl SharedClock {
    /// The newest view; `None` before the first measurement.
    pub fn view(&self) -> Option<ClockView> {
        self.facts().view
    }

    /// When our first subscription was accepted; one after an outage catches up on nothing that was
    /// captured while we watched.
    pub fn admitted_at(&self) -> Option<Mono> {
        self.facts().admitted_at
    }

    /// When our first Subscribe was sent.
    pub fn subscribed_at(&self) -> Option<Mono> {
        self.facts().subscribed_at
    }

    /// The last view stays when a broadcast is over: its last pictures are still to be counted.
    pub(crate) fn set_view(&self, view: Option<ClockView>) {
        let mut facts = self.facts();
        facts.view = view.or(facts.view);
    }

    pub(crate) fn set_admitted(&self, at: Mono) {
        self.facts().admitted_at.get_or_insert(at);
    }

    pub(crate) fn set_subscribed(&self, at: Mono) {
        self.facts().subscribed_at.get_or_insert(at);
    }

    fn facts(&self) -> MutexGuard<'_, ClockFacts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bootstrap of a link for which there is no place. It is asked as soon as another one is needed no
/// longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the bootstrap {0} of this link is not asked: a node keeps at most {BOOTSTRAPS_MAX}, and has as \
     many of its own and of its other rooms"
)]
pub struct BootstrapLeftOut(pub Multiaddr);

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomEvent {
    /// As the room machine tells it.
    Room(Event),
    /// A bootstrap of the room's link is not asked.
    BootstrapLeftOut(BootstrapLeftOut),
    /// So many events were lost because nobody read them: look at the status.
    Missed(u64),
}
