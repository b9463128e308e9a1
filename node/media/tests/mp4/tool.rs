//! What the tests share: ffmpeg as the judge, and the way from a file through source and sink.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use roommate_clock::Clock;
use roommate_media::ViewUnit;
use roommate_media::mp4_sink::{Mp4Sink, SinkFormat};
use roommate_media::mp4_source::Mp4Source;
use roommate_media::source::{Source, SourceControl, SourceError, SourceUnit, VideoFormat};

pub(crate) fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bbb.mp4")
}

fn run(program: &str, args: &[&str]) -> (Vec<u8>, String) {
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

/// A moving picture with B-frames, delimiters and four slices, and a sound track to be ignored.
pub(crate) fn with_b_frames(path: &Path, more: &[&str]) {
    let video = "testsrc2=size=320x240:rate=30000/1001";
    let codec = ["-c:v", "libx264", "-bf", "3", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac"];
    let fixed = ["-x264-params", "aud=1:slices=4:b-pyramid=normal", "-t", "4"];
    let inputs = ["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", "sine"];
    ffmpeg(&[&inputs[..], &codec, &fixed, more, &[text(path)]].concat());
}

/// Presentation time, decoding time and whether it is a keyframe, of each packet as ffprobe sees it.
pub(crate) fn packets(path: &Path) -> Vec<(i64, i64, bool)> {
    let args = ["-v", "error", "-select_streams", "v:0", "-show_entries"];
    let rest = ["packet=pts,dts,flags", "-of", "csv=p=0", text(path)];
    let (out, _) = run("ffprobe", &[&args[..], &rest].concat());
    let lines = String::from_utf8(out).unwrap();
    let packet = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields[0].parse().unwrap(), fields[1].parse().unwrap(), fields[2].starts_with('K'))
    };
    lines.lines().map(packet).collect()
}

/// The NAL units of a file as ffmpeg copies them to Annex-B: all but parameter sets in their order,
/// and the parameter sets as a set.
pub(crate) fn copied(path: &Path) -> (Vec<Vec<u8>>, BTreeSet<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("copy.h264");
    ffmpeg(&["-i", text(path), "-map", "0:v:0", "-c", "copy", "-f", "h264", text(&out)]);
    apart(&std::fs::read(out).unwrap())
}

/// Slow and plain on purpose: the judge must not be the code that is judged.
pub(crate) fn apart(stream: &[u8]) -> (Vec<Vec<u8>>, BTreeSet<Vec<u8>>) {
    let starts: Vec<usize> =
        (0..stream.len().saturating_sub(2)).filter(|&at| stream[at..at + 3] == [0, 0, 1]).collect();
    let (mut coded, mut sets) = (Vec::new(), BTreeSet::new());
    for (n, &start) in starts.iter().enumerate() {
        let end = starts.get(n + 1).copied().unwrap_or(stream.len());
        let mut nal = stream[start + 3..end].to_vec();
        while nal.last() == Some(&0) {
            nal.pop();
        }
        if matches!(nal[0] & 31, 7 | 8) {
            sets.insert(nal);
        } else {
            coded.push(nal);
        }
    }
    (coded, sets)
}

pub(crate) fn open(path: &Path) -> Result<Mp4Source, SourceError> {
    Ok(Mp4Source::open(path, Clock::new(), false)?.unpaced())
}

/// All units of a file.
pub(crate) fn read(path: &Path) -> (VideoFormat, Vec<SourceUnit>) {
    let mut source = open(path).unwrap();
    let control = SourceControl::new();
    let mut units = Vec::new();
    while let Some(unit) = source.next(&control).unwrap() {
        units.push(unit);
    }
    (source.video().expect("pictures").clone(), units)
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

/// Records units into a file and finishes it.
pub(crate) fn record(path: &Path, format: &VideoFormat, units: &[ViewUnit]) {
    let mut sink = Mp4Sink::create(path, SinkFormat::from(format)).unwrap();
    for unit in units {
        sink.push(unit).unwrap();
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
