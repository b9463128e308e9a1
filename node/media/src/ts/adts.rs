//! AAC in ADTS (ISO/IEC 14496-3, 1.A.2.2): its header, and the `AudioSpecificConfig` (1.6.2.1) that
//! says the same once for all frames.
//!
//! Bound: reads seven to nine bytes, allocates nothing.

/// Samples a second, by index (table 1.16).
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Samples of a frame.
pub(super) const FRAME_SAMPLES: u32 = 1_024;

/// Longest frame that a header can announce.
pub(super) const FRAME_BYTES_MAX: usize = 0x1fff;

/// Bytes of the headers that we write.
pub(super) const HEADER_BYTES: usize = 7;

/// What all frames of a track share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// Audio object type: 2 is AAC-LC.
    pub(super) object: u8,
    rate: u8,
    /// Channel configuration: 1 mono, 2 stereo; 0 means that the frame says it.
    pub(super) channels: u8,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: Format,
    /// Of the header itself, 7 or 9.
    pub(super) header: usize,
    /// Of header and frame together.
    pub(super) whole: usize,
    /// Raw data blocks in it; each is a frame, but only one can be cut out.
    pub(super) blocks: u8,
}

impl Format {
    pub(super) fn sample_rate(self) -> u32 {
        RATES[usize::from(self.rate)]
    }

    /// The decoder's configuration.
    pub(super) fn config(self) -> [u8; 2] {
        [self.object << 3 | self.rate >> 1, self.rate << 7 | self.channels << 3]
    }

    /// Reads a configuration. What it says of SBR and PS (object types 5 and 29) is left out: ADTS
    /// cannot say it, and decoders find it in the frames.
    pub(super) fn from_config(config: &[u8]) -> Option<Self> {
        let wide = config.iter().take(8).fold((0u64, 64), |(wide, left), &byte| {
            (wide | u64::from(byte) << (left - 8), left - 8)
        });
        let bits = |at: u32, count: u32| (wide.0 << at >> (64 - count)) as u8;
        let (object, rate, channels) = (bits(0, 5), bits(5, 4), bits(9, 4));
        let object = if matches!(object, 5 | 29) { bits(17, 5) } else { object };
        let known = (1..=4).contains(&object) && usize::from(rate) < RATES.len();
        (config.len() >= 2 && known && (1..=7).contains(&channels)).then_some(Self {
            object,
            rate,
            channels,
        })
    }

    /// The header of a frame of so many bytes; `None` if it is too long for one.
    pub(super) fn header(self, frame: usize) -> Option<[u8; HEADER_BYTES]> {
        let whole = u16::try_from(frame + HEADER_BYTES).ok().filter(|&whole| whole <= 0x1fff)?;
        Some([
            0xff,
            0xf1,
            (self.object - 1) << 6 | self.rate << 2 | self.channels >> 2,
            (self.channels & 3) << 6 | (whole >> 11) as u8,
            (whole >> 3) as u8,
            (whole << 5) as u8 | 0x1f,
            0xfc,
        ])
    }
}

/// Reads a header; `None` if there is none at the begin of `bytes`, which holds at least seven.
pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let head = bytes.first_chunk::<HEADER_BYTES>()?;
    if head[0] != 0xff || head[1] & 0xf6 != 0xf0 {
        return None;
    }
    let rate = head[2] >> 2 & 0x0f;
    let header = if head[1] & 1 == 1 { 7 } else { 9 };
    let whole =
        usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
    (usize::from(rate) < RATES.len() && whole > header).then_some(Header {
        format: Format {
            object: (head[2] >> 6) + 1,
            rate,
            channels: (head[2] & 1) << 2 | head[3] >> 6,
        },
        header,
        whole,
        blocks: (head[6] & 3) + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (rate, channels) in (0..13).flat_map(|rate| (1..=7).map(move |ch| (rate, ch))) {
            let format = Format { object: 2, rate, channels };
            assert_eq!(Format::from_config(&format.config()), Some(format));
            let header = format.header(1_000).unwrap();
            let expected = Header { format, header: 7, whole: 1_007, blocks: 1 };
            assert_eq!(read(&header), Some(expected));
        }
        let stereo = Format { object: 2, rate: 4, channels: 2 };
        assert_eq!((stereo.config(), stereo.sample_rate()), ([0x12, 0x10], 44_100));
        assert!(stereo.header(0x1fff).is_none());
        // HE-AAC at 24 kHz, with SBR to 48 kHz said at once.
        let explicit = Format::from_config(&[0x2b, 0x11, 0x88, 0x00]);
        assert_eq!(explicit, Some(Format { object: 2, rate: 6, channels: 2 }));
    }
}
