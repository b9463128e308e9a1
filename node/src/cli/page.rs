//! The viewer page of a command: opens it, feeds it, and tells it how things stand.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::BASE64;
use roommate_protocol::time::Wall;
use roommate_protocol::trust::id::{BroadcastId, PeerId, TrackKey};
use roommate_protocol::wire::catalog::{CatalogTrack, TrackKind};
use tokio::sync::mpsc;

use super::fail::Fail;
use super::played::Seen;
use super::say;
use crate::node::Room;
use crate::play::player::Sink;
use crate::status::RoomStatus;
use crate::viewer::{
    PageBroadcast, PageLatency, PageMember, PageRequest, PageRoom, PageSound, PageState, UnitHub,
    Viewer, ViewerConfig,
};
use roommate_clock::Clock;
use roommate_media::ViewUnit;

/// Wishes of pages that wait; they ask again.
const REQUESTS_MAX: usize = 16;

/// The page of one command.
pub(super) struct Page {
    viewer: Viewer,
    numbers: Numbers,
    requests: mpsc::Receiver<PageRequest>,
    clock: Clock,
    /// When the link ends.
    ends: Option<Wall>,
}

/// Where players put what the page shows.
#[derive(Clone)]
pub(super) struct PageFeed {
    hub: UnitHub,
    numbers: Numbers,
}

/// The page's numbers of broadcasts, never used twice.
#[derive(Clone, Default)]
struct Numbers(Arc<Mutex<BTreeMap<BroadcastId, u32>>>);

impl Numbers {
    fn of(&self, broadcast: BroadcastId) -> u32 {
        let mut numbers = self.lock();
        let next = numbers.len() as u32;
        *numbers.entry(broadcast).or_insert(next)
    }

    fn broadcast(&self, number: u32) -> Option<BroadcastId> {
        self.lock().iter().find(|(_, at)| **at == number).map(|(id, _)| *id)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BroadcastId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    /// Serves the page at `addr`, else on loopback and a free port.
    pub(super) async fn serve(
        addr: Option<SocketAddr>,
        clock: Clock,
        ends: Option<Wall>,
    ) -> Result<Self, Fail> {
        let (ask, requests) = mpsc::channel(REQUESTS_MAX);
        let addr = addr.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let config = ViewerConfig { addr, clock, requests: Some(ask) };
        let viewer = Viewer::start(config).await.map_err(Fail::new)?;
        Ok(Self { viewer, numbers: Numbers::default(), requests, clock, ends })
    }

    /// Its address, launch token included.
    pub(super) fn url(&self) -> &str {
        self.viewer.url()
    }

    /// Where players put what it shows.
    pub(super) fn feed(&self) -> PageFeed {
        PageFeed { hub: self.viewer.hub().clone(), numbers: self.numbers.clone() }
    }

    /// Opens a browser, and says where the page is in case there is none.
    pub(super) fn open(&self) {
        say::note(&format!("The page is at {}", self.url()));
        if let Err(error) = open::that_detached(self.url()) {
            tracing::debug!(%error, "no browser");
            say::note("No browser could be opened here: open that address yourself.");
        }
    }

    /// Waits for a page that cannot go on without a keyframe, and asks for one.
    pub(super) async fn serve_request(&mut self, room: &Room, status: &RoomStatus) {
        let Some(PageRequest::Keyframe { broadcast }) = self.requests.recv().await else {
            return std::future::pending().await;
        };
        let id = self.numbers.broadcast(broadcast);
        let found = status.broadcasts.iter().find(|broadcast| Some(broadcast.id) == id);
        if let Some(broadcast) = found
            && let Some(track) = broadcast.catalog.tracks.iter().find(|track| is_video(track))
        {
            let key = TrackKey {
                publisher: broadcast.publisher,
                broadcast: broadcast.id,
                track: track.id,
            };
            room.want_keyframe(key).await;
        }
    }

    /// Tells the page how things stand.
    pub(super) fn tell(
        &self,
        (me, name): (&str, &str),
        room: &str,
        status: &RoomStatus,
        seen: &[Seen],
    ) {
        let member =
            |peer: String, name: &str, roles| PageMember { peer, name: name.into(), roles };
        let mut members = vec![member(me.to_owned(), name, Vec::new())];
        members.extend(status.members.iter().map(|other| {
            let roles = other.roles.names().map(str::to_owned).collect();
            member(other.peer.to_string(), &other.name, roles)
        }));
        let notice = match (&status.ended, status.broadcasts.is_empty()) {
            (Some(reason), _) => Some(sentence(&reason.to_string())),
            (None, true) if status.members.is_empty() => {
                Some("Waiting: you are the only one here.".to_owned())
            }
            (None, true) => Some("Waiting: nobody is publishing yet.".to_owned()),
            (None, false) => None,
        };
        self.viewer.publish_state(&PageState {
            room: Some(PageRoom {
                title: status.title.clone(),
                short: room.chars().take(8).collect(),
                ends_in_s: self.ends.map(|end| end.as_secs() - self.clock.now().wall.as_secs()),
            }),
            me: me.to_owned(),
            members,
            broadcasts: seen.iter().map(|seen| self.broadcast(seen, status)).collect(),
            notice,
        });
    }

    fn broadcast(&self, seen: &Seen, status: &RoomStatus) -> PageBroadcast {
        let publisher = seen.publisher.to_string();
        let name = status.members.iter().find(|member| member.peer == seen.publisher);
        let (width, height) = match seen.track.kind {
            TrackKind::Video { width, height, .. } => (width, height),
            TrackKind::Audio { .. } => (0, 0),
        };
        let [p50, p99, _] = seen.latency;
        PageBroadcast {
            index: self.numbers.of(seen.broadcast),
            name: name.map(|member| member.name.clone()).unwrap_or_default(),
            publisher,
            codec: seen.track.codec.clone(),
            width,
            height,
            sound: sound(seen.broadcast, status),
            route: seen.route.clone(),
            path: path(seen, status),
            depth: seen.depth,
            latency_ms: p50.zip(p99).map(|(p50, p99)| PageLatency { p50, p99 }),
            clock_error_ms: seen.clock_error_ms,
            kbps: seen.kbps,
            gaps: seen.gaps,
            stalls: seen.stalls,
        }
    }

    /// Says goodbye to open pages.
    pub(super) async fn shutdown(self) {
        self.viewer.shutdown().await;
    }
}

fn is_video(track: &CatalogTrack) -> bool {
    matches!(track.kind, TrackKind::Video { .. })
}

/// By whom the pictures come, who feeds us first.
fn path(seen: &Seen, status: &RoomStatus) -> Vec<String> {
    let ours = |key: &TrackKey| (key.broadcast, key.track) == (seen.broadcast, seen.track.id);
    let fed = status.fed.iter().find(|fed| ours(&fed.track));
    fed.map(|fed| fed.path.iter().map(PeerId::to_string).collect()).unwrap_or_default()
}

/// The sound of a broadcast, as it was announced.
fn sound(broadcast: BroadcastId, status: &RoomStatus) -> Option<PageSound> {
    let announced = status.broadcasts.iter().find(|other| other.id == broadcast)?;
    announced.catalog.tracks.iter().find_map(|track| match &track.kind {
        TrackKind::Audio { sample_rate, channels, description } => Some(PageSound {
            codec: track.codec.clone(),
            sample_rate: *sample_rate,
            channels: *channels,
            description: BASE64.encode(description),
        }),
        TrackKind::Video { .. } => None,
    })
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

impl PageFeed {
    /// The sink of a broadcast; none where the page shows as many as it can.
    pub(super) fn sink(&self, broadcast: BroadcastId, timescale: u32) -> Option<Box<dyn Sink>> {
        let number = self.numbers.of(broadcast);
        if !self.hub.open(number, timescale) {
            return None;
        }
        Some(Box::new(PageSink { hub: self.hub.clone(), number }))
    }

    /// The sink of a broadcast's sound; none where the page plays as much as it can.
    pub(super) fn sound_sink(
        &self,
        broadcast: BroadcastId,
        timescale: u32,
    ) -> Option<Box<dyn Sink>> {
        let number = self.numbers.of(broadcast);
        if !self.hub.open_sound(number, timescale) {
            return None;
        }
        Some(Box::new(SoundSink { hub: self.hub.clone(), number }))
    }

    /// Nothing more comes of a broadcast.
    pub(super) fn close(&self, broadcast: BroadcastId) {
        self.hub.close(self.numbers.of(broadcast));
    }
}

struct PageSink {
    hub: UnitHub,
    number: u32,
}

impl Sink for PageSink {
    fn take(&mut self, unit: &ViewUnit) {
        self.hub.push(self.number, unit);
    }
}

struct SoundSink {
    hub: UnitHub,
    number: u32,
}

impl Sink for SoundSink {
    fn take(&mut self, packet: &ViewUnit) {
        self.hub.push_sound(self.number, packet);
    }
}
