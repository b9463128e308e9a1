//! `--out FILE.mp4`: writes what is watched into a fragmented MP4, as it comes.
//!
//! A fragment holds at most half a second (or one picture that lasts longer) and is there whole or
//! not at all, so a node that is killed loses less than the last second and the file plays to
//! there. Time stamps are the broadcast's, from 0 at the first picture: a gap stays a gap, B-frames
//! keep their order. It never decodes, and it never touches the live view: an error goes to the
//! caller, and the file stays playable up to the last whole fragment.
//!
//! Blocks on the disk: call it on a thread of its own. Bound: one fragment of 4 MiB and one access
//! unit.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use roommate_protocol::h264::avcc::{LengthSize, from_annexb};
use roommate_protocol::h264::sets::ParameterSets;

use super::ViewUnit;
use super::mp4_write::{Header, Picture, SeekIndex, fragment, header};
use super::source::VideoFormat;

/// A fragment is closed before it would hold more: half a second at 64 Mbit/s.
const FRAGMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Fragments in a second. Two: with the one that is being collected, a kill costs half a second.
const FRAGMENTS_PER_S: i64 = 2;

/// How often what was written is forced to the disk. A killed process loses nothing that it has
/// written; this is for a machine that loses its power, and each costs milliseconds to seconds.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// Where the name of a box stands in it.
const NAME: Range<usize> = 4..8;

/// Why a recording ended or never began.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file cannot be created or opened.
    #[error("cannot write to {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No room is left.
    #[error("the disk is full: {} ends at {seconds:.1} s, and plays to there", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// Seconds that were written.
        seconds: f64,
    },
    /// The file cannot be written any more.
    #[error("cannot go on writing {}, it ends at {seconds:.1} s: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Seconds that were written.
        seconds: f64,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing came that could be written.
    #[error("{} was not written: no picture came to begin it with", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// An earlier error has ended it.
    #[error("{} was ended by an earlier error", path.display())]
    Ended {
        /// The file.
        path: PathBuf,
    },
}

/// What the sink must know of a track beforehand; all else is in its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkFormat {
    /// Units of `pts` in a second; 0 counts as 1.
    pub timescale: u32,
    /// Pictures a second, for how long the last picture lasts.
    pub fps: (u32, u32),
}

impl From<&VideoFormat> for SinkFormat {
    fn from(format: &VideoFormat) -> Self {
        Self { timescale: format.timescale, fps: format.fps }
    }
}

/// Where the bytes go.
enum Out {
    /// A regular file: the end of the last whole fragment is kept, so that a torn one can be cut.
    File { file: File, fresh: bool },
    /// A pipe, a device: written in order and never taken back.
    Stream(Box<dyn Write + Send>),
}

/// A picture that waits until the next says how long it lasts.
struct Held {
    dts: i64,
    offset: i32,
    keyframe: bool,
    sample: Vec<u8>,
}

/// The sink.
pub struct Mp4Sink {
    path: PathBuf,
    out: Out,
    timescale: u32,
    /// What a picture lasts when nothing says it.
    nominal: i64,
    /// Ticks that a fragment may span.
    span_max: i64,
    /// Taken from the broadcast's decoding times; `None` before the first keyframe.
    zero: Option<i64>,
    held: Option<Held>,
    /// The next picture follows the last one whatever its time stamps say.
    joins: bool,
    pictures: Vec<Picture>,
    data: Vec<u8>,
    /// Decoding time at which the collected fragment begins, and that of its end.
    begin: i64,
    end: i64,
    number: u32,
    written: u64,
    written_end: i64,
    seek: SeekIndex,
    synced: Instant,
    ended: bool,
}

impl std::fmt::Debug for Mp4Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mp4Sink").field("path", &self.path).field("written", &self.written).finish()
    }
}

impl Mp4Sink {
    /// Opens `path` for writing. A file that is there is overwritten when the first picture comes,
    /// not before.
    pub fn create(path: &Path, format: SinkFormat) -> Result<Self, SinkError> {
        let open = |source| SinkError::Open { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.write(true);
        let (file, fresh) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.open(path).map_err(open)?, false)
            }
            opened => (opened.map_err(open)?, true),
        };
        let regular = file.metadata().map_err(open)?.is_file();
        let out = if regular { Out::File { file, fresh } } else { Out::Stream(Box::new(file)) };
        Ok(Self::new(path, out, format, FRAGMENTS_PER_S))
    }

    /// Writes to a pipe (`--out -`), one fragment a picture so that a player behind it lags by one
    /// picture only. `name` stands in messages where a path would.
    pub fn stream(name: &str, out: Box<dyn Write + Send>, format: SinkFormat) -> Self {
        let per_second = i64::from(format.timescale.max(1));
        Self::new(Path::new(name), Out::Stream(out), format, per_second)
    }

    fn new(path: &Path, out: Out, format: SinkFormat, fragments_per_s: i64) -> Self {
        let timescale = format.timescale.max(1);
        let (num, den) = format.fps;
        let nominal = i64::from(timescale) * i64::from(den) / i64::from(num.max(1));
        Self {
            path: path.to_owned(),
            out,
            timescale,
            // Ten seconds at most, should a stranger's frame rate be absurd.
            nominal: nominal.clamp(1, 10 * i64::from(timescale)),
            span_max: (i64::from(timescale) / fragments_per_s).max(1),
            zero: None,
            held: None,
            joins: false,
            pictures: Vec::new(),
            data: Vec::new(),
            begin: 0,
            end: 0,
            number: 0,
            written: 0,
            written_end: 0,
            seek: SeekIndex::default(),
            synced: Instant::now(),
            ended: false,
        }
    }

    /// Says that the next access unit is of another broadcast, whose time stamps have a zero of
    /// their own: it is taken to follow the last one directly.
    pub fn next_broadcast(&mut self) {
        self.joins = self.held.is_some();
    }

    /// Seconds of the broadcast that are in the file.
    pub fn seconds(&self) -> f64 {
        self.written_end as f64 / f64::from(self.timescale)
    }

    /// Takes the next access unit. What comes before the first keyframe cannot be shown and is left
    /// out. Decoding times that do not grow, as after a restart of the publisher, are taken to
    /// follow what came before.
    pub fn push(&mut self, unit: &ViewUnit) -> Result<(), SinkError> {
        if self.ended {
            return Err(SinkError::Ended { path: self.path.clone() });
        }
        let dts = unit.pts.saturating_sub(unit.decode_offset.into());
        if self.zero.is_none() && !self.start(unit, dts)? {
            return Ok(());
        }
        let Ok(sample) = from_annexb(&unit.data, LengthSize::Four, |_| true) else {
            tracing::warn!("picture {} has no NAL units that fit a file; left out", unit.seq);
            return Ok(());
        };
        if sample.is_empty() {
            return Ok(());
        }
        let mut at = dts.saturating_sub(self.zero.unwrap_or(dts));
        if let Some(held) = self.held.take() {
            if std::mem::take(&mut self.joins) || at <= held.dts {
                at = held.dts + self.nominal;
                self.zero = Some(dts.saturating_sub(at));
            }
            // A duration has 32 bits: a longer gap, of hours, is cut to that.
            let duration = (at - held.dts).min(u32::MAX.into());
            let at_most = held.dts + duration;
            if at > at_most {
                self.zero = Some(dts.saturating_sub(at_most));
                at = at_most;
            }
            let full = self.collect(held, duration);
            if full || (unit.keyframe && at - self.begin >= self.span_max / 2) {
                self.write_fragment()?;
            }
        }
        self.held =
            Some(Held { dts: at, offset: unit.decode_offset, keyframe: unit.keyframe, sample });
        Ok(())
    }

    /// Writes what is pending and the index for seeking, and closes the file.
    pub fn finish(mut self) -> Result<(), SinkError> {
        if self.ended {
            return Err(SinkError::Ended { path: self.path });
        }
        if let Some(held) = self.held.take() {
            let duration = self.pictures.last().map_or(self.nominal, |last| last.duration.into());
            self.collect(held, duration);
        }
        if !self.pictures.is_empty() {
            self.write_fragment()?;
        }
        if self.zero.is_none() {
            if let Out::File { fresh: true, .. } = self.out {
                // It is ours and empty; that it stays, should this fail, harms nobody.
                let _ = std::fs::remove_file(&self.path);
            }
            return Err(SinkError::Empty { path: self.path });
        }
        let seek = std::mem::take(&mut self.seek).encode().map_err(io::Error::other);
        seek.and_then(|seek| self.append(&seek))
            .and_then(|()| match &mut self.out {
                Out::File { file, .. } => file.sync_all(),
                Out::Stream(out) => out.flush(),
            })
            .map_err(|error| self.fail(error))
    }

    /// Begins the file with the first keyframe; false if this one cannot begin it.
    fn start(&mut self, unit: &ViewUnit, dts: i64) -> Result<bool, SinkError> {
        if !unit.keyframe {
            return Ok(false);
        }
        let mut sets = ParameterSets::new();
        sets.learn(&unit.data);
        let Some(sps) = sets.first_sps().filter(|_| sets.is_complete()) else {
            tracing::warn!("keyframe {} has no usable parameter sets; left out", unit.seq);
            return Ok(false);
        };
        let what = Header {
            timescale: self.timescale,
            width: sps.width,
            height: sps.height,
            first_offset: unit.decode_offset,
        };
        let begin = header(&what, &sets).map_err(io::Error::other).and_then(|bytes| {
            if let Out::File { file, .. } = &mut self.out {
                file.set_len(0)?;
            }
            self.append(&bytes)
        });
        begin.map_err(|error| self.fail(error))?;
        self.zero = Some(dts);
        Ok(true)
    }

    /// Moves a picture into the fragment; true if that is full.
    fn collect(&mut self, held: Held, duration: i64) -> bool {
        if self.pictures.is_empty() {
            self.begin = held.dts;
        }
        self.end = held.dts + duration;
        self.pictures.push(Picture {
            duration: u32::try_from(duration).unwrap_or(u32::MAX),
            // An access unit is at most 2 MiB.
            size: u32::try_from(held.sample.len()).unwrap_or(u32::MAX),
            offset: held.offset,
            keyframe: held.keyframe,
        });
        self.data.extend_from_slice(&held.sample);
        self.end - self.begin >= self.span_max || self.data.len() >= FRAGMENT_BYTES_MAX / 2
    }

    fn write_fragment(&mut self) -> Result<(), SinkError> {
        self.number = self.number.wrapping_add(1);
        let begin = u64::try_from(self.begin).unwrap_or(0);
        let bytes = fragment(self.number, begin, &self.pictures, &self.data);
        if let Some(first) = self.pictures.first().filter(|first| first.keyframe) {
            let pts = self.begin.saturating_add(first.offset.into());
            self.seek.add(u64::try_from(pts).unwrap_or(0), self.written);
        }
        self.pictures.clear();
        self.data.clear();
        bytes
            .map_err(io::Error::other)
            .and_then(|bytes| self.commit(bytes))
            .map_err(|error| self.fail(error))?;
        self.written_end = self.end;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.out {
            Out::File { file, .. } => file.write_all(bytes)?,
            Out::Stream(out) => {
                out.write_all(bytes)?;
                out.flush()?;
            }
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Appends a fragment so that it is there whole or not at all: it is written as a `free` box,
    /// which players skip, and gets its name when all of it is there. Players refuse a file that
    /// ends within a `moof`, and a kill can come in the middle of a write.
    fn commit(&mut self, mut fragment: Vec<u8>) -> io::Result<()> {
        let Out::File { file, .. } = &mut self.out else { return self.append(&fragment) };
        fragment[NAME].copy_from_slice(b"free");
        file.write_all(&fragment)?;
        file.seek(SeekFrom::Start(self.written + NAME.start as u64))?;
        file.write_all(b"moof")?;
        file.seek(SeekFrom::End(0))?;
        self.written += fragment.len() as u64;
        if self.synced.elapsed() >= SYNC_INTERVAL {
            self.synced = Instant::now();
            file.sync_data()?;
        }
        Ok(())
    }

    /// Cuts a torn fragment off and says what happened.
    fn fail(&mut self, source: io::Error) -> SinkError {
        self.ended = true;
        if let Out::File { file, .. } = &mut self.out {
            // If even this fails, players still stop at the torn fragment.
            let _ = file.set_len(self.written);
        }
        let (path, seconds) = (self.path.clone(), self.seconds());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                SinkError::DiskFull { path, seconds }
            }
            _ => SinkError::Write { path, seconds, source },
        }
    }
}
