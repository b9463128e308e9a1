//! The viewer page's server alone, in this process, with made-up people and broadcasts: what the
//! page does is tried without a room, on clips whose pictures and sound are known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roommate::viewer::{
    PageBroadcast, PageLatency, PageMember, PageRequest, PageRoom, PageSound, PageState, UnitHub,
    Viewer, ViewerConfig,
};
use roommate_clock::Clock;
use roommate_media::ViewUnit;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::clip::{Clip, Piece, SoundCodec};

/// Capture to complete at the node, as the made-up clocks have it.
const WAY_US: i64 = 18_000;

/// A server with a room around it.
#[derive(Debug)]
pub struct Studio {
    runtime: Runtime,
    viewer: Option<Viewer>,
    state: PageState,
    requests: mpsc::Receiver<PageRequest>,
    live: Vec<Live>,
}

/// A broadcast that is on.
#[derive(Debug)]
struct Live {
    index: u32,
    stop: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

impl Studio {
    /// Serves an empty room on loopback.
    ///
    /// # Panics
    /// If that cannot be.
    #[must_use]
    pub fn open() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let (ask, requests) = mpsc::channel(64);
        let addr = "127.0.0.1:0".parse().expect("an address");
        let config = ViewerConfig { addr, clock: Clock::new(), requests: Some(ask) };
        let viewer = runtime.block_on(Viewer::start(config)).expect("a free port");
        let me = peer("Me");
        let state = PageState {
            room: Some(PageRoom {
                title: Some("Sunday kitchen".to_owned()),
                short: "k7f2q9xd".to_owned(),
                ends_in_s: None,
            }),
            members: vec![member("Me", &["view"])],
            me,
            ..PageState::default()
        };
        let studio = Self { runtime, viewer: Some(viewer), state, requests, live: Vec::new() };
        studio.tell();
        studio
    }

    /// What to open in a browser.
    ///
    /// # Panics
    /// After [`Studio::end`].
    #[must_use]
    pub fn url(&self) -> String {
        self.viewer().url().to_owned()
    }

    /// The page's server.
    ///
    /// # Panics
    /// After [`Studio::end`].
    #[must_use]
    pub fn viewer(&self) -> &Viewer {
        self.viewer.as_ref().expect("it has not ended")
    }

    /// Somebody who only watches.
    pub fn join(&mut self, name: &str) {
        self.state.members.push(member(name, &["view", "forward"]));
        self.tell();
    }

    /// Somebody goes live with a clip, from its beginning, once. Returns the broadcast's number.
    ///
    /// # Panics
    /// If the page shows too many already.
    pub fn publish(&mut self, name: &str, clip: Clip, size: (u32, u32), codec: SoundCodec) -> u32 {
        let index = self.live.last().map_or(0, |live| live.index + 1);
        let sound = (!clip.sound.is_empty()).then(|| PageSound {
            codec: if codec == SoundCodec::Opus { "opus" } else { "mp4a.40.2" }.to_owned(),
            sample_rate: 48_000,
            channels: 2,
            // AAC LC, 48 kHz, two channels.
            description: if codec == SoundCodec::Opus { "" } else { "EZA=" }.to_owned(),
        });
        self.state.members.push(member(name, &["view", "forward", "publish"]));
        self.state.broadcasts.push(PageBroadcast {
            index,
            publisher: peer(name),
            name: name.to_owned(),
            codec: "avc1.42c028".to_owned(),
            width: size.0,
            height: size.1,
            sound,
            route: "direct".to_owned(),
            path: vec![peer(name)],
            depth: 1,
            latency_ms: Some(PageLatency { p50: 18.0, p99: 24.0 }),
            clock_error_ms: Some(1.4),
            ..PageBroadcast::default()
        });
        let hub = self.viewer().hub().clone();
        assert!(hub.open(index, 1_000_000) && hub.open_sound(index, 1_000_000), "too many");
        self.tell();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = std::thread::spawn(move || send(&hub, index, &clip, &stopped));
        self.live.push(Live { index, stop, task: Some(task) });
        index
    }

    /// The PeerId of a broadcast's publisher.
    ///
    /// # Panics
    /// If that broadcast is not on.
    #[must_use]
    pub fn publisher(&self, index: u32) -> String {
        let on = self.state.broadcasts.iter().find(|broadcast| broadcast.index == index);
        on.expect("it is on").publisher.clone()
    }

    /// A broadcast's pieces stop coming, and nobody says why.
    pub fn freeze(&mut self, index: u32) {
        self.live.iter_mut().filter(|live| live.index == index).for_each(Live::end);
    }

    /// A broadcast and its publisher leave.
    pub fn leave(&mut self, index: u32) {
        self.freeze(index);
        self.viewer().hub().close(index);
        let gone: Vec<_> = self.state.broadcasts.extract_if(.., |b| b.index == index).collect();
        self.state.members.retain(|member| gone.iter().all(|b| b.publisher != member.peer));
        self.tell();
    }

    /// A change of what the page is told.
    pub fn alter(&mut self, change: impl FnOnce(&mut PageState)) {
        change(&mut self.state);
        self.tell();
    }

    /// How many keyframes pages have asked for since the last call.
    pub fn asked(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.try_recv().ok()).count()
    }

    /// The server says goodbye.
    pub fn end(&mut self) {
        self.live.iter_mut().for_each(Live::end);
        if let Some(viewer) = self.viewer.take() {
            self.runtime.block_on(viewer.shutdown());
        }
    }

    fn tell(&self) {
        self.viewer().publish_state(&self.state);
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        self.end();
    }
}

impl Live {
    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.take() {
            task.join().expect("the sender does not panic");
        }
    }
}

/// Pictures and sound as their times come.
fn send(hub: &UnitHub, index: u32, clip: &Clip, stop: &AtomicBool) {
    let begin = Instant::now();
    let mut pictures = clip.pictures.iter().enumerate().peekable();
    let mut sound = clip.sound.iter().enumerate().peekable();
    loop {
        let time =
            |next: Option<&(usize, &Piece)>| next.map_or(i64::MAX, |(_, piece)| piece.pts_us);
        let (picture_at, sound_at) = (time(pictures.peek()), time(sound.peek()));
        let heard = sound_at <= picture_at;
        let Some((number, piece)) = (if heard { sound.next() } else { pictures.next() }) else {
            return;
        };
        let due = begin + Duration::from_micros(u64::try_from(piece.pts_us).unwrap_or(0));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let unit = ViewUnit {
            seq: number as u64,
            group: 0,
            pts: piece.pts_us,
            decode_offset: 0,
            captured_us: piece.pts_us,
            ready_us: piece.pts_us + WAY_US,
            keyframe: piece.keyframe,
            data: Bytes::copy_from_slice(&piece.data),
        };
        if heard {
            hub.push_sound(index, &unit);
        } else {
            hub.push(index, &unit);
        }
    }
}

/// A made-up PeerId.
fn peer(name: &str) -> String {
    let tail: String = name.chars().filter(char::is_ascii_alphanumeric).cycle().take(8).collect();
    format!("12D3KooWMadeUpForThePage{tail}")
}

fn member(name: &str, roles: &[&str]) -> PageMember {
    let roles = roles.iter().map(|&role| role.to_owned()).collect();
    PageMember { peer: peer(name), name: name.to_owned(), roles }
}
