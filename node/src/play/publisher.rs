//! A source into its tracks: each access unit is hashed, signed and put into the cache of its track by
//! the source's own thread. Nothing here waits for the network; a slow child slows down only its own
//! writer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ed25519_dalek::SigningKey;
use roommate_protocol::media::publish::{PublishRefusal, TrackPublisher};
use roommate_protocol::media::track::{AccessUnit, Append};
use roommate_protocol::wire::record::{RecordError, Signer};
use tokio::sync::watch;

use crate::node::Room;
use crate::percentile::Percentiles;
use crate::trace::{Place, Trace};
use crate::track::Publication;
use roommate_clock::Clock;
use roommate_media::source::{Source, SourceControl, SourceError, SourceUnit, TrackFormat};

/// What was published so far.
#[derive(Debug, Default)]
pub struct PublishStats {
    /// Pictures signed and in the cache.
    pub access_units: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them begin a group.
    pub keyframes: u64,
    /// Drawing and encoding, in milliseconds; empty for a file.
    pub encode_ms: Percentiles,
    /// Packets of sound, not counted above.
    pub packets: u64,
    /// Their bytes.
    pub packet_bytes: u64,
    /// Access units that could not be published, and why the last of them.
    pub refused: Option<(u64, PublishRefusal)>,
}

/// How the source ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It had nothing more, or was told to stop.
    Ended,
    /// It failed, with this sentence.
    Failed(String),
}

/// A source at work. It ends when the source does, or its room. Dropped, it is told to end and not
/// waited for: that is [`Publisher::stop`].
pub struct Publisher {
    control: Arc<SourceControl>,
    stats: Arc<Mutex<PublishStats>>,
    state: watch::Receiver<State>,
    thread: Option<JoinHandle<()>>,
}

/// How far a publisher is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// No access unit yet.
    Starting,
    /// The first access unit is out.
    Live,
    /// Nothing more comes.
    Finished(Finish),
}

/// Why no thread could be started.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// The node's key cannot sign this track.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The system gives no more threads.
    #[error("no thread can be started for the source: {0}")]
    Thread(#[from] std::io::Error),
}

/// What a publisher is made of.
pub struct PublisherConfig {
    /// Signs the access units; the publisher's node key.
    pub key: SigningKey,
    /// Where the broadcast is.
    pub room: Room,
    /// The source's tracks in their order, and where each goes.
    pub publications: Vec<Publication>,
    /// The node's clock.
    pub clock: Clock,
    /// One line an access unit.
    pub trace: Option<Arc<Mutex<Trace>>>,
}

impl Publisher {
    /// Starts the source's thread. `control` is the one that the room was given.
    ///
    /// # Errors
    /// [`PublisherError`]
    pub fn start(
        config: PublisherConfig,
        source: Box<dyn Source>,
        control: Arc<SourceControl>,
    ) -> Result<Self, PublisherError> {
        let tracks = tracks(&config, source.as_ref())?;
        let stats = Arc::new(Mutex::new(PublishStats::default()));
        let (tell, state) = watch::channel(State::Starting);
        let work = Work {
            tracks,
            clock: config.clock,
            room: config.room,
            trace: config.trace,
            control: control.clone(),
            stats: stats.clone(),
            tell,
        };
        let thread = std::thread::Builder::new()
            .name("roommate-source".into())
            .spawn(move || work.run(source))?;
        Ok(Self { control, stats, state, thread: Some(thread) })
    }

    /// What was published so far.
    pub fn stats(&self) -> MutexGuard<'_, PublishStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Ends the source, and with it the signed end of the track, and waits for its thread.
    pub async fn stop(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.control.stop();
    }
}

/// One track of a source.
struct Track {
    publisher: TrackPublisher,
    publication: Publication,
    is_sound: bool,
}

fn tracks(config: &PublisherConfig, source: &dyn Source) -> Result<Vec<Track>, RecordError> {
    let formats = source.tracks().iter();
    let tracks = formats.zip(&config.publications).map(|(format, publication)| {
        let signer = Signer::new(config.key.clone(), config.room.room(), publication.key)?;
        let is_sound = matches!(format, TrackFormat::Audio(_));
        let publisher = match format {
            TrackFormat::Audio(format) => TrackPublisher::sound(signer, format.timescale),
            TrackFormat::Video(_) => TrackPublisher::new(signer),
        };
        Ok(Track { publisher, publication: publication.clone(), is_sound })
    });
    tracks.collect()
}

struct Work {
    tracks: Vec<Track>,
    room: Room,
    clock: Clock,
    trace: Option<Arc<Mutex<Trace>>>,
    control: Arc<SourceControl>,
    stats: Arc<Mutex<PublishStats>>,
    tell: watch::Sender<State>,
}

impl Work {
    fn run(mut self, mut source: Box<dyn Source>) {
        let finish = loop {
            match source.next(&self.control) {
                Ok(Some(_)) if self.is_over() => break Finish::Ended,
                Ok(Some(unit)) => self.publish(&unit),
                Ok(None) => break Finish::Ended,
                Err(error) => break Finish::Failed(SourceError::to_string(&error)),
            }
        };
        let now = self.clock.mono();
        for track in &mut self.tracks {
            if let Some(end) = track.publisher.end() {
                track.publication.track.append(&[end], now);
            }
        }
        if let Some(trace) = &self.trace {
            trace.lock().unwrap_or_else(PoisonError::into_inner).flush();
        }
        self.tell.send_replace(State::Finished(finish));
    }

    /// Whether the broadcast was ended from outside, or its room.
    fn is_over(&self) -> bool {
        let over = |track: &Track| track.publication.track.look(|cache| cache.over().is_some());
        self.tracks.iter().any(over)
    }

    fn publish(&mut self, unit: &SourceUnit) {
        let Some(track) = self.tracks.get_mut(unit.track) else { return };
        let publication = &track.publication;
        let captured_us = publication.view.at(unit.captured);
        let access_unit = AccessUnit {
            pts: unit.pts,
            decode_offset: unit.decode_offset,
            captured_us,
            keyframe: unit.keyframe,
            data: unit.data.clone(),
        };
        let seq = track.publisher.counts().access_units;
        let appends = match track.publisher.publish(&access_unit) {
            Ok(appends) => appends,
            Err(refusal) => {
                tracing::warn!(%refusal, "an access unit was not published");
                let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
                let before = stats.refused.map_or(0, |(count, _)| count);
                stats.refused = Some((before + 1, refusal));
                return;
            }
        };
        publication.track.append(&appends, self.clock.mono());
        let is_sound = track.is_sound;
        if unit.keyframe && !is_sound {
            self.room.note_keyframe(publication.key);
        }
        // Every access unit is one append after another; its group stands in each.
        let group = appends.last().map_or(0, Append::group);
        let place = Place { track: publication.key.track.0, group, seq };
        self.count(unit, is_sound, captured_us, place);
        self.tell.send_if_modified(|state| {
            let first = *state == State::Starting;
            if first {
                *state = State::Live;
            }
            first
        });
    }

    fn count(&mut self, unit: &SourceUnit, is_sound: bool, captured_us: i64, place: Place) {
        let bytes = unit.data.len();
        {
            let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
            if is_sound {
                stats.packets += 1;
                stats.packet_bytes += bytes as u64;
            } else {
                stats.access_units += 1;
                stats.bytes += bytes as u64;
                stats.keyframes += u64::from(unit.keyframe);
                if unit.encode_us != 0 {
                    stats.encode_ms.add(f64::from(unit.encode_us) / 1000.0);
                }
            }
        }
        if let Some(trace) = &self.trace {
            let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
            trace.published(place, captured_us, bytes, unit.encode_us);
        }
    }
}
