//! `file:PATH` and `-` with a transport stream: its first H.264 and its first sound, passed through.
//!
//! A file is paced by its time stamps, a pipe is its own clock ([`super::deliver`]). Bound: that of
//! the stream's parts, [`super::queue`] and, for a pipe, [`crate::pipe`].

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use roommate_clock::Clock;
use roommate_protocol::time::Mono;

use super::KEYFRAME_WAIT_S;
use super::deliver::{Delivery, Pace};
use super::error::TsError;
use super::format;
use super::queue::{Item, Queue};
use super::sound::Packet;
use super::stream::{Found, Stream};
use super::timeline::TICKS_PER_S;
use crate::pipe::{PipeReader, Read1};
use crate::source::{Source, SourceControl, SourceError, SourceUnit, TrackFormat, open_file};

/// A live picture is taken to be complete when nothing follows for so long.
const PAUSE: Duration = Duration::from_millis(5);

/// How a pipe is named in sentences.
const PIPE_NAME: &str = "standard input";

/// Bytes of a file that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Bytes in which a picture must come, however little time they seem to take.
const WAIT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Bytes in which the stream must say what it holds.
const TABLES_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug)]
enum Input {
    File { file: File, repeat: bool },
    Pipe(PipeReader),
}

/// What a chunk brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    More,
    Ended,
    Stopped,
}

/// A transport stream as a source.
#[derive(Debug)]
pub struct TsSource {
    path: PathBuf,
    input: Input,
    stream: Stream,
    queue: Queue,
    tracks: Vec<TrackFormat>,
    clock: Clock,
    delivery: Delivery,
    ended: bool,
    /// This round of the file gave something.
    brought: bool,
    read: usize,
}

impl TsSource {
    /// Opens a file and reads ahead until its formats are known; `repeat` begins anew at its end,
    /// without a seam.
    pub fn open(path: &Path, clock: Clock, repeat: bool) -> Result<Self, SourceError> {
        let file = open_file(path)?;
        Self::begin(path, Input::File { file, repeat }, clock, &SourceControl::new())
    }

    /// Reads a pipe, of which `first_bytes` were read before to tell what it is, until its formats
    /// are known: at most about two seconds of stream after its first keyframe. Blocks until then.
    /// Nothing that was read is lost, save what comes before the first keyframe.
    ///
    /// `captured` of each unit is when its first byte came here. The wait ends, with an error of kind
    /// [`std::io::ErrorKind::Interrupted`], when `control` is stopped: the one that [`Source::next`]
    /// is given too.
    pub fn pipe(
        reader: Box<dyn Read + Send>,
        first_bytes: Vec<u8>,
        clock: Clock,
        control: &SourceControl,
    ) -> Result<Self, SourceError> {
        let path = Path::new(PIPE_NAME);
        let reader = PipeReader::start(reader, first_bytes, clock)
            .map_err(|source| SourceError::Read { path: path.to_owned(), source })?;
        Self::begin(path, Input::Pipe(reader), clock, control)
    }

    /// Hands units over as fast as they are taken: for tests and conversions.
    #[must_use]
    pub fn unpaced(mut self) -> Self {
        self.delivery.pace = Pace::None;
        self
    }

    fn begin(
        path: &Path,
        input: Input,
        clock: Clock,
        control: &SourceControl,
    ) -> Result<Self, SourceError> {
        let pace = match input {
            Input::File { .. } => Pace::File,
            Input::Pipe(_) => Pace::Live,
        };
        let mut source = Self {
            path: path.to_owned(),
            input,
            stream: Stream::new(),
            queue: Queue::default(),
            tracks: Vec::new(),
            clock,
            delivery: Delivery::new(clock, pace, 0),
            ended: false,
            brought: false,
            read: 0,
        };
        source.read_ahead(control).map_err(|why| source.told(why))?;
        Ok(source)
    }

    fn read_ahead(&mut self, control: &SourceControl) -> Result<(), TsError> {
        let mut first_sound = None;
        loop {
            match self.fill(control)? {
                Filled::Stopped => {
                    return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
                }
                Filled::Ended => self.ended = true,
                Filled::More => {}
            }
            let program = self.stream.program();
            if program.is_some_and(|program| program.video.is_some()) {
                self.queue.trim();
                self.check_wait(&mut first_sound)?;
            }
            if let Some(tracks) = format::tracks(&self.stream, &self.queue, self.ended) {
                self.tracks = tracks;
                let zero = match self.queue.pictures().next() {
                    Some(picture) => picture.pts,
                    None => self.queue.first_packet().map_or(0, |packet| packet.time()),
                };
                self.delivery = Delivery::new(self.clock, self.delivery.pace, zero);
                return Ok(());
            }
            if program.is_none() && self.read > TABLES_BYTES_MAX {
                return Err(TsError::NoTracks);
            }
            if self.ended {
                return Err(match program {
                    _ if self.read == 0 => TsError::Empty,
                    _ if !self.stream.is_ts() => TsError::NotTs,
                    Some(program) if program.video.is_some() => TsError::NoKeyframe,
                    _ => TsError::NoTracks,
                });
            }
        }
    }

    /// Gives up pictures that do not come at all while there is sound, or much of anything. Those
    /// that come without a keyframe are given up by the track itself.
    fn check_wait(&self, first_sound: &mut Option<i64>) -> Result<(), TsError> {
        let sound = self.queue.last_packet().map(Packet::time);
        *first_sound = first_sound.or(sound);
        let waited = sound
            .zip(*first_sound)
            .is_some_and(|(newest, first)| newest - first > KEYFRAME_WAIT_S * TICKS_PER_S);
        let none = self.queue.pictures().next().is_none();
        if none && (waited || self.read > WAIT_BYTES_MAX) {
            return Err(TsError::NoKeyframe);
        }
        Ok(())
    }

    /// Reads one chunk, or waits for it, and takes it apart.
    fn fill(&mut self, control: &SourceControl) -> Result<Filled, TsError> {
        let mut found = Found::default();
        let filled = match &mut self.input {
            Input::File { file, .. } => {
                let mut chunk = vec![0; CHUNK_BYTES];
                let length = file.read(&mut chunk)?;
                self.take(&chunk[..length], self.clock.mono(), &mut found)?
            }
            Input::Pipe(reader) => {
                let mut next = reader.next(control, Some(PAUSE))?;
                if matches!(next, Read1::Pause) {
                    self.stream.pause(&mut found)?;
                    let gave = !found.pictures.is_empty();
                    self.queue.add(&mut found);
                    if gave {
                        return Ok(Filled::More);
                    }
                    next = reader.next(control, None)?;
                }
                match next {
                    Read1::Bytes(bytes, at) => self.take(&bytes, at, &mut found)?,
                    Read1::Pause => Filled::More,
                    Read1::End => self.take(&[], self.clock.mono(), &mut found)?,
                    Read1::Stopped => Filled::Stopped,
                }
            }
        };
        self.queue.add(&mut found);
        Ok(filled)
    }

    /// Takes bytes apart; none mean the end.
    fn take(&mut self, bytes: &[u8], at: Mono, found: &mut Found) -> Result<Filled, TsError> {
        self.read = self.read.saturating_add(bytes.len());
        if bytes.is_empty() {
            self.stream.end(at, found)?;
            return Ok(Filled::Ended);
        }
        self.stream.push(bytes, at, found)?;
        Ok(Filled::More)
    }

    /// The next unit in order, if it is there.
    fn pop(&mut self) -> Option<Item> {
        match self.input {
            Input::File { .. } => self.queue.pop_file(self.tracks.len() == 2, self.ended),
            Input::Pipe(_) => self.queue.pop_live(),
        }
    }

    /// Begins the file anew, if it is to be repeated and brought anything; false if not.
    fn rewind(&mut self) -> Result<bool, TsError> {
        let Input::File { file, repeat: true } = &mut self.input else { return Ok(false) };
        file.seek(SeekFrom::Start(0))?;
        let brought = std::mem::take(&mut self.brought);
        if !brought || !self.delivery.repeat(self.stream.video().end()) {
            return Ok(false);
        }
        self.stream = Stream::new();
        self.ended = false;
        Ok(true)
    }

    /// Hands an item over when it is due; `Some(None)`: this one is left out.
    fn deliver(&mut self, item: Item, control: &SourceControl) -> Option<Option<SourceUnit>> {
        let last = self.tracks.len() - 1;
        let pictures = matches!(self.tracks[0], TrackFormat::Video(_));
        match item {
            Item::Picture(picture) if pictures => {
                self.delivery.picture(0, picture, control).map(Some)
            }
            Item::Packet(packet) if matches!(self.tracks[last], TrackFormat::Audio(_)) => {
                self.delivery.packet((last, !pictures), packet, control)
            }
            // A track that came when the others were announced already.
            Item::Picture(_) | Item::Packet(_) => Some(None),
        }
    }

    fn told(&self, why: TsError) -> SourceError {
        let path = self.path.clone();
        match why {
            TsError::Io(source) => SourceError::Read { path, source },
            why => SourceError::Unusable { path, why: why.to_string() },
        }
    }
}

impl Source for TsSource {
    fn tracks(&self) -> &[TrackFormat] {
        &self.tracks
    }

    fn next(&mut self, control: &SourceControl) -> Result<Option<SourceUnit>, SourceError> {
        loop {
            if control.is_stopped() {
                return Ok(None);
            }
            if let Some(item) = self.pop() {
                self.brought = true;
                match self.deliver(item, control) {
                    None => return Ok(None),
                    Some(Some(unit)) => return Ok(Some(unit)),
                    Some(None) => continue,
                }
            }
            if self.ended && !self.rewind().map_err(|why| self.told(why))? {
                return Ok(None);
            }
            match self.fill(control).map_err(|why| self.told(why))? {
                Filled::Stopped => return Ok(None),
                Filled::Ended => self.ended = true,
                Filled::More => {}
            }
        }
    }
}
