//! What real encoders write, and what none would.

use roommate_protocol::h264::ParseError;
use roommate_protocol::h264::pps::Pps;
use roommate_protocol::h264::sps::{NotPlayable, Sps};

use crate::make::{Bits, hex, sps_nal};

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
    // 322x182: cropped on both sides.
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
fn scaling_lists_are_stepped_over() {
    let head = Bits::default().put(100, 8).put(0, 8).put(30, 8).ue(0);
    // 4:2:0, 8 bits, and a scaling matrix of eight lists: one that says "default" by a next scale
    // of 0 (delta -8 is code 16), one of 16 and one of 64 entries without a change, five absent.
    let mut bits = head.ue(1).ue(0).ue(0).put(0b01, 2).put(1, 1).ue(16).put(1, 1);
    for _ in 0..16 {
        bits = bits.ue(0);
    }
    bits = bits.put(0, 4).put(1, 1);
    for _ in 0..64 {
        bits = bits.ue(0);
    }
    bits = bits.put(0, 1).ue(0).ue(0).ue(0).ue(4).put(0, 1);
    let nal = bits.ue(19).ue(14).put(0b1100, 4).nal(0x67);
    let sps = Sps::parse(&nal).unwrap();
    assert_eq!((sps.width, sps.height, sps.max_ref_frames), (320, 240, 4));
}

#[test]
fn cropping_cannot_take_the_whole_picture() {
    let cropped = |right: u32| {
        let bits = Bits::default().put(66, 8).put(0, 8).put(30, 8).ue(0).ue(0).ue(0).ue(0).ue(1);
        let bits = bits.put(0, 1).ue(19).ue(14).put(0b111, 3);
        Sps::parse(&bits.ue(0).ue(right).ue(0).ue(0).put(0, 1).nal(0x67))
    };
    // The unit is a chroma sample, two pixels.
    assert_eq!(cropped(159).unwrap().width, 2);
    assert_eq!(cropped(160), Err(ParseError::Range("frame_cropping")));
    assert_eq!(cropped(u32::MAX - 1), Err(ParseError::Range("frame_cropping")));
}

#[test]
fn a_picture_parameter_set_with_each_kind_of_slice_groups() {
    for kind in 0..=6 {
        let mut bits = Bits::default().ue(7).ue(3).put(0b01, 2).ue(1).ue(kind);
        bits = match kind {
            0 => bits.ue(9).ue(9),
            2 => bits.ue(1).ue(8),
            3..=5 => bits.put(1, 1).ue(5),
            6 => bits.ue(2).put(0b101, 3),
            _ => bits,
        };
        bits = bits.ue(0).ue(0).put(0, 3).ue(0).ue(0).ue(0).put(0b001, 3);
        let pps = Pps::parse(&bits.nal(0x68)).unwrap();
        let expected = Pps { id: 7, sps_id: 3, bottom_field_order: true, redundant_pictures: true };
        assert_eq!(pps, expected, "slice_group_map_type {kind}");
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
