//! Cuts a live Annex-B stream into access units by the standard's rules.
//!
//! * 7.4.1.2.3: after the last slice of a primary picture, a delimiter, parameter set, SEI or NAL
//!   unit of type 14 to 18 begins the next unit. A prefix NAL unit (14) also stands before every
//!   slice of a scalable stream, so it waits for its slice to decide.
//! * 7.4.1.2.4: a slice begins a new picture if its header differs from the slice before in one of
//!   the named fields . Where the parameter sets are not known, a slice that
//!   begins at macroblock 0 does; the same as a safety net where they are, because encoders exist
//!   that give two keyframes in a row the same `idr_pic_id`.
//!
//! It never reads a picture's content and never waits: a unit is known complete only when the next
//! begins (the header of a delimiter, parameter set or SEI is enough, a slice must be whole), so
//! [`AccessUnits::flush`] ends it after a pause or at the end. Bound: one unit of
//! [`ACCESS_UNIT_BYTES_MAX`] and 32 + 256 small parameter sets are held.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::NALS_PER_UNIT_MAX;
use super::annexb::{append, find_start_code, trim_zeros};
use super::nal::{NalType, nal_type};
use super::pps::Pps;
use super::slice::{SliceFormat, SliceHeader, first_mb, read_start};
use super::sps::Sps;
use crate::limits::ACCESS_UNIT_BYTES_MAX;

/// Why a stream cannot be cut any further. Nothing can be trusted after it: begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No start code, or no new picture, within the bound.
    #[error("no picture ends within {ACCESS_UNIT_BYTES_MAX} bytes: this is not an H.264 stream")]
    TooLong,
    /// A unit of thousands of NAL units.
    #[error("a picture has more than {NALS_PER_UNIT_MAX} NAL units")]
    TooMany,
}

/// A complete access unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Annex-B with four-byte start codes; NAL units byte for byte as they came.
    pub data: Bytes,
    /// It holds an IDR picture.
    pub keyframe: bool,
    /// It holds a slice: without one it is no picture.
    pub picture: bool,
    /// Where its first NAL unit begins (behind the start code) in all that was ever pushed, from 0:
    /// containers give times to the unit that begins at a place.
    pub begin: u64,
}

/// What is known of the slice before.
#[derive(Clone, Copy, Debug)]
enum Last {
    Read(SliceHeader),
    /// Its parameter sets were not known.
    Unread,
}

/// The splitter: bytes in, access units out.
#[derive(Debug, Default)]
pub struct AccessUnits {
    /// Bytes not yet cut into NAL units; begins behind a start code once `aligned`.
    input: Vec<u8>,
    aligned: bool,
    /// How far `input` has been searched for a start code.
    searched: usize,
    /// Where `input` begins in all that was pushed.
    offset: u64,
    unit: Vec<u8>,
    /// Where the first NAL unit of `unit` began, and of `prefix`.
    begin: u64,
    prefix_begin: u64,
    nals: usize,
    keyframe: bool,
    last: Option<Last>,
    /// A slice of this picture began at macroblock 0.
    at_zero: bool,
    /// Prefix NAL units that wait for their slice.
    prefix: Vec<u8>,
    sps: BTreeMap<u8, SliceFormat>,
    pps: BTreeMap<u8, Pps>,
}

impl AccessUnits {
    /// A splitter at the begin of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes as they come and gives the units that they complete, in order.
    ///
    /// The answer is never longer than what was held and what is pushed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Unit>, SplitError> {
        let mut done = Vec::new();
        // In parts, so that what is held is bounded however much is pushed at once.
        for part in bytes.chunks(ACCESS_UNIT_BYTES_MAX) {
            self.input.extend_from_slice(part);
            self.cut(&mut done)?;
        }
        Ok(done)
    }

    /// Ends the NAL unit and the access unit that are pending: at the end of the stream, or when a
    /// live producer pauses between two pictures.
    pub fn flush(&mut self) -> Result<Vec<Unit>, SplitError> {
        let mut done = Vec::new();
        let input = std::mem::take(&mut self.input);
        self.searched = 0;
        let at = self.offset;
        self.offset += input.len() as u64;
        if std::mem::take(&mut self.aligned) {
            self.take(trim_zeros(&input), at, &mut done)?;
        }
        self.take_prefix();
        self.end_unit(&mut done);
        Ok(done)
    }

    fn cut(&mut self, done: &mut Vec<Unit>) -> Result<(), SplitError> {
        let mut input = std::mem::take(&mut self.input);
        let mut begin = 0;
        let mut search = self.searched;
        while let Some(found) = find_start_code(&input[search..]) {
            let end = search + found;
            if self.aligned {
                let at = self.offset + begin as u64;
                self.take(trim_zeros(&input[begin..end]), at, done)?;
            }
            self.aligned = true;
            begin = end + 3;
            search = begin;
        }
        input.drain(..begin);
        self.offset += begin as u64;
        self.input = input;
        // A producer that ends its pictures with a delimiter wants them to leave at once.
        let pending =
            self.input.first().filter(|_| self.aligned).map(|&header| NalType::of(header));
        if self.last.is_some()
            && pending.is_some_and(|kind| kind.begins_unit() && kind != NalType::Prefix)
        {
            self.end_unit(done);
        }
        // Two bytes may be the head of a start code whose tail comes next.
        self.searched = self.input.len().saturating_sub(2);
        if self.input.len() > ACCESS_UNIT_BYTES_MAX { Err(SplitError::TooLong) } else { Ok(()) }
    }

    /// Takes one NAL unit that lies at `at`.
    fn take(&mut self, nal: &[u8], at: u64, done: &mut Vec<Unit>) -> Result<(), SplitError> {
        if nal.is_empty() {
            return Ok(());
        }
        let kind = nal_type(nal);
        match kind {
            NalType::Prefix if self.last.is_some() => {
                if self.prefix.is_empty() {
                    self.prefix_begin = at;
                }
                append(&mut self.prefix, nal);
                return self.check_bounds();
            }
            NalType::Slice | NalType::Idr | NalType::Partition(2) => {
                let slice = self.read_slice(nal);
                if self.begins_picture(nal, &slice) {
                    self.end_unit(done);
                }
                self.at_zero |= first_mb(nal) == 0;
                self.last = Some(slice);
            }
            _ if kind.begins_unit() && self.last.is_some() => self.end_unit(done),
            _ => {}
        }
        self.learn(kind, nal);
        self.take_prefix();
        if self.unit.is_empty() {
            self.begin = at;
        }
        append(&mut self.unit, nal);
        self.nals += 1;
        self.keyframe |= kind == NalType::Idr;
        self.check_bounds()
    }

    /// Prefix NAL units belong to the unit of the slice behind them.
    fn take_prefix(&mut self) {
        let prefix = std::mem::take(&mut self.prefix);
        if self.unit.is_empty() {
            self.begin = self.prefix_begin;
        }
        self.unit.extend_from_slice(&prefix);
    }

    fn read_slice(&self, nal: &[u8]) -> Last {
        let header = read_start(nal).and_then(|(_, pps_id)| {
            let pps = self.pps.get(&pps_id).ok_or(super::ParseError::Short)?;
            let sps = self.sps.get(&pps.sps_id).ok_or(super::ParseError::Short)?;
            SliceHeader::parse(nal, pps, sps)
        });
        header.map_or(Last::Unread, Last::Read)
    }

    fn begins_picture(&self, nal: &[u8], slice: &Last) -> bool {
        match (self.last, slice) {
            (None, _) => false,
            (Some(Last::Read(previous)), Last::Read(slice)) => {
                // Macroblock 0 comes once a picture, but in spare copies and in each colour plane.
                let again = self.at_zero && slice.first_mb == 0 && slice.colour_plane == 0;
                !slice.redundant && (again || slice.begins_picture_after(&previous))
            }
            _ => first_mb(nal) == 0,
        }
    }

    fn learn(&mut self, kind: NalType, nal: &[u8]) {
        match kind {
            NalType::Sps => {
                if let Ok(sps) = Sps::parse(nal) {
                    self.sps.insert(sps.id, SliceFormat::from(&sps));
                }
            }
            NalType::Pps => {
                if let Ok(pps) = Pps::parse(nal) {
                    self.pps.insert(pps.id, pps);
                }
            }
            _ => {}
        }
    }

    fn end_unit(&mut self, done: &mut Vec<Unit>) {
        let picture = self.last.take().is_some();
        let keyframe = std::mem::take(&mut self.keyframe);
        let data = std::mem::take(&mut self.unit);
        self.nals = 0;
        self.at_zero = false;
        if !data.is_empty() {
            done.push(Unit { data: data.into(), keyframe, picture, begin: self.begin });
        }
    }

    fn check_bounds(&self) -> Result<(), SplitError> {
        if self.unit.len() + self.prefix.len() > ACCESS_UNIT_BYTES_MAX {
            return Err(SplitError::TooLong);
        }
        if self.nals > NALS_PER_UNIT_MAX {
            return Err(SplitError::TooMany);
        }
        Ok(())
    }
}
