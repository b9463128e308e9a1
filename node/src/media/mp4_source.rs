//! `file:PATH`: the H.264 track of an MP4 file, passed through picture by picture.
//!
//! Nothing is transcoded: slices, SEI and delimiters go out byte for byte, only their framing
//! changes, and each keyframe gets the parameter sets that it needs. The file is read as it is
//! played, paced by decoding time on the caller's thread. Bound: the index of the file, a small
//! multiple of its length at most, and one picture.

use std::fs::File;
use std::path::{Path, PathBuf};

use roommate_protocol::h264::sps::Sps;

use super::mp4_error::{Mp4Error, told, unusable};
use super::mp4_file;
use super::mp4_pictures::Pictures;
use super::pace::Pace;
use super::source::{Source, SourceControl, SourceError, SourceFormat, SourceUnit};
use crate::clock::Clock;

/// An MP4 file as a source.
#[derive(Debug)]
pub struct Mp4Source {
    path: PathBuf,
    pictures: Pictures,
    format: SourceFormat,
    clock: Clock,
    pace: Pace,
    repeat: bool,
    /// Next picture.
    at: usize,
    /// How long the file is, in the timescale: what each repeat adds.
    span: i64,
    /// Most that any picture is shown before its decoding time, to keep offsets positive.
    lead: i64,
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
        self.pace.stop_pacing();
        self
    }

    fn read(path: &Path, mut file: File, clock: Clock, repeat: bool) -> Result<Self, Mp4Error> {
        let indexed = mp4_file::read(path, &mut file)?;
        let (timescale, end_dts) = (indexed.timescale, indexed.end_dts);
        let (pictures, sps) = Pictures::begin(file, indexed.entries, indexed.samples)?;
        let samples = pictures.samples();
        let zero = samples[0];
        let durations: Vec<i64> = samples.windows(2).map(|w| w[1].dts - w[0].dts).collect();
        let last = samples.last().map_or(zero.dts, |sample| sample.dts);
        // The last picture needs a duration even if the file gives none, or a repeat would jam.
        let tail = (end_dts - last).max(durations.last().copied().unwrap_or(1)).max(1);
        let lowest = samples.iter().map(|sample| sample.cts).min().unwrap_or(0);
        Ok(Self {
            path: path.to_owned(),
            format: SourceFormat {
                codec: sps.codec(),
                width: sps.width,
                height: sps.height,
                timescale,
                fps: frame_rate(&durations, timescale, &sps),
                can_force_keyframe: false,
            },
            clock,
            pace: Pace::new(clock, timescale, -zero.pts()),
            repeat,
            at: 0,
            span: (last - zero.dts).saturating_add(tail),
            lead: i64::from(lowest.min(0).unsigned_abs()),
            pictures,
        })
    }
}

impl Source for Mp4Source {
    fn format(&self) -> &SourceFormat {
        &self.format
    }

    fn next(&mut self, control: &SourceControl) -> Result<Option<SourceUnit>, SourceError> {
        let count = self.pictures.samples().len();
        if control.is_stopped() || (self.at == count && !self.repeat) {
            return Ok(None);
        }
        if self.at == count {
            self.at = 0;
            self.pace.add(self.span);
            self.pictures.rewind();
        }
        let (at, sample) = (self.at, self.pictures.samples()[self.at]);
        if !self.pace.wait(sample.dts, control) {
            return Ok(None);
        }
        let captured = self.clock.mono();
        let (data, keyframe) = self.pictures.read(at).map_err(|why| told(&self.path, why))?;
        self.at += 1;
        Ok(Some(SourceUnit {
            pts: self.pace.shifted(sample.pts()),
            decode_offset: i32::try_from(i64::from(sample.cts) + self.lead).unwrap_or(i32::MAX),
            captured,
            keyframe,
            data,
            encode_us: 0,
        }))
    }
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
