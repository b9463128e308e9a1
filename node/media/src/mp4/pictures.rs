//! From the samples of an H.264 track to access units as they are sent: framing changed to Annex-B,
//! parameter sets put before each keyframe, all else byte for byte.
//!
//! Never decodes. Bound: the decoder configurations of a file and one picture.

use std::fs::File;

use bytes::Bytes;
use roommate_protocol::h264::avcc::{Configuration, LengthSize, nals};
use roommate_protocol::h264::nal::{NalType, nal_type};
use roommate_protocol::h264::sets::ParameterSets;
use roommate_protocol::h264::sps::Sps;
use roommate_protocol::limits::ACCESS_UNIT_BYTES_MAX;

use super::error::Mp4Error;
use super::index::{Index, Sample, What};
use super::source::load;
use crate::source::VideoFormat;

/// What turns samples into access units.
#[derive(Debug)]
pub(super) struct Pictures {
    entries: Vec<Option<Configuration>>,
    /// Sets in force: of the sample entry, replaced by what pictures bring themselves.
    sets: ParameterSets,
    entry: Option<u16>,
    /// Most that any picture is shown before its decoding time, to keep offsets positive.
    lead: i64,
}

/// What is known of a track of pictures once its first keyframe was found.
pub(super) struct Begun {
    pub(super) pictures: Pictures,
    /// From the first keyframe on, at least one.
    pub(super) samples: Vec<Sample>,
    pub(super) format: VideoFormat,
    /// How long the pictures last together, at least 1.
    pub(super) span: i64,
}

impl Pictures {
    /// Drops what stands before the first keyframe and works out the format.
    pub(super) fn begin(
        file: &mut File,
        entries: Vec<Option<Configuration>>,
        index: Index,
        timescale: u32,
    ) -> Result<Begun, Mp4Error> {
        let mut samples = index.samples;
        if samples.is_empty() {
            return Err(Mp4Error::NoPicture);
        }
        let mut pictures = Self { entries, sets: ParameterSets::new(), entry: None, lead: 0 };
        let first = pictures.first_keyframe(file, &samples)?.ok_or(Mp4Error::NoKeyframe)?;
        samples.drain(..first);
        let sps = pictures.sets.first_sps().ok_or(Mp4Error::NoKeyframe)?;
        sps.check_playable()?;
        let zero = samples[0];
        let durations: Vec<i64> = samples.windows(2).map(|w| w[1].dts - w[0].dts).collect();
        let last = samples.last().map_or(zero.dts, |sample| sample.dts);
        // The last picture needs a duration even if the file gives none, or a repeat would jam.
        let tail = (index.end_dts - last).max(durations.last().copied().unwrap_or(1)).max(1);
        let lowest = samples.iter().map(|sample| sample.cts).min().unwrap_or(0);
        pictures.lead = i64::from(lowest.min(0).unsigned_abs());
        let format = VideoFormat {
            codec: sps.codec(),
            width: sps.width,
            height: sps.height,
            timescale,
            fps: frame_rate(&durations, timescale, &sps),
            can_force_keyframe: false,
        };
        // Learned while searching; playing begins with what the first picture has.
        pictures.sets = ParameterSets::new();
        pictures.entry = None;
        Ok(Begun { pictures, samples, format, span: (last - zero.dts).saturating_add(tail) })
    }

    /// Forgets what pictures brought: the next is the first again.
    pub(super) fn restart(&mut self) {
        self.entry = None;
    }

    /// Presentation minus decoding time as it is sent, never negative.
    pub(super) fn offset(&self, sample: &Sample) -> i32 {
        i32::try_from(i64::from(sample.cts) + self.lead).unwrap_or(i32::MAX)
    }

    /// The access unit of the sample whose bytes these are, and whether it is a keyframe.
    pub(super) fn assemble(
        &mut self,
        number: usize,
        sample: &Sample,
        bytes: &[u8],
    ) -> Result<(Bytes, bool), Mp4Error> {
        let size = self.enter(sample.entry)?;
        let nals = nals(bytes, size).map_err(|why| Mp4Error::Picture { number, why })?;
        let data = self.sets.assemble(&nals);
        for nal in &nals {
            let _ = self.sets.learn_nal(nal);
        }
        if data.len() > ACCESS_UNIT_BYTES_MAX {
            let (what, bytes) = (What::Picture, data.len() as u64);
            return Err(Mp4Error::TooLong { what, number, bytes });
        }
        let keyframe = nals.iter().any(|nal| nal_type(nal) == NalType::Idr);
        Ok((data.into(), keyframe))
    }

    /// The first picture that is IDR and has its parameter sets; leaves them in `sets`.
    fn first_keyframe(
        &mut self,
        file: &mut File,
        samples: &[Sample],
    ) -> Result<Option<usize>, Mp4Error> {
        let mut buffer = Vec::new();
        for (number, sample) in samples.iter().enumerate() {
            load(file, sample, &mut buffer)?;
            let size = self.enter(sample.entry)?;
            let nals = nals(&buffer, size).map_err(|why| Mp4Error::Picture { number, why })?;
            for nal in &nals {
                // A set that we cannot read is passed on as it is, but begins no broadcast.
                let _ = self.sets.learn_nal(nal);
            }
            let key = nals.iter().any(|nal| nal_type(nal) == NalType::Idr);
            if key && self.sets.is_complete() {
                return Ok(Some(number));
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
