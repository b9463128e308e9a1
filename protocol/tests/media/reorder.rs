//! The local viewer's order: waits, skips, counts.

use std::time::Duration;

use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::reorder::{Ordered, ReadyUnit, Reorder};
use roommate_protocol::media::track::{Append, CutWhy, Over};
use roommate_protocol::time::Mono;
use roommate_protocol::wire::record::UnitHead;

use crate::world::{Studio, bytes, head, ms, signer, unit};

fn reorder() -> Reorder {
    Reorder::new(Duration::from_millis(300))
}

/// All that is ready, and what comes after it.
fn drain(reorder: &mut Reorder, cache: &TrackCache, at: Mono) -> (Vec<ReadyUnit>, Option<Over>) {
    let mut ready = Vec::new();
    loop {
        match reorder.pull(cache, at) {
            Ordered::Ready(unit) => ready.push(unit),
            Ordered::Wait => return (ready, None),
            Ordered::Ended(over) => return (ready, Some(over)),
        }
    }
}

fn seqs(reorder: &mut Reorder, cache: &TrackCache, at: Mono) -> Vec<u64> {
    drain(reorder, cache, at).0.iter().map(|ready| ready.seq).collect()
}

fn feed<'a>(cache: &mut TrackCache, appends: impl IntoIterator<Item = &'a Append>, at: Mono) {
    appends.into_iter().for_each(|append| {
        cache.append(append, at);
    });
}

/// Three groups of three: seqs 0–2, 3–5, 6–8, and the appends of one of them.
fn three_groups() -> Studio {
    let mut studio = Studio::new();
    (0..3).for_each(|group| studio.group(2, group * 99, 33));
    studio
}

fn of(studio: &Studio, group: u64) -> Vec<Append> {
    studio.appends.iter().filter(|append| append.group() == group).cloned().collect()
}

#[test]
fn access_units_come_out_as_they_went_in() {
    let mut studio = Studio::new();
    let mut reorder = reorder();
    let mut out = Vec::new();
    for picture in 0..12 {
        let at = ms(picture * 33);
        studio.publish(picture % 4 == 0, 9000, at);
        let (ready, over) = drain(&mut reorder, &studio.cache, ms(5000));
        assert_eq!(over, None);
        assert!(ready.iter().all(|ready| ready.ready_at == at), "asked late, but ready then");
        out.extend(ready);
    }
    for (seq, ready) in (0..).zip(&out) {
        assert_eq!((ready.seq, ready.group), (seq, seq / 4));
        assert_eq!(ready.access_unit(), unit(seq, seq % 4 == 0, 9000));
    }
    let counts = reorder.counts();
    assert_eq!((counts.received, counts.gaps, counts.skipped_groups), (12, 0, 0));
    assert_eq!((counts.first_seq, counts.last_seq), (Some(0), Some(11)));
}

#[test]
fn an_access_unit_is_not_ready_before_its_last_piece() {
    let mut studio = Studio::new();
    studio.group(0, 0, 33);
    let mut cache = TrackCache::new();
    let (last, rest) = studio.appends.split_last().unwrap();
    let mut reorder = reorder();
    feed(&mut cache, rest, ms(0));
    assert_eq!(seqs(&mut reorder, &cache, ms(0)), [0; 0]);
    feed(&mut cache, [last], ms(1));
    assert_eq!(seqs(&mut reorder, &cache, ms(1)), [0]);
}

#[test]
fn it_begins_with_the_newest_keyframe() {
    let mut reorder = reorder();
    assert_eq!(seqs(&mut reorder, &three_groups().cache, ms(300)), [6, 7, 8]);
    assert_eq!(reorder.counts().gaps, 0);
}

#[test]
fn a_late_group_is_waited_for_until_the_deadline() {
    let studio = three_groups();
    for (comes, expected, gaps) in [(399, vec![2, 3, 4, 5, 6, 7, 8], 0), (400, vec![6, 7, 8], 4)] {
        let mut cache = TrackCache::new();
        let mut reorder = reorder();
        let first = of(&studio, 0);
        feed(&mut cache, &first[..7], ms(0));
        assert_eq!(seqs(&mut reorder, &cache, ms(0)), [0, 1]);
        feed(&mut cache, &of(&studio, 2), ms(100));
        assert_eq!(seqs(&mut reorder, &cache, ms(100)), [0; 0]);
        assert_eq!(reorder.poll_timeout().map(|(at, _)| at), Some(ms(400)));
        // The planted fault is one millisecond: in time, all is delivered; at the deadline, not.
        let late = first[7..].iter().cloned().chain(of(&studio, 1));
        let mut out = seqs(&mut reorder, &cache, ms(comes));
        feed(&mut cache, &late.collect::<Vec<_>>(), ms(comes));
        out.extend(seqs(&mut reorder, &cache, ms(comes)));
        assert_eq!((out, reorder.counts().gaps), (expected, gaps));
    }
}

#[test]
fn what_was_waited_for_makes_the_rest_ready_when_it_came() {
    let studio = three_groups();
    let mut cache = TrackCache::new();
    let mut reorder = reorder();
    feed(&mut cache, &of(&studio, 0), ms(0));
    drain(&mut reorder, &cache, ms(0));
    feed(&mut cache, &of(&studio, 2), ms(10));
    feed(&mut cache, &of(&studio, 1), ms(50));
    let (ready, _) = drain(&mut reorder, &cache, ms(90));
    assert_eq!(ready.len(), 6);
    assert!(ready.iter().all(|ready| ready.ready_at == ms(50)));
    // And after a skip, when the deadline was over.
    let mut cache = TrackCache::new();
    let mut reorder = Reorder::new(Duration::from_millis(300));
    feed(&mut cache, &of(&studio, 0)[..5], ms(0));
    drain(&mut reorder, &cache, ms(0));
    feed(&mut cache, &of(&studio, 1), ms(10));
    let (ready, _) = drain(&mut reorder, &cache, ms(999));
    assert_eq!(
        ready.iter().map(|r| (r.seq, r.ready_at)).collect::<Vec<_>>(),
        [(3, ms(310)), (4, ms(310)), (5, ms(310)),]
    );
}

#[test]
fn the_next_keyframes_seq_shows_that_nothing_is_missing() {
    let studio = three_groups();
    let mut cache = TrackCache::new();
    let mut reorder = reorder();
    let first = of(&studio, 0);
    feed(&mut cache, &first[..first.len() - 1], ms(0));
    feed(&mut cache, &of(&studio, 1)[..4], ms(100));
    let mut early = TrackCache::new();
    feed(&mut early, &first[..4], ms(0));
    assert_eq!(seqs(&mut reorder, &early, ms(0)), [0]);
    // Group 0 is still open, its end on its way: group 1 need not wait for it.
    assert_eq!(seqs(&mut reorder, &cache, ms(100)), [1, 2, 3]);
}

#[test]
fn of_a_group_cut_short_all_that_is_complete_is_delivered_and_the_rest_is_not_waited_for() {
    let studio = three_groups();
    for (why, waits) in [(CutWhy::GivenUp, false), (CutWhy::Broken, true)] {
        let mut cache = TrackCache::new();
        let mut reorder = reorder();
        let first = of(&studio, 0);
        // Unit 0 and 1 whole, of unit 2 the head and one piece.
        feed(&mut cache, &first[..9], ms(0));
        cache.cut(0, why, ms(50));
        assert_eq!(seqs(&mut reorder, &cache, ms(50)), [0, 1]);
        feed(&mut cache, &of(&studio, 1), ms(60));
        let next = seqs(&mut reorder, &cache, ms(60));
        assert_eq!(next, if waits { vec![] } else { vec![3, 4, 5] }, "{why:?}");
        if waits {
            feed(&mut cache, &first[9..], ms(70));
            assert_eq!(seqs(&mut reorder, &cache, ms(70)), [2, 3, 4, 5]);
        }
        assert_eq!(reorder.counts().gaps, u64::from(!waits));
    }
}

#[test]
fn a_viewer_slower_than_the_cache_goes_on_with_the_next_keyframe_there() {
    let mut studio = Studio::new();
    let mut reorder = reorder();
    studio.group(2, 0, 33);
    assert_eq!(seqs(&mut reorder, &studio.cache, ms(0)).len(), 3);
    (1..6).for_each(|group| studio.group(2, group * 100, 33));
    assert_eq!(seqs(&mut reorder, &studio.cache, ms(600)), (9..18).collect::<Vec<_>>());
    assert_eq!(reorder.counts().gaps, 6);
}

#[test]
fn a_finished_track_ends_behind_its_last_access_unit() {
    let mut studio = three_groups();
    studio.end(ms(300));
    let mut cache = TrackCache::new();
    let mut reorder = reorder();
    feed(&mut cache, &of(&studio, 0), ms(0));
    assert_eq!(seqs(&mut reorder, &cache, ms(0)).len(), 3);
    feed(&mut cache, &of(&studio, 2), ms(10));
    assert!(cache.over() == Some(Over::Finished));
    // Group 1 is on its way: the end waits for it as long as anything would.
    assert!(drain(&mut reorder, &cache, ms(20)).1.is_none());
    feed(&mut cache, &of(&studio, 1), ms(30));
    let (ready, over) = drain(&mut reorder, &cache, ms(30));
    assert_eq!((ready.len(), over), (6, Some(Over::Finished)));
    assert_eq!(reorder.counts().gaps, 0);
}

#[test]
fn a_retracted_track_ends_behind_what_is_complete() {
    let studio = three_groups();
    let mut cache = TrackCache::new();
    let mut reorder = reorder();
    feed(&mut cache, &of(&studio, 0)[..9], ms(0));
    cache.close(Over::PublisherGone, ms(10));
    // A viewer that has begun gets the rest; one that has not is offered no dead group.
    let mut begun = Reorder::new(Duration::from_millis(300));
    let mut before = TrackCache::new();
    feed(&mut before, &of(&studio, 0)[..4], ms(0));
    assert_eq!(seqs(&mut begun, &before, ms(0)), [0]);
    let (ready, over) = drain(&mut begun, &cache, ms(10));
    assert_eq!((ready[0].seq, ready.len(), over), (1, 1, Some(Over::PublisherGone)));
    let (ready, over) = drain(&mut reorder, &cache, ms(10));
    assert_eq!((ready.len(), over), (0, Some(Over::PublisherGone)));
}

#[test]
fn a_publisher_whose_seqs_leap_makes_the_count_of_gaps_useless_and_is_refused_when_they_fall_back()
{
    let mut cache = TrackCache::new();
    let mut reorder = reorder();
    let data = bytes(1, 10);
    let leaps = [0, 1 << 63, 0, (1 << 63) + 1, 1 << 63, u64::MAX - 1, u64::MAX];
    let mut seen = Vec::new();
    for (group, seq) in (0..).zip(leaps) {
        let unit = signer().sign_unit(group, 0, UnitHead { seq, ..head(0, true) }, &data).unwrap();
        let piece = Append::Piece { group, seq, index: 0, data: data.clone() };
        feed(&mut cache, &[Append::Unit { group, unit }, piece], ms(group));
        seen.extend(seqs(&mut reorder, &cache, ms(1_000 * (group + 1))));
    }
    assert_eq!(seen, [0, 1 << 63, (1 << 63) + 1, u64::MAX - 1]);
    let counts = reorder.counts();
    assert_eq!((counts.received, counts.gaps), (4, u64::MAX - 1 - 3));
    assert_eq!(cache.counts().conflicts, 3);
}
