//! Which streams of a program are taken: the first H.264 and the first AAC or Opus; and why a
//! program cannot be sent.
//!
//! Subtitles, data and further sound are left out. What is picture or sound and cannot be carried
//! is refused only where nothing of its kind can.

use super::error::TsError;
use super::psi::Stream;

/// How sound is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sound {
    /// AAC in ADTS.
    Aac,
    /// Opus of one or two channels.
    Opus { channels: u8 },
}

/// The streams that are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Program {
    /// PID of the pictures.
    pub(super) video: Option<u16>,
    /// PID of the sound.
    pub(super) sound: Option<(u16, Sound)>,
}

/// Registered names of what travels as private data (stream type 6), and what they mean.
const REGISTERED: [(&[u8; 4], Holds); 4] = [
    (b"AV01", Holds::Video("AV1")),
    (b"HEVC", Holds::Video("HEVC")),
    (b"AC-3", Holds::Sound("AC-3")),
    (b"EAC3", Holds::Sound("E-AC-3")),
];

#[derive(Clone, Copy, Debug)]
enum Holds {
    H264,
    Heard(Sound),
    Latm,
    OpusChannels(u8),
    Video(&'static str),
    Sound(&'static str),
    Nothing,
}

/// Chooses; `None` for a program without picture and sound.
pub(super) fn choose(streams: &[Stream<'_>]) -> Result<Option<Program>, TsError> {
    let mut program = Program::default();
    let (mut no_video, mut no_sound) = (None, None);
    for stream in streams {
        match holds(stream) {
            Holds::H264 => program.video = program.video.or(Some(stream.pid)),
            Holds::Heard(sound) => program.sound = program.sound.or(Some((stream.pid, sound))),
            Holds::Latm => no_sound = no_sound.or(Some(TsError::Latm)),
            Holds::OpusChannels(n) => no_sound = no_sound.or(Some(TsError::OpusChannels(n))),
            Holds::Video(name) => no_video = no_video.or(Some(TsError::Video(name))),
            Holds::Sound(name) => no_sound = no_sound.or(Some(TsError::Sound(name))),
            Holds::Nothing => {}
        }
    }
    match (program.video, program.sound, no_video, no_sound) {
        (None, _, Some(why), _) | (_, None, _, Some(why)) => Err(why),
        (None, None, None, None) => Ok(None),
        _ => Ok(Some(program)),
    }
}

/// By stream type (13818-1, table 2-34), and by descriptor where that says only "private".
fn holds(stream: &Stream<'_>) -> Holds {
    match stream.kind {
        0x1b => Holds::H264,
        0x0f => Holds::Heard(Sound::Aac),
        0x11 => Holds::Latm,
        0x01 => Holds::Video("MPEG-1"),
        0x02 => Holds::Video("MPEG-2"),
        0x10 => Holds::Video("MPEG-4 part 2"),
        0x24 => Holds::Video("HEVC"),
        0x33 => Holds::Video("VVC"),
        0xd1 => Holds::Video("Dirac"),
        0xea => Holds::Video("VC-1"),
        0x03 | 0x04 => Holds::Sound("MPEG audio (MP2, MP3)"),
        0x81 => Holds::Sound("AC-3"),
        0x82 | 0x85 | 0x86 => Holds::Sound("DTS"),
        0x87 => Holds::Sound("E-AC-3"),
        // Encrypted AAC and H.264 of HLS "sample AES".
        0xcf => Holds::Sound("encrypted"),
        0xdb => Holds::Video("encrypted"),
        0x06 => private(stream),
        _ => Holds::Nothing,
    }
}

fn private(stream: &Stream<'_>) -> Holds {
    let name = stream.descriptor(0x05).and_then(|name| name.get(..4));
    if name == Some(b"Opus") {
        // Extension 0x80: how many channels (ETSI TS 101 154 has none; as ffmpeg writes it).
        return match stream.descriptor(0x7f) {
            Some([0x80, channels @ 1..=2, ..]) => Holds::Heard(Sound::Opus { channels: *channels }),
            Some([0x80, 0, ..]) => Holds::OpusChannels(2),
            Some([0x80, channels, ..]) => Holds::OpusChannels(*channels),
            // Nothing said: what packets hold is at most stereo then.
            _ => Holds::Heard(Sound::Opus { channels: 2 }),
        };
    }
    let known = REGISTERED.iter().find(|(known, _)| name == Some(&known[..]));
    match known {
        Some((_, holds)) => *holds,
        None if stream.descriptor(0x6a).is_some() => Holds::Sound("AC-3"),
        None if stream.descriptor(0x7a).is_some() => Holds::Sound("E-AC-3"),
        None if stream.descriptor(0x7b).is_some() => Holds::Sound("DTS"),
        None => Holds::Nothing,
    }
}
