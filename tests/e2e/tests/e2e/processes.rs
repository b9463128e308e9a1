//! The same as five programs that know of each other only by the link.

use std::time::Duration;

use e2e::cast::TEST_PICTURE;
use e2e::check::{self, must};
use e2e::fields::Fields;
use e2e::stage::Stage;
use e2e::{mp4, stamp};

use crate::room::{
    Room, assert_played_well, assert_received_from_the_first_sent, child, end, peer,
};

#[test]
fn five_programs_do_what_the_demo_does_and_the_file_proves_it() {
    let stage = Stage::new();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).args(["--seconds", "10"]).ready();
    publisher.line("first pictures", Duration::from_secs(5), |line| {
        line.find("access_units").is_some_and(|units| units.as_u64() > Some(0))
    });
    let out = stage.path("out.mp4");
    let viewers = [
        room.viewer("viewer-1").path("--out", &out).ready(),
        room.viewer("viewer-2").ready(),
        room.viewer("viewer-3").ready(),
    ];
    let peers = viewers.each_ref().map(peer);
    let told = publisher.finish(Duration::from_secs(30));
    let told = told.summary();
    let published = room.trace("publisher");
    must(check::publish_figures(told, &published));
    for peer in &peers {
        assert_eq!(child(told, peer).text("route"), "direct");
    }
    for (viewer, peer) in viewers.into_iter().zip(&peers) {
        let name = viewer.name().to_owned();
        let ended = end(viewer);
        let received = room.trace(&name);
        assert_played_well(ended.summary(), &published, &received);
        assert_received_from_the_first_sent(child(told, peer), &received);
    }

    let received = room.trace("viewer-1");
    let stamps = must(stamp::consecutive(&mp4::strips(&out, stamp::WIDTH, stamp::ROWS)));
    assert_eq!(stamps.len(), received.len(), "the file has other pictures than the trace");
    for (stamp, unit) in stamps.iter().zip(&received) {
        let distance = stamp.distance_ms(unit.captured_us);
        assert!(distance.abs() <= 10, "{stamp:?} is {distance} ms off {unit:?}");
    }
}

#[test]
fn a_recording_killed_at_any_time_plays_up_to_its_last_second() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", "test:1280x720@30,2500,gop=1").ready();
    let out = stage.path("out.mp4");
    let viewer = room.viewer("viewer").path("--out", &out).ready();
    viewer.line("six seconds of pictures", Duration::from_secs(20), |line| {
        line.find("received").is_some_and(|received| received.as_u64() >= Some(180))
    });
    viewer.kill();
    let ended = viewer.finish(Duration::from_secs(5));
    assert_eq!(ended.signal, Some(9));
    end(publisher);
    let stamps = must(stamp::consecutive(&mp4::strips(&out, stamp::WIDTH, stamp::ROWS)));
    let received = room.trace("viewer");
    let lost = received.len() - stamps.len().min(received.len());
    assert!(lost <= 31, "{lost} pictures of {} are not in the file", received.len());
}
