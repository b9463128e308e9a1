//! Single stories that people would tell: late, slow, stopped, left alone, with figures.

use std::time::Duration;

use sim::net::Line;
use sim::oracle;
use sim::viewer::Shown;
use sim::world::{Happening, Parent, World};

const MS: Duration = Duration::from_millis(1);
const NEAR: Line = Line::clean(Duration::from_millis(10));

fn world(viewers: u8, group: Duration) -> World {
    World::new(3, viewers, group, 300 * MS)
}

fn median(shown: &[Shown]) -> Duration {
    let mut latencies: Vec<_> = shown.iter().map(Shown::latency).collect();
    latencies.sort_unstable();
    latencies[latencies.len() / 2]
}

#[test]
fn a_late_joiner_is_shown_the_open_group_at_once_and_costs_no_keyframe() {
    let mut world = world(2, 10_000 * MS);
    world.after(Duration::ZERO, Happening::Join(0, Parent::Publisher, NEAR));
    world.after(5_000 * MS, Happening::Join(1, Parent::Publisher, NEAR));
    world.run_for(8_000 * MS).unwrap();
    assert!(oracle::first_picture(&world, 1).unwrap() <= 50 * MS);
    assert_eq!(world.viewers[1].shown[0].seq, 0, "it began with the group's keyframe");
    assert_eq!(world.viewers[1].gaps(), 0);
    assert_eq!(world.source.forced(), 0);
}

/// The stream is 127 kB a second with all that the wire adds; the line is 0.8 of it.
#[test]
fn a_line_slower_than_the_stream_stays_flat_for_a_minute_and_costs_others_nothing() {
    let mut world = world(2, 1_000 * MS);
    let slow = Line { rate: Some(101_000), queue_bytes: 10_000, ..Line::clean(20 * MS) };
    world.after(Duration::ZERO, Happening::Join(0, Parent::Publisher, slow));
    world.after(Duration::ZERO, Happening::Join(1, Parent::Publisher, NEAR));
    world.run_for(60_000 * MS).unwrap();
    let shown = &world.viewers[0].shown;
    let fifth = shown.len() / 5;
    let (first, last) = (median(&shown[..fifth]), median(&shown[4 * fifth..]));
    assert!(last <= first * 3 / 2, "the median went from {first:?} to {last:?}");
    let published = world.source.originals.len();
    assert!(shown.len() * 10 >= published * 6, "{} of {published} shown", shown.len());
    let groups: std::collections::BTreeSet<_> = shown.iter().map(|shown| shown.group).collect();
    assert!(groups.len() >= 58, "pictures of {} groups in a minute", groups.len());
    assert_eq!(world.viewers[1].gaps(), 0);
    assert!(world.viewers[1].shown.len() + 2 >= published);
}

#[test]
fn a_viewer_that_stood_still_is_live_a_moment_after_it_goes_on() {
    let mut world = world(2, 1_000 * MS);
    for viewer in 0..2 {
        world.after(Duration::ZERO, Happening::Join(viewer, Parent::Publisher, NEAR));
    }
    world.run_for(3_000 * MS).unwrap();
    world.after(Duration::ZERO, Happening::Pause(0));
    world.run_for(8_000 * MS).unwrap();
    world.after(Duration::ZERO, Happening::Resume(0));
    let went_on = world.now;
    world.run_for(3_000 * MS).unwrap();
    let live =
        world.viewers[0].shown.iter().find(|s| s.ready >= went_on && s.latency() <= 300 * MS);
    let live = live.expect("it is live again").ready.since(went_on);
    assert!(live <= 1_100 * MS, "live only {live:?} after it went on");
    assert_eq!(world.viewers[1].gaps(), 0);
}

#[test]
fn a_child_whose_parent_dies_goes_on_with_the_publisher_where_it_stopped() {
    let mut world = world(2, 5_000 * MS);
    world.after(Duration::ZERO, Happening::Join(0, Parent::Publisher, NEAR));
    world.after(500 * MS, Happening::Join(1, Parent::Viewer(0), NEAR));
    world.after(6_000 * MS, Happening::Kill(0));
    world.run_for(10_000 * MS).unwrap();
    let viewer = &world.viewers[1];
    assert_eq!(viewer.gaps(), 0, "the group was completed by the publisher");
    assert!(viewer.shown.last().unwrap().captured + 100 * MS >= world.now);
}

#[test]
fn the_end_of_a_broadcast_comes_after_its_last_picture() {
    let mut world = world(1, 1_000 * MS);
    world.after(Duration::ZERO, Happening::Join(0, Parent::Publisher, NEAR));
    world.after(3_500 * MS, Happening::End);
    world.run_for(5_000 * MS).unwrap();
    assert_eq!(world.viewers[0].shown.len(), world.source.originals.len());
    assert!(world.link_of(0).unwrap().feed.ended().is_some());
}

/// Its old parent brought it into one group, and the publisher is in the next: it is given both at
/// once, and is late until it has them.
#[test]
fn a_child_that_comes_again_over_a_busy_line_costs_no_keyframe() {
    let mut world = world(2, 5_000 * MS);
    world.after(Duration::ZERO, Happening::Join(0, Parent::Publisher, NEAR));
    let line = Line { rate: Some(400_000), queue_bytes: 100_000, ..NEAR };
    world.after(500 * MS, Happening::Join(1, Parent::Viewer(0), line));
    world.after(9_000 * MS, Happening::Kill(0));
    world.run_for(14_000 * MS).unwrap();
    assert_eq!(world.source.requested(), 0);
    assert!(world.viewers[1].shown.last().unwrap().captured + 200 * MS >= world.now);
}
