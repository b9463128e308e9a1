//! What is wrong with a transport stream, each in a sentence behind "cannot send FILE: ".

use roommate_protocol::h264::access_unit::SplitError;
use roommate_protocol::h264::sps::NotPlayable;
use roommate_protocol::limits::ACCESS_UNIT_BYTES_MAX;

use super::KEYFRAME_WAIT_S;

/// What is wrong with a transport stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum TsError {
    #[error("it is empty")]
    Empty,
    #[error("it is not an MPEG transport stream: have ffmpeg write one with '-f mpegts'")]
    NotTs,
    #[error("it has no picture or sound that could be sent: give ffmpeg '-c:v libx264 -c:a aac'")]
    NoTracks,
    #[error("its video is {0}, not H.264: give ffmpeg '-c:v libx264 -pix_fmt yuv420p'")]
    Video(&'static str),
    #[error("its sound is {0}, not AAC or Opus: give ffmpeg '-c:a aac'")]
    Sound(&'static str),
    #[error(
        "its sound is AAC in LATM, which browsers do not play: give ffmpeg '-c:a aac -f mpegts'"
    )]
    Latm,
    #[error(
        "its sound is Opus of {0} channels in several streams: give ffmpeg '-c:a libopus -ac 2'"
    )]
    OpusChannels(u8),
    #[error("its keyframes need more parameter sets than any encoder writes: it is broken")]
    Sets,
    #[error("its sound is AAC of unusual channels: give ffmpeg '-c:a aac -ac 2'")]
    AacChannels,
    #[error("it is encrypted: only streams without copy protection can be sent")]
    Encrypted,
    #[error(
        "no keyframe (IDR) came within {KEYFRAME_WAIT_S} s, so nobody could start to watch: give ffmpeg '-c:v libx264 -g 60 -x264-params intra-refresh=0:open-gop=0'"
    )]
    NoKeyframe,
    #[error("its pictures or its sound have no time stamps: give ffmpeg '-fflags +genpts'")]
    NoTimes,
    #[error("{0}: give ffmpeg '-vf yadif=deint=1 -c:v libx264 -pix_fmt yuv420p'")]
    NotPlayable(#[from] NotPlayable),
    #[error("{0}")]
    Split(#[from] SplitError),
    #[error(
        "a picture has more than {ACCESS_UNIT_BYTES_MAX} bytes: give ffmpeg '-maxrate 20M -bufsize 20M'"
    )]
    TooLong,
    #[error(
        "its sound changes from {0} to {1}, which viewers cannot follow: give ffmpeg '-c:a aac -ar 48000 -ac 2'"
    )]
    SoundChanges(String, String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}
