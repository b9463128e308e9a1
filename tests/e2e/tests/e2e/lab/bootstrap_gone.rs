//! A bootstrap introduces, carries no media, and is not missed by those who know each other.

use std::time::Duration;

use e2e::cast::TEST_PICTURE;
use e2e::check::must;
use e2e::lab::Lab;
use e2e::process::Process;
use e2e::stage::{Stage, wall_us};
use e2e::stall;
use e2e::trace;

use crate::room::{Room, end, playing};

const KIB_64: u64 = 64 * 1024;
const MB: u64 = 1_000_000;

fn published(publisher: &Process, units: u64) {
    publisher.reaches("access_units", units, Duration::from_secs(120));
}

#[test]
fn media_never_passes_a_bootstrap_and_its_death_costs_nothing() {
    let stage = Stage::shared();
    let lab = Lab::new(&["boot", "publisher", "viewer-1", "viewer-2"]);
    let room = Room::open_in(&stage, &lab);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let viewers = ["viewer-1", "viewer-2"].map(|name| room.viewer(name).ready());
    viewers.iter().for_each(|viewer| drop(playing(viewer)));
    published(&publisher, 900);
    // Half a minute with three peers, their joining and the creation of the room included.
    let at_boot = lab.host("boot").traffic();
    let at_viewer = lab.host("viewer-1").traffic();
    eprintln!("bootstrap {at_boot:?}, viewer {at_viewer:?}");
    assert!(at_viewer.received >= 2 * MB, "no media flowed: {at_viewer:?}");
    assert!(at_boot.total() > 0, "the counter sees nothing");
    assert!(at_boot.total() <= 3 * KIB_64 / 2, "{at_boot:?} in 30 s for 3 peers");

    let Room { bootstrap, .. } = &room;
    let killed = wall_us();
    bootstrap.process.kill();
    let from = room.trace("publisher").last().expect("pictures").seq;
    published(&publisher, 900 + 60 * 30);
    end(publisher);
    let all = room.trace("publisher");
    // Of 1,800, with a tenth for a busy machine: a publisher that pauses makes nobody stall.
    let minute = killed..killed + 60_000_000;
    let made = all.iter().filter(|unit| minute.contains(&unit.captured_us)).count();
    assert!(made >= 1_620, "{made} pictures in the minute after the bootstrap was killed");
    for viewer in viewers {
        let name = viewer.name().to_owned();
        let ended = end(viewer);
        let seen = room.trace(&name);
        let delivery = must(trace::delivery(&all, &seen));
        let lost: Vec<_> = delivery.missing.iter().filter(|seq| **seq >= from).collect();
        assert!(lost.is_empty(), "{name} lost {lost:?}");
        must(stall::none_of_its_own(ended.summary(), &all, &seen));
    }
}
