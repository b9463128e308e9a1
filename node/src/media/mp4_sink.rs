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

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use roommate_protocol::h264::avcc::{LengthSize, from_annexb};
use roommate_protocol::h264::sets::ParameterSets;

use super::ViewUnit;
use super::mp4_collect::{Coded, Collector};
use super::mp4_out::Out;
use super::mp4_write::{Header, SeekIndex, fragment, header};
use super::source::SourceFormat;

/// Fragments in a second. Two: with the one that is being collected, a kill costs half a second.
const FRAGMENTS_PER_S: i64 = 2;

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

impl From<&SourceFormat> for SinkFormat {
    fn from(format: &SourceFormat) -> Self {
        Self { timescale: format.timescale, fps: format.fps }
    }
}

/// The sink.
pub struct Mp4Sink {
    path: PathBuf,
    out: Out,
    timescale: u32,
    track: Collector,
    number: u32,
    /// Decoding time to which the file is whole.
    written_end: i64,
    seek: SeekIndex,
    ended: bool,
}

impl std::fmt::Debug for Mp4Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let written = self.out.written();
        f.debug_struct("Mp4Sink").field("path", &self.path).field("written", &written).finish()
    }
}

impl Mp4Sink {
    /// Opens `path` for writing. A file that is there is overwritten when the first picture comes,
    /// not before.
    pub fn create(path: &Path, format: SinkFormat) -> Result<Self, SinkError> {
        let open = |source| SinkError::Open { path: path.to_owned(), source };
        Ok(Self::new(path, Out::open(path).map_err(open)?, format, FRAGMENTS_PER_S))
    }

    /// Writes to a pipe (`--out -`), one fragment a picture so that a player behind it lags by one
    /// picture only. `name` stands in messages where a path would.
    pub fn stream(name: &str, out: Box<dyn Write + Send>, format: SinkFormat) -> Self {
        let per_second = i64::from(format.timescale.max(1));
        Self::new(Path::new(name), Out::stream(out), format, per_second)
    }

    fn new(path: &Path, out: Out, format: SinkFormat, fragments_per_s: i64) -> Self {
        let timescale = format.timescale.max(1);
        Self {
            path: path.to_owned(),
            out,
            timescale,
            track: Collector::new(timescale, format.fps, fragments_per_s),
            number: 0,
            written_end: 0,
            seek: SeekIndex::default(),
            ended: false,
        }
    }

    /// Says that the next access unit is of another broadcast, whose time stamps have a zero of
    /// their own: it is taken to follow the last one directly.
    pub fn next_broadcast(&mut self) {
        self.track.join();
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
        if !self.track.has_begun() && !self.start(unit, dts)? {
            return Ok(());
        }
        let Ok(sample) = from_annexb(&unit.data, LengthSize::Four, |_| true) else {
            tracing::warn!("picture {} has no NAL units that fit a file; left out", unit.seq);
            return Ok(());
        };
        if sample.is_empty() {
            return Ok(());
        }
        let (offset, keyframe) = (unit.decode_offset, unit.keyframe);
        if self.track.push(Coded { dts, offset, keyframe, sample }) {
            self.write_fragment()?;
        }
        Ok(())
    }

    /// Writes what is pending and the index for seeking, and closes the file.
    pub fn finish(mut self) -> Result<(), SinkError> {
        if self.ended {
            return Err(SinkError::Ended { path: self.path });
        }
        self.track.finish();
        self.write_fragment()?;
        if !self.track.has_begun() {
            self.out.remove(&self.path);
            return Err(SinkError::Empty { path: self.path });
        }
        let seek = std::mem::take(&mut self.seek).encode().map_err(io::Error::other);
        seek.and_then(|seek| self.out.append(&seek))
            .and_then(|()| self.out.close())
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
        header(&what, &sets)
            .map_err(io::Error::other)
            .and_then(|head| self.out.begin(&head))
            .map_err(|error| self.fail(error))?;
        self.track.begin_at(dts);
        Ok(true)
    }

    /// Writes what is collected, if anything is.
    fn write_fragment(&mut self) -> Result<(), SinkError> {
        let Some(pending) = self.track.pending() else { return Ok(()) };
        self.number = self.number.wrapping_add(1);
        let bytes = fragment(self.number, pending.begin, pending.pictures, pending.data);
        if let Some(pts) = pending.key_pts {
            self.seek.add(pts, self.out.written());
        }
        let end = self.track.clear();
        bytes
            .map_err(io::Error::other)
            .and_then(|bytes| self.out.commit(bytes))
            .map_err(|error| self.fail(error))?;
        self.written_end = end;
        Ok(())
    }

    /// Cuts a torn fragment off and says what happened.
    fn fail(&mut self, source: io::Error) -> SinkError {
        self.ended = true;
        self.out.cut();
        let (path, seconds) = (self.path.clone(), self.seconds());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                SinkError::DiskFull { path, seconds }
            }
            _ => SinkError::Write { path, seconds, source },
        }
    }
}
