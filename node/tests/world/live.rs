//! A broadcast without an encoder: access units of the right shape, 50 a second, each with words in
//! it that are found wherever they come out.

use std::sync::Arc;
use std::time::Duration;

use roommate::link::SharedTrack;
use roommate::play::player::{Player, PlayerConfig, Sink};
use roommate::play::publisher::{Publisher, PublisherConfig, State};
use roommate_clock::Clock;
use roommate_media::ViewUnit;
use roommate_media::source::{
    Source, SourceControl, SourceError, SourceUnit, TrackFormat, VideoFormat,
};
use roommate_protocol::media::clock::ClockView;
use roommate_protocol::trust::id::{TrackId, TrackKey};
use roommate_protocol::wire::catalog::{Catalog, CatalogTrack, TrackKind};
use tokio::sync::watch;

use super::{Member, in_time};

pub const PICTURE: &[u8] = b"ACCESS-UNIT-OF-THE-ROOM";

const EVERY: Duration = Duration::from_millis(20);
/// A new group twice a second.
const GOP: u64 = 25;
/// Two pieces: the second is verified by its hash alone.
const BYTES: usize = 6_000;
const LATENCY: Duration = Duration::from_millis(500);

struct Script {
    tracks: [TrackFormat; 1],
    clock: Clock,
    made: u64,
}

impl Source for Script {
    fn tracks(&self) -> &[TrackFormat] {
        &self.tracks
    }

    fn next(&mut self, control: &SourceControl) -> Result<Option<SourceUnit>, SourceError> {
        if control.sleep(EVERY) {
            return Ok(None);
        }
        let (number, keyframe) = (self.made, self.made.is_multiple_of(GOP));
        self.made += 1;
        let data: Vec<u8> = PICTURE.iter().copied().cycle().take(BYTES).collect();
        Ok(Some(SourceUnit {
            track: 0,
            pts: i64::try_from(number).unwrap() * 1_800,
            decode_offset: 0,
            captured: self.clock.mono(),
            keyframe,
            data: data.into(),
            encode_us: 0,
        }))
    }
}

pub fn catalog() -> Catalog {
    let kind = TrackKind::Video { width: 64, height: 64, fps: (50, 1) };
    let codec = "avc1.42c00a".to_owned();
    let track = CatalogTrack { id: TrackId(0), codec, timescale: 90_000, rendition_of: None, kind };
    Catalog { tracks: vec![track] }
}

/// A broadcast that runs until it is stopped.
pub struct Broadcast {
    pub key: TrackKey,
    publisher: Publisher,
}

impl Broadcast {
    pub async fn begin(member: &Member) -> Self {
        let clock = Clock::new();
        let control = Arc::new(SourceControl::new());
        let now = clock.now();
        let view = ClockView::at_publisher(now.wall, now.mono);
        let made = member.room.publish(catalog(), view, Some(control.clone())).await.unwrap();
        let publication = made.into_iter().next().unwrap();
        let key = publication.key;
        let config = PublisherConfig {
            key: member.key.clone(),
            room: member.room.clone(),
            publications: vec![publication],
            clock,
            trace: None,
        };
        let format = VideoFormat {
            codec: "avc1.42c00a".to_owned(),
            width: 64,
            height: 64,
            timescale: 90_000,
            fps: (50, 1),
            can_force_keyframe: false,
        };
        let script = Box::new(Script { tracks: [TrackFormat::Video(format)], clock, made: 0 });
        let publisher = Publisher::start(config, script, control).unwrap();
        Self { key, publisher }
    }

    /// Waits for the first access unit.
    pub async fn is_live(&self) {
        let mut state = self.publisher.state();
        let live = state.wait_for(|state| *state != State::Starting);
        in_time("the first access unit", live).await.unwrap();
    }

    /// Signs the end.
    pub async fn finish(&mut self) {
        self.publisher.stop().await;
    }

    /// Signs the end, and says that it is over.
    pub async fn end(&mut self, member: &Member) {
        self.publisher.stop().await;
        member.room.retract(self.key.broadcast).await;
    }

    pub fn access_units(&self) -> u64 {
        self.publisher.stats().access_units
    }
}

struct Count(watch::Sender<u64>);

impl Sink for Count {
    fn take(&mut self, unit: &ViewUnit) {
        assert_eq!(unit.data.len(), BYTES);
        assert!(unit.data.starts_with(PICTURE));
        self.0.send_modify(|count| *count += 1);
    }
}

/// A viewer that counts the access units it was shown.
pub struct Viewing {
    pub track: Arc<SharedTrack>,
    player: Player,
    shown: watch::Receiver<u64>,
}

impl Viewing {
    pub async fn begin(member: &Member, key: TrackKey) -> Self {
        let is_on = |broadcast: &roommate_protocol::room::Broadcast| broadcast.id == key.broadcast;
        member.sees("the broadcast", |status| status.broadcasts.iter().any(is_on)).await;
        let subscription = member.room.subscribe(key, LATENCY).await.unwrap();
        let track = subscription.track.clone();
        let (count, shown) = watch::channel(0);
        let player = Player::start(PlayerConfig {
            subscription,
            latency: LATENCY,
            clock: Clock::new(),
            trace: None,
            sinks: vec![Box::new(Count(count))],
        });
        Self { track, player, shown }
    }

    pub fn shown(&self) -> u64 {
        *self.shown.borrow()
    }

    /// Waits until so many more were shown.
    pub async fn more(&mut self, count: u64) {
        let until = self.shown() + count;
        let shown = self.shown.wait_for(|shown| *shown >= until);
        in_time("more pictures for the honest viewer", shown).await.unwrap();
    }

    pub async fn stop(&mut self) {
        self.player.stop().await;
    }

    pub fn is_over(&self) -> bool {
        self.player.is_over()
    }
}
