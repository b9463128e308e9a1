//! Any bytes at all: nothing panics, nothing grows beyond its input.

use bytes::Bytes;
use proptest::prelude::*;
use roommate_protocol::h264::access_unit::AccessUnits;
use roommate_protocol::h264::avcc::{self, Configuration, LengthSize};
use roommate_protocol::h264::nal::{BitReader, unescape};
use roommate_protocol::h264::pps::Pps;
use roommate_protocol::h264::sets::ParameterSets;
use roommate_protocol::h264::sps::Sps;
use roommate_protocol::h264::{annexb, is_keyframe};

use crate::make::{Bits, Slice, pps_nal, sps_nal};

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
        for unit in &units {
            let nal = annexb::nals(&unit.data).next().unwrap();
            prop_assert!(bytes[unit.begin as usize..].starts_with(nal));
            prop_assert!(bytes[..unit.begin as usize].ends_with(&[0, 0, 1]));
        }
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
