//! A recording beside the player: a thread of its own writes, so that a slow disk holds up nobody.
//!
//! At most `WAITING_MAX` access units wait; a disk that is further behind ends the recording with
//! a sentence, and what was written stays playable.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::player::Sink;
use roommate_media::ViewUnit;
use roommate_media::mp4::{Mp4Sink, SinkError};
use roommate_media::source::TrackFormat;

/// About ten seconds of pictures: a disk may pause that long.
const WAITING_MAX: usize = 300;

/// A recording of one publisher, over all its broadcasts.
pub struct Recorder {
    path: PathBuf,
    work: Option<Work>,
    failed: watch::Sender<Option<String>>,
}

enum Item {
    Unit(ViewUnit),
    NextBroadcast,
}

struct Work {
    units: SyncSender<Item>,
    /// Of the first broadcast; those of later ones are converted.
    timescale: u32,
    thread: JoinHandle<Result<(), SinkError>>,
}

impl Recorder {
    /// Nothing is written before the first picture.
    pub fn new(path: PathBuf) -> Self {
        Self { path, work: None, failed: watch::Sender::new(None) }
    }

    /// Where a failure is told, once.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.subscribe()
    }

    /// Says why there is no recording.
    pub fn fail(&self, why: String) {
        self.failed.send_replace(Some(why));
    }

    /// The sink of the next broadcast; the first one opens the file.
    ///
    /// # Errors
    /// [`SinkError`] if the file cannot be opened.
    pub fn sink(&mut self, format: &TrackFormat) -> Result<Box<dyn Sink>, SinkError> {
        let work = match &mut self.work {
            Some(work) => {
                // A thread that has ended told why.
                let _ = work.units.try_send(Item::NextBroadcast);
                work
            }
            empty => empty.insert(Work::start(&self.path, format, self.failed.clone())?),
        };
        Ok(Box::new(RecorderSink {
            units: work.units.clone(),
            from: format.timescale().max(1),
            to: work.timescale,
            failed: self.failed.clone(),
        }))
    }

    /// Writes what is pending and closes the file. Every sink must have been dropped.
    ///
    /// # Errors
    /// The sentence that says why the recording is not whole.
    pub async fn finish(self) -> Result<(), String> {
        let Some(work) = self.work else { return Ok(()) };
        drop(work.units);
        let thread = work.thread;
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        match ended {
            Ok(Ok(result)) => result.map_err(|error| error.to_string()),
            _ => Err("the recording's thread has failed".to_owned()),
        }
    }
}

impl Work {
    fn start(
        path: &std::path::Path,
        format: &TrackFormat,
        failed: watch::Sender<Option<String>>,
    ) -> Result<Self, SinkError> {
        let sink = Mp4Sink::create(path, std::slice::from_ref(format))?;
        let (units, incoming) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("roommate-record".into())
            .spawn(move || write(sink, &incoming, &failed))
            .map_err(|source| SinkError::Open { path: path.to_owned(), source })?;
        Ok(Self { units, timescale: format.timescale().max(1), thread })
    }
}

fn write(
    mut sink: Mp4Sink,
    items: &Receiver<Item>,
    failed: &watch::Sender<Option<String>>,
) -> Result<(), SinkError> {
    while let Ok(item) = items.recv() {
        let written = match item {
            Item::Unit(unit) => sink.push(0, &unit),
            Item::NextBroadcast => {
                sink.next_broadcast();
                Ok(())
            }
        };
        if let Err(error) = written {
            failed.send_replace(Some(error.to_string()));
            return Err(error);
        }
    }
    sink.finish()
}

struct RecorderSink {
    units: SyncSender<Item>,
    from: u32,
    to: u32,
    failed: watch::Sender<Option<String>>,
}

impl Sink for RecorderSink {
    fn take(&mut self, unit: &ViewUnit) {
        let mut unit = unit.clone();
        if self.from != self.to {
            let convert = |ticks: i64| {
                (i128::from(ticks) * i128::from(self.to) / i128::from(self.from)) as i64
            };
            unit.pts = convert(unit.pts);
            unit.decode_offset = convert(unit.decode_offset.into()) as i32;
        }
        match self.units.try_send(Item::Unit(unit)) {
            // The thread has told why it ended.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.failed.send_if_modified(|failed| {
                    let first = failed.is_none();
                    failed.get_or_insert_with(|| {
                        "the disk is too slow for the recording: it ends here".to_owned()
                    });
                    first
                });
            }
        }
    }
}
