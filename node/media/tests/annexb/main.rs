//! H.264 byte streams from ffmpeg, by file and by pipe: what comes out is bit for bit what went in.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![allow(clippy::print_stdout, reason = "figures are read by people")]

#[path = "../support/pipe.rs"]
mod pipe_end;
mod refused;
#[path = "../mp4/tool.rs"]
#[allow(dead_code, reason = "the other suite uses the rest of it")]
mod tool;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use pipe_end::Pipe;
use roommate_clock::Clock;
use roommate_media::annexb_source::{AnnexBSource, TIMESCALE};
use roommate_media::sniff::{Kind, peek};
use roommate_media::source::{Source, SourceControl, SourceUnit};
use roommate_protocol::h264::annexb;
use tempfile::TempDir;
use tool::{apart, ffmpeg, text};

/// A stream of `seconds` at 25 pictures a second.
fn stream(dir: &TempDir, name: &str, size: &str, seconds: &str, more: &[&str]) -> PathBuf {
    let path = dir.path().join(name);
    let input = format!("testsrc2=size={size}:rate=25");
    let head = ["-f", "lavfi", "-i", &input, "-t", seconds, "-c:v", "libx264", "-bf", "0"];
    let tail = ["-pix_fmt", "yuv420p", "-f", "h264", text(&path)];
    ffmpeg(&[&head[..], more, &tail].concat());
    path
}

fn all(mut source: AnnexBSource) -> Vec<SourceUnit> {
    let control = SourceControl::new();
    std::iter::from_fn(|| source.next(&control).unwrap()).collect()
}

fn by_file(path: &Path) -> Vec<SourceUnit> {
    all(AnnexBSource::open(path, Clock::new(), false).unwrap().unpaced())
}

fn pipe() -> (SyncSender<Vec<u8>>, Pipe) {
    let (writer, reader) = sync_channel(1);
    (writer, Pipe(reader, Vec::new()))
}

fn live(pipe: Pipe, control: &SourceControl) -> AnnexBSource {
    AnnexBSource::live(Vec::new(), pipe, Clock::new(), control).unwrap().unwrap()
}

/// In chunks of odd sizes, as fast as they are taken.
fn by_pipe(path: &Path) -> Vec<SourceUnit> {
    let bytes = std::fs::read(path).unwrap();
    let (writer, reader) = pipe();
    let writing = std::thread::spawn(move || {
        let mut rest = bytes.as_slice();
        for size in [1_usize, 2, 3, 7, 61, 997, 4_095, 30_011].iter().cycle() {
            let (chunk, tail) = rest.split_at(rest.len().min(*size));
            if chunk.is_empty() || writer.send(chunk.to_vec()).is_err() {
                return;
            }
            rest = tail;
        }
    });
    let units = all(live(reader, &SourceControl::new()));
    writing.join().unwrap();
    units
}

fn joined(units: &[SourceUnit]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.data.to_vec()).collect()
}

/// All NAL units but parameter sets are the file's, in its order; each keyframe has its sets.
fn check(path: &Path, units: &[SourceUnit], pictures: usize, keyframes: usize, who: &str) {
    let source = std::fs::read(path).unwrap();
    let (coded, sets) = apart(&source);
    let got = joined(units);
    let (out_coded, out_sets) = apart(&got);
    assert!(out_coded == coded, "{who}: {} NAL units of {}", out_coded.len(), coded.len());
    assert_eq!(out_sets, sets, "{who}");
    assert_eq!(units.len(), pictures, "{who}");
    assert_eq!(units.iter().filter(|unit| unit.keyframe).count(), keyframes, "{who}");
    for unit in units.iter().filter(|unit| unit.keyframe) {
        let kinds: Vec<u8> = annexb::nals(&unit.data).map(|nal| nal[0] & 31).collect();
        assert!(kinds.contains(&7) && kinds.contains(&8) && kinds.contains(&5), "{kinds:?}");
    }
    assert!(units.windows(2).all(|pair| pair[0].pts < pair[1].pts), "{who}");
    assert_eq!(units[0].pts, 0);
}

#[test]
fn every_kind_of_stream_goes_through_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let x264 = |params| ["-x264-params", params];
    let cases: [(&str, &[&str], usize); 7] = [
        ("slices.h264", &x264("slices=4:aud=1:keyint=25:min-keyint=25:scenecut=0"), 2),
        ("slices-bare.h264", &x264("slices=4:keyint=25:min-keyint=25:scenecut=0"), 2),
        ("tune.h264", &["-tune", "zerolatency", "-g", "25", "-sc_threshold", "0"], 2),
        ("high.h264", &["-profile:v", "high", "-g", "25", "-sc_threshold", "0"], 2),
        ("long.h264", &x264("keyint=250:min-keyint=250:scenecut=0:aud=1"), 1),
        ("cabac.h264", &["-coder", "1", "-profile:v", "main", "-x264-params", "keyint=250"], 1),
        (
            "filler.h264",
            &x264("nal-hrd=cbr:filler=1:bitrate=3000:vbv-maxrate=3000:vbv-bufsize=300:keyint=250"),
            1,
        ),
    ];
    std::thread::scope(|scope| {
        for (name, more, keyframes) in cases {
            let dir = &dir;
            scope.spawn(move || {
                let path = stream(dir, name, "320x240", "2", more);
                check(&path, &by_file(&path), 50, keyframes, name);
                check(&path, &by_pipe(&path), 50, keyframes, &format!("{name} by pipe"));
            });
        }
    });
    let filler = apart(&std::fs::read(dir.path().join("filler.h264")).unwrap()).0;
    assert!(filler.iter().any(|nal| nal[0] & 31 == 12), "ffmpeg wrote filler");
}

#[test]
fn one_keyframe_in_ten_seconds_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let more = ["-x264-params", "keyint=1000:scenecut=0"];
    let path = stream(&dir, "ten.h264", "160x120", "10", &more);
    check(&path, &by_file(&path), 250, 1, "ten seconds");
}

/// Two streams of different profile and size behind each other, with sets of the same id.
#[test]
fn parameter_sets_may_change_in_the_middle() {
    let dir = tempfile::tempdir().unwrap();
    let one = stream(&dir, "a.h264", "320x240", "1", &["-profile:v", "baseline"]);
    let two = stream(&dir, "b.h264", "352x288", "1", &["-profile:v", "high"]);
    let both = dir.path().join("both.h264");
    let bytes = [std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap()].concat();
    std::fs::write(&both, bytes).unwrap();
    let units = by_file(&both);
    check(&both, &units, 50, 2, "both");
    check(&both, &by_pipe(&both), 50, 2, "both by pipe");
    // The second keyframe must not be preceded by the first one's sets.
    let second = units.iter().filter(|unit| unit.keyframe).nth(1).unwrap();
    let sps = annexb::nals(&second.data).filter(|nal| nal[0] & 31 == 7).count();
    assert_eq!(sps, 1);
}

/// Sets that came once, at the begin, stand before each keyframe.
#[test]
fn keyframes_without_sets_get_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = stream(&dir, "sets.h264", "320x240", "4", &["-g", "25", "-sc_threshold", "0"]);
    let bytes = std::fs::read(&path).unwrap();
    let (mut bare, mut known) = (Vec::new(), Vec::new());
    for nal in annexb::nals(&bytes) {
        let is_set = matches!(nal[0] & 31, 7 | 8);
        if !is_set || !known.contains(&nal.to_vec()) {
            annexb::append(&mut bare, nal);
        }
        if is_set {
            known.push(nal.to_vec());
        }
    }
    assert!(bare.len() < bytes.len(), "something was left out");
    let file = dir.path().join("bare.h264");
    std::fs::write(&file, bare).unwrap();
    check(&file, &by_file(&file), 100, 4, "bare");
}

#[test]
fn what_stands_before_the_first_keyframe_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let more = ["-x264-params", "keyint=25:min-keyint=25:scenecut=0:aud=1"];
    let path = stream(&dir, "cut.h264", "320x240", "2", &more);
    let bytes = std::fs::read(&path).unwrap();
    let whole = by_file(&path);
    let (writer, reader) = pipe();
    let head: usize = whole[..7].iter().map(|unit| unit.data.len()).sum();
    let cut = bytes[head - 50..].to_vec();
    let writing = std::thread::spawn(move || writer.send(cut));
    let units = all(live(reader, &SourceControl::new()));
    writing.join().unwrap().unwrap();
    assert_eq!(joined(&units), joined(&whole[25..]));
}

#[test]
fn times_follow_the_frame_rate_of_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ntsc.h264");
    let input = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=30000/1001", "-t", "3"];
    let codec = ["-c:v", "libx264", "-bf", "0", "-pix_fmt", "yuv420p", "-f", "h264", text(&path)];
    ffmpeg(&[&input[..], &codec].concat());
    let source = AnnexBSource::open(&path, Clock::new(), false).unwrap().unpaced();
    assert_eq!(source.video().unwrap().fps, (30_000, 1_001));
    assert_eq!(source.note(), None);
    let units = all(source);
    assert!(units.iter().zip(0..).all(|(unit, number)| unit.pts == number * 3_003));
}

#[test]
fn a_repeated_file_has_no_seam() {
    let dir = tempfile::tempdir().unwrap();
    let path = stream(&dir, "loop.h264", "160x120", "1", &[]);
    let mut source = AnnexBSource::open(&path, Clock::new(), true).unwrap().unpaced();
    let control = SourceControl::new();
    let units: Vec<_> = (0..80).map(|_| source.next(&control).unwrap().unwrap()).collect();
    for (unit, number) in units.iter().zip(0..) {
        assert_eq!(unit.pts, number * i64::from(TIMESCALE / 25));
        assert_eq!(unit.data, units[usize::try_from(number).unwrap() % 25].data, "{number}");
    }
}

/// A delimiter behind a picture sends it off: nothing of the next one is needed.
#[test]
fn a_picture_that_ends_with_a_delimiter_leaves_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let more = ["-x264-params", "aud=1:keyint=250"];
    let path = stream(&dir, "aud.h264", "320x240", "1", &more);
    let whole = by_file(&path);
    let (writer, reader) = pipe();
    let control = SourceControl::new();
    let delimiter = [0, 0, 0, 1, 9];
    assert!(whole.iter().all(|unit| unit.data.starts_with(&delimiter)));
    // Each picture without its own delimiter's first bytes, which came with the one before.
    let write = |unit: &SourceUnit| writer.send([&unit.data[5..], &delimiter].concat()).unwrap();
    writer.send(delimiter.to_vec()).unwrap();
    let (taken, seen) = sync_channel(1_000);
    std::thread::scope(|scope| {
        let control = &control;
        scope.spawn(move || {
            let mut source = live(reader, control);
            while let Some(unit) = source.next(control).unwrap() {
                taken.send(unit).unwrap();
            }
        });
        let mut late = None;
        for (number, unit) in whole.iter().enumerate() {
            write(unit);
            match seen.recv_timeout(Duration::from_secs(20)) {
                Ok(got) => assert_eq!(got.data, unit.data),
                Err(_) => late = late.or(Some(number)),
            }
            if late.is_some() {
                break;
            }
        }
        control.stop();
        assert_eq!(late, None, "this picture waits for the next one");
    });
}

/// A producer that writes picture by picture: once its pauses have proved true, each picture comes
/// out although nothing of the next one has been written.
#[test]
fn pauses_send_pictures_off_once_they_are_believed() {
    let dir = tempfile::tempdir().unwrap();
    for params in ["aud=1:keyint=250:slices=2", "keyint=250:slices=1"] {
        let path = stream(&dir, "pause.h264", "160x120", "4", &["-x264-params", params]);
        let whole = by_file(&path);
        let (writer, reader) = pipe();
        let control = SourceControl::new();
        let (taken, seen) = sync_channel(1_000);
        std::thread::scope(|scope| {
            let control = &control;
            scope.spawn(move || {
                let mut source = live(reader, control);
                while let Some(unit) = source.next(control).unwrap() {
                    taken.send(unit).unwrap();
                }
            });
            let mut behind = 0;
            for (number, unit) in whole.iter().enumerate() {
                writer.send(unit.data.to_vec()).unwrap();
                // The picture itself, or (not believed yet) none within a generous pause.
                while behind <= number {
                    let patience = Duration::from_millis(if number < 60 { 30 } else { 20_000 });
                    match seen.recv_timeout(patience) {
                        Ok(got) => {
                            assert_eq!(got.data, whole[behind].data, "{behind}");
                            behind += 1;
                        }
                        Err(_) => {
                            assert!(number < 60, "picture {number} waits for the next one");
                            break;
                        }
                    }
                }
            }
            drop(writer);
            assert_eq!(behind, whole.len());
        });
    }
}

#[test]
fn a_stopped_source_ends_on_a_silent_pipe() {
    let (writer, reader) = pipe();
    let control = SourceControl::new();
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            AnnexBSource::live(Vec::new(), reader, Clock::new(), &control).unwrap().is_none()
        });
        control.stop();
        assert!(opening.join().unwrap());
    });
    drop(writer);
}

/// A real producer in real time, which also writes what it sends into a file.
#[test]
fn a_live_ffmpeg_comes_through_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sent.h264");
    let both = format!("[f=h264]pipe:1|[f=h264]{}", text(&file));
    let mut child = Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-v",
            "error",
            "-re",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=640x360:rate=25",
        ])
        .args(["-t", "4", "-c:v", "libx264", "-tune", "zerolatency", "-preset", "ultrafast"])
        .args(["-g", "50", "-pix_fmt", "yuv420p", "-bsf:v", "h264_metadata=aud=insert"])
        .args(["-map", "0:v", "-f", "tee", &both])
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg starts; install it with: apt-get install ffmpeg");
    let mut pipe = child.stdout.take().unwrap();
    let (kind, first) = peek(&mut pipe).unwrap();
    assert_eq!(kind, Some(Kind::H264));
    let control = SourceControl::new();
    let source = AnnexBSource::live(first, pipe, Clock::new(), &control).unwrap().unwrap();
    let (clock, mut source) = (Clock::new(), source);
    let (mut units, mut delays) = (Vec::new(), Vec::new());
    while let Some(unit) = source.next(&control).unwrap() {
        delays.push(clock.mono().since(unit.captured).as_millis());
        units.push(unit);
    }
    assert!(child.wait().unwrap().success());
    check(&file, &units, 100, 2, "live");
    let mut late = delays[60..].to_vec();
    late.sort_unstable();
    println!("from arrival to hand-over: median {} ms, at most {} ms", late[20], late[39]);
    println!("before pauses are believed: {:?}", &delays[..40]);
}
