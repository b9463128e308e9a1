//! What is wrong with a file, in words that stand behind "cannot send FILE: ".

use roommate_protocol::h264::avcc::AvccError;
use roommate_protocol::h264::sps::NotPlayable;

use super::audio::SoundError;
use super::boxes::INDEX_BYTES_MAX;
use super::index::What;

/// Why a file cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Mp4Error {
    #[error("it is empty")]
    EmptyFile,
    #[error("it is not an MP4 file")]
    NotMp4,
    #[error("it has no index (moov box): it was cut short, or its recording was never finished")]
    NoIndex,
    #[error(
        "its index has {0} bytes, more than {INDEX_BYTES_MAX}: cut the file into shorter parts"
    )]
    IndexTooLong(u64),
    #[error("it has neither a video track nor a track of sound")]
    Nothing,
    #[error(
        "it has no video track, and {0}: convert it with 'ffmpeg -i FILE -vn -c:a aac OUT.mp4'"
    )]
    Sound(SoundError),
    #[error(
        "its video is HEVC, not H.264: convert it with 'ffmpeg -i FILE -c:v libx264 -pix_fmt yuv420p OUT.mp4'"
    )]
    Hevc,
    #[error(
        "its video is '{0}', not H.264: convert it with 'ffmpeg -i FILE -c:v libx264 -pix_fmt yuv420p OUT.mp4'"
    )]
    Codec(String),
    #[error("its video is encrypted: only files without copy protection can be sent")]
    Encrypted,
    #[error("its {0} is broken")]
    Broken(&'static str),
    #[error("its decoder configuration is unusable: {0}")]
    Configuration(AvccError),
    #[error("its video track holds no picture")]
    NoPicture,
    #[error("its track of sound is empty")]
    NoSound,
    #[error(
        "its index lists more than 8 million pictures and packets: cut the file into shorter parts"
    )]
    TooMany,
    #[error("{what} {number} lies beyond the end of the file: it was cut short")]
    Beyond { what: What, number: usize },
    #[error("its index says that the {0}s are longer than the file itself")]
    Overlap(What),
    #[error("{what} {number} has {bytes} bytes, more than {}", what.bytes_max())]
    TooLong { what: What, number: usize, bytes: u64 },
    #[error("picture {number} is broken: {why}")]
    Picture { number: usize, why: AvccError },
    #[error(
        "no picture in it is a keyframe (IDR) with parameter sets, so nobody could start to watch"
    )]
    NoKeyframe,
    #[error(
        "{0}: convert it with 'ffmpeg -i FILE -vf yadif=deint=1 -c:v libx264 -pix_fmt yuv420p OUT.mp4'"
    )]
    NotPlayable(#[from] NotPlayable),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}
