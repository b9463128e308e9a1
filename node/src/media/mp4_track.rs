//! Finds the H.264 track in the `moov` of an MP4 file, and what stands in the way if there is none.
//!
//! Other tracks are looked at only to name what they hold. Bound: borrows the `moov` that was read;
//! keeps at most [`ENTRIES_MAX`] sample entries.

use mp4_atom::{Elst, Mdhd, Mvhd, Tkhd, Trex};
use roommate_protocol::h264::avcc::Configuration;

use super::mp4_boxes::{Kind, child, children, descend, leaf};
use super::mp4_error::Mp4Error;

/// Sample entries of one track. Edited files have two or three; each is a decoder configuration.
const ENTRIES_MAX: usize = 64;

/// Bytes of a `VisualSampleEntry` before its boxes (14496-12, 12.1.3.2).
const VISUAL_ENTRY_BYTES: usize = 78;

/// The H.264 track of a file.
#[derive(Debug)]
pub(super) struct Track<'a> {
    pub(super) id: u32,
    pub(super) timescale: u32,
    /// By sample description index, from 1; `None`: not H.264.
    pub(super) entries: Vec<Option<Configuration>>,
    pub(super) edit: Option<Edit>,
    /// Content of its `stbl`.
    pub(super) tables: &'a [u8],
    /// What fragments take for granted.
    pub(super) defaults: Trex,
    /// The file says that fragments may follow.
    pub(super) fragmented: bool,
}

/// What an edit list asks for: the part of the track to play, in its timescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) start: i64,
    /// `None`: to the end.
    pub(super) end: Option<i64>,
}

/// What a track holds.
enum Holds {
    H264(Vec<Option<Configuration>>),
    /// Another codec, or encrypted: the name of its sample entry.
    Other(Kind),
    NoVideo,
}

/// The first H.264 track of a `moov`.
pub(super) fn find(moov: &[u8]) -> Result<Track<'_>, Mp4Error> {
    let movie_scale = child(moov, b"mvhd").and_then(leaf::<Mvhd>).map_or(0, |mvhd| mvhd.timescale);
    let mut other = None;
    for (_, trak) in children(moov).filter(|(kind, _)| kind == b"trak") {
        match look(trak)? {
            Holds::H264(entries) => return read(moov, trak, entries, movie_scale),
            Holds::Other(kind) => other = other.or(Some(kind)),
            Holds::NoVideo => {}
        }
    }
    Err(match other {
        None => Mp4Error::NoVideo,
        Some(kind) if kind == *b"encv" => Mp4Error::Encrypted,
        Some(kind) if matches!(&kind, b"hvc1" | b"hev1" | b"dvh1" | b"dvhe") => Mp4Error::Hevc,
        Some(kind) => Mp4Error::Codec(kind.escape_ascii().to_string()),
    })
}

fn look(trak: &[u8]) -> Result<Holds, Mp4Error> {
    // Read here and not by the crate: its name is text in any encoding, which we do not need.
    let handler = descend(trak, &[b"mdia", b"hdlr"]).and_then(|hdlr| hdlr.get(8..12));
    if handler != Some(b"vide") {
        return Ok(Holds::NoVideo);
    }
    let Some(stsd) = descend(trak, &[b"mdia", b"minf", b"stbl", b"stsd"]) else {
        return Ok(Holds::NoVideo);
    };
    let mut entries = Vec::new();
    let mut other = None;
    for (kind, entry) in children(stsd.get(8..).unwrap_or_default()).take(ENTRIES_MAX) {
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
        None => Holds::NoVideo,
    })
}

fn read<'a>(
    moov: &'a [u8],
    trak: &'a [u8],
    entries: Vec<Option<Configuration>>,
    movie_scale: u32,
) -> Result<Track<'a>, Mp4Error> {
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
    let edit = descend(trak, &[b"edts", b"elst"])
        .and_then(leaf::<Elst>)
        .and_then(|list| edit(&list, movie_scale, timescale));
    let fragmented = mvex.is_some();
    Ok(Track { id, timescale, entries, edit, tables, defaults, fragmented })
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
