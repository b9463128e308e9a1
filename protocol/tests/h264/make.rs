//! Makes NAL units bit by bit, and streams of them.

#![expect(clippy::unwrap_used, reason = "in a test a failure is told by failing")]

use roommate_protocol::h264::access_unit::{AccessUnits, Unit};
use roommate_protocol::h264::annexb;

pub(crate) fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

#[derive(Default)]
pub(crate) struct Bits(Vec<bool>);

impl Bits {
    pub(crate) fn put(mut self, value: u32, count: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    pub(crate) fn ue(self, value: u32) -> Self {
        let code = u64::from(value) + 1;
        let size = 64 - code.leading_zeros();
        let mut bits = self.put(0, size - 1);
        bits.0.extend((0..size).rev().map(|bit| code >> bit & 1 == 1));
        bits
    }

    /// A NAL unit with stop bit and emulation prevention.
    pub(crate) fn nal(mut self, header: u8) -> Vec<u8> {
        self.0.push(true);
        let mut nal = vec![header];
        let mut zeros = 0;
        for bits in self.0.chunks(8) {
            let byte =
                bits.iter().enumerate().fold(0u8, |sum, (n, bit)| sum | u8::from(*bit) << (7 - n));
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        nal
    }
}

/// Baseline, picture order in the slice headers (4 bits), frame_num of 4 bits.
pub(crate) fn sps_nal(width_mbs: u32, height_mbs: u32) -> Vec<u8> {
    let bits = Bits::default().put(66, 8).put(0, 8).put(30, 8).ue(0).ue(0).ue(0).ue(0).ue(1);
    bits.put(0, 1).ue(width_mbs - 1).ue(height_mbs - 1).put(0b1100, 4).nal(0x67)
}

pub(crate) fn pps_nal(id: u32, redundant: bool) -> Vec<u8> {
    let bits = Bits::default().ue(id).ue(0).put(0, 2).ue(0).ue(0).ue(0).put(0, 3);
    bits.ue(0).ue(0).ue(0).put(0, 2).put(redundant.into(), 1).nal(0x68)
}

#[derive(Clone, Copy)]
pub(crate) struct Slice {
    pub(crate) header: u8,
    pub(crate) first_mb: u32,
    pub(crate) pps: u32,
    pub(crate) frame_num: u32,
    pub(crate) idr_pic_id: u32,
    pub(crate) order: u32,
    pub(crate) redundant: Option<u32>,
}

impl Slice {
    pub(crate) const P: Self = Self {
        header: 0x41,
        first_mb: 0,
        pps: 0,
        frame_num: 1,
        idr_pic_id: 0,
        order: 2,
        redundant: None,
    };
    pub(crate) const IDR: Self = Self { header: 0x65, frame_num: 0, order: 0, ..Self::P };

    pub(crate) fn nal(self) -> Vec<u8> {
        let mut bits = Bits::default().ue(self.first_mb).ue(7).ue(self.pps).put(self.frame_num, 4);
        if self.header & 31 == 5 {
            bits = bits.ue(self.idr_pic_id);
        }
        bits = bits.put(self.order, 4);
        if let Some(count) = self.redundant {
            bits = bits.ue(count);
        }
        bits.put(0xabcd, 16).nal(self.header)
    }
}

pub(crate) fn stream(nals: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for nal in nals {
        annexb::append(&mut out, nal);
    }
    out
}

/// Splits in one go; the types of the NAL units of each access unit.
pub(crate) fn split(nals: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut splitter = AccessUnits::new();
    let mut units = splitter.push(&stream(nals)).unwrap();
    units.extend(splitter.flush().unwrap());
    types(&units)
}

pub(crate) fn types(units: &[Unit]) -> Vec<Vec<u8>> {
    units.iter().map(|unit| annexb::nals(&unit.data).map(|nal| nal[0] & 31).collect()).collect()
}
