//! Disks that a recording cannot go on with.

use std::time::Duration;

use e2e::cast::{Roommate, TEST_PICTURE};
use e2e::mp4;
use e2e::stage::Stage;

use crate::room::{Room, end};

#[test]
fn a_full_disk_under_a_recording_is_said() {
    // A file system of 300 KiB that only this program sees: a second of pictures.
    let script = r#"mount -t tmpfs -o size=300k none "$0" && exec "$@""#;
    let text = recording_fails(&["unshare", "--mount", "sh", "-c", script], |_| {});
    assert!(text.contains("the disk is full") && text.contains("plays to there"), "{text}");
}

/// A file that may not grow beyond 300 KiB stands for a disk that fails: no more is written, and it
/// is not for want of room.
#[test]
fn a_disk_that_fails_under_a_recording_is_said_and_the_file_plays() {
    let script = r#"trap "" XFSZ; ulimit -f 600; : "$0"; exec "$@""#;
    let text = recording_fails(&["sh", "-c", script], |out| {
        assert!(mp4::packets(out).len() >= 10, "the recording does not play");
    });
    assert!(text.contains("cannot go on writing") && text.contains("it ends at"), "{text}");
}

/// What `watch --out` says whose disk, made by `wrapper`, takes a second of pictures. `wrapper` gets
/// the folder of the recording as its first argument.
#[track_caller]
fn recording_fails(wrapper: &[&str], look: impl FnOnce(&std::path::Path)) -> String {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let small = stage.path("small");
    std::fs::create_dir(&small).expect("a folder");
    let out = small.join("out.mp4");
    let wrapper = [wrapper, &[small.to_str().expect("a path of ours is text")]].concat();
    let viewer = Roommate::within(&stage, &wrapper, "viewer", "roommate")
        .args(["watch", &room.link, "--json", "--no-mdns"])
        .args(["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"])
        .path("--data-dir", stage.path("viewer"))
        .path("--out", &out);
    let ended = viewer.start().finish(Duration::from_secs(20));
    assert_eq!(ended.code, Some(1), "{}", ended.story());
    let text = ended.log().join("\n");
    assert!(text.contains("out.mp4"), "{text}");
    look(&out);
    end(publisher);
    text
}
