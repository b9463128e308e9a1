//! `file:PATH`: the H.264 track of an MP4 file, passed through picture by picture.
//!
//! Nothing is transcoded: slices, SEI and delimiters go out byte for byte, only their framing
//! changes, and each keyframe gets the parameter sets that it needs. The file is read as it is
//! played, paced by decoding time on the caller's thread. Bound: the index of the file, a small
//! multiple of its length at most, and one picture.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use roommate_protocol::h264::avcc::{AvccError, Configuration, LengthSize, nals};
use roommate_protocol::h264::nal::{NalType, nal_type};
use roommate_protocol::h264::sets::ParameterSets;
use roommate_protocol::h264::sps::{NotPlayable, Sps};
use roommate_protocol::limits::ACCESS_UNIT_BYTES_MAX;
use roommate_protocol::time::Mono;

use super::mp4_boxes::{FileBox, INDEX_BYTES_MAX, box_at, read_body};
use super::mp4_index::{Index, Sample};
use super::mp4_track;
use super::source::{Source, SourceControl, SourceError, SourceUnit, TrackFormat, VideoFormat};
use roommate_clock::Clock;

/// A source this late (the machine slept, or was stopped) goes on from now and says so by a jump of
/// its time stamps, rather than rush through what it missed.
const LATE_MAX: Duration = Duration::from_millis(500);

/// What is wrong with a file. Each sentence stands behind "cannot send FILE: ".
#[derive(Debug, thiserror::Error)]
pub(super) enum Mp4Error {
    #[error("it is empty")]
    EmptyFile,
    #[error("it is not an MP4 file")]
    NotMp4,
    #[error("it has no index (moov box): it was cut short, or its recording was never finished")]
    NoIndex,
    #[error(
        "its index has {0} bytes, more than {INDEX_BYTES_MAX}: cut the file into shorter parts"
    )]
    IndexTooLong(u64),
    #[error("it has no video track")]
    NoVideo,
    #[error(
        "its video is HEVC, not H.264: convert it with 'ffmpeg -i FILE -c:v libx264 -pix_fmt yuv420p OUT.mp4'"
    )]
    Hevc,
    #[error(
        "its video is '{0}', not H.264: convert it with 'ffmpeg -i FILE -c:v libx264 -pix_fmt yuv420p OUT.mp4'"
    )]
    Codec(String),
    #[error("its video is encrypted: only files without copy protection can be sent")]
    Encrypted,
    #[error("its {0} is broken")]
    Broken(&'static str),
    #[error("its decoder configuration is unusable: {0}")]
    Configuration(AvccError),
    #[error("its video track holds no picture")]
    NoPicture,
    #[error("its index lists more than 8 million pictures: cut the file into shorter parts")]
    TooMany,
    #[error("picture {number} lies beyond the end of the file: it was cut short")]
    Beyond { number: usize },
    #[error("its index says that the pictures are longer than the file itself")]
    Overlap,
    #[error("picture {number} has {bytes} bytes, more than {ACCESS_UNIT_BYTES_MAX}")]
    TooLong { number: usize, bytes: u64 },
    #[error("picture {number} is broken: {why}")]
    Picture { number: usize, why: AvccError },
    #[error(
        "no picture in it is a keyframe (IDR) with parameter sets, so nobody could start to watch"
    )]
    NoKeyframe,
    #[error(
        "{0}: convert it with 'ffmpeg -i FILE -vf yadif=deint=1 -c:v libx264 -pix_fmt yuv420p OUT.mp4'"
    )]
    NotPlayable(#[from] NotPlayable),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// An MP4 file as a source.
#[derive(Debug)]
pub struct Mp4Source {
    path: PathBuf,
    file: File,
    entries: Vec<Option<Configuration>>,
    samples: Vec<Sample>,
    format: VideoFormat,
    tracks: Vec<TrackFormat>,
    clock: Clock,
    repeat: bool,
    paced: bool,
    /// Next picture.
    at: usize,
    /// Sets in force: of the sample entry, replaced by what pictures bring themselves.
    sets: ParameterSets,
    entry: Option<u16>,
    /// Added to the file's times: repeats and pauses move it on.
    shift: i64,
    /// How long the file is, in the timescale: what each repeat adds.
    span: i64,
    /// Most that any picture is shown before its decoding time, to keep offsets positive.
    lead: i64,
    /// When the picture of decoding time 0 (after `shift`) was due.
    anchor: Option<Mono>,
    buffer: Vec<u8>,
}

impl Mp4Source {
    /// Opens a file and reads its index; `repeat` begins anew at its end, without a seam.
    pub fn open(path: &Path, clock: Clock, repeat: bool) -> Result<Self, SourceError> {
        let read = |source| SourceError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        if !file.metadata().map_err(read)?.is_file() {
            return Err(unusable(path, &"it is not a regular file"));
        }
        Self::read(path, file, clock, repeat).map_err(|why| told(path, why))
    }

    /// Hands pictures over as fast as they are taken: for tests and conversions.
    #[must_use]
    pub fn unpaced(mut self) -> Self {
        self.paced = false;
        self
    }

    fn read(path: &Path, mut file: File, clock: Clock, repeat: bool) -> Result<Self, Mp4Error> {
        let (moov, moofs, length) = scan(&mut file)?;
        let track = mp4_track::find(&moov)?;
        let mut index = Index::new(length);
        index.add_tables(track.tables)?;
        for moof in &moofs {
            let body = read_body(&mut file, moof)?;
            match index.add_fragment(&body, moof.start, &track) {
                // A recording that was killed: what is whole is played.
                Err(Mp4Error::Beyond { .. }) if !index.samples.is_empty() => {
                    index.cut_short = true;
                    break;
                }
                done => done?,
            }
        }
        if let Some(edit) = track.edit.filter(|_| !track.fragmented) {
            index.keep(edit);
        }
        if index.cut_short {
            tracing::warn!("{} ends in the middle of a fragment", path.display());
        }
        let mut source = Self {
            path: path.to_owned(),
            file,
            entries: track.entries,
            samples: Vec::new(),
            format: VideoFormat {
                codec: String::new(),
                width: 0,
                height: 0,
                timescale: track.timescale,
                fps: (0, 1),
                can_force_keyframe: false,
            },
            tracks: Vec::new(),
            clock,
            repeat,
            paced: true,
            at: 0,
            sets: ParameterSets::new(),
            entry: None,
            shift: 0,
            span: 0,
            lead: 0,
            anchor: None,
            buffer: Vec::new(),
        };
        source.begin(index)?;
        Ok(source)
    }

    /// Drops what stands before the first keyframe and works out the format.
    fn begin(&mut self, index: Index) -> Result<(), Mp4Error> {
        if index.samples.is_empty() {
            return Err(Mp4Error::NoPicture);
        }
        self.samples = index.samples;
        let first = self.first_keyframe()?.ok_or(Mp4Error::NoKeyframe)?;
        self.samples.drain(..first);
        let sps = self.sets.first_sps().ok_or(Mp4Error::NoKeyframe)?;
        sps.check_playable()?;
        let zero = self.samples[0];
        let durations: Vec<i64> = self.samples.windows(2).map(|w| w[1].dts - w[0].dts).collect();
        let last = self.samples.last().map_or(zero.dts, |sample| sample.dts);
        // The last picture needs a duration even if the file gives none, or a repeat would jam.
        let tail = (index.end_dts - last).max(durations.last().copied().unwrap_or(1)).max(1);
        self.span = (last - zero.dts).saturating_add(tail);
        let lowest = self.samples.iter().map(|sample| sample.cts).min().unwrap_or(0);
        self.lead = i64::from(lowest.min(0).unsigned_abs());
        self.shift = -zero.pts();
        self.format.fps = frame_rate(&durations, self.format.timescale, &sps);
        self.format.codec = sps.codec();
        (self.format.width, self.format.height) = (sps.width, sps.height);
        self.tracks = vec![TrackFormat::Video(self.format.clone())];
        // Learned while searching; playing begins with what the first picture has.
        self.sets = ParameterSets::new();
        self.entry = None;
        Ok(())
    }

    /// The first picture that is IDR and has its parameter sets; leaves them in `sets`.
    fn first_keyframe(&mut self) -> Result<Option<usize>, Mp4Error> {
        for at in 0..self.samples.len() {
            self.load(at)?;
            let size = self.enter(self.samples[at].entry)?;
            let buffer = std::mem::take(&mut self.buffer);
            let nals = nals(&buffer, size).map_err(|why| Mp4Error::Picture { number: at, why })?;
            for nal in &nals {
                // A set that we cannot read is passed on as it is, but begins no broadcast.
                let _ = self.sets.learn_nal(nal);
            }
            let key = nals.iter().any(|nal| nal_type(nal) == NalType::Idr);
            self.buffer = buffer;
            if key && self.sets.is_complete() {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Takes up the decoder configuration of a sample entry.
    fn enter(&mut self, entry: u16) -> Result<LengthSize, Mp4Error> {
        let configuration = self
            .entries
            .get(usize::from(entry))
            .and_then(Option::as_ref)
            .ok_or(Mp4Error::Broken("list of decoder configurations"))?;
        if self.entry != Some(entry) {
            self.sets = configuration.sets.clone();
            self.entry = Some(entry);
        }
        Ok(configuration.length_size)
    }

    fn load(&mut self, at: usize) -> Result<(), Mp4Error> {
        let sample = self.samples[at];
        self.file.seek(SeekFrom::Start(sample.offset))?;
        // At most ACCESS_UNIT_BYTES_MAX, and inside the file: checked when it was indexed.
        self.buffer.resize(sample.size as usize, 0);
        self.file.read_exact(&mut self.buffer)?;
        Ok(())
    }

    fn picture(&mut self, at: usize) -> Result<(Bytes, bool), Mp4Error> {
        self.load(at)?;
        let size = self.enter(self.samples[at].entry)?;
        let nals = nals(&self.buffer, size).map_err(|why| Mp4Error::Picture { number: at, why })?;
        let data = self.sets.assemble(&nals);
        for nal in &nals {
            let _ = self.sets.learn_nal(nal);
        }
        if data.len() > ACCESS_UNIT_BYTES_MAX {
            return Err(Mp4Error::TooLong { number: at, bytes: data.len() as u64 });
        }
        let keyframe = nals.iter().any(|nal| nal_type(nal) == NalType::Idr);
        Ok((data.into(), keyframe))
    }

    /// Waits until the picture that is decoded at `dts` is due; false if the source was stopped.
    fn wait(&mut self, dts: i64, control: &SourceControl) -> bool {
        let now = self.clock.mono();
        let scale = i128::from(self.format.timescale);
        let micros = |ticks: i64| i128::from(ticks) * 1_000_000 / scale;
        let anchor = *self.anchor.get_or_insert_with(|| moved(now, -micros(dts)));
        let due = moved(anchor, micros(dts));
        let late = now.since(due);
        if late > LATE_MAX {
            // Clock and time stamps stay together: both have moved on by the same pause.
            let ticks = i128::try_from(late.as_micros()).unwrap_or(0) * scale / 1_000_000;
            self.shift = self.shift.saturating_add(i64::try_from(ticks).unwrap_or(0));
            return !control.is_stopped();
        }
        !control.sleep(due.since(now))
    }
}

impl Source for Mp4Source {
    fn tracks(&self) -> &[TrackFormat] {
        &self.tracks
    }

    fn next(&mut self, control: &SourceControl) -> Result<Option<SourceUnit>, SourceError> {
        if control.is_stopped() || (self.at == self.samples.len() && !self.repeat) {
            return Ok(None);
        }
        if self.at == self.samples.len() {
            self.at = 0;
            self.shift = self.shift.saturating_add(self.span);
            self.entry = None;
        }
        let (at, sample) = (self.at, self.samples[self.at]);
        let dts = sample.dts.saturating_add(self.shift);
        if self.paced && !self.wait(dts, control) {
            return Ok(None);
        }
        let captured = self.clock.mono();
        let (data, keyframe) = self.picture(at).map_err(|why| told(&self.path, why))?;
        self.at += 1;
        Ok(Some(SourceUnit {
            track: 0,
            pts: sample.pts().saturating_add(self.shift),
            decode_offset: i32::try_from(i64::from(sample.cts) + self.lead).unwrap_or(i32::MAX),
            captured,
            keyframe,
            data,
            encode_us: 0,
        }))
    }
}

/// The `moov` and where each `moof` lies, and the length of the file.
fn scan(file: &mut File) -> Result<(Vec<u8>, Vec<FileBox>, u64), Mp4Error> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Err(Mp4Error::EmptyFile);
    }
    let (mut moov, mut moofs, mut at) = (None, Vec::new(), 0);
    while let Some(found) = box_at(file, at, length)? {
        if at == 0
            && !matches!(&found.kind, b"ftyp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide")
        {
            return Err(Mp4Error::NotMp4);
        }
        let whole = found.end <= length;
        if matches!(&found.kind, b"moov" | b"moof") {
            let bytes = found.end - found.start;
            if whole && bytes > INDEX_BYTES_MAX {
                return Err(Mp4Error::IndexTooLong(bytes));
            }
            if whole && &found.kind == b"moof" {
                moofs.push(found);
            } else if whole && moov.is_none() {
                moov = Some(read_body(file, &found)?);
            }
        }
        at = found.end;
    }
    if at == 0 {
        return Err(Mp4Error::NotMp4);
    }
    Ok((moov.ok_or(Mp4Error::NoIndex)?, moofs, length))
}

/// Pictures a second: exact where all are equally long, else what the stream says, else the mean.
fn frame_rate(durations: &[i64], timescale: u32, sps: &Sps) -> (u32, u32) {
    let total: i64 = durations.iter().sum();
    let fraction = |num: u64, den: u64| {
        let (mut a, mut b) = (num, den);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let (num, den) = (num / a.max(1), den / a.max(1));
        Some((u32::try_from(num).ok()?, u32::try_from(den).ok()?)).filter(|(_, den)| *den > 0)
    };
    let mean = || {
        let count = u64::try_from(durations.len()).ok()?;
        fraction(count.checked_mul(timescale.into())?, u64::try_from(total).ok()?)
    };
    let equal = durations.windows(2).all(|pair| pair[0] == pair[1]);
    let rate = if equal { mean() } else { sps.frame_rate().or_else(mean) };
    rate.or_else(|| sps.frame_rate()).unwrap_or((25, 1))
}

fn moved(at: Mono, micros: i128) -> Mono {
    let moved = i128::from(at.as_micros()).saturating_add(micros);
    Mono::from_micros(u64::try_from(moved.max(0)).unwrap_or(u64::MAX))
}

fn told(path: &Path, why: Mp4Error) -> SourceError {
    match why {
        Mp4Error::Io(source) => SourceError::Read { path: path.to_owned(), source },
        why => unusable(path, &why),
    }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> SourceError {
    SourceError::Unusable { path: path.to_owned(), why: why.to_string() }
}
