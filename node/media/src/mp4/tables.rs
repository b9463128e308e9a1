//! The sample tables of a track that is not fragmented (ISO/IEC 14496-12, 8.6 and 8.7).
//!
//! Decodes them and answers sample by sample; whether what they say lies in the file is the index's
//! to check. Bound: a small multiple of the tables' own bytes.

use mp4_atom::{Co64, Ctts, Stco, Stsc, Stss, Stsz, StszSamples, Stts};

use super::boxes::{child, leaf};
use super::error::Mp4Error;

/// The sample tables of a track that is not fragmented.
pub(super) struct Tables {
    sizes: Stsz,
    times: Stts,
    composition: Option<Ctts>,
    runs: Stsc,
    pub(super) chunks: Vec<u64>,
    pub(super) sync: Option<Stss>,
}

impl Tables {
    pub(super) fn read(stbl: &[u8]) -> Result<Option<Self>, Mp4Error> {
        let Some(sizes) = child(stbl, b"stsz") else {
            return match child(stbl, b"stz2") {
                Some(_) => Err(Mp4Error::Broken("compact size table, which is not supported")),
                None => Ok(None),
            };
        };
        let sizes: Stsz = leaf(sizes).ok_or(Mp4Error::Broken("size table"))?;
        let times = child(stbl, b"stts").and_then(leaf).unwrap_or_default();
        let composition = match child(stbl, b"ctts") {
            Some(body) => Some(leaf(body).ok_or(Mp4Error::Broken("composition table"))?),
            None => None,
        };
        let runs: Stsc = child(stbl, b"stsc").and_then(leaf).unwrap_or_default();
        let ascending = runs.entries.is_sorted_by(|a, b| a.first_chunk < b.first_chunk);
        if !ascending {
            return Err(Mp4Error::Broken("chunk table"));
        }
        let chunks = match (child(stbl, b"stco"), child(stbl, b"co64")) {
            (Some(body), _) => {
                leaf::<Stco>(body).map(|stco| stco.entries.into_iter().map(u64::from).collect())
            }
            (None, Some(body)) => leaf::<Co64>(body).map(|co64| co64.entries),
            (None, None) => Some(Vec::new()),
        };
        let chunks = chunks.ok_or(Mp4Error::Broken("chunk offsets"))?;
        let sync = match child(stbl, b"stss") {
            Some(body) => Some(leaf(body).ok_or(Mp4Error::Broken("keyframe table"))?),
            None => None,
        };
        Ok(Some(Self { sizes, times, composition, runs, chunks, sync }))
    }

    pub(super) fn count(&self) -> u32 {
        match &self.sizes.samples {
            StszSamples::Identical { count, .. } => *count,
            StszSamples::Different { sizes } => u32::try_from(sizes.len()).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn size(&self, number: u32) -> Option<u32> {
        match &self.sizes.samples {
            StszSamples::Identical { count, size } => (number < *count).then_some(*size),
            StszSamples::Different { sizes } => sizes.get(number as usize).copied(),
        }
    }

    /// Samples in a chunk (counted from 0) and their sample description index.
    pub(super) fn run(&self, chunk: usize) -> Option<(u32, u32)> {
        let number = u32::try_from(chunk + 1).ok()?;
        let after = self.runs.entries.partition_point(|run| run.first_chunk <= number);
        let run = self.runs.entries.get(after.checked_sub(1)?)?;
        Some((run.samples_per_chunk, run.sample_description_index))
    }

    pub(super) fn durations(&self) -> impl Iterator<Item = u32> + '_ {
        let runs = self.times.entries.iter();
        runs.flat_map(|run| std::iter::repeat_n(run.sample_delta, run.sample_count as usize))
    }

    pub(super) fn offsets(&self) -> Option<impl Iterator<Item = i64> + '_> {
        let runs = self.composition.as_ref()?.entries.iter();
        Some(runs.flat_map(|run| std::iter::repeat_n(run.sample_offset, run.sample_count as usize)))
    }
}
