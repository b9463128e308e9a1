//! The dropping policy, sentence by sentence.

use std::time::Duration;

use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::cursor::Cursor;
use roommate_protocol::media::pull::{Pull, Rank, StreamNumber};
use roommate_protocol::media::track::{Append, CutWhy, Lacking, Over};
use roommate_protocol::time::Mono;
use roommate_protocol::wire::code::StreamCode;

use crate::world::{Child, Studio, feed, ms};

pub(crate) fn cursor() -> Cursor {
    Cursor::new(feed(None))
}

/// Writes `bytes` of the first offer.
pub(crate) fn write_some(
    cursor: &mut Cursor,
    child: &mut Child,
    cache: &TrackCache,
    bytes: usize,
    at: Mono,
) {
    let pull = cursor.pull(cache, at);
    assert!(matches!(pull, Pull::Write(_)), "{pull:?}");
    child.perform(cursor, pull, bytes, at);
}

/// Writes until so many access units are wholly written in all; how many that are.
pub(crate) fn write_until_sent(
    cursor: &mut Cursor,
    child: &mut Child,
    cache: &TrackCache,
    units: u64,
) -> u64 {
    while cursor.counts().sent < units {
        write_some(cursor, child, cache, 2000, ms(100));
    }
    cursor.counts().sent
}

pub(crate) fn writes(pull: &Pull) -> Vec<(u32, Rank)> {
    let Pull::Write(offers) = pull else { panic!("{pull:?}") };
    offers.iter().map(|offer| (offer.stream.0, offer.rank)).collect()
}

pub(crate) fn reset(stream: u32, code: StreamCode) -> Pull {
    Pull::Reset { stream: StreamNumber(stream), code }
}

pub(crate) fn received(child: &Child, group: u64) -> u64 {
    child.cache.group(group).map_or(0, |group| group.next().0 - group.first_seq())
}

#[test]
fn a_late_joiner_begins_with_the_cached_open_group_from_its_keyframe() {
    let mut studio = Studio::new();
    for group in 0..3 {
        studio.group(9, group * 330, 33);
    }
    let (mut cursor, mut child) = (cursor(), Child::default());
    assert_eq!(child.drain(&mut cursor, &studio.cache, ms(5000)), Pull::Wait);
    assert_eq!(child.cache.groups().map(|group| group.number()).collect::<Vec<_>>(), [2]);
    assert_eq!((received(&child, 2), cursor.counts().sent), (10, 10));
    let counts = cursor.counts();
    assert_eq!((counts.skipped, counts.reset, counts.reset_streams), (0, 0, 0));
    // Its old pictures are no reason to ask for a keyframe or to reset anything.
    assert!(!cursor.wants_keyframe(&studio.cache, ms(5000)));
}

#[test]
fn no_stream_is_opened_before_there_is_something_to_send() {
    let (mut cursor, mut studio) = (cursor(), Studio::new());
    assert_eq!(cursor.pull(&studio.cache, ms(0)), Pull::Wait);
    assert_eq!(cursor.streams().count(), 0);
    studio.group(0, 10, 33);
    assert_eq!(writes(&cursor.pull(&studio.cache, ms(10))), [(0, Rank::Newest)]);
}

#[test]
fn an_offer_is_a_look_and_only_what_was_written_moves_on() {
    let mut studio = Studio::new();
    studio.group(3, 0, 33);
    let (mut cursor, mut child) = (cursor(), Child::default());
    let first = cursor.pull(&studio.cache, ms(0));
    assert_eq!(cursor.pull(&studio.cache, ms(1)), first);
    for size in (1..400).chain([4096, 8192]).cycle() {
        let pull = cursor.pull(&studio.cache, ms(1));
        if !child.perform(&mut cursor, pull, size, ms(1)) {
            break;
        }
    }
    assert_eq!((received(&child, 0), cursor.counts().sent), (4, 4));
}

#[test]
fn the_newest_group_is_offered_first_and_the_older_beside_it() {
    let mut studio = Studio::new();
    studio.group(5, 0, 33);
    let (mut cursor, mut child) = (cursor(), Child::default());
    for _ in 0..2 {
        write_some(&mut cursor, &mut child, &studio.cache, 8192, ms(100));
    }
    studio.group(0, 200, 33);
    let both = cursor.pull(&studio.cache, ms(200));
    assert_eq!(writes(&both), [(1, Rank::Newest), (0, Rank::Older)]);
    // While the newest has nothing more, the older goes on alone, and is finished.
    for _ in 0..2 {
        write_some(&mut cursor, &mut child, &studio.cache, usize::MAX, ms(200));
    }
    assert_eq!(writes(&cursor.pull(&studio.cache, ms(200))), [(0, Rank::Older)]);
    assert_eq!(child.drain(&mut cursor, &studio.cache, ms(200)), Pull::Wait);
    assert_eq!((received(&child, 0), received(&child, 1)), (6, 1));
    assert_eq!(child.finished, [0]);
    assert_eq!(cursor.streams().collect::<Vec<_>>(), [(StreamNumber(1), Rank::Newest)]);
}

#[test]
fn late_alone_is_no_reason_to_reset() {
    let mut studio = Studio::new();
    studio.group(5, 0, 33);
    let (mut cursor, mut child) = (cursor(), Child::default());
    assert_eq!(child.drain(&mut cursor, &studio.cache, ms(165)), Pull::Wait);
    studio.publish(false, 5000, ms(198));
    // Ten seconds late, no newer group: late rather than black, and a keyframe is asked for.
    assert!(!cursor.wants_keyframe(&studio.cache, ms(498)));
    assert!(cursor.wants_keyframe(&studio.cache, ms(499)));
    assert_eq!(writes(&cursor.pull(&studio.cache, ms(10_000))), [(0, Rank::Newest)]);
    assert_eq!(child.drain(&mut cursor, &studio.cache, ms(10_000)), Pull::Wait);
    assert_eq!((received(&child, 0), cursor.counts().reset_streams), (7, 0));
    assert!(!cursor.wants_keyframe(&studio.cache, ms(20_000)));
}

#[test]
fn a_newer_group_alone_is_no_reason_and_both_together_are() {
    let mut studio = Studio::new();
    studio.group(10, 0, 33);
    let (mut cursor, mut child) = (cursor(), Child::default());
    let whole = write_until_sent(&mut cursor, &mut child, &studio.cache, 8);
    studio.group(0, 400, 33);
    // The oldest unsent access unit is the ninth, of time 264; the budget is 300 ms.
    assert_eq!((whole, writes(&cursor.pull(&studio.cache, ms(564))).len()), (8, 2));
    let (at, _) = cursor.poll_timeout().unwrap();
    assert_eq!(at, ms(564) + Duration::from_micros(1));
    assert_eq!(cursor.pull(&studio.cache, at), reset(0, StreamCode::Stale));
    assert_eq!(writes(&cursor.pull(&studio.cache, at)), [(1, Rank::Newest)]);
    let counts = cursor.counts();
    assert_eq!((counts.sent, counts.reset, counts.reset_streams, counts.skipped), (8, 3, 1, 0));
}

#[test]
fn what_was_wholly_written_is_never_late() {
    let mut studio = Studio::new();
    studio.group(5, 0, 33);
    let (mut cursor, mut child) = (cursor(), Child::default());
    child.drain(&mut cursor, &studio.cache, ms(165));
    // A newer group begins elsewhere first: the end of this one has not come yet.
    let mut relay = TrackCache::new();
    studio.group(0, 200, 33);
    let without_end = studio.appends.iter().filter(|append| !matches!(append, Append::End { .. }));
    without_end.for_each(|append| {
        relay.append(append, ms(200));
    });
    assert_eq!(child.drain(&mut cursor, &relay, ms(9000)), Pull::Wait);
    assert_eq!((cursor.counts().reset_streams, cursor.streams().count()), (0, 2));
}

#[test]
fn a_third_group_gives_up_the_oldest() {
    let mut studio = Studio::new();
    let (mut cursor, mut child) = (cursor(), Child::default());
    for group in 0..2 {
        studio.group(10, group * 50, 1);
        write_until_sent(&mut cursor, &mut child, &studio.cache, (group + 1) * 8);
    }
    assert_eq!(cursor.streams().count(), 2);
    studio.group(10, 100, 1);
    assert_eq!(cursor.pull(&studio.cache, ms(101)), reset(0, StreamCode::Stale));
    let both = cursor.pull(&studio.cache, ms(101));
    assert_eq!(writes(&both), [(2, Rank::Newest), (1, Rank::Older)]);
    let counts = cursor.counts();
    assert_eq!((counts.sent, counts.reset, counts.reset_streams, counts.skipped), (16, 3, 1, 0));
}

#[test]
fn a_child_that_was_stuck_goes_on_with_the_newest_and_every_unit_is_accounted_for() {
    let mut studio = Studio::new();
    studio.group(5, 0, 33);
    let (mut cursor, mut child) = (cursor(), Child::default());
    write_some(&mut cursor, &mut child, &studio.cache, 8192, ms(0));
    for group in 1..20 {
        studio.group(5, group * 200, 33);
    }
    assert_eq!(child.drain(&mut cursor, &studio.cache, ms(4000)), Pull::Wait);
    let numbers: Vec<_> = child.cache.groups().map(|group| group.number()).collect();
    // Group 18 is late too (its keyframe is 400 ms old), so only the newest is sent.
    assert_eq!(numbers, [0, 19]);
    assert!(child.resets.len() == 1 && child.resets[0].0 == 0);
    let counts = cursor.counts();
    assert_eq!(counts.sent + counts.reset + counts.skipped, 20 * 6);
    assert_eq!((counts.sent, counts.reset), (6, 6));
}

#[test]
fn a_feed_goes_on_inside_an_access_unit() {
    let mut studio = Studio::new();
    studio.publish(true, 3 * 4096 + 5, ms(0));
    studio.publish(false, 3 * 4096 + 5, ms(33));
    studio.publish(false, 5000, ms(66));
    let mut child = Child::default();
    // Unit 0 whole (head and four pieces), of unit 1 head and two pieces.
    for append in &studio.appends[..8] {
        child.cache.append(append, ms(40));
    }
    let lacking = child.cache.lacking();
    assert_eq!(lacking, Some(Lacking { group: 0, seq: 1, piece: 2 }));
    let mut cursor = Cursor::new(feed(lacking));
    assert_eq!(child.drain(&mut cursor, &studio.cache, ms(70)), Pull::Wait);
    assert_eq!((child.headers[0].first_seq, child.headers[0].first_piece), (1, 2));
    assert_eq!(received(&child, 0), 3);
    assert_eq!(child.cache.counts().already, 1, "the head again, and no piece twice");
}

#[test]
fn only_the_signed_end_may_be_lacking() {
    let mut studio = Studio::new();
    studio.group(2, 0, 33);
    studio.end(ms(100));
    let mut child = Child::default();
    studio.appends[..studio.appends.len() - 1].iter().for_each(|append| {
        child.cache.append(append, ms(0));
    });
    let mut cursor = Cursor::new(feed(child.cache.lacking()));
    let last = child.drain(&mut cursor, &studio.cache, ms(100));
    assert_eq!(last, Pull::Ended(Over::Finished));
    assert_eq!((child.cache.over(), child.finished), (Some(Over::Finished), vec![0]));
}

#[test]
fn a_child_that_is_ahead_of_us_waits_for_what_it_lacks() {
    let mut studio = Studio::new();
    studio.group(2, 0, 33);
    let lacking = Some(Lacking { group: 0, seq: 5, piece: 0 });
    let mut cursor = Cursor::new(feed(lacking));
    let mut child = Child::default();
    let mut theirs = Studio::new();
    theirs.group(4, 0, 33);
    child.cache = theirs.cache;
    assert_eq!(child.drain(&mut cursor, &studio.cache, ms(70)), Pull::Wait);
    for picture in 3..7 {
        studio.publish(false, 5000, ms(picture * 33));
    }
    assert_eq!(child.drain(&mut cursor, &studio.cache, ms(231)), Pull::Wait);
    assert_eq!((received(&child, 0), child.cache.counts().already), (7, 0));
    // The group after the newest is nothing to hurry about either.
    let mut ahead = Cursor::new(feed(Some(Lacking { group: 1, seq: 7, piece: 0 })));
    assert_eq!(ahead.pull(&studio.cache, ms(231)), Pull::Wait);
    studio.group(0, 300, 33);
    assert_eq!(writes(&ahead.pull(&studio.cache, ms(300))), [(0, Rank::Newest)]);
}

#[test]
fn what_is_lacking_and_gone_is_replaced_by_the_newest_keyframe() {
    let mut studio = Studio::new();
    for group in 0..5 {
        studio.group(2, group * 100, 33);
    }
    for nonsense in [(0, 1, 0), (1, 4, 1), (4, 12, 999), (4, 3, 0)] {
        let (group, seq, piece) = nonsense;
        let mut cursor = Cursor::new(feed(Some(Lacking { group, seq, piece })));
        let mut child = Child::default();
        assert_eq!(child.drain(&mut cursor, &studio.cache, ms(500)), Pull::Wait);
        let numbers: Vec<_> = child.cache.groups().map(|group| group.number()).collect();
        assert_eq!((numbers, received(&child, 4)), (vec![4], 3), "{nonsense:?}");
    }
}

#[test]
fn a_cut_group_is_stale_beside_a_newer_one() {
    let mut studio = Studio::new();
    studio.group(20, 0, 1);
    let (mut cursor, mut child) = (cursor(), Child::default());
    let mut relay = TrackCache::new();
    studio.appends[..40].iter().for_each(|append| {
        relay.append(append, ms(0));
    });
    child.drain(&mut cursor, &relay, ms(1));
    relay.cut(0, CutWhy::GivenUp, ms(2));
    studio.group(0, 10, 33);
    studio.appends.iter().filter(|append| append.group() == 1).for_each(|append| {
        relay.append(append, ms(10));
    });
    assert_eq!(cursor.pull(&relay, ms(10)), reset(0, StreamCode::Stale));
    assert_eq!(writes(&cursor.pull(&relay, ms(10))), [(1, Rank::Newest)]);
}

#[test]
fn a_cut_group_without_a_newer_one_waits_a_second_for_repair_and_is_then_lost() {
    let mut studio = Studio::new();
    studio.group(5, 0, 1);
    let relay = |cut: bool| {
        let mut relay = TrackCache::new();
        studio.appends[..6].iter().for_each(|append| {
            relay.append(append, ms(0));
        });
        if cut {
            relay.cut_all(CutWhy::Broken, ms(100));
        }
        relay
    };
    let (mut cursor_lost, mut child) = (cursor(), Child::default());
    child.drain(&mut cursor_lost, &relay(false), ms(90));
    let cut = relay(true);
    assert_eq!(cursor_lost.pull(&cut, ms(1099)), Pull::Wait);
    assert_eq!(cursor_lost.poll_timeout().map(|(at, _)| at), Some(ms(1100)));
    assert_eq!(cursor_lost.pull(&cut, ms(1100)), reset(0, StreamCode::Lost));
    assert_eq!(cursor_lost.pull(&cut, ms(1101)), Pull::Wait);
    // The same, repaired in time.
    let (mut cursor, mut child) = (cursor(), Child::default());
    child.drain(&mut cursor, &relay(false), ms(90));
    let mut repaired = relay(true);
    assert_eq!(child.drain(&mut cursor, &repaired, ms(1000)), Pull::Wait);
    studio.appends[6..].iter().for_each(|append| {
        repaired.append(append, ms(1050));
    });
    assert_eq!(child.drain(&mut cursor, &repaired, ms(1200)), Pull::Wait);
    assert_eq!((received(&child, 0), child.resets.len()), (6, 0));
}

#[test]
fn a_retracted_broadcast_resets_and_a_finished_one_is_sent_to_its_end() {
    let mut studio = Studio::new();
    studio.group(5, 0, 1);
    let (mut first, mut child) = (cursor(), Child::default());
    write_some(&mut first, &mut child, &studio.cache, 8192, ms(5));
    let mut retracted = studio.cache.clone();
    retracted.close(Over::Retracted, ms(6));
    assert_eq!(first.pull(&retracted, ms(6)), reset(0, StreamCode::Lost));
    assert_eq!(first.pull(&retracted, ms(6)), Pull::Ended(Over::Retracted));
    assert_eq!(cursor().pull(&retracted, ms(6)), Pull::Ended(Over::Retracted));
    studio.end(ms(6));
    let (mut second, mut child) = (cursor(), Child::default());
    let last = child.drain(&mut second, &studio.cache, ms(7));
    assert_eq!((last, child.finished), (Pull::Ended(Over::Finished), vec![0]));
    assert_eq!(second.counts().sent, 6);
}

#[test]
fn a_group_that_comes_behind_a_newer_one_is_sent_while_it_is_fresh() {
    let mut studio = Studio::new();
    studio.group(1, 0, 33);
    studio.group(1, 66, 33);
    studio.group(1, 132, 33);
    let of = |group: u64| studio.appends.iter().filter(move |append| append.group() == group);
    for (late_ms, sent) in [(200, true), (700, false)] {
        let mut relay = TrackCache::new();
        of(0).chain(of(2)).for_each(|append| {
            relay.append(append, ms(140));
        });
        let (mut cursor, mut child) = (cursor(), Child::default());
        // Begin with group 0, so that the feed's first group is older than the late one.
        let mut early = TrackCache::new();
        of(0).for_each(|append| {
            early.append(append, ms(10));
        });
        child.drain(&mut cursor, &early, ms(10));
        child.drain(&mut cursor, &relay, ms(140));
        of(1).for_each(|append| {
            relay.append(append, ms(200));
        });
        child.drain(&mut cursor, &relay, ms(late_ms));
        assert_eq!(received(&child, 1), if sent { 2 } else { 0 });
        assert_eq!(received(&child, 2), 2);
        let counts = cursor.counts();
        assert_eq!((counts.sent, counts.skipped), if sent { (6, 0) } else { (4, 2) });
    }
}

#[test]
fn a_stream_that_the_child_stopped_is_forgotten_and_the_next_group_is_sent() {
    let mut studio = Studio::new();
    studio.group(5, 0, 1);
    let (mut cursor, mut child) = (cursor(), Child::default());
    write_some(&mut cursor, &mut child, &studio.cache, 8192, ms(5));
    cursor.handle_stopped(StreamNumber(0));
    assert_eq!(cursor.pull(&studio.cache, ms(6)), Pull::Wait);
    studio.group(0, 10, 1);
    assert_eq!(writes(&cursor.pull(&studio.cache, ms(10))), [(1, Rank::Newest)]);
    assert_eq!(cursor.counts().reset, 6);
}
