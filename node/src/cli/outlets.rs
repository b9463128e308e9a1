//! Where the access units of a watched room go: recordings, the page.

use roommate_protocol::room::Broadcast;
use roommate_protocol::trust::id::{BroadcastId, PeerId};
use roommate_protocol::wire::catalog::{CatalogTrack, TrackKind};
use tokio::sync::watch;

use super::page::PageFeed;
use super::recordings::{Recordings, Wishes};
use super::watching::Sinks;
use crate::play::player::Sink;
use crate::play::recorder::Stopped;
use roommate_media::source::{AudioFormat, TrackFormat, VideoFormat};

/// What is recorded, and whether a page shows everything.
pub(super) struct Outlets {
    recordings: Recordings,
    page: Option<PageFeed>,
}

impl Outlets {
    /// Records what `wishes` say, and shows in `page` if there is one.
    pub(super) fn new(wishes: Wishes, page: Option<PageFeed>) -> Self {
        Self { recordings: Recordings::new(wishes), page }
    }

    /// Told once if a recording ends before its time.
    pub(super) fn stopped(&self) -> watch::Receiver<Option<Stopped>> {
        self.recordings.stopped()
    }
}

impl Sinks for Outlets {
    fn of(&mut self, broadcast: &Broadcast, tracks: &[&CatalogTrack]) -> Vec<Vec<Box<dyn Sink>>> {
        let formats: Vec<TrackFormat> = tracks.iter().map(|track| format(track)).collect();
        let mut sinks = self.recordings.sinks(broadcast.publisher, &formats);
        if let Some(page) = &self.page {
            for (sinks, track) in sinks.iter_mut().zip(tracks) {
                sinks.extend(match track.kind {
                    TrackKind::Video { .. } => page.sink(broadcast.id, track.timescale),
                    TrackKind::Audio { .. } => page.sound_sink(broadcast.id, track.timescale),
                });
            }
        }
        sinks
    }

    fn ended(&mut self, _publisher: PeerId, broadcast: BroadcastId) {
        if let Some(page) = &self.page {
            page.close(broadcast);
        }
    }

    fn take_recordings(&mut self) -> Recordings {
        std::mem::replace(&mut self.recordings, Recordings::new(Wishes::default()))
    }
}

/// What a sink must know of a track.
fn format(track: &CatalogTrack) -> TrackFormat {
    let (codec, timescale) = (track.codec.clone(), track.timescale);
    match &track.kind {
        TrackKind::Video { width, height, fps } => TrackFormat::Video(VideoFormat {
            codec,
            width: *width,
            height: *height,
            timescale,
            fps: *fps,
            can_force_keyframe: false,
        }),
        TrackKind::Audio { sample_rate, channels, description } => {
            TrackFormat::Audio(AudioFormat {
                codec,
                timescale,
                sample_rate: *sample_rate,
                channels: *channels,
                description: description.clone().into(),
            })
        }
    }
}
