//! A bootstrap introduces, carries no media, and is not missed by those who know each other.

use std::time::Duration;

use e2e::cast::TEST_PICTURE;
use e2e::check::{self, must};
use e2e::lab::Lab;
use e2e::process::Process;
use e2e::stage::Stage;
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
    bootstrap.process.kill();
    let from = room.trace("publisher").last().expect("pictures").seq;
    published(&publisher, 900 + 60 * 30);
    end(publisher);
    let all = room.trace("publisher");
    for viewer in viewers {
        let name = viewer.name().to_owned();
        let ended = end(viewer);
        let delivery = must(trace::delivery(&all, &room.trace(&name)));
        let lost: Vec<_> = delivery.missing.iter().filter(|seq| **seq >= from).collect();
        assert!(lost.is_empty(), "{name} lost {lost:?}");
        must(check::no_stall_of_its_own(ended.summary(), &all));
    }
}
