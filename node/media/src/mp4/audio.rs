//! Which sound of a file can be carried, and how a browser must be told of it: AAC by its
//! `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1), Opus by its `dOps` (Opus in ISOBMFF, 4.3.2).
//!
//! Reads a sample entry; never a packet, but for how long one lasts. Bound: a configuration of
//! [`DESCRIPTION_BYTES_MAX`] bytes.

use bytes::Bytes;
use mp4_atom::{Dops, Esds, OpusChannelMapping};
use roommate_protocol::wire::catalog::DESCRIPTION_BYTES_MAX;

use super::boxes::{Kind, child, leaf};
use crate::source::AudioFormat;

/// Samples a second that Opus always decodes to, and so its timescale.
pub(super) const OPUS_HZ: u32 = 48_000;

/// Why the sound of a file cannot be carried. Each stands behind "only its pictures are sent: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SoundError {
    #[error("its sound is {0}, not AAC or Opus")]
    Codec(String),
    #[error("its sound is AAC of object type {0}, which browsers do not play")]
    ObjectType(u8),
    #[error("its sound is encrypted")]
    Encrypted,
    #[error("the {0} of its sound is broken")]
    Broken(&'static str),
}

/// What a sample entry of this name says of its packets.
pub(super) fn look(kind: Kind, entry: &[u8], timescale: u32) -> Result<AudioFormat, SoundError> {
    match &kind {
        b"mp4a" => aac(entry, timescale),
        b"Opus" => opus(entry),
        b"enca" => Err(SoundError::Encrypted),
        b".mp3" | b"mp3 " => Err(SoundError::Codec("MP3".into())),
        b"ac-3" => Err(SoundError::Codec("AC-3".into())),
        b"ec-3" => Err(SoundError::Codec("E-AC-3".into())),
        _ => Err(SoundError::Codec(format!("'{}'", kind.escape_ascii()))),
    }
}

/// The boxes of an `AudioSampleEntry`, behind its fixed fields. QuickTime has longer ones.
fn entry_boxes(entry: &[u8]) -> &[u8] {
    let fixed = match entry.get(8..10) {
        Some([0, 1]) => 44,
        Some([0, 2]) => 64,
        _ => 28,
    };
    entry.get(fixed..).unwrap_or_default()
}

fn aac(entry: &[u8], timescale: u32) -> Result<AudioFormat, SoundError> {
    const BROKEN: SoundError = SoundError::Broken("decoder configuration");
    let boxes = entry_boxes(entry);
    let esds = child(boxes, b"esds")
        .or_else(|| child(child(boxes, b"wave")?, b"esds"))
        .and_then(leaf::<Esds>)
        .ok_or(BROKEN)?;
    let decoder = esds.es_desc.dec_config;
    match decoder.object_type_indication {
        // MPEG-4 audio, and MPEG-2 AAC of low complexity.
        0x40 | 0x67 => {}
        0x69 | 0x6b => return Err(SoundError::Codec("MP3".into())),
        other => return Err(SoundError::Codec(format!("of MPEG-4 type {other:#04x}"))),
    }
    let description = decoder.dec_specific.map(|specific| specific.raw).unwrap_or_default();
    let config = AacConfig::parse(&description).ok_or(BROKEN)?;
    if !matches!(config.object, 2 | 5 | 29) {
        return Err(SoundError::ObjectType(config.object));
    }
    // Channels that the stream itself lays out are counted in the sample entry.
    let channels = match config.channels {
        0 => entry.get(17).copied().filter(|&channels| channels > 0).ok_or(BROKEN)?,
        channels => channels,
    };
    if description.len() > DESCRIPTION_BYTES_MAX {
        return Err(BROKEN);
    }
    Ok(AudioFormat {
        codec: format!("mp4a.40.{}", config.object),
        timescale,
        sample_rate: config.sample_rate,
        channels,
        description: description.into(),
    })
}

fn opus(entry: &[u8]) -> Result<AudioFormat, SoundError> {
    const BROKEN: SoundError = SoundError::Broken("dOps box");
    let dops = child(entry_boxes(entry), b"dOps").and_then(leaf::<Dops>).ok_or(BROKEN)?;
    let description = opus_head(&dops);
    if dops.output_channel_count == 0 || description.len() > DESCRIPTION_BYTES_MAX {
        return Err(BROKEN);
    }
    Ok(AudioFormat {
        codec: "opus".into(),
        timescale: OPUS_HZ,
        sample_rate: OPUS_HZ,
        channels: dops.output_channel_count,
        description,
    })
}

/// An `OpusHead` (RFC 7845, 5.1), which only more than one stream needs. Its pre-skip is 0: the
/// packets' times already say when their sound is heard, and a decoder must not cut it again.
fn opus_head(dops: &Dops) -> Bytes {
    let needed = |map: &&OpusChannelMapping| dops.output_channel_count > 2 || map.stream_count > 1;
    let Some(map) = dops.channel_mapping.as_ref().filter(needed) else { return Bytes::new() };
    let mut head = b"OpusHead\x01".to_vec();
    head.push(dops.output_channel_count);
    head.extend(0u16.to_le_bytes());
    head.extend(dops.input_sample_rate.to_le_bytes());
    head.extend(dops.output_gain.to_le_bytes());
    head.extend([map.family, map.stream_count, map.coupled_count]);
    head.extend(&map.channel_mapping);
    head.into()
}

/// What an `AudioSpecificConfig` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AacConfig {
    /// Audio object type: 2 is AAC of low complexity, 5 and 29 with spectral bands replicated.
    pub(super) object: u8,
    /// As decoded.
    pub(super) sample_rate: u32,
    /// 0: the stream lays them out itself.
    pub(super) channels: u8,
    /// Samples, as decoded, of one frame.
    pub(super) frame: u32,
}

impl AacConfig {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes, at: 0 };
        let mut object = bits.object()?;
        let mut sample_rate = bits.rate()?;
        let layout = bits.take(4)?;
        let mut channels = match layout {
            0..=6 => layout as u8,
            7 | 12 | 14 => 8,
            11 => 7,
            _ => return None,
        };
        let explicit = matches!(object, 5 | 29);
        let mut core = object;
        if explicit {
            sample_rate = bits.rate()?;
            core = bits.object()?;
        }
        let short = bits.take(1)? == 1;
        if core == 2 && !explicit && layout != 0 {
            // Extensions behind the configuration, which old decoders do not look at.
            if let Some(rate) = bits.replicated() {
                (object, sample_rate) = (5, rate);
                if bits.take(11) == Some(0x548) && bits.take(1) == Some(1) {
                    object = 29;
                }
            }
        }
        if object == 29 && channels == 1 {
            channels = 2;
        }
        let doubled = if matches!(object, 5 | 29) { 2 } else { 1 };
        let frame = if short { 960 } else { 1024 } * doubled;
        (sample_rate > 0).then_some(Self { object, sample_rate, channels, frame })
    }
}

/// Bits of a configuration, the highest first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next bits, at most 24.
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn object(&mut self) -> Option<u8> {
        let object = match self.take(5)? {
            31 => 32 + self.take(6)?,
            object => object,
        };
        u8::try_from(object).ok()
    }

    fn rate(&mut self) -> Option<u32> {
        const RATES: [u32; 13] = [
            96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
            8_000, 7_350,
        ];
        match self.take(4)? {
            15 => self.take(24),
            index => RATES.get(index as usize).copied(),
        }
    }

    /// The rate with replicated bands, if what follows the frame length flag names one (table 1.15).
    fn replicated(&mut self) -> Option<u32> {
        if self.take(1)? == 1 {
            self.take(14)?;
        }
        self.take(1)?;
        let named = self.take(11)? == 0x2b7 && self.object()? == 5 && self.take(1)? == 1;
        if named { self.rate() } else { None }
    }
}

/// How long one packet lasts, in the format's timescale, at least 1: by the packet itself for Opus
/// (RFC 6716, 3.1), by the configuration for AAC.
pub(super) fn packet_ticks(format: &AudioFormat, packet: &[u8]) -> i64 {
    let samples = if format.codec == "opus" {
        opus_samples(packet)
    } else {
        AacConfig::parse(&format.description).map_or(1024, |config| config.frame)
    };
    let ticks = u64::from(samples) * u64::from(format.timescale);
    i64::try_from(ticks / u64::from(format.sample_rate.max(1))).unwrap_or(1).max(1)
}

fn opus_samples(packet: &[u8]) -> u32 {
    let Some(&toc) = packet.first() else { return 960 };
    let config = u32::from(toc >> 3);
    let frame = match config {
        0..=11 => [480, 960, 1920, 2880][config as usize % 4],
        12..=15 => [480, 960][config as usize % 2],
        _ => 120 << (config % 4),
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(1, |count| u32::from(count & 63)),
    };
    // A packet has at most 120 ms.
    (frame * count).clamp(120, 5_760)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_as_encoders_write_them() {
        let reads = |bytes: &[u8], object, sample_rate, channels, frame| {
            let config = AacConfig { object, sample_rate, channels, frame };
            assert_eq!(AacConfig::parse(bytes), Some(config), "{bytes:02x?}");
        };
        reads(&[0x12, 0x10], 2, 44_100, 2, 1024);
        reads(&[0x11, 0x88], 2, 48_000, 1, 1024);
        // Says that there is no replication.
        reads(&[0x12, 0x10, 0x56, 0xe5, 0x00], 2, 44_100, 2, 1024);
        // Replication named in front, and behind.
        reads(&[0x2b, 0x92, 0x08, 0x00], 5, 44_100, 2, 2048);
        reads(&[0x13, 0x90, 0x56, 0xe5, 0xa0], 5, 44_100, 2, 2048);
        // Parametric stereo over one channel.
        reads(&[0xeb, 0x8a, 0x08, 0x00], 29, 44_100, 2, 2048);
        for bytes in [&[0x12][..], &[], &[0xff, 0xff, 0xff]] {
            assert_eq!(AacConfig::parse(bytes), None, "{bytes:02x?}");
        }
    }

    #[test]
    fn no_configuration_of_three_bytes_panics() {
        for word in 0..1u32 << 24 {
            let _ = AacConfig::parse(&word.to_be_bytes()[1..]);
        }
    }

    #[test]
    fn packets_of_opus_say_how_long_they_are() {
        // TOC: config, mono, frames in the packet.
        for (packet, samples) in [
            (&[15 << 3][..], 960),
            (&[31 << 3 | 1], 1_920),
            (&[16 << 3], 120),
            (&[3 << 3], 2_880),
            (&[31 << 3 | 3, 6], 5_760),
            (&[31 << 3 | 3, 63], 5_760),
            (&[31 << 3 | 3], 960),
            (&[], 960),
        ] {
            assert_eq!(opus_samples(packet), samples, "{packet:02x?}");
        }
    }
}
