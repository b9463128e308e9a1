//! A wrong clock at the viewer changes what it believes of the time of day, not of latency.

use std::time::Duration;

use e2e::cast::TEST_PICTURE;
use e2e::check::{self, must};
use e2e::fields::Fields;
use e2e::stage::Stage;
use e2e::trace;

use crate::room::{Room, end, playing};

#[test]
fn a_viewer_five_seconds_off_measures_the_same_latency() {
    let stage = Stage::new();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).args(["--seconds", "12"]).ready();
    let viewers = [("right", "0"), ("ahead", "5000"), ("behind", "-5000")]
        .map(|(name, ms)| room.viewer(name).env("ROOMMATE_TEST_WALL_OFFSET_MS", ms).ready());
    viewers.iter().for_each(|viewer| drop(playing(viewer)));
    let _ = publisher.finish(Duration::from_secs(30)).summary();
    let medians = viewers.map(|viewer| {
        let name = viewer.name().to_owned();
        let ended = end(viewer);
        let summary = ended.summary();
        let units = room.trace(&name);
        must(check::watch_figures(summary, &units));
        let error = summary.num("clock_error_ms");
        assert!(error < 20.0, "{name}: an error bound of {error} ms on loopback");
        check::percentile(&trace::latencies(&units, summary.count("caught_up")), 50.0)
    });
    eprintln!("medians {medians:?} ms");
    for median in &medians[1..] {
        assert!((median - medians[0]).abs() < 10.0, "{medians:?}");
        assert!(*median > 0.0, "{medians:?}");
    }
}
