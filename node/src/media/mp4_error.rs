//! Why an MP4 file cannot be sent, in the sentences that people read (`docs/errors.md`).

use std::path::Path;

use roommate_protocol::h264::avcc::AvccError;
use roommate_protocol::h264::sps::NotPlayable;
use roommate_protocol::limits::ACCESS_UNIT_BYTES_MAX;

use super::mp4_boxes::INDEX_BYTES_MAX;
use super::source::SourceError;

/// What is wrong with a file. Each sentence stands behind "cannot send FILE: ".
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
    #[error("it has no video track")]
    NoVideo,
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
    #[error("its index lists more than 8 million pictures: cut the file into shorter parts")]
    TooMany,
    #[error("picture {number} lies beyond the end of the file: it was cut short")]
    Beyond { number: usize },
    #[error("its index says that the pictures are longer than the file itself")]
    Overlap,
    #[error("picture {number} has {bytes} bytes, more than {ACCESS_UNIT_BYTES_MAX}")]
    TooLong { number: usize, bytes: u64 },
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

/// As whoever plays the source is told it.
pub(super) fn told(path: &Path, why: Mp4Error) -> SourceError {
    match why {
        Mp4Error::Io(source) => SourceError::Read { path: path.to_owned(), source },
        why => unusable(path, &why),
    }
}

/// The file can be read, and not be sent.
pub(super) fn unusable(path: &Path, why: &dyn std::fmt::Display) -> SourceError {
    SourceError::Unusable { path: path.to_owned(), why: why.to_string() }
}
