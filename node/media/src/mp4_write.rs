//! The boxes of a fragmented MP4 with one H.264 track: header, fragments and, at the end, the index
//! for seeking (ISO/IEC 14496-12, 8.8). Bytes only: files are the sink's.
//!
//! Bound: a fragment holds what the sink has collected, the seek index [`SEEK_POINTS_MAX`] entries.

use mp4_atom::{
    Atom, Avc1, Avcc, Codec, Dinf, Dref, Edts, Elst, ElstEntry, Encode, FourCC, FragmentInfo, Ftyp,
    Hdlr, Mdhd, Mdia, Mfhd, Mfra, Minf, Moof, Moov, Mvex, Mvhd, Stbl, Stco, Stsc, Stsd, Stsz, Stts,
    Tfdt, Tfhd, Tfra, Tkhd, Traf, Trak, Trex, Trun, TrunEntry, Url, Visual, Vmhd,
};
use roommate_protocol::h264::avcc::{Configuration, LengthSize};
use roommate_protocol::h264::sets::ParameterSets;

/// Places to seek to that the index at the end names. Past it every other one is dropped, so that a
/// recording of weeks still seeks to within a minute.
const SEEK_POINTS_MAX: usize = 16_384;

const TRACK: u32 = 1;

/// `sample_depends_on` 2: a keyframe (8.8.3.1).
const FLAGS_KEY: u32 = 0x0200_0000;
/// `sample_depends_on` 1, and not a sync sample.
const FLAGS_OTHER: u32 = 0x0101_0000;

/// What the header says of the track.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) timescale: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Presentation minus decoding time of the first picture: an edit list takes it away, so that
    /// the first picture is shown at 0.
    pub(super) first_offset: i32,
}

/// One picture of a fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) offset: i32,
    pub(super) keyframe: bool,
}

/// `ftyp` and `moov`.
///
/// `avc1` and not `avc3`, because Apple's and Microsoft's players know only that; the pictures keep
/// their parameter sets all the same. Strictly `avc1` has them in `avcC` alone, but every player
/// reads both, and a change of size in the middle of a broadcast, or a jump back before it, plays.
/// The empty tables are there because Firefox refuses a file without `stco`.
pub(super) fn header(what: &Header, sets: &ParameterSets) -> Result<Vec<u8>, mp4_atom::Error> {
    let stbl = tables(what, sets)?;
    let dinf = Dinf { dref: Dref { entries: vec![Url::default().into()] } };
    let mdia = Mdia {
        mdhd: Mdhd { timescale: what.timescale, language: "und".into(), ..Mdhd::default() },
        hdlr: Hdlr { handler: FourCC::new(b"vide"), name: "Roommate".into() },
        minf: Minf { vmhd: Some(Vmhd::default()), dinf, stbl, ..Minf::default() },
    };
    let tkhd = Tkhd {
        track_id: TRACK,
        width: short(what.width).into(),
        height: short(what.height).into(),
        enabled: true,
        in_movie: true,
        ..Tkhd::default()
    };
    let edit = |first: u64| Edts {
        // A duration of 0 in a fragmented file: to the end, however long it gets (8.6.6.1).
        elst: Some(Elst {
            entries: vec![ElstEntry {
                segment_duration: 0,
                media_time: Some(first),
                media_rate: 1.into(),
            }],
        }),
    };
    let first_offset = u64::try_from(what.first_offset).ok().filter(|&first| first > 0);
    let trak = Trak { tkhd, edts: first_offset.map(edit), mdia, ..Trak::default() };
    let trex = Trex { track_id: TRACK, default_sample_description_index: 1, ..Trex::default() };
    let moov = Moov {
        mvhd: Mvhd { timescale: 1000, next_track_id: TRACK + 1, rate: 1.into(), ..Mvhd::default() },
        trak: vec![trak],
        mvex: Some(Mvex { mehd: None, trex: vec![trex] }),
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

/// The sample entry, and tables that are empty because the pictures are in fragments.
fn tables(what: &Header, sets: &ParameterSets) -> Result<Stbl, mp4_atom::Error> {
    let configuration = Configuration { length_size: LengthSize::Four, sets: sets.clone() };
    let avcc = configuration.build().map_err(|_| mp4_atom::Error::MissingBox(Avcc::KIND))?;
    let (width, height) = (short(what.width), short(what.height));
    let visual = Visual { data_reference_index: 1, width, height, ..Visual::default() };
    let avc1 = Avc1 { visual, avcc: Avcc::decode_body(&mut &avcc[..])?, ..Avc1::default() };
    Ok(Stbl {
        stsd: Stsd { codecs: vec![Codec::Avc1(avc1)] },
        stts: Stts::default(),
        stsc: Stsc::default(),
        stsz: Stsz::default(),
        stco: Some(Stco::default()),
        ..Stbl::default()
    })
}

/// A side of a picture is at most 3840.
fn short(side: u32) -> u16 {
    u16::try_from(side).unwrap_or(u16::MAX)
}

/// `moof` and `mdat` in one piece.
pub(super) fn fragment(
    number: u32,
    dts: u64,
    pictures: &[Picture],
    data: &[u8],
) -> Result<Vec<u8>, mp4_atom::Error> {
    let entries: Vec<TrunEntry> = pictures
        .iter()
        .map(|picture| TrunEntry {
            duration: Some(picture.duration),
            size: Some(picture.size),
            flags: Some(if picture.keyframe { FLAGS_KEY } else { FLAGS_OTHER }),
            cts: Some(picture.offset.into()),
        })
        .collect();
    let mut moof = Moof {
        mfhd: Mfhd { sequence_number: number },
        traf: vec![Traf {
            tfhd: Tfhd { track_id: TRACK, default_base_is_moof: true, ..Tfhd::default() },
            tfdt: Some(Tfdt { base_media_decode_time: dts }),
            trun: vec![Trun { data_offset: Some(0), samples: entries.into() }],
            ..Traf::default()
        }],
    };
    // Encoded twice: how far the pictures are from its begin is known when its length is.
    let mut out = Vec::with_capacity(data.len() + 128 + pictures.len() * 16);
    moof.encode(&mut out)?;
    let to_data =
        i32::try_from(out.len() + 8).map_err(|_| mp4_atom::Error::TooLarge(Moof::KIND))?;
    moof.traf[0].trun[0].data_offset = Some(to_data);
    out.clear();
    moof.encode(&mut out)?;
    let mdat = FourCC::new(b"mdat");
    let length = u32::try_from(data.len() + 8).map_err(|_| mp4_atom::Error::TooLarge(mdat))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(mdat.as_ref());
    out.extend_from_slice(data);
    Ok(out)
}

/// Where fragments that begin with a keyframe lie.
#[derive(Debug, Default)]
pub(super) struct SeekIndex {
    points: Vec<FragmentInfo>,
}

impl SeekIndex {
    pub(super) fn add(&mut self, pts: u64, offset: u64) {
        if self.points.len() == SEEK_POINTS_MAX {
            let mut keep = false;
            self.points.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.points.push(FragmentInfo {
            time: pts,
            moof_offset: offset,
            traf_number: 1,
            trun_number: 1,
            sample_delta: 1,
        });
    }

    /// The `mfra` box that ends the file.
    pub(super) fn encode(self) -> Result<Vec<u8>, mp4_atom::Error> {
        let mut mfra =
            Mfra { tfra: vec![Tfra { track_id: TRACK, entries: self.points }], ..Mfra::default() };
        let mut out = Vec::new();
        mfra.encode(&mut out)?;
        // Its own length, last in the file, is how players find it from the end.
        mfra.mfro.parent_size =
            u32::try_from(out.len()).map_err(|_| mp4_atom::Error::TooLarge(Mfra::KIND))?;
        out.clear();
        mfra.encode(&mut out)?;
        Ok(out)
    }
}
