//! A file that is passed through arrives as ffmpeg's `-c copy` would write it.

use std::path::Path;
use std::time::Duration;

use e2e::annexb;
use e2e::check::must;
use e2e::mp4;
use e2e::stage::{Stage, fixture};

use crate::room::{Room, end, filled};

#[test]
fn the_clip_arrives_bit_for_bit() {
    let stage = Stage::shared();
    passes(&stage, &fixture("bbb.mp4"));
}

#[test]
fn pictures_between_pictures_arrive_in_their_order() {
    let stage = Stage::shared();
    let source = stage.path("source.mp4");
    mp4::make_with_b_frames(&source, 6);
    passes(&stage, &source);
}

#[track_caller]
fn passes(stage: &Stage, source: &Path) {
    let room = Room::open(stage);
    let out = stage.path("out.mp4");
    // Before the publisher, so that it receives the file from its first picture on.
    let viewer = room.viewer("viewer").path("--out", &out).ready();
    let source_text = format!("file:{}", source.display());
    let publisher = room.publisher("publisher", &source_text).ready();
    let published = publisher.finish(Duration::from_secs(60));
    let _ = published.summary();
    let ended = end(viewer);
    assert!(filled(&out), "nothing was written\n{}", ended.story());
    must(annexb::same(&mp4::coded(source), &mp4::coded(&out)));
    must(mp4::same_timing(&mp4::packets(source), &mp4::packets(&out)));
    assert_eq!(mp4::packets(&out).len(), room.trace("viewer").len());
}
