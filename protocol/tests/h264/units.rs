//! Where one access unit ends and the next begins (7.4.1.2.3, 7.4.1.2.4).

use roommate_protocol::h264::access_unit::{AccessUnits, SplitError, Unit};
use roommate_protocol::h264::is_keyframe;
use roommate_protocol::h264::nal::{NalType, nal_type};
use roommate_protocol::limits::ACCESS_UNIT_BYTES_MAX;

use crate::make::{Slice, pps_nal, split, sps_nal, stream};

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

/// A producer that ends its pictures with a delimiter does not have them wait for the next one: the
/// header byte is enough. A slice's is not, it may be the next of the same picture.
#[test]
fn a_header_that_begins_a_picture_ends_the_one_before() {
    for (header, ends) in [(9, true), (0x67, true), (0x68, true), (6, true), (0x41, false)] {
        let head = stream(&[sps_nal(20, 15), pps_nal(0, false), Slice::IDR.nal()]);
        let mut splitter = AccessUnits::new();
        assert_eq!(splitter.push(&head).unwrap(), []);
        assert_eq!(splitter.push(&[0, 0, 0, 1]).unwrap(), []);
        let units = splitter.push(&[header]).unwrap();
        assert_eq!(units.len(), usize::from(ends), "{header}");
        if let [unit] = &units[..] {
            assert_eq!(unit.data, head);
        }
        // Either way the end brings out the rest, each picture once.
        splitter.push(&[0x9a, 0x80]).unwrap();
        let rest = splitter.flush().unwrap();
        assert_eq!(rest.len(), if ends { 1 } else { 2 }, "{header}");
    }
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
fn types_of_nal_units() {
    assert_eq!(nal_type(&[0x65]), NalType::Idr);
    assert_eq!(nal_type(&[]), NalType::Other(0));
    assert!(is_keyframe(&stream(&[vec![9, 0x10], Slice::IDR.nal()])));
    assert!(!is_keyframe(&stream(&[Slice::P.nal()])));
}
