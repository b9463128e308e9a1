//! Signed records: what is signed, what is refused, what is never allocated.

use bytes::Bytes;
use proptest::prelude::*;
use roommate_protocol::limits::{ACCESS_UNIT_BYTES_MAX, PIECE_BYTES};
use roommate_protocol::trust::id::{BroadcastId, RoomPk, TrackId, TrackKey};
use roommate_protocol::wire::record::{
    HEAD_BYTES_MAX, Record, RecordError, Signer, UnitHead, Verifier, head_bytes_needed,
};

use crate::world::{ROOM, bytes, head, key, signer, track, verifier};

#[test]
fn a_byte_altered_anywhere_is_refused_and_the_unaltered_record_accepted() {
    let unit = signer().sign_unit(4, 0, head(77, true), &bytes(1, 9000)).unwrap();
    let end = signer().sign_end(4, 0, 78, false);
    for good in [unit.bytes(), end.bytes()] {
        let mut refused = 0;
        for at in 0..good.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let mut bad = good.to_vec();
                bad[at] ^= flip;
                assert!(verifier().open(4, 0, bad.into()).is_err(), "byte {at} of {}", good.len());
                refused += 1;
            }
            assert!(verifier().open(4, 0, good.clone()).is_ok());
        }
        assert_eq!(refused, good.len() * 3);
    }
}

#[test]
fn a_record_is_refused_in_every_other_place() {
    let unit = signer().sign_unit(4, 0, head(77, true), b"picture").unwrap();
    let end = signer().sign_end(4, 0, 78, true);
    let other = TrackKey { broadcast: BroadcastId([0; 16]), ..track() };
    let places = [
        (verifier(), 5, 0),
        (verifier(), 4, 1),
        (Verifier::new(RoomPk([8; 32]), track()).unwrap(), 4, 0),
        (Verifier::new(ROOM, TrackKey { track: TrackId(2), ..track() }).unwrap(), 4, 0),
        (Verifier::new(ROOM, other).unwrap(), 4, 0),
    ];
    for good in [unit.bytes(), end.bytes()] {
        assert!(verifier().open(4, 0, good.clone()).is_ok());
        for (verifier, group, layer) in &places {
            let opened = verifier.open(*group, *layer, good.clone());
            assert_eq!(opened, Err(RecordError::Signature));
        }
    }
}

#[test]
fn nobody_signs_for_somebody_else_and_a_name_that_is_no_key_verifies_nothing() {
    let mut foreign = track();
    foreign.publisher.0[0] ^= 1;
    assert_eq!(Signer::new(key(), ROOM, foreign).unwrap_err(), RecordError::PublisherKey);
    let mut nobody = track();
    nobody.publisher.0 = [2; 32];
    assert_eq!(Verifier::new(ROOM, nobody).unwrap_err(), RecordError::PublisherKey);
    // The neutral element: its "signatures" fit every message unless one is strict.
    nobody.publisher.0 = [0; 32];
    nobody.publisher.0[0] = 1;
    let unit = signer().sign_unit(0, 0, head(0, true), b"x").unwrap();
    let mut forged = unit.bytes().to_vec();
    let from = forged.len() - 64;
    forged[from..].fill(0);
    forged[from] = 1;
    if let Ok(verifier) = Verifier::new(ROOM, nobody) {
        assert_eq!(verifier.open(0, 0, forged.into()), Err(RecordError::Signature));
    }
}

#[test]
fn each_piece_is_known_by_its_place_length_and_bytes() {
    let data = bytes(2, 2 * PIECE_BYTES + 10);
    let unit = signer().sign_unit(0, 0, head(0, true), &data).unwrap();
    let pieces: Vec<&[u8]> = data.chunks(PIECE_BYTES).collect();
    assert_eq!(unit.pieces(), 3);
    for (index, piece) in (0..).zip(&pieces) {
        assert_eq!(unit.piece_bytes(index), piece.len());
        assert!(unit.is_piece(index, piece));
        assert!(!unit.is_piece(index + 1, piece));
        assert!(!unit.is_piece(index, &piece[1..]));
        for at in (0..piece.len()).step_by(97) {
            let mut bad = piece.to_vec();
            bad[at] ^= 4;
            assert!(!unit.is_piece(index, &bad));
        }
    }
    assert_eq!(unit.piece_bytes(3), 0);
    assert!(!unit.is_piece(3, &[]) && !unit.is_piece(u16::MAX, &[]));
}

#[test]
fn the_longest_access_unit_has_512_pieces_and_one_byte_more_is_refused() {
    let data = bytes(3, ACCESS_UNIT_BYTES_MAX + 1);
    let longest = &data[..ACCESS_UNIT_BYTES_MAX];
    let unit = signer().sign_unit(0, 0, head(0, true), longest).unwrap();
    assert_eq!((unit.pieces(), unit.bytes().len()), (512, HEAD_BYTES_MAX));
    let Record::Unit(read) = verifier().open(0, 0, unit.bytes().clone()).unwrap() else {
        panic!("an access unit was read as an end")
    };
    let mut pieces = (0..).zip(longest.chunks(PIECE_BYTES));
    assert!(pieces.all(|(index, piece)| read.is_piece(index, piece)));
    for refused in [&data[..], &[]] {
        let signed = signer().sign_unit(0, 0, head(0, true), refused);
        assert_eq!(signed.unwrap_err(), RecordError::Length);
    }
}

#[test]
fn a_lying_length_is_refused_when_it_is_read() {
    let unit = signer().sign_unit(0, 0, head(0, true), b"x").unwrap();
    let mut fixed = unit.bytes()[..38].to_vec();
    assert_eq!(head_bytes_needed(&fixed), Ok(38 + 16 + 64));
    for lie in [0, ACCESS_UNIT_BYTES_MAX as u32 + 1, u32::MAX] {
        fixed[34..].copy_from_slice(&lie.to_be_bytes());
        assert_eq!(head_bytes_needed(&fixed), Err(RecordError::Length));
    }
    assert_eq!(head_bytes_needed(&[3]), Err(RecordError::Kind));
    assert_eq!(verifier().open(0, 0, Bytes::new()), Err(RecordError::Size));
}

fn any_head() -> impl Strategy<Value = UnitHead> {
    (any::<u64>(), any::<i64>(), any::<i32>(), any::<i64>(), any::<bool>(), any::<u32>()).prop_map(
        |(seq, pts, decode_offset, captured_us, keyframe, key_epoch)| UnitHead {
            seq,
            pts,
            decode_offset,
            captured_us,
            keyframe,
            key_epoch,
            length: 0,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_signed_is_read_again(head in any_head(), length in 1..20_000_usize, group: u64) {
        let unit = signer().sign_unit(group, 3, head, &bytes(1, length)).unwrap();
        let wire = unit.bytes().clone();
        for have in 0..wire.len() {
            let needed = head_bytes_needed(&wire[..have]).unwrap();
            prop_assert!(needed > have && needed <= wire.len());
        }
        prop_assert_eq!(head_bytes_needed(&wire), Ok(wire.len()));
        prop_assert_eq!(unit.head(), &UnitHead { length: length as u32, ..head });
        prop_assert_eq!(verifier().open(group, 3, wire), Ok(Record::Unit(unit)));
    }

    #[test]
    fn an_end_is_read_again(group: u64, next_seq: u64, last: bool) {
        let end = signer().sign_end(group, 0, next_seq, last);
        prop_assert_eq!((end.next_seq(), end.is_last()), (next_seq, last));
        let opened = verifier().open(group, 0, end.bytes().clone());
        prop_assert_eq!(opened, Ok(Record::End(end)));
    }

    #[test]
    fn any_bytes_are_refused_and_never_ask_for_more_than_the_bound(
        kind in 0..4_u8, bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        if let Ok(needed) = head_bytes_needed(&bytes) {
            prop_assert!(needed <= HEAD_BYTES_MAX);
        }
        prop_assert!(verifier().open(0, 0, bytes.into()).is_err());
    }
}
