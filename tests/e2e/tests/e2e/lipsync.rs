//! Flash and beep of the test picture, as a recording has them.

use std::time::Duration;

use e2e::check::{self, must};
use e2e::fields::Fields;
use e2e::sound;
use e2e::stage::Stage;

use crate::room::{Room, end};

#[test]
fn every_flash_of_a_recording_has_its_beep() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let out = stage.path("out.mp4");
    let viewer = room.viewer("viewer").path("--out", &out).ready();
    let source = "test:1280x720@30,2500,gop=1";
    let publisher = room.publisher("publisher", source).args(["--seconds", "12"]).ready();
    let published = publisher.finish(Duration::from_secs(30));
    let told = end(viewer);
    let told = told.summary();

    let (sent, heard) = (room.sound("publisher"), room.sound("viewer"));
    assert_eq!(published.summary().count("sound.packets"), sent.len() as u64);
    must(check::nothing_lost(&sent, &heard));
    assert_eq!(told.count("sound.gaps"), 0, "{told:#}");
    must(check::watch_figures(told, &room.trace("viewer")));
    must(check::sound_figures(told, &heard));

    let (flashes, beeps) = (sound::flashes(&out, sound::TEST_FLASH), sound::beeps(&out));
    assert!(flashes.len() >= 10 && beeps.len() >= 10, "{flashes:?} {beeps:?}");
    let worst = must(sound::in_step(&flashes, &beeps, 40.0));
    eprintln!("{} flashes, {} beeps, {worst:.1} ms apart at most", flashes.len(), beeps.len());
}
