//! Where each picture or packet of a track lies, how long it is and when it is decoded and shown: from the
//! sample tables (ISO/IEC 14496-12, 8.6 and 8.7) or from fragments (8.8).
//!
//! Every count and size is a stranger's word. Bound: what is listed must lie in the file and may not
//! add up to more than it, over all tracks together, so the indices take at most a small multiple
//! of the file's own length, and never more than [`SAMPLES_MAX`] entries.

use std::fmt;
use std::io::{Read, Seek};

use mp4_atom::{Tfdt, Tfhd, Trun};
use roommate_protocol::limits::ACCESS_UNIT_BYTES_MAX;

use super::boxes::{FileBox, child, children, leaf, read_body};
use super::error::Mp4Error;
use super::tables::Tables;
use super::ticks::rescaled;
use super::track::{Edit, Track};

/// Pictures and packets in one file: 20 hours at 60 and 50 a second, 256 MiB of index.
const SAMPLES_MAX: usize = 8_000_000;

/// Longest packet of sound. The longest that AAC and Opus allow have about 6 and 62 KiB.
const PACKET_BYTES_MAX: usize = 64 * 1024;

/// What an entry counts for at least when it is weighed against the length of the file, so that a
/// list of empty promises is bounded as well.
const WEIGHT_MIN: u64 = 3;

/// `sample_is_non_sync_sample` (8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// What a track is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Picture,
    Packet,
}

impl What {
    pub(super) const fn bytes_max(self) -> usize {
        match self {
            Self::Picture => ACCESS_UNIT_BYTES_MAX,
            Self::Packet => PACKET_BYTES_MAX,
        }
    }

    /// Up to this size there is nothing to send: no NAL unit fits in two bytes (some writers leave
    /// such a stub for a skipped picture), but a packet of silence can have one.
    const fn stub(self) -> u32 {
        match self {
            Self::Picture => 2,
            Self::Packet => 0,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Picture => "picture",
            Self::Packet => "sound packet",
        })
    }
}

/// What all indices of one file may take together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    file_length: u64,
    bytes: u64,
    samples: usize,
}

impl Budget {
    /// All that a file of this length allows.
    pub(super) fn of(file_length: u64) -> Self {
        Self { file_length, bytes: 0, samples: 0 }
    }
}

/// One picture or packet of the track, in decoding order.
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

/// All pictures or packets of a track.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) samples: Vec<Sample>,
    /// Decoding time at which a next one would follow.
    pub(super) end_dts: i64,
    /// The file ends in the middle of a fragment; what is whole is here.
    pub(super) cut_short: bool,
    /// What is left for the next track.
    pub(super) budget: Budget,
    what: What,
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
    /// An empty index that may take what is left of the budget.
    pub(super) fn new(what: What, budget: Budget) -> Self {
        Self { samples: Vec::new(), end_dts: 0, cut_short: false, budget, what, seen: 0 }
    }

    fn add(&mut self, claim: &Claim) -> Result<(), Mp4Error> {
        let (what, number) = (self.what, self.seen);
        self.seen += 1;
        self.budget.samples += 1;
        if self.budget.samples > SAMPLES_MAX {
            return Err(Mp4Error::TooMany);
        }
        let dts = self.end_dts;
        self.end_dts = dts.saturating_add(i64::from(claim.duration));
        if claim.size <= what.stub() {
            return Ok(());
        }
        if claim.size as usize > what.bytes_max() {
            return Err(Mp4Error::TooLong { what, number, bytes: claim.size.into() });
        }
        let end = claim.offset.saturating_add(claim.size.into());
        if end > self.budget.file_length {
            return Err(Mp4Error::Beyond { what, number });
        }
        self.budget.bytes += u64::from(claim.size).max(WEIGHT_MIN);
        if self.budget.bytes > self.budget.file_length {
            return Err(Mp4Error::Overlap(what));
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

    /// Reads the tables and every fragment.
    pub(super) fn fill(
        &mut self,
        track: &Track<'_>,
        moofs: &[FileBox],
        file: &mut (impl Read + Seek),
    ) -> Result<(), Mp4Error> {
        self.add_tables(track.tables)?;
        for moof in moofs {
            let body = read_body(file, moof)?;
            match self.add_fragment(&body, moof.start, track) {
                // A recording that was killed: what is whole is played.
                Err(Mp4Error::Beyond { .. }) if !self.samples.is_empty() => {
                    self.cut_short = true;
                    break;
                }
                done => done?,
            }
        }
        Ok(())
    }

    /// Counts times in another timescale.
    pub(super) fn rescale(&mut self, from: u32, to: u32) {
        if from == to {
            return;
        }
        for sample in &mut self.samples {
            sample.cts = i32::try_from(rescaled(sample.cts.into(), from, to)).unwrap_or(0);
            sample.dts = rescaled(sample.dts, from, to);
        }
        self.end_dts = rescaled(self.end_dts, from, to);
    }

    /// Keeps packets of sound that begin from `from` on and before `until`.
    pub(super) fn keep_between(&mut self, from: i64, until: i64) {
        let after = self.samples.iter().position(|sample| sample.pts() >= until);
        if let Some(at) = after {
            self.end_dts = self.samples[at].dts;
            self.samples.truncate(at);
        }
        let first = self.samples.iter().position(|sample| sample.pts() >= from);
        self.samples.drain(..first.unwrap_or(self.samples.len()));
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
