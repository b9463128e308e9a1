//! mp4 files through the eyes of ffmpeg: decoded, copied, made. Nothing of the product's own code
//! is asked what a file holds.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::annexb;
use crate::fields::Fields;

/// One packet of a file, in the order of the file. Seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packet {
    /// When it is shown.
    pub pts: f64,
    /// When it is decoded.
    pub dts: f64,
}

/// The pictures' uppermost `rows` rows of `width` pixels as 8-bit luma, in the order of showing.
///
/// # Panics
/// If ffmpeg does not decode the file without a single complaint.
#[must_use]
pub fn strips(path: &Path, width: usize, rows: usize) -> Vec<Vec<u8>> {
    let crop = format!("crop={width}:{rows}:0:0,format=gray");
    let bytes = ffmpeg(&[
        "-i",
        text(path),
        "-map",
        "0:v",
        "-fps_mode",
        "passthrough",
        "-vf",
        &crop,
        "-f",
        "rawvideo",
        "-",
    ]);
    assert_eq!(bytes.len() % (width * rows), 0, "{}: a torn picture", path.display());
    bytes.chunks_exact(width * rows).map(<[u8]>::to_vec).collect()
}

/// The coded pictures, as `-c copy` takes them out.
///
/// # Panics
/// If ffmpeg cannot read the file.
#[must_use]
pub fn coded(path: &Path) -> annexb::Stream {
    let bytes = ffmpeg(&[
        "-i",
        text(path),
        "-map",
        "0:v",
        "-c",
        "copy",
        "-bsf:v",
        "h264_mp4toannexb",
        "-f",
        "h264",
        "-",
    ]);
    annexb::split(&bytes)
}

/// The packets of the video track.
///
/// # Panics
/// If ffprobe cannot read the file.
#[must_use]
pub fn packets(path: &Path) -> Vec<Packet> {
    packets_of(path, "v:0")
}

/// How many packets the track of sound has; 0 without one.
///
/// # Panics
/// If ffprobe cannot read the file.
#[must_use]
pub fn packets_of_sound(path: &Path) -> usize {
    packets_of(path, "a:0").len()
}

fn packets_of(path: &Path, stream: &str) -> Vec<Packet> {
    let args = [
        "-v",
        "error",
        "-select_streams",
        stream,
        "-show_entries",
        "packet=pts_time,dts_time",
        "-of",
        "json",
    ];
    let bytes = output(Command::new("ffprobe").args(args).arg(path));
    let value: Value = serde_json::from_slice(&bytes).expect("ffprobe writes JSON");
    let seconds = |packet: &Value, field: &str| {
        packet.text(field).parse::<f64>().unwrap_or_else(|error| panic!("{packet}: {error}"))
    };
    let packet =
        |packet| Packet { pts: seconds(packet, "pts_time"), dts: seconds(packet, "dts_time") };
    value.list("packets").iter().map(packet).collect()
}

/// Makes a file with B-frames, access-unit delimiters and SEI, and a keyframe each second.
///
/// # Panics
/// If this ffmpeg has no x264.
pub fn make_with_b_frames(path: &Path, seconds: u32) {
    let source = format!("testsrc2=size=640x360:rate=30:duration={seconds}");
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        &source,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-bf",
        "3",
        "-g",
        "30",
        "-pix_fmt",
        "yuv420p",
        "-x264-params",
        "aud=1:b-adapt=0:scenecut=0",
        "-movflags",
        "+faststart",
        text(path),
    ]);
    let packets = packets(path);
    let reordered = packets.windows(2).any(|pair| pair[1].pts < pair[0].pts);
    assert!(reordered, "ffmpeg made no B-frames: the test would prove nothing");
}

/// Makes a file of one second, its pictures encoded as these arguments of ffmpeg say.
///
/// # Panics
/// If ffmpeg cannot.
pub fn make(path: &Path, encoded: &[&str]) {
    let source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=1"];
    // x265 tells of itself where ffmpeg was told to be silent.
    let quiet: &[_] =
        if encoded.contains(&"libx265") { &["-x265-params", "log-level=none"] } else { &[] };
    ffmpeg(&[&source, encoded, quiet, &[text(path)]].concat());
}

/// Makes a file of one second that holds sound alone, by this encoder of ffmpeg.
///
/// # Panics
/// If ffmpeg cannot.
pub fn make_sound(path: &Path, encoder: &str) {
    ffmpeg(&["-f", "lavfi", "-i", "sine=duration=1", "-c:a", encoder, text(path)]);
}

/// Whether both files show their pictures at the same distances.
///
/// # Errors
/// A sentence that says where they part.
pub fn same_timing(left: &[Packet], right: &[Packet]) -> Result<(), String> {
    if left.len() != right.len() || left.is_empty() {
        return Err(format!("{} packets, and {}", left.len(), right.len()));
    }
    let (a, b) = (left[0], right[0]);
    for (index, (x, y)) in left.iter().zip(right).enumerate() {
        let pts = ((x.pts - a.pts) - (y.pts - b.pts)).abs();
        let dts = ((x.dts - a.dts) - (y.dts - b.dts)).abs();
        if pts > 0.002 || dts > 0.002 {
            return Err(format!("packet {index}: {x:?} after {a:?}, but {y:?} after {b:?}"));
        }
    }
    Ok(())
}

fn ffmpeg(args: &[&str]) -> Vec<u8> {
    output(Command::new("ffmpeg").args(["-v", "error", "-xerror", "-nostdin", "-y"]).args(args))
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error} (cargo xtask setup installs it)"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{command:?}: {complaints}");
    output.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_same_pictures_and_timing_and_another_encoding_has_not() {
        let folder = tempfile::tempdir().unwrap();
        let [one, copy, other] =
            ["one.mp4", "copy.mp4", "other.mp4"].map(|n| folder.path().join(n));
        make_with_b_frames(&one, 2);
        ffmpeg(&[
            "-i",
            text(&one),
            "-c",
            "copy",
            "-movflags",
            "frag_keyframe+empty_moov",
            text(&copy),
        ]);
        ffmpeg(&["-i", text(&one), "-c:v", "libx264", "-crf", "30", text(&other)]);
        annexb::same(&coded(&one), &coded(&copy)).unwrap();
        same_timing(&packets(&one), &packets(&copy)).unwrap();
        assert!(annexb::same(&coded(&one), &coded(&other)).is_err());
        let mut late = packets(&copy);
        late[20].pts += 0.03;
        assert!(same_timing(&packets(&one), &late).unwrap_err().contains("packet 20"));
        assert_eq!(strips(&one, 320, 16).len(), 60);
    }
}
