//! A line slower than the stream: latency stays flat, the newest picture wins, nobody writes ahead.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use e2e::check::{self, must};
use e2e::fields::Fields;
use e2e::lab::Lab;
use e2e::process::Ended;
use e2e::stage::Stage;
use e2e::trace::{self, Unit};

use crate::room::{Room, child, end, meant_for, peer, playing};

const SOURCE: &str = "test:1280x720@30,2500,gop=1";
const KIB_32: u64 = 32 * 1024;
const KIB_8: u64 = 8 * 1024;

struct Story {
    /// Its files are kept where what follows fails.
    _stage: Stage,
    published: Vec<Unit>,
    slow: Vec<Unit>,
    publisher: Ended,
    slow_peer: String,
}

/// 60 s of pictures to one viewer on the line that `shape` makes.
fn sixty_seconds(shape: impl FnOnce(&Lab, &e2e::process::Process)) -> Story {
    let stage = Stage::shared();
    let lab = Lab::new(&["boot", "publisher", "slow"]);
    let room = Room::open_in(&stage, &lab);
    // Before the publisher begins, so that both count the same 60 s.
    let slow = room.viewer("slow").ready();
    let slow_peer = peer(&slow);
    let publisher = room.publisher("publisher", SOURCE).args(["--seconds", "60"]).ready();
    shape(&lab, &slow);
    let publisher = publisher.finish(Duration::from_secs(80));
    let _ = publisher.summary();
    let _ = end(slow).summary();
    let (published, slow) = (room.trace("publisher"), room.trace("slow"));
    drop(room);
    Story { _stage: stage, published, slow, publisher, slow_peer }
}

/// Else there was nothing to choose, and the test shows nothing: the stream exceeded the line, and
/// pictures were left out for it.
fn the_line_was_too_slow(story: &Story) {
    let bytes: u64 = story.published.iter().map(|unit| unit.bytes).sum();
    let times = story.published.iter().map(|unit| unit.captured_us);
    let (from, to) = (times.clone().min().expect("pictures"), times.max().expect("pictures"));
    let mbits = bytes as f64 * 8.0 / (to - from) as f64;
    eprintln!("{mbits:.2} Mbit/s were published");
    assert!(mbits >= 2.2, "only {mbits:.2} Mbit/s were published for a line of 2.0");
    let told = child(story.publisher.summary(), &story.slow_peer);
    let left_out = told.count("skipped") + told.count("reset");
    assert!(left_out > 0, "nothing was left out for the slow line: {told:#}");
}

/// A feed counts from its own beginning: counts that cover all that was published are those of one
/// feed from beginning to end.
fn one_feed_served_it(story: &Story) {
    let told = child(story.publisher.summary(), &story.slow_peer);
    let settled = meant_for(told);
    let published = story.published.len() as u64;
    // Two groups may have been on their way at the end, and a newer one not yet begun.
    assert!(settled <= published, "{settled} of {published} pictures: {told:#}");
    assert!(settled + 90 >= published, "the feed of {settled} of {published} pictures: {told:#}");
    assert_eq!(story.slow[0].seq, story.published[0].seq, "it was there before the first picture");
}

fn nothing_was_written_ahead(story: &Story) {
    let child = child(story.publisher.summary(), &story.slow_peer);
    let (write, unsent) = (child.count("max_write"), child.count("max_unsent"));
    assert!(write > 0 && write <= KIB_8, "a write of {write} bytes");
    assert!(unsent < KIB_32, "written while {unsent} bytes were unsent");
    eprintln!(
        "reset {}, skipped {}, lost {} bytes",
        child.count("reset"),
        child.count("skipped"),
        child.count("lost_bytes")
    );
}

/// The pictures of groups of at least half a second. A publisher that has no time to encode may begin
/// the next group after one picture, which nobody misses; on a machine that has the time there is none.
fn of_whole_groups(units: Vec<&Unit>) -> Vec<&Unit> {
    let mut pictures = BTreeMap::<u64, usize>::new();
    for unit in &units {
        *pictures.entry(unit.group).or_default() += 1;
    }
    let whole = pictures.values().filter(|count| **count >= 15).count();
    assert!(whole >= 50, "only {whole} whole groups in 58 s: {pictures:?}");
    units.into_iter().filter(|unit| pictures[&unit.group] >= 15).collect()
}

fn p95(units: &[&Unit]) -> f64 {
    check::percentile(&trace::sorted(units.iter().map(|unit| unit.latency_ms())), 95.0)
}

#[test]
fn two_megabits_for_two_and_a_half_stay_flat_for_a_minute() {
    let story = sixty_seconds(|lab, slow| {
        lab.host("slow").download(2_000, 25_000);
        playing(slow);
    });
    nothing_was_written_ahead(&story);
    the_line_was_too_slow(&story);
    one_feed_served_it(&story);
    must(trace::delivery(&story.published, &story.slow));
    let slow: Vec<&Unit> = story.slow.iter().collect();
    let (first, last) = check::fifths(&slow);
    eprintln!("first fifth {first:.0} ms, last {last:.0} ms, p95 {:.0} ms", p95(&slow));
    must(check::stays_flat(&slow));
    assert!(p95(&slow) <= 1_200.0, "p95 is {:.0} ms", p95(&slow));
    let part = story.slow.len() as f64 / story.published.len() as f64;
    assert!(part >= 0.6, "only {:.0} % of the pictures came", part * 100.0);
    // The last group may still have been on its way at the end.
    let complete = trace::between(&story.published, &story.published, 0.0, 58.0);
    must(check::every_group(&of_whole_groups(complete), &slow));
}

#[test]
fn a_line_that_breaks_down_in_the_middle_becomes_flat_again() {
    let story = sixty_seconds(|lab, slow| {
        lab.host("slow").download(20_000, 250_000);
        playing(slow);
        slow.reaches("received", 450, Duration::from_secs(30));
        lab.host("slow").download(2_000, 25_000);
    });
    nothing_was_written_ahead(&story);
    the_line_was_too_slow(&story);
    one_feed_served_it(&story);
    must(trace::delivery(&story.published, &story.slow));
    let before = trace::between(&story.published, &story.slow, 0.0, 14.0);
    assert!(before.len() >= 415, "{} pictures before the drop", before.len());
    let after = trace::between(&story.published, &story.slow, 25.0, 60.0);
    let (first, last) = check::fifths(&after);
    eprintln!(
        "seconds 25 to 60: first fifth {first:.0} ms, last {last:.0} ms, p95 {:.0} ms",
        p95(&after)
    );
    must(check::stays_flat(&after));
}

/// A keyframe each half second, on a line that needs longer for one: each is brought to its end
/// before the newest is begun.
#[test]
fn keyframes_that_take_longer_than_a_group_are_seen_one_after_the_other() {
    let stage = Stage::shared();
    let lab = Lab::new(&["boot", "publisher", "slow"]);
    let room = Room::open_in(&stage, &lab);
    let slow = room.viewer("slow").ready();
    lab.host("slow").download(600, 15_000);
    let source = "test:1280x720@30,2500,gop=0.5";
    let publisher = room.publisher("publisher", source).args(["--seconds", "30"]).ready();
    let _ = publisher.finish(Duration::from_secs(50)).summary();
    let _ = end(slow).summary();
    let (published, seen) = (room.trace("publisher"), room.trace("slow"));
    let groups =
        |units: &[Unit]| units.iter().map(|unit| unit.group).collect::<BTreeSet<_>>().len();
    let (all, came) = (groups(&published), groups(&seen));
    let (p95, gap) =
        (p95(&seen.iter().collect::<Vec<_>>()), check::longest_gap_ms(&seen, |_, _, _| true));
    eprintln!("pictures of {came} of {all} groups, p95 {p95:.0} ms, longest gap {gap:.0} ms");
    must(trace::delivery(&published, &seen));
    assert!(came * 2 >= all, "pictures of {came} of {all} groups");
}
