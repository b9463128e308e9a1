//! An H.264 byte stream (Annex B) as a source: a `.h264` file, or a pipe.
//!
//! Slices, SEI, delimiters and filler go out byte for byte; only start codes become four bytes long
//! and keyframes get the parameter sets that they do not bring. It begins at the first IDR picture
//! with parameter sets.
//!
//! A **file** is paced by the frame rate in its parameter sets; 25 where it names none, which
//! [`AnnexBSource::note`] says. A **pipe** has only arrival times, which are smoothed to that rate.
//! A picture leaves as soon as it is known complete: at once where the producer ends it with a
//! delimiter, else when the next begins or the pipe pauses for 8 ms, once pauses have proved to be
//! ends of pictures (the first 30 pictures are late by one). Nothing is ever dropped but what stands
//! before the first keyframe, and, told in the log, what stands behind a picture that a wrong guess
//! tore until the next one.
//!
//! B-frames are refused: a bare stream has no times, and without them their order is a guess.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use roommate_clock::Clock;
use roommate_protocol::time::Mono;

use super::annexb_units::{Ready, Refused, Units, rate};
use super::arrival::{Arrivals, hold};
use super::pace::{Met, meet};
use super::pauses::Pauses;
use super::pipe::{CHUNK_BYTES, PipeReader, Read1};
use super::source::{
    Source, SourceControl, SourceError, SourceUnit, TrackFormat, VideoFormat, open_file,
};

/// Units of `pts` in a second.
pub const TIMESCALE: u32 = 90_000;

/// A byte stream as a source.
#[derive(Debug)]
pub struct AnnexBSource {
    name: PathBuf,
    input: Input,
    units: Units,
    tracks: Vec<TrackFormat>,
    note: Option<&'static str>,
    fps: (u32, u32),
    clock: Clock,
    ended: bool,
}

#[derive(Debug)]
enum Input {
    File(Reading),
    Pipe { reader: PipeReader, pauses: Pauses, arrivals: Option<Arrivals> },
}

#[derive(Debug)]
struct Reading {
    file: File,
    buffer: Vec<u8>,
    repeat: bool,
    paced: bool,
    /// Pictures handed over.
    number: u64,
    /// When the first was due; moved on by pauses, as `shift` is.
    anchor: Option<Mono>,
    shift: i64,
}

impl AnnexBSource {
    /// Opens a file; `repeat` begins anew at its end, without a seam in the times.
    pub fn open(path: &Path, clock: Clock, repeat: bool) -> Result<Self, SourceError> {
        let file = open_file(path)?;
        let (number, anchor, shift) = (0, None, 0);
        let buffer = vec![0; CHUNK_BYTES];
        let reading = Reading { file, buffer, repeat, paced: true, number, anchor, shift };
        let mut source = Self::new(path, Input::File(reading), clock);
        source.begin(&SourceControl::new())?;
        Ok(source)
    }

    /// Reads a pipe until its first picture is complete; `None` when told to stop before. `first` is
    /// what [`peek`](super::sniff::peek) has read of it already.
    pub fn live(
        first: Vec<u8>,
        pipe: impl Read + Send + 'static,
        clock: Clock,
        control: &SourceControl,
    ) -> Result<Option<Self>, SourceError> {
        let name = Path::new("standard input");
        let reader = PipeReader::start(Box::new(pipe), first, clock)
            .map_err(|source| SourceError::Read { path: name.to_owned(), source })?;
        let input = Input::Pipe { reader, pauses: Pauses::default(), arrivals: None };
        let mut source = Self::new(name, input, clock);
        Ok(source.begin(control)?.then_some(source))
    }

    /// Hands pictures of a file over as fast as they are taken: for tests and conversions. A pipe
    /// stays what it is.
    #[must_use]
    pub fn unpaced(mut self) -> Self {
        if let Input::File(reading) = &mut self.input {
            reading.paced = false;
        }
        self
    }

    /// What the person who started it should know, in a sentence, if there is something.
    pub fn note(&self) -> Option<&'static str> {
        self.note
    }

    fn new(name: &Path, input: Input, clock: Clock) -> Self {
        Self {
            name: name.to_owned(),
            input,
            units: Units::default(),
            tracks: Vec::new(),
            note: None,
            fps: (25, 1),
            clock,
            ended: false,
        }
    }

    /// Reads up to the first picture and works out the format; false when told to stop before.
    fn begin(&mut self, control: &SourceControl) -> Result<bool, SourceError> {
        while !self.units.has_ready() {
            if self.ended && control.is_stopped() {
                return Ok(false);
            }
            if self.ended {
                return Err(SourceError::unusable(&self.name, &self.units.why_nothing()));
            }
            self.read(control)?;
        }
        let Some(sps) = self.units.sps() else {
            return Err(SourceError::unusable(&self.name, &Refused::NoKeyframe));
        };
        self.fps = rate(Some(&sps));
        if sps.frame_rate().is_none() {
            self.note = Some("The H.264 stream does not tell its frame rate; 25 is assumed.");
        }
        if let Input::Pipe { arrivals, .. } = &mut self.input {
            *arrivals = Some(Arrivals::new(self.fps));
        }
        self.tracks = vec![TrackFormat::Video(VideoFormat {
            codec: sps.codec(),
            width: sps.width,
            height: sps.height,
            timescale: TIMESCALE,
            fps: self.fps,
            can_force_keyframe: false,
        })];
        Ok(true)
    }

    /// Takes in what the input brings next.
    fn read(&mut self, control: &SourceControl) -> Result<(), SourceError> {
        let name = &self.name;
        let failed = |source| SourceError::Read { path: name.clone(), source };
        let done = match &mut self.input {
            Input::File(reading) => {
                let count = reading.read().map_err(failed)?;
                self.ended = count == 0 && !(reading.repeat && self.units.has_started());
                match count {
                    0 => self.units.flush(),
                    // No time passes while a file is read.
                    count => self.units.push(&reading.buffer[..count], Mono::default()),
                }
            }
            Input::Pipe { reader, pauses, .. } => match reader.next(control, pauses.patience()) {
                Ok(Read1::Bytes(bytes, arrived)) => {
                    if pauses.bytes(&bytes) {
                        tracing::warn!(
                            "the producer paused within a picture, which is lost; the broadcast \
                             goes on with the next keyframe"
                        );
                        self.units.torn();
                    }
                    self.units.push(&bytes, arrived)
                }
                Ok(Read1::Pause) if pauses.pause() => self.units.flush(),
                Ok(Read1::Pause) => Ok(()),
                Ok(Read1::End) => {
                    self.ended = true;
                    self.units.flush()
                }
                Err(error) => return Err(failed(error)),
                Ok(Read1::Stopped) => {
                    self.ended = true;
                    Ok(())
                }
            },
        };
        done.map_err(|why| SourceError::unusable(&self.name, &why))
    }

    /// When a picture is shown and taken; `None` when told to stop while it waited.
    fn time(&mut self, ready: &Ready, control: &SourceControl) -> Option<(i64, Mono)> {
        match &mut self.input {
            Input::File(reading) => reading.time(self.fps, self.clock, control),
            Input::Pipe { arrivals, .. } => {
                let (micros, wait) = arrivals.as_mut()?.stamp(ready.arrived);
                let held = hold(control, self.clock, ready.arrived, wait);
                held.then_some((micros / 100 * 9 + micros % 100 * 9 / 100, ready.arrived))
            }
        }
    }
}

impl Reading {
    /// Fills the buffer; 0 at the end, from where it begins anew if it is to.
    fn read(&mut self) -> std::io::Result<usize> {
        loop {
            match self.file.read(&mut self.buffer) {
                Ok(0) if self.repeat => {
                    self.file.seek(SeekFrom::Start(0))?;
                    return Ok(0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn time(
        &mut self,
        (num, den): (u32, u32),
        clock: Clock,
        control: &SourceControl,
    ) -> Option<(i64, Mono)> {
        // Each from the first, so that no rounding adds up.
        let of = |scale: u64| {
            let at = u128::from(self.number) * u128::from(scale) * u128::from(den);
            u64::try_from(at / u128::from(num)).unwrap_or(u64::MAX)
        };
        let (ticks, after) = (of(TIMESCALE.into()), Duration::from_micros(of(1_000_000)));
        let anchor = *self.anchor.get_or_insert_with(|| clock.mono());
        let met = if self.paced { meet(clock, anchor + after, control) } else { Met::Due };
        match met {
            Met::Due => {}
            Met::Stopped => return None,
            Met::Late(late) => {
                self.anchor = Some(anchor + late);
                let lost = late.as_micros() * u128::from(TIMESCALE) / 1_000_000;
                self.shift = self.shift.saturating_add(i64::try_from(lost).unwrap_or(0));
            }
        }
        self.number += 1;
        Some((i64::try_from(ticks).ok()?.saturating_add(self.shift), clock.mono()))
    }
}

impl Source for AnnexBSource {
    fn tracks(&self) -> &[TrackFormat] {
        &self.tracks
    }

    fn next(&mut self, control: &SourceControl) -> Result<Option<SourceUnit>, SourceError> {
        loop {
            if control.is_stopped() {
                return Ok(None);
            }
            if let Some(ready) = self.units.pop() {
                let Some((pts, captured)) = self.time(&ready, control) else { return Ok(None) };
                return Ok(Some(SourceUnit {
                    track: 0,
                    pts,
                    decode_offset: 0,
                    captured,
                    keyframe: ready.keyframe,
                    data: ready.data,
                    encode_us: 0,
                }));
            }
            if self.ended {
                return Ok(None);
            }
            self.read(control)?;
        }
    }
}
