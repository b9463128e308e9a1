//! Raw pictures in, H.264 out, decoded by ffmpeg and compared with what went in.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![allow(clippy::print_stdout, reason = "figures are read by people")]

#[path = "support/pipe.rs"]
mod pipe_end;
#[path = "mp4/tool.rs"]
#[allow(dead_code, reason = "the other suite uses the rest of it")]
mod tool;

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use pipe_end::Pipe;
use roommate_clock::Clock;
use roommate_media::source::{Source, SourceControl, SourceUnit};
use roommate_media::y4m_source::{TIMESCALE, Y4mSource};
use tempfile::TempDir;
use tool::{ffmpeg, text};

fn make(dir: &TempDir, name: &str, size: &str, rate: &str, seconds: &str, format: &str) -> PathBuf {
    let path = dir.path().join(name);
    let input = format!("testsrc2=size={size}:rate={rate}");
    let head = ["-f", "lavfi", "-i", &input, "-t", seconds, "-pix_fmt", format, "-strict", "-1"];
    ffmpeg(&[&head[..], &["-f", "yuv4mpegpipe", text(&path)]].concat());
    path
}

fn open(path: &Path, kbits: u32) -> Y4mSource {
    Y4mSource::open(path, Clock::new(), false, kbits).unwrap().unpaced()
}

fn all(source: &mut Y4mSource) -> Vec<SourceUnit> {
    let control = SourceControl::new();
    std::iter::from_fn(|| source.next(&control).unwrap()).collect()
}

/// All pictures by ffmpeg, cut to the size: as they went in, and as they came out. Of grey ones the luma.
fn raw(file: &Path, from: &str, size: (u32, u32), grey: bool) -> Vec<u8> {
    let out = file.with_extension("raw");
    let planes = if grey { "extractplanes=y" } else { "format=yuv420p" };
    let filter = format!("crop={}:{}:0:0,{planes}", size.0, size.1);
    let tail = ["-vf", &filter, "-f", "rawvideo", text(&out)];
    ffmpeg(&[&["-f", from, "-i", text(file)], &tail[..]].concat());
    std::fs::read(out).unwrap()
}

fn psnr(one: &[u8], two: &[u8]) -> f64 {
    assert_eq!(one.len(), two.len());
    let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
    let sum: f64 = one.iter().zip(two).map(square).sum();
    10.0 * (255.0 * 255.0 * one.len() as f64 / sum.max(1.0)).log10()
}

#[test]
fn what_comes_out_looks_like_what_went_in() {
    let dir = tempfile::tempdir().unwrap();
    for (size, shown, format, kbits) in [
        ("1280x720", (1_280, 720), "yuv420p", 4_000),
        ("853x481", (852, 480), "yuv420p", 2_500),
        ("320x180", (320, 180), "yuv420p", 1_000),
        ("320x180", (320, 180), "gray", 1_000),
    ] {
        let path = make(&dir, &format!("{size}{format}.y4m"), size, "30", "2", format);
        let mut source = open(&path, kbits);
        let video = source.video().unwrap().clone();
        assert_eq!((video.width, video.height, video.fps), (shown.0, shown.1, (30, 1)));
        assert!(video.codec.starts_with("avc1.42") && video.can_force_keyframe);
        let units = all(&mut source);
        assert_eq!((units.len(), source.dropped()), (60, 0));
        assert!(units.iter().zip(0..).all(|(unit, number)| unit.pts == number * 3_000));
        assert!(units[0].keyframe);
        let coded = dir.path().join("out.h264");
        std::fs::write(&coded, units.iter().flat_map(|u| u.data.to_vec()).collect::<Vec<_>>())
            .unwrap();
        let got = raw(&coded, "h264", shown, format == "gray");
        let want = raw(&path, "yuv4mpegpipe", shown, format == "gray");
        let value = psnr(&want, &got);
        println!("{size} {format}: {value:.2} dB");
        assert!(value > 30.0, "{size} {format}: {value:.2} dB");
    }
}

#[test]
fn a_repeated_file_goes_on_without_a_seam() {
    let dir = tempfile::tempdir().unwrap();
    let path = make(&dir, "loop.y4m", "160x120", "30000/1001", "1", "yuv420p");
    let mut source = Y4mSource::open(&path, Clock::new(), true, 500).unwrap().unpaced();
    let control = SourceControl::new();
    for number in 0..80 {
        assert_eq!(source.next(&control).unwrap().unwrap().pts, number * 3_003);
    }
}

/// As fast as it is taken: the pipe keeps it to real time, and nothing is lost.
#[test]
fn a_pipe_in_odd_chunks_gives_the_same_pictures_in_real_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = make(&dir, "pipe.y4m", "160x120", "25", "1", "yuv420p");
    let bytes = std::fs::read(&path).unwrap();
    let (writer, reader) = sync_channel(1);
    let writing = std::thread::spawn(move || {
        bytes.chunks(4_099).for_each(|chunk| writer.send(chunk.to_vec()).unwrap_or_default());
    });
    let (clock, control) = (Clock::new(), SourceControl::new());
    let source = Y4mSource::live(Vec::new(), Pipe(reader, Vec::new()), clock, 500, &control);
    let mut source = source.unwrap().unwrap();
    let mut taken = Vec::new();
    while let Some(unit) = source.next(&control).unwrap() {
        let due = Duration::from_micros(u64::try_from(unit.pts).unwrap() * 100 / 9);
        taken.push((unit.captured, due));
    }
    writing.join().unwrap();
    let lost = usize::try_from(source.dropped()).unwrap();
    assert_eq!(taken.len() + lost, 25);
    for (captured, due) in &taken {
        assert!(captured.since(taken[0].0) + Duration::from_millis(1) >= *due, "never early");
    }
}

/// A reader that was busy elsewhere for a second: what lay waiting is dropped before it is encoded,
/// and what is encoded is all handed over.
#[test]
fn late_pictures_are_dropped_before_they_are_encoded() {
    let dir = tempfile::tempdir().unwrap();
    let path = make(&dir, "late.y4m", "64x48", "50", "3", "yuv420p");
    let bytes = std::fs::read(&path).unwrap();
    let control = SourceControl::new();
    let pipe = std::io::Cursor::new(bytes);
    let mut source =
        Y4mSource::live(Vec::new(), pipe, Clock::new(), 300, &control).unwrap().unwrap();
    let first = source.next(&control).unwrap().unwrap();
    assert_eq!(first.pts, 0);
    assert!(!control.sleep(Duration::from_millis(1_200)), "busy elsewhere");
    let second = source.next(&control).unwrap().unwrap();
    let step = i64::from(TIMESCALE / 50);
    let dropped = i64::try_from(source.dropped()).unwrap();
    assert!(dropped >= 30, "{dropped}");
    assert_eq!(second.pts, (dropped + 1) * step, "times do not shift");
    let rest = all(&mut source);
    let (kept, lost) = (rest.len() + 2, usize::try_from(source.dropped()).unwrap());
    assert_eq!(kept + lost, 150);
    assert!(rest.windows(2).all(|pair| pair[0].pts < pair[1].pts));
}

#[test]
fn what_cannot_be_encoded_is_refused_with_the_option_that_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    for (format, want) in [("yuv422p", "yuv420p"), ("yuv444p", "yuv420p"), ("yuv420p10", "yuv420p")]
    {
        let path = make(&dir, format, "160x120", "25", "0.2", format);
        let said = Y4mSource::open(&path, Clock::new(), false, 500).err().unwrap().to_string();
        assert!(said.contains(want) && !said.contains('\n'), "{said}");
    }
}

/// Cut, flipped and torn: no panic, and never more pictures than there were.
#[test]
fn hostile_bytes_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = make(&dir, "seed.y4m", "64x48", "25", "0.4", "yuv420p");
    let seed = std::fs::read(&path).unwrap();
    let bad = dir.path().join("bad.y4m");
    let mut dice = 7_u32;
    let mut roll = |below: usize| {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (dice >> 8) as usize % below.max(1)
    };
    let (mut played, mut refused) = (0, 0);
    for round in 0..300 {
        let mut bytes = seed.clone();
        for _ in 0..=roll(4) {
            let at = roll(if round % 2 == 0 { 90 } else { bytes.len() });
            bytes[at] ^= 1 << roll(8);
        }
        bytes.truncate(roll(seed.len() * 2) + 1);
        std::fs::write(&bad, &bytes).unwrap();
        let Ok(source) = Y4mSource::open(&bad, Clock::new(), false, 300) else {
            refused += 1;
            continue;
        };
        let (mut source, control) = (source.unpaced(), SourceControl::new());
        let mut count = 0;
        while let Ok(Some(_)) = source.next(&control) {
            count += 1;
        }
        played += count;
    }
    assert!(played > 0 && refused > 0, "{played} played, {refused} refused");
}
