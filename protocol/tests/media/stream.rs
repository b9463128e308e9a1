//! The reader of a stream: hostile bytes, cut bytes, bytes in any portions.

use proptest::prelude::*;
use roommate_protocol::limits::{ACCESS_UNIT_BYTES_MAX, PIECE_BYTES};
use roommate_protocol::media::subscribe::{StreamReader, StreamViolation};
use roommate_protocol::media::track::{Append, Appended};
use roommate_protocol::trust::id::TrackId;
use roommate_protocol::wire::header::{StreamHeader, SubscriptionId};
use roommate_protocol::wire::record::{HEAD_BYTES_MAX, RecordError};

use crate::world::{Child, Studio, bytes, head, ms, signer, track, verifier};

fn header(group: u64, first_seq: u64, first_piece: u16) -> StreamHeader {
    let subscription = SubscriptionId(1);
    let (broadcast, track) = (track().broadcast, track().track);
    let path = Vec::new();
    StreamHeader { subscription, broadcast, track, group, layer: 0, first_seq, first_piece, path }
}

fn reader(group: u64, first_seq: u64, first_piece: u16) -> StreamReader {
    StreamReader::new(verifier(), &header(group, first_seq, first_piece)).unwrap()
}

/// The appends of one group as they stand on a stream.
fn wire(appends: &[Append]) -> Vec<u8> {
    let mut out = Vec::new();
    for append in appends {
        match append {
            Append::Unit { unit, .. } => out.extend_from_slice(unit.bytes()),
            Append::Piece { data, .. } => out.extend_from_slice(data),
            Append::End { end, .. } => out.extend_from_slice(end.bytes()),
        }
    }
    out
}

fn one_group() -> Vec<Append> {
    let mut studio = Studio::new();
    studio.group(2, 0, 33);
    studio.end(ms(100));
    studio.appends
}

#[test]
fn the_stream_gives_what_was_published_and_knows_its_end() {
    let appends = one_group();
    let mut reader = reader(0, 0, 0);
    let mut out = Vec::new();
    assert!(!reader.is_ended());
    reader.handle(&wire(&appends), &mut out).unwrap();
    assert_eq!(out, appends);
    assert!(reader.is_ended());
    assert_eq!(reader.handle(&[0], &mut out), Err(StreamViolation::AfterEnd));
}

#[test]
fn without_the_signed_end_the_group_is_not_ended() {
    let appends = one_group();
    let all = wire(&appends);
    let mut reader = reader(0, 0, 0);
    let mut out = Vec::new();
    reader.handle(&all[..all.len() - 1], &mut out).unwrap();
    assert!(!reader.is_ended());
    assert_eq!(out, appends[..appends.len() - 1]);
}

#[test]
fn an_altered_byte_anywhere_is_refused_and_nothing_of_it_gets_through() {
    let appends = one_group();
    let good = wire(&appends);
    for at in (0..good.len()).step_by(13).chain(0..200).chain(good.len() - 80..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let mut out = Vec::new();
        let mut reader = reader(0, 0, 0);
        let refused = reader.handle(&bad, &mut out);
        assert!(refused.is_err() || !reader.is_ended(), "byte {at}");
        assert!(out.len() < appends.len() && out[..] == appends[..out.len()], "byte {at}");
    }
}

#[test]
fn a_lying_length_reserves_nothing_before_the_signature_is_right() {
    let honest = signer().sign_unit(0, 0, head(0, true), b"small").unwrap();
    let mut lie = honest.bytes()[..38].to_vec();
    lie[34..].copy_from_slice(&(ACCESS_UNIT_BYTES_MAX as u32).to_be_bytes());
    let mut reader = reader(0, 0, 0);
    let mut out = Vec::new();
    reader.handle(&lie, &mut out).unwrap();
    assert!(reader.held_bytes() < 1024, "{}", reader.held_bytes());
    let mut fed = 38;
    let refused = loop {
        fed += 100;
        match reader.handle(&[0xAA; 100], &mut out) {
            Ok(()) => assert!(reader.held_bytes() <= 2 * HEAD_BYTES_MAX),
            Err(violation) => break violation,
        }
    };
    assert_eq!(refused, StreamViolation::Record(RecordError::Signature));
    assert!(fed <= HEAD_BYTES_MAX + 100 && out.is_empty());
}

#[test]
fn the_longest_access_unit_is_read_with_one_piece_in_hand() {
    let data = bytes(1, ACCESS_UNIT_BYTES_MAX);
    let unit = signer().sign_unit(0, 0, head(0, true), &data).unwrap();
    let mut reader = reader(0, 0, 0);
    let mut out = Vec::new();
    reader.handle(unit.bytes(), &mut out).unwrap();
    let mut held = 0;
    for datagram in data.chunks(1400) {
        reader.handle(datagram, &mut out).unwrap();
        held = held.max(reader.held_bytes());
    }
    assert!(held <= PIECE_BYTES, "{held}");
    assert_eq!(out.len(), 513);
}

#[test]
fn a_feed_goes_on_inside_an_access_unit_with_its_head_again() {
    let data = bytes(1, 3 * PIECE_BYTES);
    let unit = signer().sign_unit(8, 0, head(40, false), &data).unwrap();
    let mut stream = unit.bytes().to_vec();
    stream.extend(&data[2 * PIECE_BYTES..]);
    let mut out = Vec::new();
    reader(8, 40, 2).handle(&stream, &mut out).unwrap();
    assert_eq!(out.len(), 2);
    assert!(matches!(&out[1], Append::Piece { seq: 40, index: 2, .. }));
    let beyond = reader(8, 40, 3).handle(&stream, &mut out);
    assert_eq!(beyond, Err(StreamViolation::FirstPiece));
    // The planted fault: pieces from 1 on under a header that says 2.
    let mut wrong = unit.bytes().to_vec();
    wrong.extend(&data[PIECE_BYTES..]);
    assert_eq!(reader(8, 40, 2).handle(&wrong, &mut out), Err(StreamViolation::Piece));
}

#[test]
fn records_out_of_order_are_refused() {
    let data = bytes(1, 10);
    let record = |seq, keyframe| {
        let unit = signer().sign_unit(0, 0, head(seq, keyframe), &data).unwrap();
        [unit.bytes(), &data[..]].concat()
    };
    let end = |next| signer().sign_end(0, 0, next, false).bytes().to_vec();
    let read =
        |first, records: &[Vec<u8>]| reader(0, first, 0).handle(&records.concat(), &mut Vec::new());
    assert_eq!(read(0, &[record(0, true), record(1, false), end(2)]), Ok(()));
    let order = Err(StreamViolation::Order);
    assert_eq!(read(0, &[record(0, true), record(2, false)]), order);
    assert_eq!(read(0, &[record(0, true), record(0, true)]), order);
    assert_eq!(read(0, &[record(0, true), record(1, true)]), order);
    assert_eq!(read(1, &[record(0, true)]), order);
    assert_eq!(read(0, &[record(0, true), end(0)]), order);
    assert_eq!(read(0, &[record(0, true), end(2)]), order);
    assert_eq!(read(u64::MAX, &[record(u64::MAX, true)]), order);
}

#[test]
fn a_header_for_another_track_or_layer_is_refused() {
    let good = header(0, 0, 0);
    let other = StreamHeader { track: TrackId(9), ..good.clone() };
    assert_eq!(StreamReader::new(verifier(), &other).unwrap_err(), StreamViolation::Track);
    let layer = StreamHeader { layer: 1, ..good.clone() };
    assert_eq!(StreamReader::new(verifier(), &layer).unwrap_err(), StreamViolation::Layer);
    assert!(StreamReader::new(verifier(), &good).is_ok());
}

#[test]
fn a_group_replayed_under_another_number_is_refused() {
    let refused = reader(1, 0, 0).handle(&wire(&one_group()), &mut Vec::new());
    assert_eq!(refused, Err(StreamViolation::Record(RecordError::Signature)));
}

#[test]
fn what_is_read_fits_the_childs_cache() {
    let mut child = Child::default();
    for append in one_group() {
        assert_eq!(child.cache.append(&append, ms(0)), Appended::Added);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn however_the_bytes_are_cut_the_same_comes_out(
        cuts in proptest::collection::vec(1..6000_usize, 1..20),
    ) {
        let appends = one_group();
        let all = wire(&appends);
        let mut reader = reader(0, 0, 0);
        let (mut out, mut at) = (Vec::new(), 0);
        for cut in cuts.iter().cycle() {
            let end = all.len().min(at + cut);
            reader.handle(&all[at..end], &mut out).unwrap();
            at = end;
            if at == all.len() {
                break;
            }
        }
        prop_assert_eq!(out, appends);
        prop_assert!(reader.is_ended());
    }

    #[test]
    fn any_bytes_are_refused_without_growing(
        kind in 0..3_u8,
        garbage in proptest::collection::vec(any::<u8>(), 1..20_000),
    ) {
        let mut garbage = garbage;
        garbage[0] = kind;
        let mut reader = reader(0, 0, 0);
        let mut out = Vec::new();
        let _ = reader.handle(&garbage, &mut out);
        prop_assert!(out.is_empty());
        prop_assert!(reader.held_bytes() <= 2 * HEAD_BYTES_MAX);
    }
}
