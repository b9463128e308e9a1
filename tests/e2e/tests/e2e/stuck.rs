//! A viewer that stands still costs nobody anything, and is live again a second after it goes on.

use std::thread;
use std::time::Duration;

use e2e::cast::TEST_PICTURE;
use e2e::check::{self, must};
use e2e::stage::{Stage, wall_us};
use e2e::stall;
use e2e::trace::{self, Unit};

use crate::room::{Room, end, playing};

const MIB: u64 = 1024 * 1024;

#[test]
fn a_viewer_stopped_for_half_a_minute_disturbs_nobody() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let others = ["viewer-1", "viewer-2"].map(|name| room.viewer(name).ready());
    let stuck = room.viewer("stuck").ready();
    others.iter().for_each(|viewer| drop(playing(viewer)));
    playing(&stuck);
    // Caches and buffers are full by now, so that growth from here on is the stopped viewer's.
    publisher.reaches("access_units", 240, Duration::from_secs(20));
    let before = publisher.resident();
    let stood = wall_us();
    stuck.pause();
    // Standing still is what is tested: no event marks its end.
    let mut most = before;
    for _ in 0..30 {
        thread::sleep(Duration::from_secs(1));
        most = most.max(publisher.resident());
    }
    let went_on = wall_us();
    stuck.resume();
    let grown = most.saturating_sub(before);
    assert!(grown <= 4 * MIB, "the publisher grew by {} KiB", grown / 1024);

    room.sees(&stuck, went_on);
    stuck.next("further line", Duration::from_secs(5), |_| true);
    end(publisher);
    let published = room.trace("publisher");
    feeds_on(&published, stood, went_on);
    for viewer in others {
        let name = viewer.name().to_owned();
        let ended = end(viewer);
        let seen = room.trace(&name);
        let delivery = must(trace::delivery(&published, &seen));
        assert!(delivery.missing.is_empty(), "{name} lost {:?}", delivery.missing);
        must(stall::none_of_its_own(ended.summary(), &published, &seen));
    }
    let ended = end(stuck);
    let seen = room.trace("stuck");
    must(check::watch_figures(ended.summary(), &seen));
    let live = seen.into_iter().find_map(|unit| {
        let ready = unit.ready_us?;
        (ready >= went_on && unit.latency_ms() <= 300.0).then_some(ready)
    });
    let live = live.expect("it never became live again") - went_on;
    assert!(live <= 1_000_000, "live only {} ms after it went on", live / 1000);
}

/// Whether the publisher made as many pictures a second between two times as before, a fifth aside:
/// one that waits for the viewer that stands still makes everybody wait, and stalls nobody alone.
#[track_caller]
fn feeds_on(published: &[Unit], from: i64, to: i64) {
    let start = published[0].captured_us;
    let count = |span: std::ops::Range<i64>| {
        published.iter().filter(|unit| span.contains(&unit.captured_us)).count() as f64
    };
    let before = count(start..from) * 1e6 / (from - start) as f64;
    let meanwhile = count(from..to) * 1e6 / (to - from) as f64;
    eprintln!("{before:.1} pictures a second before, {meanwhile:.1} meanwhile");
    assert!(before > 0.0 && to - from >= 30_000_000, "{before} a second, then {} us", to - from);
    assert!(meanwhile >= 0.8 * before, "{meanwhile:.1} pictures a second, before {before:.1}");
}
