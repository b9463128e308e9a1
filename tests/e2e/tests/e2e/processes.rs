//! The same as five programs that know of each other only by the link.

use std::time::Duration;

use e2e::cast::{START, TEST_PICTURE};
use e2e::check::{self, must};
use e2e::fields::Fields;
use e2e::stage::{Stage, wall_us};
use e2e::{mp4, stamp};

use crate::room::{
    Room, assert_played_well, assert_received_from_the_first_sent, child, end, peer,
};

#[test]
fn five_programs_do_what_the_demo_does_and_the_file_proves_it() {
    let stage = Stage::new();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).args(["--seconds", "10"]).ready();
    publisher.reaches("access_units", 1, Duration::from_secs(5));
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

/// At moments that have nothing to do with the file's fragments (half a second): six recordings,
/// each killed a third of a second later in its own than the one before.
#[test]
fn recordings_killed_at_any_time_play_up_to_their_last_second() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", "test:1280x720@30,2500,gop=1").ready();
    let names = ["one", "two", "three", "four", "five", "six"];
    let file = |name: &str| stage.path(&format!("{name}.mp4"));
    let viewers = names.map(|name| room.viewer(name).path("--out", file(name)).ready());
    viewers.iter().for_each(|viewer| drop(viewer.reaches("received", 60, START)));
    for viewer in viewers {
        std::thread::sleep(Duration::from_millis(333));
        let name = viewer.name().to_owned();
        let killed = wall_us();
        viewer.kill();
        let ended = viewer.finish(Duration::from_secs(5));
        assert_eq!(ended.signal, Some(9), "{}", ended.story());
        let strips = mp4::strips(&file(&name), stamp::WIDTH, stamp::ROWS);
        let stamps = must(stamp::consecutive(&strips));
        assert_eq!(mp4::packets(&file(&name)).len(), stamps.len(), "{name}");
        let lost = stamps[stamps.len() - 1].distance_ms(killed);
        eprintln!("{name}: {} pictures, the last {lost} ms before the kill", stamps.len());
        assert!((-100..=1_000).contains(&lost), "{name}: the last {lost} ms are not in the file");
    }
    end(publisher);
}
