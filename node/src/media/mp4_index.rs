//! Where each picture of a track lies, how long it is and when it is decoded and shown: from the
//! sample tables (ISO/IEC 14496-12, 8.6 and 8.7) or from fragments (8.8).
//!
//! Every count and size is a stranger's word. Bound: pictures must lie in the file and may not add
//! up to more than it, so an index takes at most a small multiple of the file's own length, and
//! never more than [`SAMPLES_MAX`] entries.

use mp4_atom::{Co64, Ctts, Stco, Stsc, Stss, Stsz, StszSamples, Stts, Tfdt, Tfhd, Trun};
use roommate_protocol::limits::ACCESS_UNIT_BYTES_MAX;

use super::mp4_boxes::{child, children, leaf};
use super::mp4_error::Mp4Error;
use super::mp4_track::{Edit, Track};

/// Pictures in one file: 36 hours at 60 a second, 256 MiB of index.
const SAMPLES_MAX: usize = 8_000_000;

/// `sample_is_non_sync_sample` (8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// One picture of the track, in decoding order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) offset: u64,
    pub(super) dts: i64,
    pub(super) size: u32,
    /// Presentation minus decoding time; may be negative.
    pub(super) cts: i32,
    /// Sample description index, from 0.
    pub(super) entry: u16,
    pub(super) sync: bool,
}

impl Sample {
    pub(super) fn pts(&self) -> i64 {
        self.dts.saturating_add(i64::from(self.cts))
    }
}

/// All pictures of a track.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) samples: Vec<Sample>,
    /// Decoding time at which a next picture would follow.
    pub(super) end_dts: i64,
    /// The file ends in the middle of a fragment; what is whole is here.
    pub(super) cut_short: bool,
    file_length: u64,
    bytes: u64,
    seen: usize,
}

/// What is known of a picture before it is checked.
struct Claim {
    offset: u64,
    size: u32,
    duration: u32,
    cts: i64,
    entry: u32,
    sync: bool,
}

impl Index {
    /// An empty index of a file of this length.
    pub(super) fn new(file_length: u64) -> Self {
        Self { samples: Vec::new(), end_dts: 0, cut_short: false, file_length, bytes: 0, seen: 0 }
    }

    fn add(&mut self, claim: &Claim) -> Result<(), Mp4Error> {
        let number = self.seen;
        self.seen += 1;
        if self.seen > SAMPLES_MAX {
            return Err(Mp4Error::TooMany);
        }
        let dts = self.end_dts;
        self.end_dts = dts.saturating_add(i64::from(claim.duration));
        // No NAL unit fits in two bytes: some writers leave such a stub for a skipped picture.
        if claim.size <= 2 {
            return Ok(());
        }
        if claim.size as usize > ACCESS_UNIT_BYTES_MAX {
            return Err(Mp4Error::TooLong { number, bytes: claim.size.into() });
        }
        let end = claim.offset.saturating_add(claim.size.into());
        if end > self.file_length {
            return Err(Mp4Error::Beyond { number });
        }
        self.bytes += u64::from(claim.size);
        if self.bytes > self.file_length {
            return Err(Mp4Error::Overlap);
        }
        let cts = i32::try_from(claim.cts).map_err(|_| Mp4Error::Broken("composition time"))?;
        let entry = claim.entry.checked_sub(1).and_then(|entry| u16::try_from(entry).ok());
        let entry = entry.ok_or(Mp4Error::Broken("sample description index"))?;
        let (offset, size, sync) = (claim.offset, claim.size, claim.sync);
        self.samples.push(Sample { offset, dts, size, cts, entry, sync });
        Ok(())
    }

    /// Adds what the sample tables list.
    pub(super) fn add_tables(&mut self, stbl: &[u8]) -> Result<(), Mp4Error> {
        let Some(tables) = Tables::read(stbl)? else { return Ok(()) };
        let (mut durations, mut offsets) = (tables.durations(), tables.offsets());
        let mut sync = tables.sync.as_ref().map(|stss| stss.entries.iter().copied().peekable());
        let mut number = 0u32;
        for (chunk, start) in tables.chunks.iter().enumerate() {
            let Some((per_chunk, entry)) = tables.run(chunk) else {
                return Err(Mp4Error::Broken("chunk table"));
            };
            let mut offset = *start;
            for _ in 0..per_chunk {
                let Some(size) = tables.size(number) else { return Ok(()) };
                number += 1;
                let duration = durations.next().ok_or(Mp4Error::Broken("time table"))?;
                let cts = offsets.as_mut().map_or(0, |offsets| offsets.next().unwrap_or(0));
                let sync = sync.as_mut().is_none_or(|list| {
                    while list.next_if(|&next| next < number).is_some() {}
                    list.next_if_eq(&number).is_some()
                });
                self.add(&Claim { offset, size, duration, cts, entry, sync })?;
                offset = offset.saturating_add(size.into());
            }
        }
        if number < tables.count() { Err(Mp4Error::Broken("chunk table")) } else { Ok(()) }
    }

    /// Adds the pictures of one fragment whose `moof` begins at `moof_start`.
    pub(super) fn add_fragment(
        &mut self,
        moof: &[u8],
        moof_start: u64,
        track: &Track<'_>,
    ) -> Result<(), Mp4Error> {
        for (_, traf) in children(moof).filter(|(kind, _)| kind == b"traf") {
            let tfhd = child(traf, b"tfhd")
                .and_then(leaf::<Tfhd>)
                .ok_or(Mp4Error::Broken("fragment header"))?;
            if tfhd.track_id != track.id {
                continue;
            }
            if let Some(time) = child(traf, b"tfdt").and_then(leaf::<Tfdt>) {
                let time = i64::try_from(time.base_media_decode_time)
                    .map_err(|_| Mp4Error::Broken("fragment time"))?;
                // Time never goes back: a fragment that says so follows the one before it.
                self.end_dts = self.end_dts.max(time);
            }
            let base = tfhd.base_data_offset.unwrap_or(moof_start);
            let mut at = base;
            for (_, body) in children(traf).filter(|(kind, _)| kind == b"trun") {
                let trun = leaf::<Trun>(body).ok_or(Mp4Error::Broken("fragment"))?;
                if let Some(offset) = trun.data_offset {
                    at = base.saturating_add_signed(offset.into());
                }
                self.add_run(&trun, &tfhd, track, &mut at)?;
            }
        }
        Ok(())
    }

    fn add_run(
        &mut self,
        trun: &Trun,
        tfhd: &Tfhd,
        track: &Track<'_>,
        at: &mut u64,
    ) -> Result<(), Mp4Error> {
        let trex = &track.defaults;
        let size = tfhd.default_sample_size.unwrap_or(trex.default_sample_size);
        let duration = tfhd.default_sample_duration.unwrap_or(trex.default_sample_duration);
        let flags = tfhd.default_sample_flags.unwrap_or(trex.default_sample_flags);
        let entry = tfhd.sample_description_index.unwrap_or(trex.default_sample_description_index);
        for one in trun.samples.iter() {
            let size = one.size.unwrap_or(size);
            self.add(&Claim {
                offset: *at,
                size,
                duration: one.duration.unwrap_or(duration),
                cts: one.cts.unwrap_or(0),
                entry: entry.max(1),
                sync: one.flags.unwrap_or(flags) & NON_SYNC == 0,
            })?;
            *at = at.saturating_add(size.into());
        }
        Ok(())
    }

    /// Keeps the part that an edit list asks for, in whole groups: from the last keyframe that is
    /// not after its start to the first keyframe that is not before its end.
    pub(super) fn keep(&mut self, edit: Edit) {
        let last = self.samples.iter().map(Sample::pts).max().unwrap_or(0);
        if edit.start > last {
            return;
        }
        if let Some(end) = edit.end {
            let after = |sample: &Sample| sample.sync && sample.pts() >= end;
            if let Some(at) = self.samples.iter().position(after).filter(|&at| at > 0) {
                self.end_dts = self.samples[at].dts;
                self.samples.truncate(at);
            }
        }
        let before = |sample: &Sample| sample.sync && sample.pts() <= edit.start;
        let first = self.samples.iter().rposition(before).unwrap_or(0);
        self.samples.drain(..first);
    }
}

/// The sample tables of a track that is not fragmented.
struct Tables {
    sizes: Stsz,
    times: Stts,
    composition: Option<Ctts>,
    runs: Stsc,
    chunks: Vec<u64>,
    sync: Option<Stss>,
}

impl Tables {
    fn read(stbl: &[u8]) -> Result<Option<Self>, Mp4Error> {
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

    fn count(&self) -> u32 {
        match &self.sizes.samples {
            StszSamples::Identical { count, .. } => *count,
            StszSamples::Different { sizes } => u32::try_from(sizes.len()).unwrap_or(u32::MAX),
        }
    }

    fn size(&self, number: u32) -> Option<u32> {
        match &self.sizes.samples {
            StszSamples::Identical { count, size } => (number < *count).then_some(*size),
            StszSamples::Different { sizes } => sizes.get(number as usize).copied(),
        }
    }

    /// Samples in a chunk (counted from 0) and their sample description index.
    fn run(&self, chunk: usize) -> Option<(u32, u32)> {
        let number = u32::try_from(chunk + 1).ok()?;
        let after = self.runs.entries.partition_point(|run| run.first_chunk <= number);
        let run = self.runs.entries.get(after.checked_sub(1)?)?;
        Some((run.samples_per_chunk, run.sample_description_index))
    }

    fn durations(&self) -> impl Iterator<Item = u32> + '_ {
        let runs = self.times.entries.iter();
        runs.flat_map(|run| std::iter::repeat_n(run.sample_delta, run.sample_count as usize))
    }

    fn offsets(&self) -> Option<impl Iterator<Item = i64> + '_> {
        let runs = self.composition.as_ref()?.entries.iter();
        Some(runs.flat_map(|run| std::iter::repeat_n(run.sample_offset, run.sample_count as usize)))
    }
}
