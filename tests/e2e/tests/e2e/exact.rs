//! Pictures and packets of sound arrive as they are in the source, whatever kind it is of: files by
//! ffmpeg, pipes out of ffmpeg, each recorded and compared with what ffmpeg itself reads of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::check::must;
use e2e::fields::Fields as _;
use e2e::stage::Stage;
use e2e::{annexb, cast, live, mp4, sound, trace};

use crate::room::{Room, SEEN, end, filled};

/// Three seconds, encoded with delimiters and a keyframe each second; `sound`: its encoder.
fn made(stage: &Stage, name: &str, sound: Option<&str>) -> PathBuf {
    let path = stage.path(name);
    mp4::make_live(&path, 3, sound);
    path
}

/// Records what comes of a source into a file; `feed`: what is piped into the publisher.
#[track_caller]
fn recorded(stage: &Stage, source: &str, feed: Option<&[&str]>) -> PathBuf {
    let room = Room::open(stage);
    let out = stage.path("out.mp4");
    // Before the publisher, so that it receives everything from the first picture on.
    let viewer = room.viewer("viewer").path("--out", &out).ready();
    let publisher = room.publisher("publisher", source);
    let publisher = match feed {
        None => publisher.ready(),
        Some(args) => {
            let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
            let (ffmpeg, pipe) = live::ffmpeg(&args);
            let publisher = publisher.reads(pipe).ready();
            let ended = ffmpeg.finish(Duration::from_secs(30));
            assert_eq!((ended.code, ended.log().len()), (Some(0), 0), "{}", ended.story());
            publisher
        }
    };
    let published = publisher.finish(Duration::from_secs(30));
    // The last picture may still be on its way through a busy viewer: who interrupts it cuts that off.
    let all = published.summary().count("access_units");
    viewer.reaches("received", all, SEEN);
    let ended = end(viewer);
    assert!(filled(&out), "nothing was written\n{}", ended.story());
    out
}

/// A file with pictures and sound, as it is.
#[track_caller]
fn passes(name: &str, codec: &str) {
    let stage = Stage::shared();
    let source = made(&stage, name, Some(codec));
    let out = recorded(&stage, &format!("file:{}", source.display()), None);
    same(&stage, &source, &out);
}

#[track_caller]
fn same(stage: &Stage, source: &Path, out: &Path) {
    must(annexb::same(&mp4::coded(source), &mp4::coded(out)));
    let pictures = [source, out].map(mp4::packets);
    must(mp4::same_timing(&pictures[0], &pictures[1]));
    let packets = [source, out].map(sound::packets);
    let first = pictures.map(|pictures| pictures[0].pts);
    must(sound::same((&packets[0], first[0]), (&packets[1], first[1])));
    // What the recording leaves out came as well.
    let came = trace::read_track(&cast::trace_of(stage, "viewer"), trace::SOUND).len();
    assert_eq!(came, packets[0].len(), "packets that came, and that there are");
}

#[test]
fn an_mp4_with_aac() {
    passes("source.mp4", "aac");
}

#[test]
fn an_mp4_with_opus() {
    passes("source.mp4", "libopus");
}

#[test]
fn a_transport_stream_with_aac() {
    passes("source.ts", "aac");
}

#[test]
fn a_transport_stream_with_opus() {
    passes("source.ts", "libopus");
}

#[test]
fn a_transport_stream_out_of_a_pipe() {
    let stage = Stage::shared();
    let source = made(&stage, "source.ts", Some("aac"));
    let path = source.to_str().expect("a path of ours is text");
    let feed = ["-re", "-i", path, "-c", "copy", "-f", "mpegts", "-pes_payload_size", "0", "-"];
    same(&stage, &source, &recorded(&stage, "-", Some(&feed)));
}

#[test]
fn a_file_of_h264() {
    let stage = Stage::shared();
    let source = made(&stage, "source.h264", None);
    let out = recorded(&stage, &format!("file:{}", source.display()), None);
    must(annexb::same(&mp4::coded(&source), &mp4::coded(&out)));
}

#[test]
fn h264_out_of_a_pipe() {
    let stage = Stage::shared();
    let source = made(&stage, "source.h264", None);
    let path = source.to_str().expect("a path of ours is text");
    let feed = ["-re", "-r", "30", "-i", path, "-c", "copy", "-f", "h264", "-"];
    let out = recorded(&stage, "-", Some(&feed));
    must(annexb::same(&mp4::coded(&source), &mp4::coded(&out)));
}

/// What is encoded on the way is not the same, but very like it.
#[test]
fn pictures_as_they_are_come_out_much_as_they_went_in() {
    let stage = Stage::shared();
    let source = stage.path("source.y4m");
    mp4::make(&source, &["-pix_fmt", "yuv420p"]);
    let out = recorded(&stage, &format!("file:{}", source.display()), None);
    let pictures = [&source, &out].map(|path| mp4::strips(path, 320, 180));
    assert_eq!(pictures[0].len(), pictures[1].len());
    let worst = pictures[0].iter().zip(&pictures[1]).map(|(one, other)| psnr(one, other));
    let worst = worst.min_by(f64::total_cmp).expect("pictures");
    eprintln!("the worst of {} pictures has {worst:.1} dB", pictures[0].len());
    assert!(worst > 30.0, "a picture of {worst:.1} dB");
    // Else the figure could be that of any two pictures.
    let still = psnr(&pictures[0][0], &pictures[0][15]);
    assert!(still < 25.0, "half a second changes nothing: {still:.1} dB");
}

/// Peak signal to noise of 8-bit luma, in dB.
fn psnr(one: &[u8], other: &[u8]) -> f64 {
    let squares = one.iter().zip(other).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let mean = squares.sum::<f64>() / one.len() as f64;
    10.0 * (255.0_f64.powi(2) / mean.max(1e-9)).log10()
}
