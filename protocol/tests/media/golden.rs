//! Golden bytes: what was released is written the same way for ever.

use roommate_protocol::trust::id::PeerId;
use roommate_protocol::wire::header::{StreamHeader, SubscriptionId};
use roommate_protocol::wire::record::UnitHead;

use crate::world::{bytes, signer, track};

/// The lines of a golden file that are no comment, as bytes.
fn golden(text: &str) -> Vec<u8> {
    let hex: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    data_encoding::HEXLOWER.decode(hex.replace(' ', "").as_bytes()).unwrap()
}

fn assert_golden(name: &str, text: &str, bytes: &[u8]) {
    let hex = data_encoding::HEXLOWER.encode(bytes);
    assert_eq!(golden(text), bytes, "{name} is now written as\n{hex}\n");
}

#[test]
fn the_stream_header_is_written_as_ever() {
    let header = StreamHeader {
        subscription: SubscriptionId(0x0102_0304),
        broadcast: track().broadcast,
        track: track().track,
        group: 0x1112_1314_1516_1718,
        layer: 0,
        first_seq: 0x2122_2324_2526_2728,
        first_piece: 0x3132,
        path: vec![PeerId([0xA1; 32]), PeerId([0xA2; 32])],
    };
    let text = include_str!("../golden/stream_header.hex");
    assert_golden("the stream header", text, &header.encode());
    assert_eq!(StreamHeader::decode(&golden(text)), Ok(Some((header, 108))));
}

#[test]
fn the_access_unit_record_is_written_as_ever() {
    let head = UnitHead {
        seq: 0x0102_0304_0506_0708,
        pts: -2,
        decode_offset: -3,
        captured_us: 0x2122_2324_2526_2728,
        keyframe: true,
        key_epoch: 0x3132_3334,
        length: 0,
    };
    let unit = signer().sign_unit(6, 0, head, &bytes(1, 4097)).unwrap();
    assert_golden("the record", include_str!("../golden/access_unit.hex"), unit.bytes());
}

#[test]
fn the_end_of_a_group_is_written_as_ever() {
    let end = signer().sign_end(6, 0, 0x0102_0304_0506_0708, true);
    assert_golden("the end", include_str!("../golden/group_end.hex"), end.bytes());
}
