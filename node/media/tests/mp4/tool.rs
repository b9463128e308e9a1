//! What the tests share: ffmpeg as the judge, and the way from a file through source and sink.

#[path = "../support/apart.rs"]
mod nals;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use roommate_clock::Clock;
use roommate_media::ViewUnit;
use roommate_media::mp4::{Mp4Sink, Mp4Source};
use roommate_media::source::{
    AudioFormat, Source, SourceControl, SourceError, SourceUnit, TrackFormat, VideoFormat,
};

pub(crate) use nals::apart;

pub(crate) fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bbb.mp4")
}

pub(crate) fn run(program: &str, args: &[&str]) -> (Vec<u8>, String) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| {
        panic!("{program} does not start ({error}); install it with: apt-get install ffmpeg")
    });
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {errors}");
    (output.stdout, errors)
}

/// Runs ffmpeg, which must succeed; its errors and warnings.
pub(crate) fn ffmpeg(args: &[&str]) -> String {
    run("ffmpeg", &[&["-nostdin", "-v", "error", "-y"], args].concat()).1
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A moving picture with B-frames, delimiters and four slices, and a track of sound.
pub(crate) fn with_b_frames(path: &Path, more: &[&str]) {
    let video = "testsrc2=size=320x240:rate=30000/1001";
    let codec = ["-c:v", "libx264", "-bf", "3", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac"];
    let fixed = ["-x264-params", "aud=1:slices=4:b-pyramid=normal", "-t", "4"];
    let inputs = ["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", "sine"];
    ffmpeg(&[&inputs[..], &codec, &fixed, more, &[text(path)]].concat());
}

/// What ffprobe says of each packet of a stream, in the order of the names.
fn probe<const N: usize>(path: &Path, stream: &str, names: [&str; N]) -> Vec<[String; N]> {
    let entries = format!("packet={}", names.join(","));
    let args = ["-v", "error", "-select_streams", stream, "-show_entries", &entries];
    let rest = ["-show_data_hash", "sha256", "-of", "compact=p=0:nk=0", text(path)];
    let (out, errors) = run("ffprobe", &[&args[..], &rest].concat());
    assert_eq!(errors, "", "{}", path.display());
    // What a packet has beside itself breaks its line.
    let out = String::from_utf8(out).unwrap().replace("\n|", "|");
    let packet = |line: &str| {
        let field = |name: &str| {
            line.split('|')
                .find_map(|it| Some(it.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
        };
        field("pts").map(|_| names.map(|name| field(name).unwrap_or_default()))
    };
    out.lines().filter_map(packet).collect()
}

/// Presentation time, decoding time and whether it is a keyframe, of each packet as ffprobe sees it.
pub(crate) fn packets(path: &Path) -> Vec<(i64, i64, bool)> {
    let packet = |[pts, dts, flags]: [String; 3]| {
        (pts.parse().unwrap(), dts.parse().unwrap(), flags.starts_with('K'))
    };
    probe(path, "v:0", ["pts", "dts", "flags"]).into_iter().map(packet).collect()
}

/// Presentation time and SHA-256 of each packet of sound as ffprobe sees it.
pub(crate) fn sound_packets(path: &Path) -> Vec<(i64, String)> {
    let packet = |[pts, hash]: [String; 2]| {
        (pts.parse().unwrap(), hash.strip_prefix("SHA256:").unwrap().to_owned())
    };
    probe(path, "a:0", ["pts", "data_hash"]).into_iter().map(packet).collect()
}

/// The same of our units.
pub(crate) fn hashed(units: &[SourceUnit]) -> Vec<(i64, String)> {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..units.len()).map(|n| dir.path().join(n.to_string())).collect();
    for (path, unit) in paths.iter().zip(units) {
        std::fs::write(path, &unit.data).unwrap();
    }
    let paths: Vec<&str> = paths.iter().map(|path| text(path)).collect();
    let (out, _) = run("sha256sum", &paths);
    let lines = String::from_utf8(out).unwrap();
    let hash = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    units.iter().zip(lines.lines()).map(|(unit, line)| (unit.pts, hash(line))).collect()
}

/// The NAL units of a file as ffmpeg copies them to Annex-B: all but parameter sets in their order,
/// and the parameter sets as a set.
pub(crate) fn copied(path: &Path) -> (Vec<Vec<u8>>, BTreeSet<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("copy.h264");
    ffmpeg(&["-i", text(path), "-map", "0:v:0", "-c", "copy", "-f", "h264", text(&out)]);
    apart(&std::fs::read(out).unwrap())
}

pub(crate) fn open(path: &Path) -> Result<Mp4Source, SourceError> {
    Ok(Mp4Source::open(path, Clock::new(), false)?.unpaced())
}

/// All pictures of a file.
pub(crate) fn read(path: &Path) -> (VideoFormat, Vec<SourceUnit>) {
    let (tracks, units) = read_all(path);
    let TrackFormat::Video(format) = &tracks[0] else { panic!("no pictures") };
    (format.clone(), units.into_iter().filter(|unit| unit.track == 0).collect())
}

/// All units of a file.
pub(crate) fn read_all(path: &Path) -> (Vec<TrackFormat>, Vec<SourceUnit>) {
    let mut source = open(path).unwrap();
    let control = SourceControl::new();
    let mut units = Vec::new();
    while let Some(unit) = source.next(&control).unwrap() {
        units.push(unit);
    }
    (source.tracks().to_vec(), units)
}

pub(crate) fn audio(tracks: &[TrackFormat]) -> &AudioFormat {
    let mut audio = tracks.iter().filter_map(|track| match track {
        TrackFormat::Audio(format) => Some(format),
        TrackFormat::Video(_) => None,
    });
    audio.next().expect("sound")
}

pub(crate) fn of_track(units: &[SourceUnit], track: usize) -> Vec<SourceUnit> {
    units.iter().filter(|unit| unit.track == track).cloned().collect()
}

/// What a viewer would get of them.
pub(crate) fn viewed(units: &[SourceUnit]) -> Vec<ViewUnit> {
    let mut group = 0;
    let numbered = units.iter().enumerate();
    numbered
        .map(|(seq, unit)| {
            group += u64::from(unit.keyframe);
            ViewUnit {
                seq: seq as u64,
                group,
                pts: unit.pts,
                decode_offset: unit.decode_offset,
                captured_us: 0,
                ready_us: 0,
                keyframe: unit.keyframe,
                data: unit.data.clone(),
            }
        })
        .collect()
}

/// Records pictures into a file and finishes it.
pub(crate) fn record(path: &Path, format: &VideoFormat, units: &[ViewUnit]) {
    let mut sink = Mp4Sink::create(path, &[TrackFormat::Video(format.clone())]).unwrap();
    for unit in units {
        sink.push(0, unit).unwrap();
    }
    sink.finish().unwrap();
}

/// Records all tracks into a file and finishes it.
pub(crate) fn record_all(path: &Path, formats: &[TrackFormat], units: &[SourceUnit]) {
    let mut sink = Mp4Sink::create(path, formats).unwrap();
    for (unit, viewed) in units.iter().zip(viewed(units)) {
        sink.push(unit.track, &viewed).unwrap();
    }
    sink.finish().unwrap();
}

/// The boxes at the top of a file: name, begin, end.
pub(crate) fn boxes(file: &[u8]) -> Vec<(String, usize, usize)> {
    let (mut boxes, mut at) = (Vec::new(), 0);
    while at + 8 <= file.len() {
        let size = u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        let name = String::from_utf8_lossy(&file[at + 4..at + 8]).into_owned();
        assert!(size >= 8, "the boxes of our own files have plain sizes");
        boxes.push((name, at, at + size));
        at += size;
    }
    boxes
}
