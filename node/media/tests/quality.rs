//! What the encoder makes of the fixture: decoded, encoded again at the default bitrate, decoded
//! and compared. Prints the table of `docs/quality.md`:
//! `cargo test -p roommate-media --test quality -- --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![allow(clippy::print_stdout, reason = "figures are read by people")]

#[path = "mp4/tool.rs"]
#[allow(dead_code, reason = "the other suite uses the rest of it")]
mod tool;

use std::path::Path;

use roommate_clock::Clock;
use roommate_media::source::{Source, SourceControl};
use roommate_media::spec::TestSpec;
use roommate_media::y4m_source::Y4mSource;
use tool::{ffmpeg, fixture, text};

/// The three planes of all pictures, one behind the other, by ffmpeg.
fn raw(file: &Path, format: &[&str]) -> Vec<u8> {
    let out = file.with_extension("raw");
    let tail = ["-i", text(file), "-pix_fmt", "yuv420p", "-f", "rawvideo", text(&out)];
    ffmpeg(&[format, &tail].concat());
    std::fs::read(out).unwrap()
}

/// PSNR in dB over all pictures of one plane, given by where it lies in each picture.
fn psnr(one: &[u8], two: &[u8], picture: usize, plane: std::ops::Range<usize>) -> f64 {
    let (mut sum, mut count) = (0_u64, 0_u64);
    for (a, b) in one.chunks(picture).zip(two.chunks(picture)) {
        for (a, b) in a[plane.clone()].iter().zip(&b[plane.clone()]) {
            sum += u64::from(a.abs_diff(*b)).pow(2);
            count += 1;
        }
    }
    10.0 * (65_025.0 * count as f64 / sum.max(1) as f64).log10()
}

#[test]
fn the_fixture_at_the_default_bitrate() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("in.y4m");
    ffmpeg(&[
        "-i",
        text(&fixture()),
        "-an",
        "-pix_fmt",
        "yuv420p",
        "-f",
        "yuv4mpegpipe",
        text(&plain),
    ]);
    let kbits = TestSpec::default().kbits;
    assert_eq!(kbits, 2_500);
    let mut source = Y4mSource::open(&plain, Clock::new(), false, kbits).unwrap().unpaced();
    let format = source.video().unwrap().clone();
    let control = SourceControl::new();
    let units: Vec<_> = std::iter::from_fn(|| source.next(&control).unwrap()).collect();
    let coded = dir.path().join("out.h264");
    let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.data.to_vec()).collect();
    std::fs::write(&coded, &bytes).unwrap();

    let (want, got) = (raw(&plain, &[]), raw(&coded, &["-f", "h264"]));
    assert_eq!(want.len(), got.len());
    let luma = (format.width * format.height) as usize;
    let picture = luma * 3 / 2;
    let of = |plane| psnr(&want, &got, picture, plane);
    let values = [of(0..luma), of(luma..luma * 5 / 4), of(luma * 5 / 4..picture)];
    let each = want.chunks(picture).zip(got.chunks(picture));
    let each: Vec<f64> = each.map(|(a, b)| psnr(a, b, picture, 0..luma)).collect();
    let worst = (0..each.len()).min_by(|&a, &b| each[a].total_cmp(&each[b])).unwrap();
    let seconds = units.len() as f64 * f64::from(format.fps.1) / f64::from(format.fps.0);
    let mut spent: Vec<u32> = units.iter().map(|unit| unit.encode_us).collect();
    spent.sort_unstable();
    let keyframes = units.iter().filter(|unit| unit.keyframe).count();
    println!(
        "| pictures | {}x{} at {}/{}, {} of them, {keyframes} keyframes |",
        format.width,
        format.height,
        format.fps.0,
        format.fps.1,
        units.len()
    );
    println!("| asked for | {kbits} kbit/s |");
    println!("| made | {:.0} kbit/s |", bytes.len() as f64 * 8.0 / 1_000.0 / seconds);
    println!("| PSNR Y, U, V | {:.2}, {:.2}, {:.2} dB |", values[0], values[1], values[2]);
    println!("| worst picture, Y | {:.2} dB, number {worst} |", each[worst]);
    println!("| codec | {} |", format.codec);
    println!(
        "| converting and encoding, median | {} µs a picture (dev profile) |",
        spent[spent.len() / 2]
    );
    // What was measured less half a decibel: a change that costs more is to be seen.
    assert!(values[0] > LUMA_DB - 0.5, "{:.2} dB", values[0]);
}

/// As committed in `docs/quality.md`.
const LUMA_DB: f64 = 39.80;
