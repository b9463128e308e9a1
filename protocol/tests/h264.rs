//! Sequence parameter sets of real encoders, access units by the letter of the standard, AVCC both
//! ways, and hostile bytes for every parser.

use bytes::Bytes;
use proptest::prelude::*;
use roommate_protocol::h264::access_unit::{AccessUnits, SplitError, Unit};
use roommate_protocol::h264::avcc::{self, AvccError, Configuration, LengthSize};
use roommate_protocol::h264::nal::{BitReader, NalType, nal_type, unescape};
use roommate_protocol::h264::pps::Pps;
use roommate_protocol::h264::sets::ParameterSets;
use roommate_protocol::h264::sps::{NotPlayable, Sps};
use roommate_protocol::h264::{ParseError, annexb, is_keyframe};
use roommate_protocol::limits::ACCESS_UNIT_BYTES_MAX;

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

/// One SPS of libx264 (build 164) and what the encoder was asked for.
struct Vector {
    sps: &'static str,
    codec: &'static str,
    size: (u32, u32),
    coded: (u32, u32),
    fps: (u32, u32),
    reorder: u8,
    playable: Result<(), NotPlayable>,
}

const VECTORS: &[Vector] = &[
    Vector {
        sps: "6742c00dd90141fb011000000300100000030320f142a480",
        codec: "avc1.42c00d",
        size: (320, 240),
        coded: (320, 240),
        fps: (25, 1),
        reorder: 0,
        playable: Ok(()),
    },
    Vector {
        sps: "674d401feca02802dd808800001f480007530078c18cb0",
        codec: "avc1.4d401f",
        size: (1280, 720),
        coded: (1280, 720),
        fps: (30000, 1001),
        reorder: 2,
        playable: Ok(()),
    },
    Vector {
        sps: "67640028acd940780227e5c044000003000400000300f03c60c658",
        codec: "avc1.640028",
        size: (1920, 1080),
        coded: (1920, 1088),
        fps: (30, 1),
        reorder: 2,
        playable: Ok(()),
    },
    // 322x182: cropped on both sides; x264's cqm=jvt, the flat and default scaling matrices.
    Vector {
        sps: "6764000dacd941519e226c0440000003004000000c03c50a6580",
        codec: "avc1.64000d",
        size: (322, 182),
        coded: (336, 192),
        fps: (24, 1),
        reorder: 2,
        playable: Ok(()),
    },
    Vector {
        sps: "67640028acd94078044fde0220000003002000000643e2c5b2c0",
        codec: "avc1.640028",
        size: (1920, 1080),
        coded: (1920, 1088),
        fps: (25, 1),
        reorder: 2,
        playable: Err(NotPlayable::Interlaced),
    },
    Vector {
        sps: "676e001ea6cd940a02ff97011000000300100000030320f162d960",
        codec: "avc1.6e001e",
        size: (640, 360),
        coded: (640, 368),
        fps: (25, 1),
        reorder: 2,
        playable: Err(NotPlayable::Depth),
    },
    Vector {
        sps: "677a001ebcd940a02ff89c0440000003004000000c83c58b6580",
        codec: "avc1.7a001e",
        size: (640, 360),
        coded: (640, 368),
        fps: (25, 1),
        reorder: 2,
        playable: Err(NotPlayable::Chroma),
    },
    Vector {
        sps: "67f4001e919b281405ff1380880000030008000003019078b16cb0",
        codec: "avc1.f4001e",
        size: (640, 360),
        coded: (640, 368),
        fps: (25, 1),
        reorder: 2,
        playable: Err(NotPlayable::Chroma),
    },
    // With HRD parameters between timing and bitstream restriction.
    Vector {
        sps: "6764001eacd940a02ff9701100000300010000030032604000f424001e84a4c30078b16cb0",
        codec: "avc1.64001e",
        size: (640, 360),
        coded: (640, 368),
        fps: (25, 1),
        reorder: 2,
        playable: Ok(()),
    },
    Vector {
        sps: "6742c033da00f0010fb0110000030001000003003c0f1832a0",
        codec: "avc1.42c033",
        size: (3840, 2160),
        coded: (3840, 2160),
        fps: (30, 1),
        reorder: 0,
        playable: Ok(()),
    },
];

#[test]
fn parameter_sets_of_a_real_encoder() {
    for vector in VECTORS {
        let sps = Sps::parse(&hex(vector.sps)).unwrap();
        assert_eq!(sps.codec(), vector.codec);
        assert_eq!((sps.width, sps.height), vector.size, "{}", vector.codec);
        assert_eq!((sps.coded_width, sps.coded_height), vector.coded, "{}", vector.codec);
        assert_eq!(sps.frame_rate(), Some(vector.fps), "{}", vector.codec);
        assert_eq!(sps.reordering.unwrap().num_reorder_frames, vector.reorder, "{}", vector.codec);
        assert_eq!(sps.check_playable(), vector.playable, "{}", vector.codec);
    }
}

#[test]
fn a_set_cut_short_is_refused_or_loses_only_its_vui() {
    let whole = hex(VECTORS[2].sps);
    let sps = Sps::parse(&whole).unwrap();
    for end in 0..whole.len() {
        match Sps::parse(&whole[..end]) {
            Ok(cut) => assert_eq!((cut.width, cut.height), (sps.width, sps.height), "at {end}"),
            Err(error) => assert!(matches!(error, ParseError::Short | ParseError::Type)),
        }
    }
    assert!(Sps::parse(&whole[..8]).is_err());
}

/// Writes bits, to make what no encoder would.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(mut self, value: u32, count: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn ue(self, value: u32) -> Self {
        let code = u64::from(value) + 1;
        let size = 64 - code.leading_zeros();
        let mut bits = self.put(0, size - 1);
        bits.0.extend((0..size).rev().map(|bit| code >> bit & 1 == 1));
        bits
    }

    /// A NAL unit with stop bit and emulation prevention.
    fn nal(mut self, header: u8) -> Vec<u8> {
        self.0.push(true);
        let mut nal = vec![header];
        let mut zeros = 0;
        for bits in self.0.chunks(8) {
            let byte =
                bits.iter().enumerate().fold(0u8, |sum, (n, bit)| sum | u8::from(*bit) << (7 - n));
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        nal
    }
}

/// Baseline, picture order in the slice headers (4 bits), frame_num of 4 bits.
fn sps_nal(width_mbs: u32, height_mbs: u32) -> Vec<u8> {
    let bits = Bits::default().put(66, 8).put(0, 8).put(30, 8).ue(0).ue(0).ue(0).ue(0).ue(1);
    bits.put(0, 1).ue(width_mbs - 1).ue(height_mbs - 1).put(0b1100, 4).nal(0x67)
}

fn pps_nal(id: u32, redundant: bool) -> Vec<u8> {
    let bits = Bits::default().ue(id).ue(0).put(0, 2).ue(0).ue(0).ue(0).put(0, 3);
    bits.ue(0).ue(0).ue(0).put(0, 2).put(redundant.into(), 1).nal(0x68)
}

#[derive(Clone, Copy)]
struct Slice {
    header: u8,
    first_mb: u32,
    pps: u32,
    frame_num: u32,
    idr_pic_id: u32,
    order: u32,
    redundant: Option<u32>,
}

impl Slice {
    const P: Self = Self {
        header: 0x41,
        first_mb: 0,
        pps: 0,
        frame_num: 1,
        idr_pic_id: 0,
        order: 2,
        redundant: None,
    };
    const IDR: Self = Self { header: 0x65, frame_num: 0, order: 0, ..Self::P };

    fn nal(self) -> Vec<u8> {
        let mut bits = Bits::default().ue(self.first_mb).ue(7).ue(self.pps).put(self.frame_num, 4);
        if self.header & 31 == 5 {
            bits = bits.ue(self.idr_pic_id);
        }
        bits = bits.put(self.order, 4);
        if let Some(count) = self.redundant {
            bits = bits.ue(count);
        }
        bits.put(0xabcd, 16).nal(self.header)
    }
}

fn stream(nals: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for nal in nals {
        annexb::append(&mut out, nal);
    }
    out
}

/// Splits in one go; the types of the NAL units of each access unit.
fn split(nals: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut splitter = AccessUnits::new();
    let mut units = splitter.push(&stream(nals)).unwrap();
    units.extend(splitter.flush().unwrap());
    types(&units)
}

fn types(units: &[Unit]) -> Vec<Vec<u8>> {
    units.iter().map(|unit| annexb::nals(&unit.data).map(|nal| nal[0] & 31).collect()).collect()
}

#[test]
fn a_size_above_4k_is_refused_in_either_direction() {
    assert_eq!(Sps::parse(&sps_nal(240, 135)).unwrap().width, 3840);
    assert_eq!(Sps::parse(&sps_nal(135, 240)).unwrap().height, 3840);
    let square = Sps::parse(&sps_nal(240, 240));
    assert_eq!(square, Err(ParseError::TooLarge { width: 3840, height: 3840 }));
    assert!(matches!(Sps::parse(&sps_nal(241, 135)), Err(ParseError::TooLarge { .. })));
    // 16384x16384, and numbers that would overflow.
    assert!(matches!(Sps::parse(&sps_nal(1024, 1024)), Err(ParseError::TooLarge { .. })));
    assert!(matches!(Sps::parse(&sps_nal(u32::MAX - 1, 1)), Err(ParseError::Range(_))));
}

#[test]
fn each_field_of_the_standard_begins_a_picture() {
    let sets = [sps_nal(20, 15), pps_nal(0, false), pps_nal(1, false)];
    let first = Slice { first_mb: 7, ..Slice::P };
    // The second slice does not begin at macroblock 0: only the compared field tells.
    let same = Slice { first_mb: 9, ..first };
    let differs = [
        ("frame_num", Slice { frame_num: 2, ..same }),
        ("pic_parameter_set_id", Slice { pps: 1, ..same }),
        ("nal_ref_idc, one of them 0", Slice { header: 0x01, ..same }),
        ("pic_order_cnt_lsb", Slice { order: 4, ..same }),
        ("IdrPicFlag", Slice { header: 0x65, ..same }),
    ];
    for (field, second) in differs {
        let nals = [&sets[..], &[first.nal(), second.nal()]].concat();
        assert_eq!(split(&nals).len(), 2, "{field}");
    }
    let idr = Slice { first_mb: 7, ..Slice::IDR };
    let other = Slice { first_mb: 9, idr_pic_id: 1, ..idr };
    assert_eq!(split(&[&sets[..], &[idr.nal(), other.nal()]].concat()).len(), 2, "idr_pic_id");
    // nal_ref_idc 2 after 3 is not a difference by 7.4.1.2.4: neither is 0.
    let other = Slice { header: 0x61, ..same };
    assert_eq!(split(&[&sets[..], &[first.nal(), same.nal(), other.nal()]].concat()).len(), 1);
}

#[test]
fn slices_of_one_picture_stay_together() {
    let sets = [sps_nal(20, 15), pps_nal(0, true)];
    let spare = Slice { redundant: Some(0), ..Slice::P };
    let nals = [
        spare.nal(),
        Slice { first_mb: 40, ..spare }.nal(),
        // A spare copy of the first slice begins at macroblock 0 again.
        Slice { redundant: Some(1), ..spare }.nal(),
        Slice { frame_num: 2, order: 4, ..spare }.nal(),
    ];
    assert_eq!(split(&[&sets[..], &nals[..]].concat()), [vec![7, 8, 1, 1, 1], vec![1]]);
    // Slices in any order (7.4.3): macroblock 0 need not come first.
    let nals = [Slice { first_mb: 40, ..spare }.nal(), spare.nal()];
    assert_eq!(split(&[&sets[..], &nals[..]].concat()), [vec![7, 8, 1, 1]]);
}

#[test]
fn what_stands_between_pictures_belongs_to_the_next() {
    let (sps, pps) = (sps_nal(20, 15), pps_nal(0, false));
    let idr = Slice::IDR.nal();
    let p = Slice::P.nal();
    let (aud, sei, filler, end) = (vec![9, 0xf0], vec![6, 5, 0x80], vec![12, 0xff, 0x80], vec![10]);
    let nals = [
        aud.clone(),
        sps.clone(),
        pps.clone(),
        sei.clone(),
        idr,
        filler,
        aud,
        sei,
        p,
        end,
        sps,
        pps,
    ];
    let units = split(&nals);
    assert_eq!(units, [vec![9, 7, 8, 6, 5, 12], vec![9, 6, 1, 10], vec![7, 8]]);
}

#[test]
fn a_prefix_waits_for_its_slice() {
    let sets = [sps_nal(20, 15), pps_nal(0, false)];
    let prefix = vec![0x6e, 0x40, 0x80];
    let nals = [
        prefix.clone(),
        Slice::P.nal(),
        prefix.clone(),
        Slice { first_mb: 40, ..Slice::P }.nal(),
        prefix,
        Slice { frame_num: 2, order: 4, ..Slice::P }.nal(),
    ];
    let units = split(&[&sets[..], &nals[..]].concat());
    assert_eq!(units, [vec![7, 8, 14, 1, 14, 1], vec![14, 1]]);
}

#[test]
fn without_parameter_sets_macroblock_0_begins_a_picture() {
    let nals = [
        Slice::P.nal(),
        Slice { first_mb: 40, frame_num: 9, ..Slice::P }.nal(),
        Slice { frame_num: 2, ..Slice::P }.nal(),
    ];
    assert_eq!(split(&nals), [vec![1, 1], vec![1]]);
}

#[test]
fn two_keyframes_with_the_same_id_are_two() {
    let sets = [sps_nal(20, 15), pps_nal(0, false)];
    let nals = [&sets[..], &[Slice::IDR.nal(), Slice::IDR.nal()]].concat();
    assert_eq!(split(&nals).len(), 2);
}

#[test]
fn units_say_what_they_are_and_a_flush_ends_them() {
    let sets = [sps_nal(20, 15), pps_nal(0, false)];
    let mut splitter = AccessUnits::new();
    let key = stream(&[&sets[..], &[Slice::IDR.nal()]].concat());
    assert_eq!(splitter.push(&key).unwrap(), []);
    let units = splitter.flush().unwrap();
    assert_eq!(units, [Unit { data: key.into(), keyframe: true, picture: true }]);
    let next = stream(&[Slice::P.nal()]);
    assert_eq!(splitter.push(&next).unwrap(), []);
    let units = splitter.flush().unwrap();
    assert_eq!(units, [Unit { data: next.into(), keyframe: false, picture: true }]);
    assert_eq!(splitter.flush().unwrap(), []);
}

#[test]
fn a_stream_without_end_is_given_up() {
    let mut splitter = AccessUnits::new();
    let zeros = vec![0xaa; ACCESS_UNIT_BYTES_MAX];
    assert!(splitter.push(&zeros).is_ok());
    assert_eq!(splitter.push(&zeros), Err(SplitError::TooLong));
    // One picture of endless slices.
    let mut splitter = AccessUnits::new();
    let slices = stream(&vec![Slice { first_mb: 9, ..Slice::P }.nal(); 1_000]);
    assert_eq!(splitter.push(&slices), Err(SplitError::TooMany));
}

#[test]
fn a_keyframe_gets_the_sets_that_it_lacks_behind_its_delimiter() {
    let (sps, pps, other) = (sps_nal(20, 15), pps_nal(0, false), pps_nal(0, true));
    let mut sets = ParameterSets::new();
    assert!(sets.learn(&stream(&[sps.clone(), pps.clone()])));
    assert!(!sets.learn(&stream(&[sps.clone(), pps.clone()])), "known ones are no change");
    let (aud, sei, idr, p) = (vec![9, 0x10], vec![6, 5, 0x80], Slice::IDR.nal(), Slice::P.nal());
    let made =
        |nals: &[&Vec<u8>]| sets.assemble(&nals.iter().map(|nal| &nal[..]).collect::<Vec<_>>());
    let expected = [aud.clone(), sps.clone(), pps.clone(), sei.clone(), idr.clone()];
    assert_eq!(made(&[&aud, &sei, &idr]), stream(&expected));
    assert_eq!(made(&[&idr]), stream(&[sps.clone(), pps, idr.clone()]));
    // Its own set of the same id stays, and is not doubled.
    assert_eq!(made(&[&other, &idr]), stream(&[sps, other, idr]));
    assert_eq!(made(&[&p]), stream(&[p]));
}

#[test]
fn avcc_lengths_of_1_2_and_4_bytes() {
    let unit = stream(&[vec![9, 0x10], Slice::P.nal()]);
    let none = ParameterSets::new();
    for size in [1, 2, 4].map(|size| LengthSize::new(size).unwrap()) {
        let sample = avcc::from_annexb(&unit, size, |_| true).unwrap();
        assert_eq!(avcc::to_annexb(&sample, size, &none).unwrap(), unit);
    }
    assert_eq!(LengthSize::new(3), Err(AvccError::LengthSize(3)));
    let long = stream(&[vec![0x41; 300]]);
    assert_eq!(avcc::from_annexb(&long, LengthSize::One, |_| true), Err(AvccError::TooLong));
    let lying = [0xff, 0xff, 0xff, 0xff, 0x41];
    assert_eq!(avcc::nals(&lying, LengthSize::Four), Err(AvccError::Length));
    // Empty units are skipped, a length that is cut is not.
    assert_eq!(avcc::nals(&[0, 0, 1, 0x41], LengthSize::One).unwrap(), [&[0x41]]);
    assert_eq!(avcc::nals(&[0, 0, 0], LengthSize::Four), Err(AvccError::Length));
}

/// The `avcC` that ffmpeg 5.1 writes for high profile.
const AVCC: &str = "0164000dffe1001a6764000dacd941519e226c0440000003004000000c03c50a6580010007\
                    68ebe3cb3002c0fdf8f800";

#[test]
fn a_decoder_configuration_is_read_and_written_as_ffmpeg_does() {
    let body = hex(AVCC);
    let configuration = Configuration::parse(&body).unwrap();
    assert_eq!(configuration.length_size, LengthSize::Four);
    assert_eq!(configuration.sets.first_sps().unwrap().width, 322);
    assert_eq!(configuration.sets.pps().next().unwrap(), &hex("68ebe3cb3002c0"));
    assert_eq!(configuration.build().unwrap(), body);
    for end in 0..body.len() - 4 {
        assert!(Configuration::parse(&body[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn pictures_that_wait_for_others_are_inferred_where_the_vui_is_silent() {
    // Baseline has no B slices; main without a VUI: what fits the picture buffer of its level.
    assert_eq!(Sps::parse(&sps_nal(20, 15)).unwrap().reorder_frames(), 0);
    let mut main = sps_nal(20, 15);
    main[1] = 77;
    assert_eq!(Sps::parse(&main).unwrap().reorder_frames(), 16);
}

proptest! {
    #[test]
    fn no_bytes_harm_a_parser(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Sps::parse(&bytes);
        let _ = Pps::parse(&bytes);
        let _ = Configuration::parse(&bytes);
        let mut kept = 0;
        for nal in annexb::nals(&bytes) {
            kept += nal.len();
            prop_assert!(!nal.is_empty() && nal.last() != Some(&0));
        }
        prop_assert!(kept <= bytes.len());
        prop_assert!(unescape(&bytes).len() <= bytes.len());
        is_keyframe(&bytes);
        for size in [LengthSize::One, LengthSize::Two, LengthSize::Four] {
            if let Ok(nals) = avcc::nals(&bytes, size) {
                prop_assert!(nals.iter().map(|nal| nal.len()).sum::<usize>() <= bytes.len());
            }
        }
    }

    #[test]
    fn no_parameter_set_harms_a_parser(bytes in proptest::collection::vec(any::<u8>(), 0..200), profile in prop_oneof![Just(66u8), Just(77), Just(100), Just(110), Just(244)]) {
        let sps = [&[0x67, profile, 0, 30][..], &bytes].concat();
        if let Ok(sps) = Sps::parse(&sps) {
            prop_assert!(sps.width > 0 && sps.width <= 3840 && sps.height > 0 && sps.height <= 3840);
            prop_assert!(sps.reorder_frames() <= 16 && sps.max_ref_frames <= 16);
            sps.frame_rate();
        }
        let _ = Pps::parse(&[&[0x68][..], &bytes].concat());
    }

    /// However a stream is cut into reads, the units are the same, and nothing is lost.
    #[test]
    fn the_splitter_does_not_see_how_it_is_fed(
        picks in proptest::collection::vec((0usize..9, 0u32..3, 0u32..3, any::<bool>()), 1..40),
        cuts in proptest::collection::vec(1usize..40, 1..60),
    ) {
        let nals: Vec<Vec<u8>> = picks.iter().map(|&(kind, number, mb, short)| match kind {
            0 => sps_nal(20, 15),
            1 => pps_nal(number, short),
            2 => vec![9, 0xf0],
            3 => vec![6, 5, 0x80],
            4 => Slice { idr_pic_id: number, first_mb: mb, ..Slice::IDR }.nal(),
            5 => vec![0x6e, 0x40, 0x80],
            _ => Slice { frame_num: number, first_mb: mb, ..Slice::P }.nal(),
        }).collect();
        // Three-byte start codes here and there.
        let mut bytes = Vec::new();
        for (nal, pick) in nals.iter().zip(&picks) {
            bytes.extend_from_slice(if pick.3 { &[0, 0, 1] } else { &[0, 0, 0, 1] });
            bytes.extend_from_slice(nal);
        }
        let mut whole = AccessUnits::new();
        let mut expected = whole.push(&bytes).unwrap();
        expected.extend(whole.flush().unwrap());
        let mut fed = AccessUnits::new();
        let mut units = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            units.extend(fed.push(head).unwrap());
            rest = tail;
        }
        units.extend(fed.flush().unwrap());
        prop_assert_eq!(&units, &expected);
        let all: Vec<Vec<u8>> = units.iter().flat_map(|unit| annexb::nals(&unit.data).map(<[u8]>::to_vec)).collect();
        prop_assert_eq!(all, nals);
    }

    #[test]
    fn the_splitter_survives_anything(bytes in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => Just(1u8), 2 => any::<u8>()], 0..3_000)) {
        let mut splitter = AccessUnits::new();
        let mut length = 0;
        for part in bytes.chunks(97) {
            length += splitter.push(part).unwrap().iter().map(|unit| unit.data.len()).sum::<usize>();
        }
        length += splitter.flush().unwrap().iter().map(|unit| unit.data.len()).sum::<usize>();
        // A start code of three bytes comes out with four.
        prop_assert!(length <= bytes.len() * 2);
    }

    #[test]
    fn exp_golomb_round_trip(value in 0u32..u32::MAX) {
        let nal = Bits::default().ue(value).nal(0);
        prop_assert_eq!(BitReader::new(&nal[1..]).ue(), Ok(value));
    }

    #[test]
    fn a_decoder_configuration_round_trips(ids in proptest::collection::btree_set(0u32..200, 1..20)) {
        let mut sets = ParameterSets::new();
        sets.learn_nal(&sps_nal(20, 15)).unwrap();
        for id in ids {
            sets.learn_nal(&pps_nal(id, false)).unwrap();
        }
        let configuration = Configuration { length_size: LengthSize::Two, sets };
        let body = Bytes::from(configuration.build().unwrap());
        prop_assert_eq!(Configuration::parse(&body), Ok(configuration));
    }
}

#[test]
fn types_of_nal_units() {
    assert_eq!(nal_type(&[0x65]), NalType::Idr);
    assert_eq!(nal_type(&[]), NalType::Other(0));
    assert!(is_keyframe(&stream(&[vec![9, 0x10], Slice::IDR.nal()])));
    assert!(!is_keyframe(&stream(&[Slice::P.nal()])));
}
