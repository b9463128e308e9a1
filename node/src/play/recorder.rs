//! A recording beside the players: a thread of its own writes, so that a slow disk, or a player behind
//! a pipe, holds up nobody.
//!
//! At most `WAITING_MAX` access units wait; whoever is further behind ends the recording with a
//! sentence, and what was written stays playable. What container it is, is the [`Container`]'s.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::player::Sink;
use roommate_media::ViewUnit;
use roommate_media::source::TrackFormat;

/// About ten seconds of pictures and sound: a disk may pause that long.
const WAITING_MAX: usize = 800;

/// A file or pipe that takes the access units of one publisher, in the order in which they came.
pub trait Container: Send {
    /// The next access unit of a track, by its place among the formats that it was opened with.
    ///
    /// # Errors
    /// Why nothing more can be written.
    fn push(&mut self, track: usize, unit: &ViewUnit) -> Result<(), Stopped>;

    /// What follows is of another broadcast, with times of its own.
    fn next_broadcast(&mut self);

    /// Writes what is pending and closes it.
    ///
    /// # Errors
    /// Why it is not whole.
    fn finish(self: Box<Self>) -> Result<(), Stopped>;
}

/// Why a recording ended before it was finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It failed, with this sentence.
    Failed(String),
    /// Whoever reads the pipe has closed it: the person wants no more.
    Closed,
}

/// Opens the container, once it is known what comes.
pub type Open = Box<dyn FnOnce(&[TrackFormat]) -> Result<Box<dyn Container>, Stopped> + Send>;

/// How long the end of a recording waits for the disk. A command ends within two seconds.
const FINISH_MAX: Duration = Duration::from_millis(1_000);

/// What a recording writes to, in words for people.
#[derive(Clone, Debug)]
pub struct Target {
    /// What takes it: the disk, the player.
    pub taker: &'static str,
    /// What it is called: a path, the stream.
    pub name: String,
}

/// A recording of one publisher, over all its broadcasts.
pub struct Recorder {
    target: Target,
    open: Option<Open>,
    work: Option<Work>,
    stopped: watch::Sender<Option<Stopped>>,
}

enum Item {
    Unit(usize, ViewUnit),
    NextBroadcast,
}

struct Work {
    units: SyncSender<Item>,
    /// Of the first broadcast: the tracks of later ones are fitted to these.
    formats: Vec<TrackFormat>,
    thread: JoinHandle<Result<(), Stopped>>,
}

impl Recorder {
    /// Nothing is opened before the first broadcast. Why it ended is told to `stopped`, where several
    /// recordings may share one place.
    pub fn new(target: Target, open: Open, stopped: watch::Sender<Option<Stopped>>) -> Self {
        Self { target, open: Some(open), work: None, stopped }
    }

    /// The sinks of the next broadcast's tracks; the first one opens the container. A track of a
    /// kind that the first broadcast had not is left out: `None`.
    pub fn sinks(&mut self, formats: &[TrackFormat]) -> Vec<Option<Box<dyn Sink>>> {
        if let Some(open) = self.open.take() {
            match Work::start(open, formats, self.stopped.clone()) {
                Ok(work) => self.work = Some(work),
                Err(why) => self.stop(why),
            }
        } else if let Some(work) = &self.work
            && let Err(TrySendError::Full(_)) = work.units.try_send(Item::NextBroadcast)
        {
            // Without it the next broadcast would be laid over the one before.
            self.stop(too_slow(self.target.taker));
        }
        formats.iter().map(|format| self.sink(format)).collect()
    }

    fn sink(&self, format: &TrackFormat) -> Option<Box<dyn Sink>> {
        let work = self.work.as_ref()?;
        let same = |other: &TrackFormat| {
            matches!(other, TrackFormat::Video(_)) == matches!(format, TrackFormat::Video(_))
        };
        let track = work.formats.iter().position(same)?;
        Some(Box::new(RecorderSink {
            units: work.units.clone(),
            track,
            from: format.timescale().max(1),
            to: work.formats[track].timescale().max(1),
            taker: self.target.taker,
            stopped: self.stopped.clone(),
        }))
    }

    fn stop(&self, why: Stopped) {
        stop(&self.stopped, why);
    }

    /// Writes what is pending and closes the container. Every sink must have been dropped. A disk
    /// that stands still is waited for a second; the thread that writes is left behind then.
    ///
    /// # Errors
    /// The sentence that says why the recording is not whole.
    pub async fn finish(self) -> Result<(), String> {
        let Some(work) = self.work else { return Ok(()) };
        drop(work.units);
        let thread = work.thread;
        let ended = tokio::task::spawn_blocking(move || thread.join());
        match tokio::time::timeout(FINISH_MAX, ended).await {
            Ok(Ok(Ok(Err(Stopped::Failed(why))))) => Err(why),
            Ok(Ok(Ok(Ok(()) | Err(Stopped::Closed)))) => Ok(()),
            Ok(Ok(Err(_)) | Err(_)) => Err("the recording's thread has failed".to_owned()),
            Err(_) => {
                let Target { taker, name } = self.target;
                Err(format!("{taker} does not answer: {name} ends where it stands"))
            }
        }
    }
}

fn too_slow(taker: &str) -> Stopped {
    Stopped::Failed(format!("{taker} is too slow for the recording: it ends here"))
}

/// The first reason counts: what follows follows from it.
fn stop(stopped: &watch::Sender<Option<Stopped>>, why: Stopped) {
    stopped.send_if_modified(|stopped| {
        let first = stopped.is_none();
        stopped.get_or_insert(why);
        first
    });
}

impl Work {
    fn start(
        open: Open,
        formats: &[TrackFormat],
        stopped: watch::Sender<Option<Stopped>>,
    ) -> Result<Self, Stopped> {
        let container = open(formats)?;
        let (units, incoming) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("roommate-record".into())
            .spawn(move || write(container, &incoming, &stopped))
            .map_err(|error| Stopped::Failed(format!("no thread for the recording: {error}")))?;
        Ok(Self { units, formats: formats.to_vec(), thread })
    }
}

fn write(
    mut container: Box<dyn Container>,
    items: &Receiver<Item>,
    stopped: &watch::Sender<Option<Stopped>>,
) -> Result<(), Stopped> {
    while let Ok(item) = items.recv() {
        let written = match item {
            Item::Unit(track, unit) => container.push(track, &unit),
            Item::NextBroadcast => {
                container.next_broadcast();
                Ok(())
            }
        };
        if let Err(why) = written {
            stop(stopped, why.clone());
            return Err(why);
        }
    }
    container.finish()
}

struct RecorderSink {
    units: SyncSender<Item>,
    track: usize,
    from: u32,
    to: u32,
    taker: &'static str,
    stopped: watch::Sender<Option<Stopped>>,
}

impl Sink for RecorderSink {
    fn take(&mut self, unit: &ViewUnit) {
        // A hole would follow: what ends here ends here.
        if self.stopped.borrow().is_some() {
            return;
        }
        let mut unit = unit.clone();
        if self.from != self.to {
            let convert = |ticks: i64| {
                (i128::from(ticks) * i128::from(self.to) / i128::from(self.from)) as i64
            };
            unit.pts = convert(unit.pts);
            unit.decode_offset = convert(unit.decode_offset.into()) as i32;
        }
        match self.units.try_send(Item::Unit(self.track, unit)) {
            // The thread has told why it ended.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => stop(&self.stopped, too_slow(self.taker)),
        }
    }
}
