//! Pictures in, H.264 access units out: constrained baseline, one slice, no reordering, Annex-B,
//! parameter sets with every keyframe.
//!
//! It drops no picture. Bitrate is held by quality alone; keyframes come when asked for, and when
//! the longest group is over, never by the encoder's own idea of a new scene (a group that nobody
//! asked for costs every viewer ten pictures' worth of bits).

use bytes::Bytes;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod,
    RateControlMode, VuiConfig,
};
use openh264::{OpenH264API, Timestamp};

use super::openh264_raw;
use super::picture::Picture;
use super::source::SourceError;

/// What the encoder is set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderSettings {
    /// Pictures a second that the bitrate is shared out over.
    pub fps: u32,
    /// Kilobits a second.
    pub kbits: u32,
    /// Pictures from one keyframe to the next at most.
    pub gop_pictures: u32,
}

/// One encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Whether decoding can begin here.
    pub keyframe: bool,
    /// Annex-B.
    pub data: Bytes,
}

/// An encoder for pictures of one size.
pub struct H264Encoder {
    encoder: Encoder,
    started: bool,
    kbits: u32,
    /// Reused, so that a picture costs one allocation of its own size.
    scratch: Vec<u8>,
}

impl H264Encoder {
    /// Sets an encoder up; it starts with its first picture, which gives it its size.
    pub fn new(settings: EncoderSettings) -> Result<Self, SourceError> {
        let config = EncoderConfig::new()
            .rate_control_mode(RateControlMode::Bitrate)
            .bitrate(BitRate::from_bps(settings.kbits.saturating_mul(1_000)))
            .max_frame_rate(FrameRate::from_hz(settings.fps as f32))
            .intra_frame_period(IntraFramePeriod::from_num_frames(settings.gop_pictures))
            .complexity(Complexity::Low)
            .skip_frames(false)
            .scene_change_detect(false)
            .vui(VuiConfig::bt709());
        let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|error| failed("starting", &error))?;
        openh264_raw::silence(&mut encoder);
        Ok(Self { encoder, started: false, kbits: settings.kbits, scratch: Vec::new() })
    }

    /// Encodes one picture, `at_ms` milliseconds after the first; later than the one before.
    ///
    /// The picture must have the size of the first.
    pub fn encode(
        &mut self,
        picture: &Picture,
        at_ms: u64,
        keyframe: bool,
    ) -> Result<Encoded, SourceError> {
        // The library makes its encoder with the first picture and must not be asked before; the
        // first one is a keyframe anyway.
        if keyframe && self.started {
            self.encoder.force_intra_frame();
        }
        let stream = self
            .encoder
            .encode_at(picture, Timestamp::from_millis(at_ms))
            .map_err(|error| failed("encoding", &error))?;
        let kind = stream.frame_type();
        self.scratch.clear();
        stream.write_vec(&mut self.scratch);
        self.started = true;
        if self.scratch.is_empty() {
            let why = format!("it made nothing of a picture ({kind:?})");
            return Err(SourceError::Encoder { doing: "encoding", why });
        }
        let data = Bytes::copy_from_slice(&self.scratch);
        Ok(Encoded { keyframe: kind == FrameType::IDR, data })
    }

    /// Changes the bitrate from the next picture on; no keyframe comes of it.
    pub fn set_kbits(&mut self, kbits: u32) {
        if self.started && kbits != self.kbits {
            self.kbits = kbits;
            let bits = i32::try_from(kbits.saturating_mul(1_000)).unwrap_or(i32::MAX);
            openh264_raw::set_bitrate(&mut self.encoder, bits);
        }
    }
}

fn failed(doing: &'static str, error: &openh264::Error) -> SourceError {
    SourceError::Encoder { doing, why: error.to_string() }
}

/// What the stream of an encoder that begins with `picture` is called. By an encoder of its own: the
/// broadcast's must not have spent bits on it.
pub(super) fn codec_of(
    settings: EncoderSettings,
    picture: &Picture,
) -> Result<String, SourceError> {
    let first = H264Encoder::new(settings)?.encode(picture, 0, false)?;
    codec_name(&first.data).ok_or_else(|| SourceError::Encoder {
        doing: "starting",
        why: "its first picture has no parameter sets".to_owned(),
    })
}

/// The codec's name as WebCodecs has it, from an access unit that begins with its parameter sets.
fn codec_name(keyframe: &[u8]) -> Option<String> {
    let start = keyframe.windows(5).position(|w| w[..4] == [0, 0, 0, 1] && w[4] & 0x1F == 7)?;
    let [profile, constraints, level] = keyframe.get(start + 5..start + 8)?.try_into().ok()?;
    Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
}
