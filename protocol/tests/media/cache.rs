//! The cache: order, contradiction, bounds, cuts.

use roommate_protocol::limits::{CACHE_GROUPS_MAX, OPEN_GROUP_BYTES_MAX};
use roommate_protocol::media::cache::{Newcomer, TrackCache};
use roommate_protocol::media::group::{Group, GroupState};
use roommate_protocol::media::publish::{PublishRefusal, TrackPublisher};
use roommate_protocol::media::track::{Append, Appended, CutWhy, Lacking, Over};
use roommate_protocol::wire::record::UnitHead;

use crate::world::{Studio, bytes, head, ms, signer, unit};

fn numbers(cache: &TrackCache) -> Vec<u64> {
    cache.groups().map(Group::number).collect()
}

#[test]
fn what_was_added_is_already_there_the_second_time() {
    let mut studio = Studio::new();
    studio.group(3, 0, 33);
    studio.group(1, 200, 33);
    let before = studio.cache.bytes();
    for append in &studio.appends {
        assert_eq!(studio.cache.append(append, ms(300)), Appended::Already);
    }
    assert_eq!(studio.cache.bytes(), before);
    assert_eq!(studio.cache.counts().already, studio.appends.len() as u64);
    let data: usize = 2 * 9000 + 4 * 5000;
    assert!(before > data && before < data + 6 * 200 + 100, "{before}");
}

#[test]
fn nothing_is_added_behind_a_gap() {
    let mut studio = Studio::new();
    studio.group(2, 0, 33);
    studio.end(ms(100));
    let appends = studio.appends;
    for missing in 0..appends.len() {
        let mut cache = TrackCache::new();
        for (at, append) in appends.iter().enumerate() {
            let expected = match at.cmp(&missing) {
                std::cmp::Ordering::Less => Appended::Added,
                std::cmp::Ordering::Equal => continue,
                std::cmp::Ordering::Greater => Appended::Gap,
            };
            let appended = cache.append(append, ms(0));
            assert_eq!(appended, expected, "{at} without {missing}: {append:?}");
        }
    }
}

#[test]
fn another_head_for_a_known_seq_is_a_conflict_and_the_first_stays() {
    let mut studio = Studio::new();
    studio.group(2, 0, 33);
    let other = signer().sign_unit(0, 0, head(1, false), b"another picture").unwrap();
    let conflict = Append::Unit { group: 0, unit: other };
    assert_eq!(studio.cache.append(&conflict, ms(99)), Appended::Conflict);
    let kept = studio.cache.group(0).unwrap().unit(1).unwrap();
    assert_eq!(kept.signed().head().length, 5000);
    let keyframe = signer().sign_unit(0, 0, head(3, true), b"a second keyframe").unwrap();
    let conflict = Append::Unit { group: 0, unit: keyframe };
    assert_eq!(studio.cache.append(&conflict, ms(99)), Appended::Conflict);
    assert_eq!(studio.cache.counts().conflicts, 2);
}

#[test]
fn nothing_contradicts_a_signed_end() {
    let mut studio = Studio::new();
    studio.group(2, 0, 33);
    let end = |next, last| Append::End { group: 0, end: signer().sign_end(0, 0, next, last) };
    assert_eq!(studio.cache.append(&end(2, false), ms(99)), Appended::Conflict);
    assert_eq!(studio.cache.append(&end(4, false), ms(99)), Appended::Gap);
    assert_eq!(studio.cache.append(&end(3, false), ms(99)), Appended::Added);
    assert_eq!(studio.cache.append(&end(3, false), ms(99)), Appended::Already);
    assert_eq!(studio.cache.append(&end(3, true), ms(99)), Appended::Conflict);
    let late = signer().sign_unit(0, 0, head(3, false), b"behind the end").unwrap();
    let behind = Append::Unit { group: 0, unit: late };
    assert_eq!(studio.cache.append(&behind, ms(99)), Appended::Conflict);
    assert_eq!(studio.cache.over(), None);
}

#[test]
fn a_group_begins_with_its_keyframe_only() {
    let mut cache = TrackCache::new();
    let delta = signer().sign_unit(7, 0, head(3, false), b"x").unwrap();
    assert_eq!(cache.append(&Append::Unit { group: 7, unit: delta }, ms(0)), Appended::Gap);
    let end = Append::End { group: 7, end: signer().sign_end(7, 0, 4, false) };
    assert_eq!(cache.append(&end, ms(0)), Appended::Gap);
    assert_eq!(cache.groups().count(), 0);
}

#[test]
fn seqs_rise_from_group_to_group_or_are_refused() {
    let data = bytes(0, 1);
    let unit = |group, seq, keyframe| {
        let unit = signer().sign_unit(group, 0, UnitHead { seq, ..head(0, keyframe) }, &data);
        Append::Unit { group, unit: unit.unwrap() }
    };
    let piece = |group, seq| Append::Piece { group, seq, index: 0, data: data.clone() };
    let mut cache = TrackCache::new();
    for (group, seq) in [(2, 10), (6, 30)] {
        assert_eq!(cache.append(&unit(group, seq, true), ms(0)), Appended::Added);
        assert_eq!(cache.append(&piece(group, seq), ms(0)), Appended::Added);
    }
    for (group, seq) in [(3, 10), (3, 30), (4, u64::MAX), (7, 30), (7, 0), (1, 10), (7, u64::MAX)] {
        let appended = cache.append(&unit(group, seq, true), ms(1));
        assert_eq!(appended, Appended::Conflict, "group {group} from {seq}");
    }
    assert_eq!(cache.append(&unit(4, 11, true), ms(1)), Appended::Added);
    assert_eq!(cache.append(&piece(4, 11), ms(1)), Appended::Added);
    // What has begun may not run into the next one either.
    assert_eq!(cache.append(&unit(2, 11, false), ms(1)), Appended::Conflict);
    assert_eq!(cache.append(&unit(2, 10, true), ms(1)), Appended::Already);
    // Nor begin behind what has left.
    for (group, seq) in [(7, 31), (8, 32), (9, 33)] {
        assert_eq!(cache.append(&unit(group, seq, true), ms(2)), Appended::Added);
    }
    assert_eq!(numbers(&cache), [7, 8, 9]);
    assert_eq!(cache.counts().conflicts, 8);
}

#[test]
fn the_oldest_group_leaves_whole_and_does_not_come_back() {
    let mut studio = Studio::new();
    for group in 0..5 {
        studio.group(2, group * 100, 33);
        assert!(studio.cache.groups().count() <= CACHE_GROUPS_MAX);
    }
    assert_eq!(numbers(&studio.cache), [2, 3, 4]);
    assert_eq!(studio.cache.append(&studio.appends[0], ms(500)), Appended::Gap);
    assert_eq!(numbers(&studio.cache), [2, 3, 4]);
}

#[test]
fn an_older_group_leaves_after_ten_seconds_and_the_newest_never_by_age() {
    let mut studio = Studio::new();
    studio.group(2, 0, 33);
    studio.group(0, 1000, 33);
    studio.publish(false, 5000, ms(10_066));
    assert_eq!(numbers(&studio.cache), [0, 1]);
    studio.publish(false, 5000, ms(10_067));
    assert_eq!(numbers(&studio.cache), [1]);
    studio.publish(false, 5000, ms(900_000));
    assert_eq!(studio.cache.newcomer(), Newcomer::Group(1));
}

#[test]
fn the_open_group_stays_to_8_mib_and_then_loses_its_head() {
    let mut studio = Studio::new();
    studio.publish(true, 1_000_000, ms(0));
    while studio.cache.bytes() < OPEN_GROUP_BYTES_MAX - 1_010_000 {
        studio.publish(false, 1_000_000, ms(studio.seq * 33));
    }
    assert_eq!(studio.cache.newcomer(), Newcomer::Group(0));
    studio.publish(false, 1_000_000, ms(900));
    assert_eq!(studio.cache.newcomer(), Newcomer::NextKeyframe);
    for _ in 0..30 {
        studio.publish(false, 1_000_000, ms(1000));
        assert!(studio.cache.bytes() <= OPEN_GROUP_BYTES_MAX);
    }
    let group = studio.cache.group(0).unwrap();
    assert!(!group.has_head() && group.first_seq() > 0);
    assert_eq!(group.next(), (studio.seq, 0));
    assert_eq!(studio.cache.append(&studio.appends[0], ms(1000)), Appended::Already);
    studio.publish(true, 9000, ms(2000));
    assert_eq!(studio.cache.newcomer(), Newcomer::Group(1));
}

#[test]
fn a_cut_group_is_completed_from_elsewhere_and_an_ended_one_is_never_cut() {
    let mut studio = Studio::new();
    studio.group(3, 0, 33);
    studio.end(ms(100));
    let mut cache = TrackCache::new();
    let (first, rest) = studio.appends.split_at(5);
    first.iter().for_each(|append| assert_eq!(cache.append(append, ms(0)), Appended::Added));
    cache.cut_all(CutWhy::Broken, ms(10));
    let cut = GroupState::Cut { why: CutWhy::Broken, at: ms(10) };
    assert_eq!(cache.newest().unwrap().state(), cut);
    assert_eq!(cache.lacking(), Some(Lacking { group: 0, seq: 1, piece: 0 }));
    rest.iter().for_each(|append| assert_eq!(cache.append(append, ms(20)), Appended::Added));
    assert_eq!(cache.newest().unwrap().state(), GroupState::Ended);
    cache.cut(0, CutWhy::Broken, ms(30));
    assert_eq!(cache.newest().unwrap().state(), GroupState::Ended);
    assert_eq!((cache.counts().cut, cache.over()), (1, Some(Over::Finished)));
}

#[test]
fn what_is_lacking_first_is_named() {
    let mut studio = Studio::new();
    assert_eq!(studio.cache.lacking(), None);
    studio.group(2, 0, 33);
    assert_eq!(studio.cache.lacking(), Some(Lacking { group: 0, seq: 3, piece: 0 }));
    let mut cache = TrackCache::new();
    studio.group(0, 100, 33);
    let without_end = studio.appends.iter().filter(|append| !matches!(append, Append::End { .. }));
    without_end.for_each(|append| assert_eq!(cache.append(append, ms(0)), Appended::Added));
    // The older of the two newest lacks its end; once that group is given up, the newest counts.
    assert_eq!(cache.lacking(), Some(Lacking { group: 0, seq: 3, piece: 0 }));
    cache.cut(0, CutWhy::GivenUp, ms(1));
    assert_eq!(cache.lacking(), Some(Lacking { group: 1, seq: 4, piece: 0 }));
    let end = Append::End { group: 1, end: signer().sign_end(1, 0, 4, false) };
    assert_eq!(cache.append(&end, ms(2)), Appended::Added);
    assert_eq!(cache.lacking(), Some(Lacking { group: 2, seq: 4, piece: 0 }));
}

#[test]
fn a_retracted_broadcast_takes_nothing_and_offers_no_cut_group() {
    let mut studio = Studio::new();
    studio.group(2, 0, 33);
    assert_eq!(studio.cache.newcomer(), Newcomer::Group(0));
    studio.cache.close(Over::Retracted, ms(100));
    assert_eq!(studio.cache.newcomer(), Newcomer::NextKeyframe);
    let next = studio.publisher.publish(&unit(3, false, 10)).unwrap();
    assert_eq!(studio.cache.append(&next[0], ms(101)), Appended::Gap);
    studio.cache.close(Over::PublisherGone, ms(102));
    assert_eq!(studio.cache.over(), Some(Over::Retracted));
}

#[test]
fn a_publisher_begins_with_a_keyframe_and_refuses_what_nobody_would_take() {
    let mut publisher = TrackPublisher::new(signer());
    let mut refused = |unit| publisher.publish(&unit).map(|_| ()).unwrap_err();
    assert_eq!(refused(unit(0, false, 10)), PublishRefusal::NotKeyframe);
    assert_eq!(refused(unit(0, true, 0)), PublishRefusal::Empty);
    let mut long = unit(0, true, 1);
    long.data = bytes(0, 2 * 1024 * 1024 + 1);
    assert_eq!(refused(long), PublishRefusal::TooLong { bytes: 2 * 1024 * 1024 + 1 });
    assert_eq!(publisher.end(), None);
    let first = publisher.publish(&unit(0, true, 10)).unwrap();
    assert!(matches!(&first[0], Append::Unit { group: 0, unit } if unit.head().seq == 0));
    assert!(publisher.end().is_some());
    assert_eq!(publisher.end(), None);
    let ended = publisher.publish(&unit(1, true, 10)).unwrap_err();
    assert_eq!(ended, PublishRefusal::Ended);
    assert_eq!(publisher.counts().access_units, 1);
}
