//! Files that cannot be sent and files that cannot be written, each named with its reason.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::cast::{Roommate, START, TEST_PICTURE};
use e2e::mp4;
use e2e::stage::Stage;

use crate::room::{Room, end};
use crate::said::refused;

/// What `publish` says of a file: it is looked at before anything else, so no room is needed.
fn publish(stage: &Stage, file: &Path) -> Roommate {
    let source = format!("file:{}", file.display());
    Roommate::new(stage, None, "publisher", "publish").args(["--json", "--source", &source])
}

#[test]
fn a_file_that_is_missing_or_not_h264_is_named() {
    let stage = Stage::shared();
    refused(
        publish(&stage, "/no/such/file.mp4".as_ref()),
        1,
        &["/no/such/file.mp4", "cannot read"],
    );
    for (name, encoder, words) in [
        ("other.mp4", "mpeg4", "not H.264"),
        ("hevc.mp4", "libx265", "its video is HEVC, not H.264: convert it with 'ffmpeg"),
    ] {
        let file = stage.path(name);
        mp4::make(&file, &["-c:v", encoder, "-pix_fmt", "yuv420p"]);
        refused(publish(&stage, &file), 1, &[name, words]);
    }
}

#[test]
fn what_is_no_video_file_is_said_to_be_none() {
    let stage = Stage::shared();
    let empty = stage.path("empty.mp4");
    std::fs::write(&empty, "").unwrap();
    refused(publish(&stage, &empty), 1, &["cannot send", "empty.mp4", "it is empty"]);
    refused(publish(&stage, stage.folder()), 1, &["cannot send", "it is not a regular file"]);
    let garbage = stage.path("garbage.mp4");
    std::fs::write(&garbage, [7; 5000]).unwrap();
    refused(publish(&stage, &garbage), 1, &["garbage.mp4", "it is not an MP4 file"]);
    let sound = stage.path("sound.mp4");
    mp4::make_sound(&sound, "mp3");
    refused(publish(&stage, &sound), 1, &["sound.mp4", "it has no video track, and its sound is"]);
}

#[test]
fn a_file_that_was_cut_short_is_said_to_be() {
    let stage = Stage::shared();
    for (name, flags, words) in [
        ("end.mp4", "-faststart", "it has no index (moov box): it was cut short"),
        ("begin.mp4", "+faststart", "lies beyond the end of the file: it was cut short"),
    ] {
        let file = stage.path(name);
        mp4::make(&file, &["-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", flags]);
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 2_000]).unwrap();
        refused(publish(&stage, &file), 1, &[name, words]);
    }
}

#[test]
fn pictures_that_nobody_could_play_are_named_with_the_way_out() {
    let stage = Stage::shared();
    let ffmpeg = "convert it with 'ffmpeg -i FILE";
    for (name, how, words) in [
        ("444.mp4", &["-pix_fmt", "yuv444p"][..], ["not sampled as 4:2:0", ffmpeg]),
        ("ten.mp4", &["-pix_fmt", "yuv420p10le"], ["more than 8 bits", ffmpeg]),
        ("fields.mp4", &["-flags", "+ilme+ildct"], ["may be interlaced", ffmpeg]),
        ("level.mp4", &["-x264-params", "level=6.2"], ["its level is above 5.2", ffmpeg]),
        // Type 5 is an IDR picture: what is left can be begun nowhere.
        ("open.mp4", &["-bsf:v", "filter_units=remove_types=5"], ["no picture in it", "keyframe"]),
        (
            "locked.mp4",
            &[
                "-encryption_scheme",
                "cenc-aes-ctr",
                "-encryption_key",
                "76a6c65c5ea762046bd749a2e632ccbb",
                "-encryption_kid",
                "a7e61c373e219033c21091fa607bf3b8",
            ],
            ["its video is encrypted", "without copy protection"],
        ),
    ] {
        let file = stage.path(name);
        let pixels: &[_] = if how[0] == "-pix_fmt" { &[] } else { &["-pix_fmt", "yuv420p"] };
        mp4::make(&file, &[&["-c:v", "libx264"], pixels, how].concat());
        refused(publish(&stage, &file), 1, &[name, words[0], words[1]]);
    }
}

/// A pipe that nobody empties stands for a disk that stands still. One recording is ended by that;
/// another one by its person, who is not kept waiting for the disk.
#[test]
fn a_disk_that_stands_still_ends_the_recording_and_holds_nobody_up() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let stuck = |name: &str| {
        let pipe = stage.path(&format!("{name}.mp4"));
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
        // Opened for both, so that opening waits for nobody.
        let reader = OpenOptions::new().read(true).write(true).open(&pipe).expect("a pipe");
        (room.viewer(name).path("--out", &pipe).ready(), reader)
    };
    let [(patient, _one), (hasty, _two)] = ["patient", "hasty"].map(stuck);
    // A pipe holds 64 KiB: the disk has stood still for seconds.
    hasty.reaches("received", 150, START);
    hasty.interrupt();
    let asked = Instant::now();
    let hasty = hasty.finish(START);
    assert!(asked.elapsed() <= Duration::from_secs(2), "held up for {:?}", asked.elapsed());
    assert_eq!(hasty.code, Some(1), "{}", hasty.story());
    let last = hasty.log().last().expect("a sentence");
    assert!(last.contains("the disk does not answer: ") && last.contains("hasty.mp4"), "{last}");

    let patient = patient.finish(START * 3);
    assert_eq!(patient.code, Some(1), "{}", patient.story());
    let last = patient.log().last().expect("a sentence");
    assert!(last.contains("the disk is too slow for the recording: it ends here"), "{last}");
    end(publisher);
}

#[test]
fn a_recording_or_a_trace_that_cannot_be_opened_is_named() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let nowhere = "/no/such/folder/out.mp4";
    let viewer = room.viewer("viewer").args(["--out", nowhere]).start().finish(START);
    assert_eq!(viewer.code, Some(1), "{}", viewer.story());
    let last = viewer.log().last().expect("a sentence");
    assert!(last.contains(&format!("cannot write to {nowhere}: ")), "{}", viewer.story());
    end(publisher);

    let publish = Roommate::new(&stage, None, "other", "publish");
    let publish = publish.args(["--json", "--trace", "/no/such/folder/trace"]);
    refused(publish, 1, &["the trace /no/such/folder/trace cannot be written"]);
}
