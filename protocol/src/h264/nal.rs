//! One NAL unit: its header (7.3.1), its type (table 7-1), and the bits inside it.
//!
//! Emulation prevention (7.4.1) is taken out only to read headers; slices are never touched. Bound:
//! nothing is allocated but by [`unescape`], whose result is never longer than its input.

use super::ParseError;

/// What a NAL unit carries (table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalType {
    /// Slice of a picture that is not IDR (1).
    Slice,
    /// Slice data partition A, B or C (2 to 4).
    Partition(u8),
    /// Slice of an IDR picture (5).
    Idr,
    /// Supplemental enhancement information (6).
    Sei,
    /// Sequence parameter set (7).
    Sps,
    /// Picture parameter set (8).
    Pps,
    /// Access unit delimiter (9).
    Delimiter,
    /// End of sequence (10) or of stream (11).
    End(u8),
    /// Filler data (12).
    Filler,
    /// Prefix of a slice, for scalable and multiview streams (14).
    Prefix,
    /// Everything else, by its number.
    Other(u8),
}

impl NalType {
    /// The type of the NAL unit whose first byte is `header`.
    pub const fn of(header: u8) -> Self {
        match header & 0x1f {
            1 => Self::Slice,
            n @ 2..=4 => Self::Partition(n),
            5 => Self::Idr,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::Delimiter,
            n @ 10..=11 => Self::End(n),
            12 => Self::Filler,
            14 => Self::Prefix,
            n => Self::Other(n),
        }
    }

    /// True for what carries coded slices of the primary picture (1 to 5).
    pub const fn is_vcl(self) -> bool {
        matches!(self, Self::Slice | Self::Partition(_) | Self::Idr)
    }

    /// True for what, after the last slice of a picture, begins the next access unit
    /// (7.4.1.2.3: types 6 to 9 and 14 to 18).
    pub const fn begins_unit(self) -> bool {
        matches!(
            self,
            Self::Sei
                | Self::Sps
                | Self::Pps
                | Self::Delimiter
                | Self::Prefix
                | Self::Other(15..=18)
        )
    }
}

/// The type of a NAL unit given with its header byte; an empty one counts as type 0.
pub fn nal_type(nal: &[u8]) -> NalType {
    NalType::of(nal.first().copied().unwrap_or(0))
}

/// `nal_ref_idc`: 0 where no other picture depends on this one.
pub fn ref_idc(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |header| header >> 5 & 3)
}

/// Takes out the emulation prevention bytes (7.4.1: `00 00 03` becomes `00 00`).
pub fn unescape(payload: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(payload.len());
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

/// Reads bits of a NAL unit's payload and steps over emulation prevention as it goes.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    rest: std::slice::Iter<'a, u8>,
    zeros: u32,
    byte: u8,
    left: u32,
}

impl<'a> BitReader<'a> {
    /// A reader over a NAL unit without its header byte.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload.iter(), zeros: 0, byte: 0, left: 0 }
    }

    fn next_byte(&mut self) -> Result<u8, ParseError> {
        let mut byte = *self.rest.next().ok_or(ParseError::Short)?;
        if self.zeros >= 2 && byte == 3 {
            self.zeros = 0;
            byte = *self.rest.next().ok_or(ParseError::Short)?;
        }
        self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
        Ok(byte)
    }

    /// One bit, `u(1)`.
    pub fn flag(&mut self) -> Result<bool, ParseError> {
        if self.left == 0 {
            self.byte = self.next_byte()?;
            self.left = 8;
        }
        self.left -= 1;
        Ok(self.byte >> self.left & 1 == 1)
    }

    /// `count` bits, at most 32, `u(n)`.
    pub fn bits(&mut self, count: u32) -> Result<u32, ParseError> {
        debug_assert!(count <= 32, "no field of H.264 is longer");
        let mut value = 0u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    /// An unsigned Exp-Golomb number, `ue(v)` (9.1), up to 2^32 - 2.
    pub fn ue(&mut self) -> Result<u32, ParseError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(ParseError::Range("an Exp-Golomb number"));
            }
        }
        let tail = self.bits(zeros)?;
        Ok(((1u64 << zeros) - 1 + u64::from(tail)) as u32)
    }

    /// An unsigned Exp-Golomb number that may not be above `max`; `name` is what it is.
    pub fn ue_max(&mut self, max: u32, name: &'static str) -> Result<u32, ParseError> {
        let value = self.ue()?;
        if value > max { Err(ParseError::Range(name)) } else { Ok(value) }
    }

    /// A signed Exp-Golomb number, `se(v)` (9.1.1).
    pub fn se(&mut self) -> Result<i32, ParseError> {
        let code = i64::from(self.ue()?);
        let size = (code + 1) / 2;
        Ok(if code % 2 == 1 { size as i32 } else { -size as i32 })
    }
}
