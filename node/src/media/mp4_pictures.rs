//! The pictures of an H.264 track, read one by one: length prefixes become start codes, and each
//! keyframe gets the parameter sets that it needs. Bytes of slices are never changed.
//!
//! Knows no clock and no pace. Bound: one picture.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use bytes::Bytes;
use roommate_protocol::h264::avcc::{Configuration, LengthSize, nals};
use roommate_protocol::h264::nal::{NalType, nal_type};
use roommate_protocol::h264::sets::ParameterSets;
use roommate_protocol::h264::sps::Sps;
use roommate_protocol::limits::ACCESS_UNIT_BYTES_MAX;

use super::mp4_error::Mp4Error;
use super::mp4_index::Sample;

/// The pictures from the first keyframe on.
#[derive(Debug)]
pub(super) struct Pictures {
    file: File,
    entries: Vec<Option<Configuration>>,
    samples: Vec<Sample>,
    /// Sets in force: of the sample entry, replaced by what pictures bring themselves.
    sets: ParameterSets,
    entry: Option<u16>,
    buffer: Vec<u8>,
}

impl Pictures {
    /// Drops what stands before the first keyframe; gives the pictures, of which there is at least
    /// one, and how they are coded.
    pub(super) fn begin(
        file: File,
        entries: Vec<Option<Configuration>>,
        samples: Vec<Sample>,
    ) -> Result<(Self, Sps), Mp4Error> {
        if samples.is_empty() {
            return Err(Mp4Error::NoPicture);
        }
        let (sets, buffer) = (ParameterSets::new(), Vec::new());
        let mut pictures = Self { file, entries, samples, sets, entry: None, buffer };
        let first = pictures.first_keyframe()?.ok_or(Mp4Error::NoKeyframe)?;
        pictures.samples.drain(..first);
        let sps = pictures.sets.first_sps().ok_or(Mp4Error::NoKeyframe)?;
        sps.check_playable()?;
        // Learned while searching; playing begins with what the first picture has.
        pictures.sets = ParameterSets::new();
        pictures.entry = None;
        Ok((pictures, sps))
    }

    /// Where each lies in the file and in time.
    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The file begins anew: the sets are again those of the sample entry.
    pub(super) fn rewind(&mut self) {
        self.entry = None;
    }

    /// A picture as an access unit, and whether it is a keyframe.
    pub(super) fn read(&mut self, at: usize) -> Result<(Bytes, bool), Mp4Error> {
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
}
