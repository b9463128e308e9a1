//! A keyframe that is under way when the next group is there, and what is asked of the encoder.

use roommate_protocol::limits::{OPEN_GROUP_BYTES_MAX, UNSENT_BYTES_MAX};
use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::cursor::Cursor;
use roommate_protocol::media::pull::{Pull, Rank};
use roommate_protocol::media::track::{CutWhy, Lacking};
use roommate_protocol::wire::code::StreamCode;

use crate::cursor::{cursor, received, reset, write_some, writes};
use crate::world::{Child, Studio, feed, ms};

/// A keyframe of 100 kB with a picture behind it, of which 8 kB are written; then `newer` groups of a
/// keyframe of `length`.
fn under_way(newer: u64, length: usize) -> (Studio, Cursor, Child) {
    let mut studio = Studio::new();
    studio.publish(true, 100_000, ms(0));
    studio.publish(false, 5_000, ms(33));
    let (mut cursor, mut child) = (cursor(), Child::default());
    write_some(&mut cursor, &mut child, &studio.cache, 8_192, ms(40));
    for number in 0..newer {
        studio.publish(true, length, ms(1_000 + number * 300));
    }
    (studio, cursor, child)
}

/// Writes all that is offered of one stream only; the answer that is something else.
fn write_alone(cursor: &mut Cursor, child: &mut Child, cache: &TrackCache, at: u64) -> Pull {
    loop {
        let pull = cursor.pull(cache, ms(at));
        match &pull {
            Pull::Write(offers) if offers[0].stream.0 == 0 => {
                assert_eq!(offers.len(), 1, "beside the keyframe that is under way");
                child.perform(cursor, pull, 8_192, ms(at));
            }
            _ => return pull,
        }
    }
}

#[test]
fn a_begun_keyframe_is_brought_to_its_end_and_then_the_newest_is_sent() {
    for newer in 1..=2 {
        let (studio, mut cursor, mut child) = under_way(newer, 100_000);
        let next = write_alone(&mut cursor, &mut child, &studio.cache, 1_900);
        // The keyframe alone: the picture behind it is two seconds old.
        assert_eq!((received(&child, 0), cursor.counts().sent), (1, 1));
        let Pull::Leave(stream) = next else { panic!("{next:?}") };
        assert_eq!(stream.0, 0);
        child.perform(&mut cursor, next, 0, ms(1_900));
        assert_eq!((child.left.as_slice(), child.resets.len()), ([0].as_slice(), 0));
        let pull = cursor.pull(&studio.cache, ms(1_900));
        let [(_, Rank::Newest)] = writes(&pull)[..] else { panic!("{pull:?}") };
        child.perform(&mut cursor, pull, 8_192, ms(1_900));
        assert_eq!(child.headers.last().map(|header| header.group), Some(newer));
        let counts = cursor.counts();
        assert_eq!((counts.reset, counts.reset_streams, counts.skipped), (1, 1, newer - 1));
    }
}

#[test]
fn a_keyframe_that_was_sent_long_ago_is_reset_with_what_was_behind_it() {
    let (mut studio, mut cursor, mut child) = under_way(0, 0);
    for _ in 0..2 * UNSENT_BYTES_MAX / 5_000 {
        studio.publish(false, 5_000, ms(66));
    }
    // All but the last picture.
    while cursor.counts().bytes < 100_000 + UNSENT_BYTES_MAX as u64 + 5_000 {
        write_some(&mut cursor, &mut child, &studio.cache, 1_000, ms(100));
    }
    studio.publish(true, 100_000, ms(1_000));
    assert_eq!(cursor.pull(&studio.cache, ms(1_000)), reset(0, StreamCode::Stale));
}

#[test]
fn a_newer_keyframe_that_is_through_sooner_replaces_it() {
    let (studio, mut cursor, _) = under_way(1, 50_000);
    assert_eq!(cursor.pull(&studio.cache, ms(1_000)), reset(0, StreamCode::Stale));
    assert_eq!(writes(&cursor.pull(&studio.cache, ms(1_000))), [(1, Rank::Newest)]);
    // Once less is left of the one than the other has, it goes on.
    let (mut studio, mut cursor, mut child) = under_way(0, 0);
    while cursor.counts().bytes < 60_000 {
        write_some(&mut cursor, &mut child, &studio.cache, 8_192, ms(50));
    }
    studio.publish(true, 50_000, ms(1_000));
    assert_eq!(writes(&cursor.pull(&studio.cache, ms(1_000))), [(0, Rank::Newest)]);
}

#[test]
fn a_keyframe_that_stood_still_for_three_seconds_is_given_up() {
    let (studio, mut cursor, _) = under_way(1, 100_000);
    assert_eq!(writes(&cursor.pull(&studio.cache, ms(3_039))), [(0, Rank::Newest)]);
    assert_eq!(cursor.pull(&studio.cache, ms(3_040)), reset(0, StreamCode::Stale));
    assert_eq!(writes(&cursor.pull(&studio.cache, ms(3_040))), [(1, Rank::Newest)]);
}

/// Of a parent that goes on with a newer group, the rest of the one before may never come.
#[test]
fn a_keyframe_of_which_not_all_is_here_is_not_waited_for() {
    let (studio, ..) = under_way(1, 100_000);
    let of = |group: u64| studio.appends.iter().filter(move |append| append.group() == group);
    for cut in [false, true] {
        let mut relay = TrackCache::new();
        of(0).take(4).for_each(|append| {
            relay.append(append, ms(0));
        });
        let (mut cursor, mut child) = (cursor(), Child::default());
        assert_eq!(child.drain(&mut cursor, &relay, ms(1)), Pull::Wait);
        // Nor is it left before the newer one is whole here, unless it was cut.
        of(1).take(4).for_each(|append| {
            relay.append(append, ms(10));
        });
        assert_eq!(cursor.pull(&relay, ms(10)), Pull::Wait);
        if cut {
            relay.cut(0, CutWhy::GivenUp, ms(11));
            assert_eq!(cursor.pull(&relay, ms(11)), reset(0, StreamCode::Stale));
        }
        of(1).skip(4).for_each(|append| {
            relay.append(append, ms(12));
        });
        assert_eq!(writes(&cursor.pull(&relay, ms(12))), [(1, Rank::Newest)], "{cut}");
    }
}

#[test]
fn a_keyframe_is_brought_to_its_end_though_its_group_has_left_the_cache() {
    let (studio, mut cursor, mut child) = under_way(4, 100_000);
    assert!(studio.cache.group(0).is_none());
    let next = write_alone(&mut cursor, &mut child, &studio.cache, 2_000);
    assert!(matches!(next, Pull::Leave(_)), "{next:?}");
    assert_eq!(received(&child, 0), 1);
}

/// What goes on inside a keyframe is under way as well; what goes on behind it is not.
#[test]
fn a_feed_that_goes_on_inside_a_keyframe_finishes_it() {
    for (seq, piece, finishes) in [(0, 20, true), (1, 1, false)] {
        let (studio, ..) = under_way(0, 0);
        let mut cursor = Cursor::new(feed(Some(Lacking { group: 0, seq, piece })));
        let mut child = Child::default();
        write_some(&mut cursor, &mut child, &studio.cache, 100, ms(40));
        let mut studio = studio;
        studio.publish(true, 100_000, ms(1_000));
        let pull = cursor.pull(&studio.cache, ms(1_000));
        if finishes {
            assert_eq!(writes(&pull), [(0, Rank::Newest)]);
        } else {
            assert_eq!(pull, reset(0, StreamCode::Stale));
        }
    }
}

#[test]
fn no_keyframe_is_asked_for_where_a_newer_one_waits() {
    let (studio, mut cursor, _) = under_way(0, 0);
    // One that catches up is not late.
    assert!(!cursor.wants_keyframe(&studio.cache, ms(900)));
    let mut late = Studio::new();
    late.publish(true, 100_000, ms(0));
    let mut child = Child::default();
    let mut second = self::cursor();
    assert_eq!(child.drain(&mut second, &late.cache, ms(1)), Pull::Wait);
    late.publish(true, 100_000, ms(500));
    write_some(&mut second, &mut child, &late.cache, 8_192, ms(500));
    assert!(second.wants_keyframe(&late.cache, ms(900)));
    late.publish(true, 100_000, ms(1_000));
    assert_eq!(writes(&second.pull(&late.cache, ms(1_500)))[0], (1, Rank::Newest));
    assert!(!second.wants_keyframe(&late.cache, ms(1_500)));
    assert_eq!(writes(&cursor.pull(&studio.cache, ms(900))).len(), 1);
}

/// What it lacks begins in the group before the newest: it is given both.
#[test]
fn who_comes_again_catches_up_on_all_groups_that_are_here_and_asks_for_no_keyframe() {
    let mut studio = Studio::new();
    (0..2).for_each(|group| studio.group(20, group * 700, 33));
    let mut cursor = Cursor::new(feed(Some(Lacking { group: 0, seq: 4, piece: 0 })));
    let mut child = Child::default();
    while let pull @ Pull::Write(_) = cursor.pull(&studio.cache, ms(1_500)) {
        assert!(!cursor.wants_keyframe(&studio.cache, ms(1_500)));
        child.perform(&mut cursor, pull, 8_192, ms(1_500));
    }
    // It is live. From here on it may be late.
    (0..9).for_each(|_| studio.publish(false, 5_000, ms(1_533)));
    write_some(&mut cursor, &mut child, &studio.cache, 8_192, ms(1_900));
    assert!(cursor.wants_keyframe(&studio.cache, ms(1_900)));
}

#[test]
fn who_needed_the_head_that_left_waits_for_the_next_and_who_is_beyond_it_goes_on() {
    let mut studio = Studio::new();
    studio.publish(true, 1_000_000, ms(0));
    let [mut slow, mut quick] = [cursor(), cursor()];
    let [mut slow_child, mut quick_child] = [Child::default(), Child::default()];
    write_some(&mut slow, &mut slow_child, &studio.cache, 8192, ms(0));
    // What it had begun, and the picture behind it.
    while studio.cache.newest().unwrap().first_seq() < 2 {
        studio.publish(false, 1_000_000, ms(10));
        assert_eq!(quick_child.drain(&mut quick, &studio.cache, ms(10)), Pull::Wait);
    }
    assert!(studio.cache.bytes() <= OPEN_GROUP_BYTES_MAX);
    assert_eq!(slow_child.drain(&mut slow, &studio.cache, ms(20)), Pull::Wait);
    // The keyframe that it had begun came all the same.
    assert_eq!((received(&slow_child, 0), slow_child.left.as_slice()), (1, [0].as_slice()));
    assert!(quick_child.resets.is_empty() && quick.counts().sent == studio.seq);
    // It waits for the next keyframe, and asks for one; so does a newcomer.
    let mut newcomer = cursor();
    assert_eq!(newcomer.pull(&studio.cache, ms(20)), Pull::Wait);
    for waiting in [&slow, &newcomer] {
        assert!(waiting.wants_keyframe(&studio.cache, ms(20)));
    }
    assert!(!quick.wants_keyframe(&studio.cache, ms(20)));
    studio.publish(true, 9000, ms(30));
    for cursor in [&mut slow, &mut newcomer] {
        assert!(matches!(cursor.pull(&studio.cache, ms(30)), Pull::Write(_)));
    }
}
