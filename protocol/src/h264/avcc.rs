//! The framing of MP4 (ISO/IEC 14496-15): NAL units behind their lengths, and the decoder
//! configuration record in the `avcC` box.
//!
//! Converts to and from Annex-B without touching a NAL unit. Bound: outputs are proportional to
//! inputs that are really there; a length that says more is an error, never an allocation.

use super::nal::{NalType, nal_type};
use super::sets::ParameterSets;
use super::sps::Sps;
use super::{NALS_PER_UNIT_MAX, ParseError, annexb};

/// Why AVCC bytes could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AvccError {
    /// A length reaches beyond the end.
    #[error("a NAL unit is said to be longer than the picture that holds it")]
    Length,
    /// More NAL units than [`NALS_PER_UNIT_MAX`].
    #[error("a picture has more than {NALS_PER_UNIT_MAX} NAL units")]
    TooMany,
    /// A NAL unit does not fit the length field.
    #[error("a NAL unit is too long for the length field of the file")]
    TooLong,
    /// Lengths of 3 bytes, or the reserved value.
    #[error("NAL lengths of {0} bytes are not allowed, only of 1, 2 or 4")]
    LengthSize(u8),
    /// Another version of the record.
    #[error("the decoder configuration is of version {0}, only 1 is known")]
    Version(u8),
    /// The record ends too early.
    #[error("the decoder configuration is cut short")]
    Short,
    /// There is no SPS or no PPS to write.
    #[error("the stream has no parameter sets yet")]
    NoSets,
    /// A set in the record is broken.
    #[error("the parameter sets cannot be used: {0}")]
    Set(#[from] ParseError),
}

/// Bytes of the length in front of each NAL unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthSize {
    /// One byte.
    One,
    /// Two bytes.
    Two,
    /// Four bytes, what everybody writes.
    Four,
}

impl LengthSize {
    /// From the number of bytes. Three is reserved (14496-15, 5.2.4.1.2).
    pub const fn new(bytes: u8) -> Result<Self, AvccError> {
        match bytes {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            4 => Ok(Self::Four),
            other => Err(AvccError::LengthSize(other)),
        }
    }

    /// The number of bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// The NAL units of an AVCC sample. Empty ones, which some writers leave, are skipped.
pub fn nals(sample: &[u8], size: LengthSize) -> Result<Vec<&[u8]>, AvccError> {
    let mut nals = Vec::new();
    let mut rest = sample;
    while !rest.is_empty() {
        let (length, tail) = rest.split_at_checked(size.bytes()).ok_or(AvccError::Length)?;
        let length = length.iter().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
        let (nal, tail) = tail.split_at_checked(length).ok_or(AvccError::Length)?;
        rest = tail;
        if nal.is_empty() {
            continue;
        }
        if nals.len() == NALS_PER_UNIT_MAX {
            return Err(AvccError::TooMany);
        }
        nals.push(nal);
    }
    Ok(nals)
}

/// AVCC to Annex-B, NAL by NAL, with the parameter sets before a keyframe that lacks them.
pub fn to_annexb(
    sample: &[u8],
    size: LengthSize,
    sets: &ParameterSets,
) -> Result<Vec<u8>, AvccError> {
    Ok(sets.assemble(&nals(sample, size)?))
}

/// Annex-B to AVCC, with the NAL units for which `keep` is true.
pub fn from_annexb(
    access_unit: &[u8],
    size: LengthSize,
    mut keep: impl FnMut(&[u8]) -> bool,
) -> Result<Vec<u8>, AvccError> {
    let mut out = Vec::with_capacity(access_unit.len() + 16);
    for nal in annexb::nals(access_unit).filter(|nal| keep(nal)) {
        let length = u32::try_from(nal.len()).map_err(|_| AvccError::TooLong)?;
        let (unused, length) = {
            let bytes = length.to_be_bytes();
            let cut = bytes.len() - size.bytes();
            (bytes[..cut].iter().any(|&byte| byte != 0), bytes[cut..].to_vec())
        };
        if unused {
            return Err(AvccError::TooLong);
        }
        out.extend_from_slice(&length);
        out.extend_from_slice(nal);
    }
    Ok(out)
}

/// The decoder configuration record (14496-15, 5.3.3.1): the body of an `avcC` box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Bytes of each NAL length in the samples.
    pub length_size: LengthSize,
    /// The sets that stand outside the samples.
    pub sets: ParameterSets,
}

impl Configuration {
    /// Reads the body of an `avcC` box. Sets that are broken are an error; what follows the
    /// picture parameter sets repeats what the SPS says, and is not read.
    pub fn parse(body: &[u8]) -> Result<Self, AvccError> {
        let (head, mut rest) = body.split_at_checked(5).ok_or(AvccError::Short)?;
        if head[0] != 1 {
            return Err(AvccError::Version(head[0]));
        }
        let length_size = LengthSize::new((head[4] & 3) + 1)?;
        let mut sets = ParameterSets::new();
        for (mask, kind) in [(0x1f, NalType::Sps), (0xff, NalType::Pps)] {
            let (count, tail) = rest.split_first().ok_or(AvccError::Short)?;
            rest = tail;
            for _ in 0..count & mask {
                let (length, tail) = rest.split_at_checked(2).ok_or(AvccError::Short)?;
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                let (nal, tail) = tail.split_at_checked(length).ok_or(AvccError::Short)?;
                rest = tail;
                // Some writers leave a zero byte behind; in Annex-B it would not belong to the NAL.
                let nal = annexb::trim_zeros(nal);
                if nal_type(nal) == kind {
                    sets.learn_nal(nal)?;
                }
            }
        }
        Ok(Self { length_size, sets })
    }

    /// Writes the body of an `avcC` box.
    pub fn build(&self) -> Result<Vec<u8>, AvccError> {
        let first = self.sets.sps().next().ok_or(AvccError::NoSets)?;
        if !self.sets.is_complete() {
            return Err(AvccError::NoSets);
        }
        let sps = Sps::parse(first)?;
        let length_size = self.length_size.bytes() as u8 - 1;
        let mut out = vec![1, sps.profile, sps.constraints, sps.level, 0xfc | length_size];
        // At most 31 SPS fit the five bits, at most 255 PPS the byte; nobody has so many.
        let sps_sets: Vec<_> = self.sets.sps().take(31).collect();
        let pps_sets: Vec<_> = self.sets.pps().take(255).collect();
        for (mark, sets) in [(0xe0, sps_sets), (0, pps_sets)] {
            out.push(mark | sets.len() as u8);
            for nal in sets {
                // Sets are at most 4 KiB: the length fits.
                out.extend_from_slice(&(nal.len() as u16).to_be_bytes());
                out.extend_from_slice(nal);
            }
        }
        if matches!(sps.profile, 100 | 110 | 122 | 144) {
            let depth = |bits: u8| 0xf8 | (bits - 8);
            out.extend_from_slice(&[
                0xfc | sps.chroma_format,
                depth(sps.bit_depth_luma),
                depth(sps.bit_depth_chroma),
                0,
            ]);
        }
        Ok(out)
    }
}
