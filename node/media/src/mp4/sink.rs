//! `--out FILE.mp4`: writes what is watched into a fragmented MP4, as it comes.
//!
//! A fragment holds at most half a second of both tracks (or one picture that lasts longer) and is
//! there whole or not at all, so a node that is killed loses less than the last second and the file
//! plays to there. Time stamps are the broadcast's, from 0 at the first picture for both tracks: a
//! gap stays a gap, B-frames keep their order, sound stays where it was beside the pictures. It
//! never decodes, and it never touches the live view: an error goes to the caller, and the file
//! stays playable up to the last whole fragment.
//!
//! Blocks on the disk: call it on a thread of its own. Bound: one fragment of 4 MiB and one access
//! unit a track, and before the first picture the last second or so of sound.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use roommate_protocol::h264::sets::ParameterSets;

use super::entry::leading;
use super::lane::Lane;
use super::out::Out;
use super::seek::SeekIndex;
use super::sink_error::SinkError;
use super::ticks::{rescaled, rescaled_up};
use super::write::{FirstPicture, fragment, header, track_id};
use crate::ViewUnit;
use crate::source::TrackFormat;

/// A fragment is closed before it would hold more: half a second at 64 Mbit/s.
const FRAGMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Fragments in a second. Two: with the one that is being collected, a kill costs half a second.
const FRAGMENTS_PER_S: u32 = 2;

/// Packets of sound that are kept until the keyframe comes that they may belong to: a little more
/// than a second of the shortest usual ones. Sound overtakes pictures, which are larger.
const EARLY_MAX: usize = 128;
/// Bytes of them.
const EARLY_BYTES_MAX: usize = 1024 * 1024;

/// The sink.
pub struct Mp4Sink {
    path: PathBuf,
    out: Out,
    lanes: Vec<Lane>,
    /// Number of the track whose keyframes begin the file: the pictures, or else the sound.
    lead: usize,
    /// One fragment a unit, and not two in a second.
    at_once: bool,
    /// The header is written: it has the decoding offset of the first picture.
    first_offset: Option<i64>,
    /// Times of the broadcast can be told in the file's. Not before the first keyframe.
    placed: bool,
    /// What came before that and may belong behind it.
    early: VecDeque<(usize, ViewUnit)>,
    number: u32,
    seek: SeekIndex,
    seconds: f64,
    ended: bool,
}

impl std::fmt::Debug for Mp4Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mp4Sink").field("path", &self.path).field("seconds", &self.seconds).finish()
    }
}

impl Mp4Sink {
    /// Opens `path` for writing these tracks: one of pictures, one of sound, or both. A file that
    /// is there is overwritten when the first picture comes (the first packet, without pictures),
    /// not before.
    ///
    /// # Errors
    /// [`SinkError::Open`] if the file cannot be opened, [`SinkError::Format`] if a track cannot be
    /// written.
    pub fn create(path: &Path, formats: &[TrackFormat]) -> Result<Self, SinkError> {
        let sink = Self::new(path, Out::nowhere(), formats, false)?;
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
        let out = if regular { Out::file(file, fresh) } else { Out::stream(Box::new(file)) };
        Ok(Self { out, ..sink })
    }

    /// Writes to a pipe, one fragment a picture so that a player behind it lags by one picture only.
    /// `name` stands in messages where a path would.
    ///
    /// # Errors
    /// [`SinkError::Format`] if a track cannot be written.
    pub fn stream(
        name: &str,
        out: Box<dyn Write + Send>,
        formats: &[TrackFormat],
    ) -> Result<Self, SinkError> {
        Self::new(Path::new(name), Out::stream(out), formats, true)
    }

    fn new(
        path: &Path,
        out: Out,
        formats: &[TrackFormat],
        at_once: bool,
    ) -> Result<Self, SinkError> {
        let lead = leading(formats)
            .map_err(|source| SinkError::Format { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            out,
            lanes: formats.iter().map(Lane::new).collect(),
            lead,
            at_once,
            first_offset: None,
            placed: false,
            early: VecDeque::new(),
            number: 0,
            seek: SeekIndex::default(),
            seconds: 0.0,
            ended: false,
        })
    }

    /// Says that the next access units, of all tracks, are of another broadcast, whose time stamps
    /// have a zero of their own. Its first keyframe is taken to follow what was written, and its
    /// sound lies to its pictures as it did in the broadcast.
    pub fn next_broadcast(&mut self) {
        self.placed = false;
        self.early.clear();
    }

    /// Seconds of the broadcast that are in the file.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Takes the next access unit of a track, by its place in the formats; each track's must come in
    /// decoding order, the tracks among each other in any. What comes before the first keyframe
    /// cannot be shown and is left out, as is sound of before it. Pictures whose decoding times fall
    /// back at a keyframe, as after a restart of the publisher, begin as after
    /// [`Self::next_broadcast`].
    ///
    /// # Errors
    /// [`SinkError::DiskFull`] or [`SinkError::Write`], once; [`SinkError::Ended`] ever after.
    pub fn push(&mut self, track: usize, unit: &ViewUnit) -> Result<(), SinkError> {
        if self.ended {
            return Err(SinkError::Ended { path: self.path.clone() });
        }
        if track >= self.lanes.len() {
            return Ok(());
        }
        if track == self.lead && self.placed && self.falls_back(unit) {
            self.next_broadcast();
        }
        if self.placed {
            return self.place(track, unit);
        }
        if track != self.lead {
            self.keep_early(track, unit);
            return Ok(());
        }
        if !self.start(unit)? {
            return Ok(());
        }
        self.place(track, unit)?;
        while let Some((track, unit)) = self.early.pop_front() {
            self.place(track, &unit)?;
        }
        Ok(())
    }

    /// Writes what is pending and the index for seeking, and closes the file.
    ///
    /// # Errors
    /// As [`Self::push`], and [`SinkError::Empty`] if nothing came that could begin the file.
    pub fn finish(mut self) -> Result<(), SinkError> {
        if self.ended {
            return Err(SinkError::Ended { path: self.path });
        }
        if self.first_offset.is_none() {
            self.out.discard(&self.path);
            return Err(SinkError::Empty { path: self.path });
        }
        self.lanes.iter_mut().for_each(Lane::release);
        self.write_fragment()?;
        let seek = std::mem::take(&mut self.seek);
        let seek = seek.encode(track_id(self.lead)).map_err(io::Error::other);
        seek.and_then(|seek| self.out.append(&seek))
            .and_then(|()| self.out.finish())
            .map_err(|error| self.fail(error))
    }

    fn keep_early(&mut self, track: usize, unit: &ViewUnit) {
        self.early.push_back((track, unit.clone()));
        let bytes = |early: &VecDeque<(usize, ViewUnit)>| -> usize {
            early.iter().map(|(_, unit)| unit.data.len()).sum()
        };
        while self.early.len() > EARLY_MAX || bytes(&self.early) > EARLY_BYTES_MAX {
            self.early.pop_front();
        }
    }

    /// Whether a keyframe's decoding time is not after what came before.
    fn falls_back(&self, unit: &ViewUnit) -> bool {
        let lane = &self.lanes[self.lead];
        let dts = decoded(unit).saturating_sub(lane.base);
        unit.keyframe && lane.last.is_some_and(|last| dts <= last)
    }

    /// Takes a keyframe of the leading track to begin the file, or to follow what is in it; false if
    /// this one cannot.
    fn start(&mut self, unit: &ViewUnit) -> Result<bool, SinkError> {
        if !unit.keyframe {
            return Ok(false);
        }
        let mut sets = ParameterSets::new();
        let pictures = matches!(self.lanes[self.lead].format, TrackFormat::Video(_));
        if pictures {
            sets.learn(&unit.data);
            if sets.first_sps().is_none() || !sets.is_complete() {
                tracing::warn!("keyframe {} has no usable parameter sets; left out", unit.seq);
                return Ok(false);
            }
        }
        let offset = i64::from(unit.decode_offset);
        let first_offset = match self.first_offset {
            Some(first_offset) => first_offset,
            None => {
                let first = pictures.then_some(FirstPicture { sets: &sets, offset });
                let formats: Vec<_> = self.lanes.iter().map(|lane| lane.format.clone()).collect();
                header(&formats, first)
                    .map_err(io::Error::other)
                    .and_then(|bytes| self.out.begin(&bytes))
                    .map_err(|error| self.fail(error))?;
                *self.first_offset.insert(offset.max(0))
            }
        };
        self.join(unit, first_offset);
        Ok(true)
    }

    /// Lays the file's time over the broadcast's, the same for all tracks: the keyframe is shown
    /// when what is written of every track is over.
    fn join(&mut self, unit: &ViewUnit, first_offset: i64) {
        let scale = self.lanes[self.lead].scale();
        let over = |lane: &Lane| rescaled_up(lane.free(), lane.scale(), scale);
        let others = self.lanes.iter().map(over).max().unwrap_or(0).saturating_add(first_offset);
        let lead = &self.lanes[self.lead];
        let shown = lead.shown.max(others).saturating_sub(unit.decode_offset.into());
        let at = lead.free().max(shown);
        let base = decoded(unit).saturating_sub(at);
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            if number == self.lead {
                lane.base = base;
            } else {
                lane.base = rescaled(base.saturating_add(first_offset), scale, lane.scale());
                lane.from = rescaled(unit.pts, scale, lane.scale());
            }
        }
        self.placed = true;
    }

    /// Takes a unit whose place in the file's time is known.
    fn place(&mut self, track: usize, unit: &ViewUnit) -> Result<(), SinkError> {
        let lane = &mut self.lanes[track];
        let mut dts = decoded(unit).saturating_sub(lane.base).max(0);
        let mut offset = unit.decode_offset;
        if let Some(last) = lane.last.filter(|&last| dts <= last) {
            if track != self.lead {
                return Ok(());
            }
            // No keyframe, or it had begun anew: it is decoded next, and shown when it says.
            let late = last.saturating_add(1).saturating_sub(dts);
            dts = last.saturating_add(1);
            offset = i32::try_from(i64::from(offset).saturating_sub(late)).unwrap_or(i32::MIN);
        }
        if unit.pts < lane.from {
            return Ok(());
        }
        let broken = lane.push(dts, offset, unit);
        let pictures = matches!(lane.format, TrackFormat::Video(_));
        let begins = unit.keyframe && pictures && lane.span() >= self.span_max(track) / 2;
        if broken || begins || self.is_full(track) { self.write_fragment() } else { Ok(()) }
    }

    /// Ticks that a fragment may span of a track.
    fn span_max(&self, track: usize) -> i64 {
        if self.at_once {
            return 1;
        }
        let most = i64::from(self.lanes[track].scale() / FRAGMENTS_PER_S);
        // The pictures close a fragment where both flow, so that fragments begin with keyframes.
        if track == self.lead { most } else { most * 5 / 4 }.max(1)
    }

    fn is_full(&self, track: usize) -> bool {
        let bytes: usize = self.lanes.iter().map(Lane::bytes).sum();
        self.lanes[track].span() >= self.span_max(track) || bytes >= FRAGMENT_BYTES_MAX / 2
    }

    fn write_fragment(&mut self) -> Result<(), SinkError> {
        self.release_overdue();
        let lead = self.lead;
        let others = (0..self.lanes.len()).filter(|&track| track != lead);
        // The leading track stands first: the index for seeking says so.
        let runs: Vec<_> = std::iter::once(lead)
            .chain(others)
            .filter_map(|track| self.lanes[track].run(track))
            .collect();
        let Some(first) = runs.first() else { return Ok(()) };
        self.number = self.number.wrapping_add(1);
        if first.track == lead && first.entries[0].keyframe {
            let pts = first.dts.saturating_add(first.entries[0].offset.into());
            self.seek.add(u64::try_from(pts).unwrap_or(0), self.out.written());
        }
        let bytes = fragment(self.number, &runs);
        bytes
            .map_err(io::Error::other)
            .and_then(|bytes| self.out.commit(bytes))
            .map_err(|error| self.fail(error))?;
        for lane in &mut self.lanes {
            lane.written();
            self.seconds = self.seconds.max(lane.end as f64 / f64::from(lane.scale()));
        }
        Ok(())
    }

    /// A packet of sound whose next has not come long after it was due is the last before a gap.
    fn release_overdue(&mut self) {
        let lead = &self.lanes[self.lead];
        let (end, scale) = (lead.end, lead.scale());
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            let over = rescaled(lane.free(), lane.scale(), scale);
            let half = i64::from(scale / FRAGMENTS_PER_S);
            if number != self.lead && lane.holds() && over.saturating_add(half) < end {
                lane.release();
            }
        }
    }

    /// Says what happened; what was torn is cut off.
    fn fail(&mut self, source: io::Error) -> SinkError {
        self.ended = true;
        self.out.cut();
        let (path, seconds) = (self.path.clone(), self.seconds);
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                SinkError::DiskFull { path, seconds }
            }
            _ => SinkError::Write { path, seconds, source },
        }
    }
}

fn decoded(unit: &ViewUnit) -> i64 {
    unit.pts.saturating_sub(unit.decode_offset.into())
}
