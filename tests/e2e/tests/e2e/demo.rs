//! One command shows everything, and every figure that it prints is recomputed from its traces.

use std::time::Duration;

use e2e::cast::Roommate;
use e2e::check::{self, must};
use e2e::fields::Fields;
use e2e::stage::Stage;
use e2e::trace;

use crate::room::assert_played_well;

#[test]
fn three_viewers_receive_what_one_publisher_sends() {
    let stage = Stage::new();
    let path = stage.path("demo.trace");
    let demo = Roommate::bare(&stage, None, "demo")
        .args(["demo", "--seconds", "10", "--viewers", "3", "--json", "--no-open"])
        .path("--trace", &path)
        .path("--data-dir", stage.path("demo"))
        .start();
    let first = demo.line("ready line", Duration::from_secs(10), |line| line.is("ready"));
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
    for (told, path) in summary.list("viewers").iter().zip(&viewers) {
        assert_played_well(told, &publisher, &trace::read(path));
    }
    let children = summary.list("publisher.children");
    assert_eq!(children.len(), 3, "{summary:#}");
    assert!(children.iter().all(|child| child.count("skipped") + child.count("reset") == 0));
    assert_eq!(summary.count("bootstrap.media_bytes"), 0);
    assert!(summary.count("bootstrap.registrations") >= 4, "{summary:#}");
    // A line each second, the last one the summary.
    assert!((10..=14).contains(&ended.lines().len()), "{} lines", ended.lines().len());
}
