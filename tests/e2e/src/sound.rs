//! Sound, and how it goes with the pictures, through the eyes of ffmpeg: packets as they are coded,
//! beeps and flashes at the times that the container gives them. Nothing of the product's own code
//! is asked.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::fields::Fields;
use crate::mp4::{ffmpeg, output, text};

/// One packet of sound as it is coded, without what a container wraps around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// When it sounds, in seconds of its file.
    pub pts: f64,
    /// MD5 of its bytes.
    pub hash: String,
}

/// A rectangle of a picture, in pixels.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// From the left.
    pub left: u32,
    /// From the top.
    pub top: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// The middle of what flashes in the test picture of 1280x720.
pub const TEST_FLASH: Field = Field { left: 1_000, top: 91, width: 160, height: 90 };

/// Samples a second of what is decoded here.
const RATE: usize = 48_000;
/// A beep is louder than this; silence and what codecs make of it is not.
const LOUD: i16 = 2_000;
/// So long it must have been quiet before a beep: a tone crosses zero, and codecs ring.
const QUIET: usize = RATE / 4;

/// The packets of a file's sound.
///
/// # Panics
/// If ffmpeg cannot read the file, or there is no sound in it.
#[must_use]
pub fn packets(path: &Path) -> Vec<Packet> {
    // A transport stream wraps each AAC frame into a header of its own.
    let bare: &[_] = if codec(path) == "aac" { &["-bsf:a", "aac_adtstoasc"] } else { &[] };
    let head = ["-i", text(path), "-map", "0:a", "-c", "copy", "-copyts"];
    let listed = ffmpeg(&[&head, bare, &["-f", "framemd5", "-"]].concat());
    let listed = String::from_utf8(listed).expect("a list is text");
    let base = listed.lines().find_map(|line| line.strip_prefix("#tb 0: 1/"));
    let base: f64 = base.and_then(|base| base.parse().ok()).expect("a time base");
    let rows = listed.lines().filter(|line| !line.starts_with('#'));
    let packets = rows.map(|row| {
        let cells: Vec<_> = row.split(',').map(str::trim).collect();
        let ticks: f64 = cells[2].parse().unwrap_or_else(|error| panic!("{row}: {error}"));
        Packet { pts: ticks / base, hash: cells[5].to_owned() }
    });
    packets.collect()
}

/// Whether both hold the same packets, each at the same distance from its file's first picture.
/// Containers round times to units of their own: a millisecond is none. What begins before the first
/// picture does not count: a recording has no such times.
///
/// # Errors
/// A sentence that says where they part.
pub fn same(left: (&[Packet], f64), right: (&[Packet], f64)) -> Result<(), String> {
    let from = |(packets, picture): (&[Packet], f64)| {
        let before = packets.iter().take_while(|packet| packet.pts < picture - 0.001).count();
        packets[before..].to_vec()
    };
    let (a, b) = (left.1, right.1);
    let (left, right) = (from(left), from(right));
    if left.len() != right.len() || left.is_empty() {
        return Err(format!("{} packets of sound, and {}", left.len(), right.len()));
    }
    for (index, (x, y)) in left.iter().zip(&right).enumerate() {
        if x.hash != y.hash {
            return Err(format!("packet {index} of the sound differs"));
        }
        if ((x.pts - a) - (y.pts - b)).abs() > 0.001 {
            return Err(format!("packet {index} of the sound: {x:?} after {a}, {y:?} after {b}"));
        }
    }
    Ok(())
}

/// What `ffprobe` calls the coding of a file's sound.
///
/// # Panics
/// If there is no sound in it.
#[must_use]
pub fn codec(path: &Path) -> String {
    let told = probe(path, "a:0", "stream=codec_name");
    told.text("streams.0.codec_name").to_owned()
}

/// When beeps begin, in seconds of the file.
///
/// # Panics
/// If the sound does not decode without a complaint.
#[must_use]
pub fn beeps(path: &Path) -> Vec<f64> {
    let head = ["-i", text(path), "-map", "0:a", "-ac", "1", "-ar", "48000"];
    let bytes = ffmpeg(&[&head[..], &["-f", "s16le", "-"]].concat());
    let samples: Vec<_> = bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
    let frames = frames(path, "a:0");
    let told: usize = frames.iter().map(|(_, samples)| samples).sum();
    // Else a sample's frame, and with it its time, would be a guess.
    assert_eq!(samples.len(), told, "{}: samples that no frame has", path.display());
    let (mut beeps, mut quiet, mut at) = (Vec::new(), QUIET, 0);
    for (pts, count) in frames {
        for (into, sample) in samples[at..at + count].iter().enumerate() {
            if sample.saturating_abs() < LOUD {
                quiet += 1;
                continue;
            }
            if quiet >= QUIET {
                beeps.push(pts + into as f64 / RATE as f64);
            }
            quiet = 0;
        }
        at += count;
    }
    beeps
}

/// When `field` turns from dark to bright, in seconds of the file.
///
/// # Panics
/// If the pictures do not decode without a complaint.
#[must_use]
pub fn flashes(path: &Path, field: Field) -> Vec<f64> {
    let Field { left, top, width, height } = field;
    let one = format!("crop={width}:{height}:{left}:{top},scale=1:1:flags=area,format=gray");
    let head = ["-i", text(path), "-map", "0:v", "-fps_mode", "passthrough", "-vf", &one];
    let bright = ffmpeg(&[&head[..], &["-f", "rawvideo", "-"]].concat());
    let frames = frames(path, "v:0");
    assert_eq!(bright.len(), frames.len(), "{}: pictures without a time", path.display());
    let lit: Vec<_> = bright.iter().map(|value| *value > 128).collect();
    let begins = lit.windows(2).zip(&frames[1..]).filter(|(pair, _)| !pair[0] && pair[1]);
    begins.map(|(_, (pts, _))| *pts).collect()
}

/// Whether each flash has its beep within `most_ms`, and each beep its flash, but for what the
/// beginning and the end of a recording cut apart. Returns the largest distance, in milliseconds,
/// positive where the beep is late.
///
/// # Errors
/// A sentence for the first that has none.
pub fn in_step(flashes: &[f64], beeps: &[f64], most_ms: f64) -> Result<f64, String> {
    let from = start(flashes).max(start(beeps)) - 0.2;
    let to = end(flashes).min(end(beeps)) + 0.2;
    let inside = |at: &&f64| (from..=to).contains(*at);
    let mut worst = 0.0_f64;
    for (what, some, others, sign) in
        [("flash", flashes, beeps, 1.0), ("beep", beeps, flashes, -1.0)]
    {
        for at in some.iter().filter(inside) {
            let apart = others.iter().map(|other| (other - at) * 1000.0 * sign);
            let apart = apart.min_by(|a, b| a.abs().total_cmp(&b.abs()));
            let apart = apart.ok_or_else(|| format!("nothing beside the {what} at {at:.3} s"))?;
            if apart.abs() > most_ms {
                return Err(format!("the {what} at {at:.3} s is {apart:.1} ms off"));
            }
            if apart.abs() > worst.abs() {
                worst = apart;
            }
        }
    }
    Ok(worst)
}

fn start(times: &[f64]) -> f64 {
    times.first().copied().unwrap_or(f64::NEG_INFINITY)
}

fn end(times: &[f64]) -> f64 {
    times.last().copied().unwrap_or(f64::INFINITY)
}

/// Time and number of samples of each decoded frame.
fn frames(path: &Path, stream: &str) -> Vec<(f64, usize)> {
    let told = probe(path, stream, "frame=best_effort_timestamp_time,nb_samples");
    let frame = |frame: &Value| {
        let pts = frame.text("best_effort_timestamp_time").parse().expect("seconds");
        let samples = frame.find("nb_samples").and_then(Value::as_u64).unwrap_or(0);
        (pts, usize::try_from(samples).expect("a frame's samples"))
    };
    told.list("frames").iter().map(frame).collect()
}

fn probe(path: &Path, stream: &str, entries: &str) -> Value {
    let args = ["-v", "error", "-select_streams", stream, "-show_entries", entries, "-of", "json"];
    let bytes = output(Command::new("ffprobe").args(args).arg(path));
    serde_json::from_slice(&bytes).expect("ffprobe writes JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live;

    /// A clip of ffmpeg's own whose sound is late by so much.
    fn clip(folder: &Path, codec: &str, late_ms: u32) -> std::path::PathBuf {
        let path = folder.join(format!("{codec}-{late_ms}.mp4"));
        let inputs = live::inputs("640x360", Some(4), late_ms);
        let inputs: Vec<_> = inputs.iter().map(String::as_str).collect();
        ffmpeg(&[&inputs[..], &["-c:v", "libx264", "-c:a", codec, text(&path)]].concat());
        path
    }

    #[test]
    fn sound_that_is_shifted_is_found_out_and_what_is_not_is_in_step() {
        let folder = tempfile::tempdir().unwrap();
        for codec in ["aac", "libopus"] {
            for (late, fits) in [(0, true), (80, false)] {
                let path = clip(folder.path(), codec, late);
                let (flashes, beeps) = (flashes(&path, live::FLASH), beeps(&path));
                assert_eq!(flashes.len(), 3, "{codec} {late}: {flashes:?}");
                assert!(beeps.len() >= 3, "{codec} {late}: {beeps:?}");
                let worst = in_step(&flashes, &beeps, 40.0);
                assert_eq!(worst.is_ok(), fits, "{codec} {late}: {worst:?}");
            }
        }
    }

    #[test]
    fn a_packet_that_is_missing_altered_or_late_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for codec in ["aac", "libopus"] {
            let one = packets(&clip(folder.path(), codec, 0));
            assert!(one.len() > 150, "{codec}: {} packets", one.len());
            let compared = |other: &[Packet]| same((&one, 0.0), (other, 0.0));
            compared(&one).unwrap();
            assert!(one[0].pts < 0.0, "{codec}: nothing before the first picture");
            compared(&one[1..]).unwrap();
            assert!(compared(&one[2..]).is_err());
            assert!(same((&one, 0.0), (&one, 0.005)).is_err());
            let mut other = one.clone();
            other[7].pts += 0.002;
            assert!(compared(&other).unwrap_err().contains("packet 6"));
            other[3].hash.clear();
            assert!(compared(&other).unwrap_err().contains("packet 2"));
        }
        assert!(same((&[], 0.0), (&[], 0.0)).is_err());
    }

    #[test]
    fn a_flash_without_a_beep_is_missed() {
        assert_eq!(in_step(&[1.0, 2.0, 3.0], &[1.01, 1.98, 3.0], 40.0), Ok(-20.000000000000018));
        assert!(in_step(&[1.0, 2.0, 3.0], &[1.0, 3.0], 40.0).unwrap_err().contains("flash at 2"));
        assert!(in_step(&[1.0, 3.0], &[1.0, 2.0, 3.0], 40.0).unwrap_err().contains("beep at 2"));
        assert!(in_step(&[1.0], &[], 40.0).is_err());
    }
}
