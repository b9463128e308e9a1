//! A real ffmpeg piped into `publish --source -`: its pictures and its sound in another process, and
//! what is said when the pipe ends, holds nothing, or holds what cannot be sent.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::cast::{self, Roommate, START};
use e2e::check::{self, must};
use e2e::fields::Fields;
use e2e::stage::Stage;
use e2e::{live, mp4, sound};

use crate::room::{END, Room, SEEN, end, peer};
use crate::said::{refused, speaks_to_a_user};

#[test]
fn a_camera_with_aac_is_seen_and_heard_for_a_minute() {
    let stage = Stage::shared();
    camera(&stage, "aac", 60);
}

#[test]
fn a_camera_with_opus_is_seen_and_heard() {
    let stage = Stage::shared();
    camera(&stage, "libopus", 15);
}

/// For so many seconds; then ffmpeg is killed.
#[track_caller]
fn camera(stage: &Stage, codec: &str, seconds: u64) {
    let room = Room::open(stage);
    let out = stage.path("out.mp4");
    let viewer = room.viewer("viewer").path("--out", &out).ready();
    let (ffmpeg, pipe) = live::ffmpeg(&live::camera(codec));
    let publisher = room.publisher("camera", "-").reads(pipe).ready();
    let published = peer(&publisher);
    publisher.reaches("access_units", 30 * seconds, Duration::from_secs(seconds) + START);
    ffmpeg.kill();
    let _ = ffmpeg.finish(END);
    let publisher = publisher.finish(END);
    let others = publisher.log().iter().filter(|line| !line.contains("viewer is here")).count();
    assert_eq!(others, 0, "nothing else was to be said\n{}", publisher.story());
    assert!(publisher.summary().count("sound.packets") > 40 * seconds, "{}", publisher.story());
    let short = &published[published.len() - 6..];
    let said = viewer.says("ended the broadcast", SEEN);
    assert!(said.contains(short), "whose? {published}: {said}");
    viewer.next("line of nobody who publishes", SEEN, |line| line.at("route") == "none");
    let viewer = end(viewer);

    let told = viewer.summary();
    let units = (room.trace("viewer"), room.sound("viewer"));
    must(check::nothing_lost(&room.trace("camera"), &units.0));
    must(check::nothing_lost(&room.sound("camera"), &units.1));
    assert_eq!((told.count("gaps"), told.count("sound.gaps")), (0, 0), "{told:#}");
    must(check::sound_figures(told, &units.1));
    let (flashes, beeps) = (sound::flashes(&out, live::FLASH), sound::beeps(&out));
    let least = usize::try_from(seconds).expect("seconds") - 2;
    assert!(flashes.len() >= least && beeps.len() >= least, "{flashes:?} {beeps:?}");
    let worst = must(sound::in_step(&flashes, &beeps, 40.0));
    eprintln!("{codec}: {} flashes, {worst:.1} ms from their beeps at most", flashes.len());
}

#[test]
fn who_waits_for_a_pipe_is_ended_by_ctrl_c() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    // Nothing at all, and a beginning that says nothing yet.
    for begin in [&[][..], &[0x47, 0, 0, 0]] {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(begin).expect("a pipe takes four bytes");
        let publisher = room.publisher("publisher", "-").reads(reader).start();
        // It hears signals from when its trace is there, and then looks into the pipe.
        let trace = cast::trace_of(&stage, "publisher");
        let until = Instant::now() + START;
        while !trace.exists() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        publisher.interrupt();
        let asked = Instant::now();
        let ended = publisher.finish(END);
        let took = asked.elapsed();
        assert_eq!(ended.code, Some(0), "{}", ended.story());
        assert!(took <= Duration::from_secs(2), "{took:?}");
        speaks_to_a_user(&ended.log().join("\n"));
        std::fs::remove_file(&trace).expect("its trace");
        drop(writer);
    }
}

/// A camera that says nothing any more keeps its pipe open.
#[test]
fn whose_pipe_falls_silent_is_ended_by_ctrl_c() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let coded = ["-c:v", "libx264", "-tune", "zerolatency", "-pix_fmt", "yuv420p"];
    for (name, how) in [("clip.h264", &coded[..]), ("clip.y4m", &coded[4..])] {
        let clip = stage.path(name);
        mp4::make(&clip, how);
        let bytes = std::fs::read(&clip).expect("a clip");
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let publisher = room.publisher("publisher", "-").reads(reader).start();
        writer.write_all(&bytes).expect("the publisher reads");
        // All of its second but the picture whose end a byte stream does not show: now it waits.
        publisher.reaches("access_units", 29, START);
        publisher.interrupt();
        let asked = Instant::now();
        let ended = publisher.finish(END);
        assert!(asked.elapsed() <= Duration::from_secs(2), "{name}: {:?}", asked.elapsed());
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.story());
        assert!(ended.summary().count("access_units") > 0, "{name}");
        drop(writer);
    }
}

/// What `publish --source -` says of a pipe out of which comes this file.
fn publish(stage: &Stage, file: &Path) -> Roommate {
    let publisher = Roommate::new(stage, None, "publisher", "publish");
    publisher.args(["--json", "--source", "-"]).reads(File::open(file).expect("a file"))
}

#[test]
fn a_pipe_of_nothing_or_of_garbage_is_said_to_be_so() {
    let stage = Stage::shared();
    let path = |name: &str, bytes: &[u8]| {
        std::fs::write(stage.path(name), bytes).expect("a file");
        stage.path(name)
    };
    let pipe = "cannot send standard input";
    refused(publish(&stage, &path("empty", b"")), 1, &[pipe, "it is empty", "-f mpegts"]);
    let words = [pipe, "none of MPEG-TS, MP4, H.264 and y4m", "-f mpegts"];
    refused(publish(&stage, &path("few", b"hello")), 1, &words);
    refused(publish(&stage, &path("many", &[7; 100_000])), 1, &words);
}

#[test]
fn what_comes_out_of_a_pipe_and_cannot_be_sent_is_named_with_the_way_out() {
    let stage = Stage::shared();
    let pipe = "cannot send standard input";
    for (name, how, words) in [
        ("hevc.ts", &["-c:v", "libx265"][..], ["HEVC", "-c:v libx264"]),
        ("hevc.hevc", &["-c:v", "libx265"], ["HEVC", "-c:v libx264"]),
        ("other.mp4", &["-c:v", "libx264", "-pix_fmt", "yuv420p"], ["MP4", "-f mpegts"]),
    ] {
        let file = stage.path(name);
        mp4::make(&file, how);
        refused(publish(&stage, &file), 1, &[pipe, words[0], words[1]]);
    }
}
