//! The sample entries of the tracks that we write: `avc1`, `mp4a` with `esds`, `Opus` with `dOps`.
//!
//! Bytes only, and only of what a [`TrackFormat`] says. Bound: one entry.

use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig};
use mp4_atom::{
    Atom, Audio, Avc1, Avcc, Codec, Dops, Esds, FixedPoint, Mp4a, Opus, OpusChannelMapping, Visual,
};
use roommate_protocol::h264::avcc::{Configuration, LengthSize};
use roommate_protocol::h264::sets::ParameterSets;

use super::audio::OPUS_HZ;
use crate::source::{AudioFormat, TrackFormat};

/// Why tracks cannot be written into an MP4 file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// No track at all.
    #[error("there is no track to write")]
    Nothing,
    /// Two of one kind.
    #[error("one track of pictures and one of sound is all that can be written")]
    Several,
    /// A codec that is not H.264, AAC or Opus, or whose decoder configuration makes no sense.
    #[error("a track of codec '{0}' cannot be written")]
    Codec(String),
}

/// Says whether tracks can be written, and which of them leads: the pictures, or else the sound.
pub(super) fn leading(formats: &[TrackFormat]) -> Result<usize, Unwritable> {
    let pictures = |format: &TrackFormat| matches!(format, TrackFormat::Video(_));
    let video = formats.iter().filter(|format| pictures(format)).count();
    if formats.is_empty() {
        return Err(Unwritable::Nothing);
    }
    if video > 1 || formats.len() - video > 1 {
        return Err(Unwritable::Several);
    }
    for format in formats {
        match format {
            TrackFormat::Video(video) if video.codec.starts_with("avc") => {}
            TrackFormat::Video(video) => return Err(Unwritable::Codec(video.codec.clone())),
            TrackFormat::Audio(audio) => {
                sound(audio).ok_or_else(|| Unwritable::Codec(audio.codec.clone()))?;
            }
        }
    }
    Ok(formats.iter().position(pictures).unwrap_or(0))
}

/// The entry of H.264.
///
/// `avc1` and not `avc3`, because Apple's and Microsoft's players know only that; the pictures keep
/// their parameter sets all the same. Strictly `avc1` has them in `avcC` alone, but every player
/// reads both, and a change of size in the middle of a broadcast, or a jump back before it, plays.
pub(super) fn pictures(
    sets: &ParameterSets,
    width: u16,
    height: u16,
) -> Result<Codec, mp4_atom::Error> {
    let configuration = Configuration { length_size: LengthSize::Four, sets: sets.clone() };
    let avcc = configuration.build().map_err(|_| mp4_atom::Error::MissingBox(Avcc::KIND))?;
    let visual = Visual { data_reference_index: 1, width, height, ..Visual::default() };
    Ok(Avc1 { visual, avcc: Avcc::decode_body(&mut &avcc[..])?, ..Avc1::default() }.into())
}

/// The entry of a track of sound; `None` for codecs that have none here.
pub(super) fn sound(format: &AudioFormat) -> Option<Codec> {
    let opus = format.codec == "opus";
    if format.channels == 0 || format.sample_rate == 0 {
        return None;
    }
    let rate = if opus { OPUS_HZ } else { format.sample_rate };
    let audio = Audio {
        data_reference_index: 1,
        channel_count: format.channels.into(),
        sample_size: 16,
        // Rates above do not fit this field, and are in the decoder's configuration all the same.
        sample_rate: FixedPoint::from(u16::try_from(rate).unwrap_or(0)),
    };
    if opus {
        return Some(Opus { audio, dops: dops(format)?, btrt: None }.into());
    }
    if !format.codec.starts_with("mp4a.40.") || format.description.len() < 2 {
        return None;
    }
    let raw = format.description.to_vec();
    let dec_config = DecoderConfig {
        object_type_indication: 0x40,
        // An audio stream (14496-1, table 6).
        stream_type: 5,
        dec_specific: Some(DecoderSpecific { raw, ..DecoderSpecific::default() }),
        ..DecoderConfig::default()
    };
    let es_desc =
        EsDescriptor { dec_config, sl_config: SLConfig::default(), ..EsDescriptor::default() };
    Some(Mp4a { audio, esds: Esds { es_desc }, btrt: None, taic: None }.into())
}

/// The configuration of Opus. Its pre-skip is 0, because packets are written with the time at which
/// their sound is heard, and a recording begins in the middle of a stream anyway.
fn dops(format: &AudioFormat) -> Option<Dops> {
    let plain = Dops {
        output_channel_count: format.channels,
        pre_skip: 0,
        input_sample_rate: OPUS_HZ,
        output_gain: 0,
        channel_mapping: None,
    };
    let [head @ .., family, streams, coupled] = format.description.get(..21).unwrap_or_default()
    else {
        return (format.channels <= 2).then_some(plain);
    };
    if !head.starts_with(b"OpusHead") || head[9] != format.channels {
        return None;
    }
    let mapping = OpusChannelMapping {
        family: *family,
        stream_count: *streams,
        coupled_count: *coupled,
        channel_mapping: format.description.get(21..)?.to_vec(),
    };
    let sound = mapping.family != 0
        && mapping.channel_mapping.len() == usize::from(format.channels)
        && mapping.stream_count > 0
        && mapping.coupled_count <= mapping.stream_count;
    sound.then_some(Dops { channel_mapping: Some(mapping), ..plain })
}
