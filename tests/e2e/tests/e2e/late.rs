//! Who comes late sees the picture at once, and nobody pays for it.

use std::time::Duration;

use e2e::check::{self, must};
use e2e::fields::Fields;
use e2e::stage::Stage;
use serde_json::Value;

use crate::room::{Room, end, playing};

#[test]
fn a_late_joiner_is_served_from_the_open_group() {
    let stage = Stage::new();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", "test:1280x720@30,2500,gop=10").ready();
    // In the middle of its first group of ten seconds.
    let before = publisher.reaches("access_units", 150, Duration::from_secs(15));
    let viewer = room.viewer("viewer").ready();
    playing(&viewer);
    viewer.next("further line", Duration::from_secs(5), |line| line.find("received").is_some());
    let after = publisher.next("line", Duration::from_secs(5), |_| true);
    let began = viewer.began_us();
    let ended = end(viewer);
    let summary = ended.summary();
    let subscribed = summary.num("subscribed_ms");
    let (first, live) = (summary.num("first_picture_ms"), summary.num("live_ms"));
    // By the trace and this test's own clock.
    let units = room.trace("viewer");
    let traced = (units[0].ready_us.expect("a viewer's unit") - began) as f64 / 1000.0;
    assert!((first - traced).abs() <= 50.0, "told {first} ms, the trace has {traced}");
    must(check::watch_figures(summary, &units));
    assert!(first - subscribed <= 300.0, "first picture {first}, subscribed {subscribed} ms");
    assert!(live >= first, "live {live} ms, first picture {first} ms");
    assert!(live - subscribed <= 2_000.0, "live only {} ms after subscribing", live - subscribed);
    assert!(
        summary.count("caught_up") > 100,
        "it did not begin at the group's keyframe: {summary:#}"
    );
    let asked = |line: &Value| line.count("keyframes_requested");
    assert_eq!(asked(&before), asked(&after), "the join cost a keyframe");
    let published = end(publisher);
    assert_eq!(asked(published.summary()), asked(&before));
}
