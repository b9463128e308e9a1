//! Parameter sets where they are needed, and AVCC in both directions.

use roommate_protocol::h264::avcc::{self, AvccError, Configuration, LengthSize};
use roommate_protocol::h264::sets::ParameterSets;

use crate::make::{Slice, hex, pps_nal, sps_nal, stream};

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
