//! A viewer that stands still costs nobody anything, and is live again a second after it goes on.

use std::thread;
use std::time::Duration;

use e2e::cast::TEST_PICTURE;
use e2e::check::{self, must};
use e2e::stage::{Stage, wall_us};
use e2e::trace;

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
    for viewer in others {
        let name = viewer.name().to_owned();
        let ended = end(viewer);
        let delivery = must(trace::delivery(&published, &room.trace(&name)));
        assert!(delivery.missing.is_empty(), "{name} lost {:?}", delivery.missing);
        must(check::no_stall_of_its_own(ended.summary(), &published));
    }
    end(stuck);
    let live = room.trace("stuck").into_iter().find_map(|unit| {
        let ready = unit.ready_us?;
        (ready >= went_on && unit.latency_ms() <= 300.0).then_some(ready)
    });
    let live = live.expect("it never became live again") - went_on;
    assert!(live <= 1_000_000, "live only {} ms after it went on", live / 1000);
}
