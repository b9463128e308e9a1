//! `file:PATH`: the H.264 track of an MP4 file and the first track of AAC or Opus beside it, passed
//! through unit by unit.
//!
//! Nothing is transcoded: slices, SEI, delimiters and packets of sound go out byte for byte. The
//! file is read as it is played, paced by decoding time on the caller's thread; its edit lists say
//! how sound and pictures lie to each other. Bound: the indices of the file, a small multiple of its
//! length at most, and one access unit.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use roommate_clock::Clock;

use super::audio::SoundError;
use super::boxes::{FileBox, INDEX_BYTES_MAX, box_at, read_body};
use super::error::Mp4Error;
use super::index::{Budget, Sample};
use super::opening::{Opening, Shown, Span};
use super::pace::{Line, Pace};
use super::pictures::Pictures;
use super::ticks::Ticks;
use super::track;
use crate::source::{Source, SourceControl, SourceError, SourceUnit, TrackFormat, open_file};

/// Stands behind why a file's sound is left out.
const MENDS_SOUND: &str = "; convert it with 'ffmpeg -i FILE -c:v copy -c:a aac OUT.mp4'";

/// An MP4 file as a source: its pictures are track 0, its sound the one behind.
#[derive(Debug)]
pub struct Mp4Source {
    path: PathBuf,
    file: File,
    tracks: Vec<TrackFormat>,
    notes: Vec<String>,
    pictures: Option<Pictures>,
    /// One for each track.
    lines: Vec<Line>,
    repeat: bool,
    pace: Pace,
    buffer: Vec<u8>,
}

impl Mp4Source {
    /// Opens a file and reads its index; `repeat` begins anew at its end, without a seam.
    ///
    /// Sound alone is enough. Where a file has pictures and its sound cannot be sent, the pictures
    /// are, and [`Self::notes`] says so.
    ///
    /// # Errors
    /// [`SourceError::Read`] if the file cannot be read, [`SourceError::Unusable`] with a sentence
    /// of what to do if nothing of it can be sent.
    pub fn open(path: &Path, clock: Clock, repeat: bool) -> Result<Self, SourceError> {
        let file = open_file(path)?;
        Self::read(path, file, clock, repeat).map_err(|why| told(path, why))
    }

    /// Hands units over as fast as they are taken: for tests and conversions.
    #[must_use]
    pub fn unpaced(mut self) -> Self {
        self.pace.paced = false;
        self
    }

    /// What whoever plays the file should be told once, a sentence each: that its sound is left
    /// out, why, and the `ffmpeg` options that mend it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn read(path: &Path, mut file: File, clock: Clock, repeat: bool) -> Result<Self, Mp4Error> {
        let (moov, moofs, length) = scan(&mut file)?;
        let found = track::find(&moov)?;
        let budget = Budget::of(length);
        let mut opening = Opening { file: &mut file, moofs: &moofs, budget, cut_short: false };
        let shown = found.video.map(|video| opening.pictures(video)).transpose()?;
        let mut why = found.no_sound.as_ref().map(ToString::to_string);
        let mends = found.no_sound != Some(SoundError::Encrypted);
        let heard = match found.sound.map(|sound| opening.sound(sound, shown.as_ref())) {
            None => None,
            Some(Ok(heard)) => Some(heard),
            Some(Err(error)) if shown.is_none() || matches!(error, Mp4Error::Io(_)) => {
                return Err(error);
            }
            Some(Err(error)) => {
                why = Some(error.to_string());
                None
            }
        };
        if opening.cut_short {
            tracing::warn!("{} ends in the middle of a fragment", path.display());
        }
        let note = |why: String| {
            let note = format!("{}: only its pictures are sent: {why}", path.display());
            note + if mends { MENDS_SOUND } else { "" }
        };
        let notes = why.map(note).into_iter().collect();
        let span = Span::of(shown.as_ref(), heard.as_ref());
        let (mut tracks, mut lines, mut pictures) = (Vec::new(), Vec::new(), None);
        if let Some(Shown { begun, .. }) = shown {
            let (zero, scale) = (begun.samples[0].pts(), begun.format.timescale);
            lines.push(Line::new(begun.samples, scale, zero.saturating_neg()));
            tracks.push(TrackFormat::Video(begun.format));
            pictures = Some(begun.pictures);
        }
        if let Some(heard) = heard {
            let (format, line) = heard.line(&span);
            lines.push(line);
            tracks.push(TrackFormat::Audio(format));
        }
        let pace = Pace::new(clock, span.length());
        let (path, buffer) = (path.to_owned(), Vec::new());
        Ok(Self { path, file, tracks, notes, pictures, lines, repeat, pace, buffer })
    }

    /// The track whose next unit is decoded first, of two at once the sound; and that unit.
    fn earliest(&mut self) -> Option<(usize, Sample, i64)> {
        let mut earliest: Option<(usize, Sample, i64, Ticks)> = None;
        for (number, line) in self.lines.iter_mut().enumerate() {
            let (Some(sample), began) = line.peek(self.repeat) else { continue };
            if began && let TrackFormat::Video(_) = self.tracks[number] {
                self.pictures.as_mut().map(Pictures::restart);
            }
            let moved = line.moved(&self.pace);
            let dts = Ticks { ticks: sample.dts.saturating_add(moved), scale: line.scale };
            if earliest.is_none_or(|(.., before)| !before.is_before(dts)) {
                earliest = Some((number, sample, moved, dts));
            }
        }
        let (number, sample, moved, _) = earliest?;
        Some((number, sample, moved))
    }

    fn unit(&mut self, track: usize, sample: Sample) -> Result<SourceUnit, Mp4Error> {
        let captured = self.pace.clock.mono();
        let number = self.lines[track].at;
        load(&mut self.file, &sample, &mut self.buffer)?;
        let (mut decode_offset, mut keyframe) = (0, true);
        let data = match (&self.tracks[track], &mut self.pictures) {
            (TrackFormat::Video(_), Some(pictures)) => {
                let (data, key) = pictures.assemble(number, &sample, &self.buffer)?;
                (decode_offset, keyframe) = (pictures.offset(&sample), key);
                data
            }
            _ => self.buffer.clone().into(),
        };
        self.lines[track].at += 1;
        // Now, because waiting may have moved it.
        let pts = sample.pts().saturating_add(self.lines[track].moved(&self.pace));
        Ok(SourceUnit { track, pts, decode_offset, captured, keyframe, data, encode_us: 0 })
    }
}

impl Source for Mp4Source {
    fn tracks(&self) -> &[TrackFormat] {
        &self.tracks
    }

    fn next(&mut self, control: &SourceControl) -> Result<Option<SourceUnit>, SourceError> {
        let Some((track, sample, moved)) = self.earliest().filter(|_| !control.is_stopped()) else {
            return Ok(None);
        };
        let ticks = sample.dts.saturating_add(moved);
        if !self.pace.wait(Ticks { ticks, scale: self.lines[track].scale }, control) {
            return Ok(None);
        }
        self.unit(track, sample).map(Some).map_err(|why| told(&self.path, why))
    }
}

/// Reads a sample, which its index has checked to lie in the file.
pub(super) fn load(file: &mut File, sample: &Sample, buffer: &mut Vec<u8>) -> Result<(), Mp4Error> {
    file.seek(SeekFrom::Start(sample.offset))?;
    buffer.resize(sample.size as usize, 0);
    file.read_exact(buffer)?;
    Ok(())
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

fn told(path: &Path, why: Mp4Error) -> SourceError {
    match why {
        Mp4Error::Io(source) => SourceError::Read { path: path.to_owned(), source },
        why => SourceError::unusable(path, &why),
    }
}
