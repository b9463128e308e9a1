//! Where the access units of a watched room go: a recording, the page.

use std::path::PathBuf;

use roommate_protocol::room::Broadcast;
use roommate_protocol::trust::id::{BroadcastId, PeerId};
use roommate_protocol::wire::catalog::{CatalogTrack, TrackKind};
use tokio::sync::watch;

use super::page::PageFeed;
use super::say;
use super::watching::Sinks;
use crate::play::player::Sink;
use crate::play::recorder::Recorder;
use roommate_media::source::{TrackFormat, VideoFormat};

/// What `--out` records, and whether a page shows everything.
pub(super) struct Outlets {
    recorder: Option<Recorder>,
    /// Tells that the recording has failed.
    failed: watch::Receiver<Option<String>>,
    /// Whose broadcasts are recorded: the first one's that is watched.
    chosen: Option<PeerId>,
    page: Option<PageFeed>,
}

impl Outlets {
    /// Records into `out` if it is given, and shows in `page` if there is one.
    pub(super) fn new(out: Option<PathBuf>, page: Option<PageFeed>) -> Self {
        let recorder = out.map(Recorder::new);
        let failed = match &recorder {
            Some(recorder) => recorder.failed(),
            None => watch::Sender::new(None).subscribe(),
        };
        Self { recorder, failed, chosen: None, page }
    }

    /// Told once if the recording fails.
    pub(super) fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.clone()
    }

    fn records(&mut self, publisher: PeerId) -> bool {
        if self.chosen.is_none() {
            self.chosen = Some(publisher);
            say::note(&format!("recording {publisher}"));
        }
        self.chosen == Some(publisher)
    }
}

impl Sinks for Outlets {
    fn of(&mut self, broadcast: &Broadcast, track: &CatalogTrack) -> Vec<Box<dyn Sink>> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let TrackKind::Video { width, height, fps } = track.kind
            && self.recorder.is_some()
            && self.records(broadcast.publisher)
            && let Some(recorder) = &mut self.recorder
        {
            let format = TrackFormat::Video(VideoFormat {
                codec: track.codec.clone(),
                width,
                height,
                timescale: track.timescale,
                fps,
                can_force_keyframe: false,
            });
            match recorder.sink(&format) {
                Ok(sink) => sinks.push(sink),
                Err(error) => recorder.fail(error.to_string()),
            }
        }
        if let Some(page) = &self.page {
            sinks.extend(page.sink(broadcast.id, track.timescale));
        }
        sinks
    }

    fn ended(&mut self, _publisher: PeerId, broadcast: BroadcastId) {
        if let Some(page) = &self.page {
            page.close(broadcast);
        }
    }

    fn take_recorder(&mut self) -> Option<Recorder> {
        self.recorder.take()
    }
}
