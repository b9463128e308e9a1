//! The boxes of a fragmented MP4: header and fragments (ISO/IEC 14496-12, 8.8). Bytes only: files
//! are the sink's.
//!
//! Bound: a fragment holds what it is given.

use mp4_atom::{
    Atom, Codec, Dinf, Dref, Edts, Elst, ElstEntry, Encode, FourCC, Ftyp, Hdlr, Mdhd, Mdia, Mfhd,
    Minf, Moof, Moov, Mvex, Mvhd, Smhd, Stbl, Stco, Stsc, Stsd, Stsz, Stts, Tfdt, Tfhd, Tkhd, Traf,
    Trak, Trex, Trun, TrunEntry, Url, Vmhd,
};
use roommate_protocol::h264::sets::ParameterSets;

use super::entry;
use crate::source::{AudioFormat, TrackFormat};

/// `sample_depends_on` 2: a keyframe (8.8.3.1).
const FLAGS_KEY: u32 = 0x0200_0000;
/// `sample_depends_on` 1, and not a sync sample.
const FLAGS_OTHER: u32 = 0x0101_0000;

/// What the header says of the pictures beyond their format.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstPicture<'a> {
    /// Its parameter sets, complete.
    pub(super) sets: &'a ParameterSets,
    /// Presentation minus decoding time: an edit list takes it away, so that the first picture is
    /// shown at 0.
    pub(super) offset: i64,
}

/// One picture or packet of a fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) offset: i32,
    pub(super) keyframe: bool,
}

/// What a fragment holds of one track.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    /// Number of the track, from 0.
    pub(super) track: usize,
    /// Decoding time of its first entry.
    pub(super) dts: i64,
    pub(super) entries: &'a [Entry],
    pub(super) data: &'a [u8],
}

/// `ftyp` and `moov`. The empty tables are there because Firefox refuses a file without `stco`.
///
/// Fails if there are pictures among the formats, but no first one.
pub(super) fn header(
    formats: &[TrackFormat],
    first: Option<FirstPicture<'_>>,
) -> Result<Vec<u8>, mp4_atom::Error> {
    let mut traks = Vec::new();
    for (format, number) in formats.iter().zip(0..) {
        traks.push(match format {
            TrackFormat::Video(_) => {
                let first = first.ok_or(mp4_atom::Error::MissingBox(mp4_atom::Avcc::KIND))?;
                video(number, format.timescale(), first)?
            }
            TrackFormat::Audio(audio) => sound(number, audio)?,
        });
    }
    let trex = |trak: &Trak| Trex {
        track_id: trak.tkhd.track_id,
        default_sample_description_index: 1,
        ..Trex::default()
    };
    let moov = Moov {
        mvhd: Mvhd {
            timescale: 1000,
            next_track_id: track_id(traks.len()),
            rate: 1.into(),
            volume: 1.into(),
            ..Mvhd::default()
        },
        mvex: Some(Mvex { mehd: None, trex: traks.iter().map(trex).collect() }),
        trak: traks,
        ..Moov::default()
    };
    let mut out = Vec::new();
    Ftyp {
        major_brand: FourCC::new(b"iso5"),
        minor_version: 512,
        compatible_brands: [b"iso5", b"iso6", b"mp41", b"avc1"].map(FourCC::new).to_vec(),
    }
    .encode(&mut out)?;
    moov.encode(&mut out)?;
    Ok(out)
}

/// What a file calls the track of this number.
pub(super) fn track_id(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX - 1) + 1
}

fn video(number: usize, timescale: u32, first: FirstPicture<'_>) -> Result<Trak, mp4_atom::Error> {
    let sps = first.sets.first_sps().ok_or(mp4_atom::Error::MissingBox(mp4_atom::Avcc::KIND))?;
    // A side of a picture is at most 3840.
    let short = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    let (width, height) = (short(sps.width), short(sps.height));
    let minf = Minf {
        vmhd: Some(Vmhd::default()),
        ..media_information(entry::pictures(first.sets, width, height)?)
    };
    let edit = |media_time: u64| Edts {
        // A duration of 0 in a fragmented file: to the end, however long it gets (8.6.6.1).
        elst: Some(Elst {
            entries: vec![ElstEntry {
                segment_duration: 0,
                media_time: Some(media_time),
                media_rate: 1.into(),
            }],
        }),
    };
    let offset = u64::try_from(first.offset).ok().filter(|&offset| offset > 0);
    let tkhd = Tkhd { width: width.into(), height: height.into(), ..track_header(number) };
    let mdia = media(timescale, b"vide", minf);
    Ok(Trak { tkhd, edts: offset.map(edit), mdia, ..Trak::default() })
}

fn sound(number: usize, format: &AudioFormat) -> Result<Trak, mp4_atom::Error> {
    let codec = entry::sound(format).ok_or(mp4_atom::Error::MissingBox(Stsd::KIND))?;
    let minf = Minf { smhd: Some(Smhd::default()), ..media_information(codec) };
    let tkhd = Tkhd { volume: 1.into(), alternate_group: 1, ..track_header(number) };
    Ok(Trak { tkhd, mdia: media(format.timescale, b"soun", minf), ..Trak::default() })
}

fn track_header(number: usize) -> Tkhd {
    Tkhd { track_id: track_id(number), enabled: true, in_movie: true, ..Tkhd::default() }
}

fn media(timescale: u32, handler: &[u8; 4], minf: Minf) -> Mdia {
    Mdia {
        mdhd: Mdhd { timescale: timescale.max(1), language: "und".into(), ..Mdhd::default() },
        hdlr: Hdlr { handler: FourCC::new(handler), name: "Roommate".into() },
        minf,
    }
}

/// The sample entry, and tables that are empty because all else is in fragments.
fn media_information(codec: Codec) -> Minf {
    Minf {
        dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
        stbl: Stbl {
            stsd: Stsd { codecs: vec![codec] },
            stts: Stts::default(),
            stsc: Stsc::default(),
            stsz: Stsz::default(),
            stco: Some(Stco::default()),
            ..Stbl::default()
        },
        ..Minf::default()
    }
}

/// `moof` and `mdat` in one piece, each run in a `traf` of its own and one behind the other.
pub(super) fn fragment(number: u32, runs: &[Run<'_>]) -> Result<Vec<u8>, mp4_atom::Error> {
    let data: usize = runs.iter().map(|run| run.data.len()).sum();
    let entries: usize = runs.iter().map(|run| run.entries.len()).sum();
    let mut moof = Moof {
        mfhd: Mfhd { sequence_number: number },
        traf: runs.iter().map(track_fragment).collect(),
    };
    // Encoded twice: how far the data is from its begin is known when its length is.
    let mut out = Vec::with_capacity(data + 256 + entries * 16);
    moof.encode(&mut out)?;
    let mut at = out.len() + 8;
    for (traf, run) in moof.traf.iter_mut().zip(runs) {
        let offset = i32::try_from(at).map_err(|_| mp4_atom::Error::TooLarge(Moof::KIND))?;
        traf.trun[0].data_offset = Some(offset);
        at += run.data.len();
    }
    out.clear();
    moof.encode(&mut out)?;
    let mdat = FourCC::new(b"mdat");
    let length = u32::try_from(data + 8).map_err(|_| mp4_atom::Error::TooLarge(mdat))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(mdat.as_ref());
    for run in runs {
        out.extend_from_slice(run.data);
    }
    Ok(out)
}

fn track_fragment(run: &Run<'_>) -> Traf {
    let entry = |entry: &Entry| TrunEntry {
        duration: Some(entry.duration),
        size: Some(entry.size),
        flags: Some(if entry.keyframe { FLAGS_KEY } else { FLAGS_OTHER }),
        cts: Some(entry.offset.into()),
    };
    let samples: Vec<TrunEntry> = run.entries.iter().map(entry).collect();
    let dts = u64::try_from(run.dts).unwrap_or(0);
    Traf {
        tfhd: Tfhd { track_id: track_id(run.track), default_base_is_moof: true, ..Tfhd::default() },
        tfdt: Some(Tfdt { base_media_decode_time: dts }),
        trun: vec![Trun { data_offset: Some(0), samples: samples.into() }],
        ..Traf::default()
    }
}
