//! The parameter sets in force, so that every keyframe can carry its own.
//!
//! A late joiner, a page and a recording start at a keyframe and know nothing before it. This keeps
//! the newest set of each id and puts what is missing in front of a keyframe; it never alters a
//! set, a slice or an SEI. Bound: 32 + 256 ids (the standard's), each at most
//! [`PARAMETER_SET_BYTES_MAX`].

use std::collections::BTreeMap;

use bytes::Bytes;

use super::nal::{NalType, nal_type};
use super::pps::Pps;
use super::sps::Sps;
use super::{PARAMETER_SET_BYTES_MAX, ParseError, annexb};

/// Parameter sets by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets {
    sps: BTreeMap<u8, Bytes>,
    pps: BTreeMap<u8, Bytes>,
}

impl ParameterSets {
    /// No sets yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the sets of an Annex-B access unit; true if one is new or differs from the known one
    /// of its id. Broken sets are left out.
    pub fn learn(&mut self, access_unit: &[u8]) -> bool {
        let mut changed = false;
        for nal in annexb::nals(access_unit) {
            changed |= self.learn_nal(nal).unwrap_or(false);
        }
        changed
    }

    /// Takes one NAL unit; true if it is a parameter set that is new or differs. What is no
    /// parameter set is ignored.
    pub fn learn_nal(&mut self, nal: &[u8]) -> Result<bool, ParseError> {
        let (map, id) = match nal_type(nal) {
            NalType::Sps => (&mut self.sps, Sps::parse(nal)?.id),
            NalType::Pps => (&mut self.pps, Pps::ids(nal)?.0),
            _ => return Ok(false),
        };
        if nal.len() > PARAMETER_SET_BYTES_MAX {
            return Err(ParseError::Range("the length of a parameter set"));
        }
        if map.get(&id).is_some_and(|known| known == nal) {
            return Ok(false);
        }
        map.insert(id, Bytes::copy_from_slice(nal));
        Ok(true)
    }

    /// The sequence parameter sets, by id.
    pub fn sps(&self) -> impl Iterator<Item = &Bytes> {
        self.sps.values()
    }

    /// The picture parameter sets, by id.
    pub fn pps(&self) -> impl Iterator<Item = &Bytes> {
        self.pps.values()
    }

    /// The first sequence parameter set, read.
    pub fn first_sps(&self) -> Option<Sps> {
        self.sps.values().find_map(|nal| Sps::parse(nal).ok())
    }

    /// True if a decoder could start with these.
    pub fn is_complete(&self) -> bool {
        !self.sps.is_empty() && !self.pps.is_empty()
    }

    /// True if `nal` is a parameter set that is known here with just these bytes.
    pub fn knows(&self, nal: &[u8]) -> bool {
        let same = |map: &BTreeMap<u8, Bytes>, id: Result<u8, ParseError>| {
            id.is_ok_and(|id| map.get(&id).is_some_and(|known| known == nal))
        };
        match nal_type(nal) {
            NalType::Sps => same(&self.sps, Sps::parse(nal).map(|sps| sps.id)),
            NalType::Pps => same(&self.pps, Pps::ids(nal).map(|ids| ids.0)),
            _ => false,
        }
    }

    /// Builds an Annex-B access unit of `nals`. If one of them is an IDR slice, every known set
    /// whose id the unit does not bring itself is put in front, behind a delimiter if there is one
    /// (7.4.1.2.3: the delimiter is the first, then sets, then SEI, then slices).
    pub fn assemble(&self, nals: &[&[u8]]) -> Vec<u8> {
        let is_key = nals.iter().any(|nal| nal_type(nal) == NalType::Idr);
        let length = nals.iter().map(|nal| nal.len() + annexb::START_CODE.len()).sum();
        let mut out = Vec::with_capacity(length);
        let mut rest = nals;
        if is_key {
            if let [first, tail @ ..] = nals
                && nal_type(first) == NalType::Delimiter
            {
                annexb::append(&mut out, first);
                rest = tail;
            }
            self.append_missing(&mut out, nals);
        }
        for nal in rest {
            annexb::append(&mut out, nal);
        }
        out
    }

    fn append_missing(&self, out: &mut Vec<u8>, nals: &[&[u8]]) {
        let mut own = Self::new();
        for nal in nals {
            // A broken set in the unit takes no id: the known one goes in front of it.
            let _ = own.learn_nal(nal);
        }
        let sps = self.sps.iter().filter(|(id, _)| !own.sps.contains_key(id));
        let pps = self.pps.iter().filter(|(id, _)| !own.pps.contains_key(id));
        for (_, nal) in sps.chain(pps) {
            annexb::append(out, nal);
        }
    }
}
