//! One command shows everything, and every figure that it prints is recomputed from its traces.

use std::time::Duration;

use e2e::cast::{Roommate, ready_line};
use e2e::check::{self, must};
use e2e::fields::Fields;
use e2e::stage::Stage;
use e2e::trace;

use crate::room::{assert_played_well, assert_received_from_the_first_sent, meant_for};

#[test]
fn three_viewers_receive_what_one_publisher_sends() {
    let stage = Stage::new();
    let path = stage.path("demo.trace");
    let demo = Roommate::bare(&stage, None, "demo")
        .args(["demo", "--seconds", "10", "--viewers", "3", "--json", "--no-open"])
        .path("--trace", &path)
        .path("--data-dir", stage.path("demo"))
        .start();
    let first = ready_line(&demo);
    assert_eq!(first.text("role"), "demo");
    let ended = demo.finish(Duration::from_secs(40));
    let summary = ended.summary();
    let [publisher] = &trace::of_demo(&path, "publish")[..] else {
        panic!("one publisher's trace")
    };
    let publisher = trace::read(publisher);
    assert!((290..=320).contains(&publisher.len()), "{} pictures in 10 s", publisher.len());
    must(check::publish_figures(summary.at("publisher"), &publisher));

    let viewers = trace::of_demo(&path, "watch");
    assert_eq!(viewers.len(), 3, "{viewers:?}");
    assert_eq!(summary.list("viewers").len(), 3);
    let children = summary.list("publisher.children");
    assert_eq!(children.len(), 3, "{summary:#}");
    for child in children {
        let (meant, published) = (meant_for(child), publisher.len() as u64);
        assert!(meant as f64 >= 0.995 * published as f64, "of {published} pictures: {child:#}");
    }
    for (told, path) in summary.list("viewers").iter().zip(&viewers) {
        let viewer = trace::read(path);
        assert_played_well(told, &publisher, &viewer);
        // All were there before the publisher, so whichever child it is: from the first picture on.
        assert_eq!(viewer[0].seq, publisher[0].seq, "{}", path.display());
        let caught_up = told.count("caught_up");
        assert!(caught_up <= 3, "{caught_up} pictures before it was admitted: {told:#}");
        children.iter().for_each(|child| assert_received_from_the_first_sent(child, &viewer));
    }
    assert!(children.iter().all(|child| child.count("skipped") + child.count("reset") == 0));
    assert_eq!(summary.count("bootstrap.media_bytes"), 0);
    assert!(summary.count("bootstrap.registrations") >= 4, "{summary:#}");
    // A line each second, the last one the summary.
    assert!((10..=14).contains(&ended.lines().len()), "{} lines", ended.lines().len());
}
