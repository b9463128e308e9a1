//! Finds the H.264 track and the track of sound in the `moov` of an MP4 file, and what stands in
//! the way if there is none.
//!
//! Other tracks are looked at only to name what they hold. Bound: borrows the `moov` that was read;
//! keeps at most [`ENTRIES_MAX`] sample entries.

use mp4_atom::{Elst, Mdhd, Mvhd, Tkhd, Trex};
use roommate_protocol::h264::avcc::Configuration;

use super::audio::{self, SoundError};
use super::boxes::{Kind, child, children, descend, leaf};
use super::error::Mp4Error;
use super::ticks::narrowed;
use crate::source::AudioFormat;

/// Sample entries of one track. Edited files have two or three; each is a decoder configuration.
const ENTRIES_MAX: usize = 64;

/// Bytes of a `VisualSampleEntry` before its boxes (14496-12, 12.1.3.2).
const VISUAL_ENTRY_BYTES: usize = 78;

/// What of a file can be sent: at least one of the two.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) video: Option<Video<'a>>,
    pub(super) sound: Option<Sound<'a>>,
    /// Why there is no sound, where the file has some.
    pub(super) no_sound: Option<SoundError>,
}

/// The H.264 track.
#[derive(Debug)]
pub(super) struct Video<'a> {
    pub(super) track: Track<'a>,
    /// By sample description index, from 1; `None`: not H.264.
    pub(super) entries: Vec<Option<Configuration>>,
}

/// The track of AAC or Opus.
#[derive(Debug)]
pub(super) struct Sound<'a> {
    pub(super) track: Track<'a>,
    pub(super) format: AudioFormat,
    /// The sample description, from 0, that the format is of; packets of others are left out.
    pub(super) entry: u16,
}

/// A track of a file.
#[derive(Debug)]
pub(super) struct Track<'a> {
    pub(super) id: u32,
    pub(super) timescale: u32,
    pub(super) edit: Option<Edit>,
    /// Media time that is presented first, in the timescale.
    start: i64,
    /// When it is presented, in nanoseconds of the movie.
    delay_ns: i128,
    /// Content of its `stbl`.
    pub(super) tables: &'a [u8],
    /// What fragments take for granted.
    pub(super) defaults: Trex,
    /// The file says that fragments may follow.
    pub(super) fragmented: bool,
}

impl Track<'_> {
    /// When the file presents this media time, in nanoseconds of the movie that both tracks share.
    pub(super) fn presented_ns(&self, pts: i64) -> i128 {
        let ticks = i128::from(pts) - i128::from(self.start);
        ticks * 1_000_000_000 / i128::from(self.timescale) + self.delay_ns
    }

    /// The media time that is presented then.
    pub(super) fn media_time(&self, presented_ns: i128) -> i64 {
        let scaled = (presented_ns - self.delay_ns) * i128::from(self.timescale);
        narrowed((scaled + 500_000_000).div_euclid(1_000_000_000) + i128::from(self.start))
    }
}

/// What an edit list asks for: the part of the track to play, in its timescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) start: i64,
    /// `None`: to the end.
    pub(super) end: Option<i64>,
}

/// The first H.264 track and the first track of AAC or Opus of a `moov`.
pub(super) fn find(moov: &[u8]) -> Result<Found<'_>, Mp4Error> {
    let mut found = Found { video: None, sound: None, no_sound: None };
    let mut other = None;
    for (_, trak) in children(moov).filter(|(kind, _)| kind == b"trak") {
        // Read here and not by the crate: its name is text in any encoding, which we do not need.
        match descend(trak, &[b"mdia", b"hdlr"]).and_then(|hdlr| hdlr.get(8..12)) {
            Some(b"vide") if found.video.is_none() => match pictures(trak)? {
                Holds::H264(entries) => {
                    found.video = Some(Video { track: read(moov, trak)?, entries });
                }
                Holds::Other(kind) => other = other.or(Some(kind)),
                Holds::Nothing => {}
            },
            Some(b"soun") if found.sound.is_none() => match sound(moov, trak) {
                Ok(sound) => found.sound = sound,
                Err(why) => found.no_sound = found.no_sound.or(Some(why)),
            },
            _ => {}
        }
    }
    if found.sound.is_some() {
        found.no_sound = None;
    }
    match (other, &found) {
        (_, Found { video: Some(_), .. }) | (None, Found { sound: Some(_), .. }) => Ok(found),
        (None, Found { no_sound: Some(why), .. }) => Err(Mp4Error::Sound(why.clone())),
        (None, _) => Err(Mp4Error::Nothing),
        (Some(kind), _) if kind == *b"encv" => Err(Mp4Error::Encrypted),
        (Some(kind), _) if matches!(&kind, b"hvc1" | b"hev1" | b"dvh1" | b"dvhe") => {
            Err(Mp4Error::Hevc)
        }
        (Some(kind), _) => Err(Mp4Error::Codec(kind.escape_ascii().to_string())),
    }
}

/// What a track of pictures holds.
enum Holds {
    H264(Vec<Option<Configuration>>),
    /// Another codec, or encrypted: the name of its sample entry.
    Other(Kind),
    Nothing,
}

/// The sample entries of a track.
fn sample_entries(trak: &[u8]) -> impl Iterator<Item = (Kind, &[u8])> {
    let stsd = descend(trak, &[b"mdia", b"minf", b"stbl", b"stsd"]);
    children(stsd.and_then(|stsd| stsd.get(8..)).unwrap_or_default()).take(ENTRIES_MAX)
}

fn pictures(trak: &[u8]) -> Result<Holds, Mp4Error> {
    let mut entries = Vec::new();
    let mut other = None;
    for (kind, entry) in sample_entries(trak) {
        if kind == *b"avc1" || kind == *b"avc3" {
            let boxes = entry.get(VISUAL_ENTRY_BYTES..).unwrap_or_default();
            let avcc = child(boxes, b"avcC").ok_or(Mp4Error::Broken("avcC box"))?;
            entries.push(Some(Configuration::parse(avcc).map_err(Mp4Error::Configuration)?));
        } else {
            other = other.or(Some(kind));
            entries.push(None);
        }
    }
    Ok(match other {
        _ if entries.iter().any(Option::is_some) => Holds::H264(entries),
        Some(kind) => Holds::Other(kind),
        None => Holds::Nothing,
    })
}

/// The sound of a track, `None` if it says nothing of what it holds.
fn sound<'a>(moov: &'a [u8], trak: &'a [u8]) -> Result<Option<Sound<'a>>, SoundError> {
    let track = read(moov, trak).map_err(|_| SoundError::Broken("track header"))?;
    let mut why = None;
    for ((kind, entry), number) in sample_entries(trak).zip(0..) {
        match audio::look(kind, entry, track.timescale) {
            Ok(format) => return Ok(Some(Sound { track, format, entry: number })),
            Err(error) => why = why.or(Some(error)),
        }
    }
    why.map_or(Ok(None), Err)
}

fn read<'a>(moov: &'a [u8], trak: &'a [u8]) -> Result<Track<'a>, Mp4Error> {
    let movie_scale = child(moov, b"mvhd").and_then(leaf::<Mvhd>).map_or(0, |mvhd| mvhd.timescale);
    let id =
        child(trak, b"tkhd").and_then(leaf::<Tkhd>).ok_or(Mp4Error::Broken("tkhd box"))?.track_id;
    let timescale = descend(trak, &[b"mdia", b"mdhd"])
        .and_then(leaf::<Mdhd>)
        .map(|mdhd| mdhd.timescale)
        .filter(|&scale| scale > 0)
        .ok_or(Mp4Error::Broken("time scale"))?;
    let tables = descend(trak, &[b"mdia", b"minf", b"stbl"]).unwrap_or_default();
    let mvex = child(moov, b"mvex");
    let defaults = children(mvex.unwrap_or_default())
        .filter(|(kind, _)| kind == b"trex")
        .filter_map(|(_, body)| leaf::<Trex>(body))
        .find(|trex| trex.track_id == id)
        .unwrap_or_default();
    let list = descend(trak, &[b"edts", b"elst"]).and_then(leaf::<Elst>).unwrap_or_default();
    let edit = edit(&list, movie_scale, timescale);
    let start = list.entries.iter().find_map(|entry| entry.media_time).unwrap_or(0);
    let start = i64::try_from(start).unwrap_or(0);
    let delay: u64 = list
        .entries
        .iter()
        .take_while(|entry| entry.media_time.is_none())
        .fold(0, |sum, entry| sum.saturating_add(entry.segment_duration));
    let delay_ns = i128::from(delay) * 1_000_000_000 / i128::from(movie_scale.max(1));
    let fragmented = mvex.is_some();
    Ok(Track { id, timescale, edit, start, delay_ns, tables, defaults, fragmented })
}

/// One stretch of media, perhaps behind an empty edit, is followed. A list that cuts and joins is
/// not: pictures are passed through, and a cut between keyframes cannot be.
fn edit(list: &Elst, movie_scale: u32, timescale: u32) -> Option<Edit> {
    let mut stretches = list.entries.iter().filter_map(|entry| Some((entry.media_time?, entry)));
    let (start, entry) = stretches.next()?;
    if stretches.next().is_some() {
        tracing::warn!("the file's edit list joins several parts; it is played from end to end");
        return None;
    }
    let start = i64::try_from(start).ok()?;
    let length =
        u128::from(entry.segment_duration) * u128::from(timescale) / u128::from(movie_scale.max(1));
    let end = i64::try_from(length).ok().filter(|&length| length > 0);
    Some(Edit { start, end: end.and_then(|length| start.checked_add(length)) })
}
