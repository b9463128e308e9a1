//! The reader: what it accepts, stops, cuts and tells.

use std::sync::Arc;

use roommate_protocol::media::group::GroupState;
use roommate_protocol::media::subscribe::StreamViolation;
use roommate_protocol::media::track::{Append, CutWhy};
use roommate_protocol::room::ConnId;
use roommate_protocol::wire::code::StreamCode;
use roommate_protocol::wire::header::{HeaderError, StreamHeader, SubscriptionId};
use roommate_protocol::wire::record::{RecordError, Signer, UnitHead};
use tokio::task::JoinHandle;

use super::hand::{FakeRecv, Hand};
use super::world::{CONN, ROOM, SUB, Studio, key, sleep, track, verifier};
use crate::link::SharedTrack;
use crate::link::reader::{HEADER_TIME_MAX, ReadEnd, ReadReport, Refused, read_stream};
use crate::link::table::SubscriptionTable;
use roommate_clock::Clock;

struct Side {
    table: SubscriptionTable,
    track: Arc<SharedTrack>,
}

impl Side {
    fn new() -> Self {
        let (table, track) = (SubscriptionTable::new(), Arc::new(SharedTrack::new()));
        table.expect(CONN, SUB, track.clone(), verifier());
        Self { table, track }
    }

    fn read(&self, conn: ConnId) -> (Hand, JoinHandle<ReadReport>) {
        let (hand, stream) = FakeRecv::by_hand();
        let table = self.table.clone();
        let read =
            tokio::spawn(async move { read_stream(stream, conn, &table, &Clock::new()).await });
        (hand, read)
    }

    fn state(&self) -> Option<GroupState> {
        self.track.look(|cache| cache.newest().map(|group| group.state()))
    }
}

fn header(sub: SubscriptionId) -> StreamHeader {
    StreamHeader {
        subscription: sub,
        broadcast: track().broadcast,
        track: track().track,
        group: 0,
        layer: 0,
        first_seq: 0,
        first_piece: 0,
        path: Vec::new(),
    }
}

/// The stream of one group of three access units: its header, and each record with its pieces.
fn group() -> Vec<Vec<u8>> {
    let mut studio = Studio::new();
    let mut parts = vec![header(SUB).encode().to_vec()];
    let units = (0..3).map(|_| studio.next()).collect::<Vec<_>>();
    for appends in units.into_iter().chain([vec![studio.end()]]) {
        let mut part = Vec::new();
        for append in appends {
            match append {
                Append::Unit { unit, .. } => part.extend_from_slice(unit.bytes()),
                Append::Piece { data, .. } => part.extend_from_slice(&data),
                Append::End { end, .. } => part.extend_from_slice(end.bytes()),
            }
        }
        parts.push(part);
    }
    parts
}

#[tokio::test(start_paused = true)]
async fn a_whole_group_is_read_and_told_once_a_batch() {
    let side = Side::new();
    let mut changes = side.track.changes();
    let (hand, read) = side.read(CONN);
    for (sent, part) in group().iter().enumerate() {
        hand.send(part);
        sleep(1).await;
        assert_eq!(changes.has_changed().unwrap(), sent > 0, "part {sent}");
        changes.mark_unchanged();
    }
    hand.finish();
    let report = read.await.unwrap();
    assert_eq!(report, ReadReport { sub: Some(SUB), group: Some(0), end: ReadEnd::Ended });
    assert_eq!(side.state(), Some(GroupState::Ended));
    assert_eq!(*changes.borrow(), 4, "one change a batch that brought something");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_an_unknown_or_ended_subscription_is_gone() {
    let side = Side::new();
    for (conn, sub) in [(CONN, SubscriptionId(6)), (ConnId(2), SUB)] {
        let (hand, read) = side.read(conn);
        hand.send(&header(sub).encode());
        assert_eq!(read.await.unwrap().end, ReadEnd::Gone);
    }
    // And one that ends while it runs, without anybody saying anything on the stream.
    let (hand, read) = side.read(CONN);
    group()[..3].iter().for_each(|part| hand.send(part));
    sleep(1).await;
    assert!(!read.is_finished() && side.state() == Some(GroupState::Open));
    side.table.forget(CONN, SUB);
    assert_eq!(read.await.unwrap().end, ReadEnd::Gone);
    assert!(!hand.is_read());
    assert_eq!(side.track.reads().refused, 0);
}

#[tokio::test(start_paused = true)]
async fn every_end_before_the_signed_one_cuts_the_group_for_its_reason() {
    type Act = fn(&Hand);
    let cases: [(Act, ReadEnd, CutWhy); 4] = [
        // Behind something that can be shown.
        (|hand| hand.finish(), ReadEnd::Reset(Some(StreamCode::Stale)), CutWhy::GivenUp),
        (
            |hand| hand.reset(StreamCode::Stale),
            ReadEnd::Reset(Some(StreamCode::Stale)),
            CutWhy::GivenUp,
        ),
        (
            |hand| hand.reset(StreamCode::Lost),
            ReadEnd::Reset(Some(StreamCode::Lost)),
            CutWhy::Broken,
        ),
        (|_| {}, ReadEnd::LinkDown, CutWhy::Broken),
    ];
    for (act, end, why) in cases {
        let side = Side::new();
        let (hand, read) = side.read(CONN);
        group()[..3].iter().for_each(|part| hand.send(part));
        act(&hand);
        drop(hand);
        assert_eq!(read.await.unwrap().end, end);
        let Some(GroupState::Cut { why: cut, .. }) = side.state() else { panic!("{end:?}") };
        assert_eq!(cut, why);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_before_anything_can_be_shown_counts_against_the_parent() {
    let parts = group();
    for bytes in [0, 1, parts[1].len() - 1] {
        let side = Side::new();
        let (hand, read) = side.read(CONN);
        hand.send(&parts[0]);
        hand.send(&parts[1][..bytes]);
        hand.finish();
        assert_eq!(read.await.unwrap().end, ReadEnd::CutShort, "{bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_aborted_leaves_no_group_open() {
    let side = Side::new();
    let (hand, read) = side.read(CONN);
    group()[..3].iter().for_each(|part| hand.send(part));
    sleep(1).await;
    read.abort();
    assert!(read.await.is_err());
    assert!(matches!(side.state(), Some(GroupState::Cut { why: CutWhy::Broken, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_two_streams_feed_is_cut_with_the_last_of_them() {
    let side = Side::new();
    let (first, read_first) = side.read(CONN);
    let (second, read_second) = side.read(CONN);
    let parts = group();
    parts[..2].iter().for_each(|part| first.send(part));
    parts[..3].iter().for_each(|part| second.send(part));
    sleep(1).await;
    drop(first);
    assert_eq!(read_first.await.unwrap().end, ReadEnd::LinkDown);
    assert_eq!(side.state(), Some(GroupState::Open));
    second.send(&parts[3]);
    second.send(&parts[4]);
    second.finish();
    assert_eq!(read_second.await.unwrap().end, ReadEnd::Ended);
    assert_eq!(side.state(), Some(GroupState::Ended));
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_broken_is_told_and_what_came_before_stays() {
    let side = Side::new();
    let (hand, read) = side.read(CONN);
    let mut parts = group();
    parts[3][60] ^= 1;
    parts.iter().for_each(|part| hand.send(part));
    let refused = Refused::Stream(StreamViolation::Record(RecordError::Signature));
    assert_eq!(read.await.unwrap().end, ReadEnd::Refused(refused));
    assert!(!hand.is_read());
    let next = side.track.look(|cache| cache.newest().map(|group| group.next()));
    assert_eq!((next, side.track.reads().refused), (Some((2, 0)), 1));
    for (bytes, refused) in [
        (&[0xFF, 0xFF][..], Refused::Header(HeaderError::Length)),
        (&[0, 42, 1][..], Refused::NoHeader),
    ] {
        let (hand, read) = side.read(CONN);
        hand.send(bytes);
        hand.finish();
        assert_eq!(read.await.unwrap().end, ReadEnd::Refused(refused));
    }
    // A stream that says nothing holds its reader for ten seconds.
    let (_hand, read) = side.read(CONN);
    tokio::time::sleep(HEADER_TIME_MAX).await;
    sleep(1).await;
    assert!(read.is_finished());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_stopped_without_offence() {
    let side = Side::new();
    let parts = group();
    // A gap: the group's keyframe is not here.
    let (hand, read) = side.read(CONN);
    hand.send(&StreamHeader { first_seq: 1, ..header(SUB) }.encode());
    hand.send(&parts[2]);
    assert_eq!(read.await.unwrap().end, ReadEnd::Gap);
    // A conflict: the publisher signed another picture for the same seq; the first stays.
    let (hand, read) = side.read(CONN);
    parts[..3].iter().for_each(|part| hand.send(part));
    sleep(1).await;
    let head = UnitHead {
        seq: 0,
        pts: 0,
        decode_offset: 0,
        captured_us: 0,
        keyframe: true,
        key_epoch: 0,
        length: 0,
    };
    let signer = Signer::new(key(), ROOM, track()).unwrap();
    let other = signer.sign_unit(0, 0, head, b"another picture").unwrap();
    let (second, read_second) = side.read(CONN);
    second.send(&header(SUB).encode());
    second.send(other.bytes());
    assert_eq!(read_second.await.unwrap().end, ReadEnd::Conflict);
    assert!(!read.is_finished() && side.state() == Some(GroupState::Open));
    assert_eq!(side.track.reads().refused, 0);
    parts[3..].iter().for_each(|part| hand.send(part));
    hand.finish();
    assert_eq!(read.await.unwrap().end, ReadEnd::Ended);
}
