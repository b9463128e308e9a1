//! What the tests share: ffmpeg as the judge, and the way from a stream through source and sink.

#[path = "../support/apart.rs"]
mod nals;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use roommate_clock::Clock;
use roommate_media::ViewUnit;
use roommate_media::source::{
    AudioFormat, Source, SourceControl, SourceError, SourceUnit, TrackFormat,
};
use roommate_media::ts::{TsSink, TsSource};

pub(crate) use nals::apart;

pub(crate) const PACKET: usize = 188;

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

/// A folder that goes with the test.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

pub(crate) const ZEROLATENCY: &[&str] =
    &["-c:v", "libx264", "-tune", "zerolatency", "-preset", "ultrafast", "-g", "25"];
pub(crate) const AAC: &[&str] = &["-c:a", "aac"];
pub(crate) const OPUS: &[&str] = &["-c:a", "libopus"];

/// A synthetic camera and microphone of `seconds` through ffmpeg's encoders and muxer.
pub(crate) fn make(path: &Path, seconds: &str, codecs: &[&[&str]]) {
    make_from(path, "testsrc2=size=320x240:rate=25", "sine=sample_rate=48000", seconds, codecs);
}

/// The same from other devices.
pub(crate) fn make_from(path: &Path, camera: &str, mic: &str, seconds: &str, codecs: &[&[&str]]) {
    let inputs = ["-f", "lavfi", "-i", camera, "-f", "lavfi", "-i", mic, "-t", seconds];
    let fixed = ["-pix_fmt", "yuv420p"];
    let out = ["-f", "mpegts", text(path)];
    ffmpeg(&[&inputs[..], &fixed, &codecs.concat(), &out].concat());
}

/// Presentation time, decoding time, size and whether it is a keyframe, as ffprobe sees it.
pub(crate) fn packets(path: &Path, stream: &str) -> Vec<(i64, i64, usize, bool)> {
    let args = ["-v", "error", "-select_streams", stream, "-show_entries"];
    let rest = ["packet=pts,dts,size,flags", "-of", "csv=p=0", text(path)];
    let (out, _) = run("ffprobe", &[&args[..], &rest].concat());
    let lines = String::from_utf8(out).unwrap();
    let packet = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let key = fields[3].starts_with('K');
        (fields[0].parse().unwrap(), fields[1].parse().unwrap(), fields[2].parse().unwrap(), key)
    };
    lines.lines().filter(|line| !line.is_empty()).map(packet).collect()
}

/// All that ffprobe warns of, and the streams that it names.
pub(crate) fn probe(path: &Path) -> (String, Vec<String>) {
    let args = ["-v", "warning", "-show_entries", "stream=codec_name,width,sample_rate,channels"];
    let (out, warnings) = run("ffprobe", &[&args[..], &["-of", "csv=p=0", text(path)]].concat());
    let mut streams: Vec<String> =
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
    streams.retain(|line| !line.is_empty());
    // Each is listed in its program too.
    streams.sort();
    streams.dedup();
    (warnings, streams)
}

/// The NAL units of a file as ffmpeg copies them: all but parameter sets in their order, and the
/// parameter sets as a set.
pub(crate) fn copied(path: &Path) -> (Vec<Vec<u8>>, BTreeSet<Vec<u8>>) {
    apart(&stream(path, "0:v:0", "h264"))
}

/// A stream as ffmpeg copies it, packets joined.
pub(crate) fn stream(path: &Path, map: &str, format: &str) -> Vec<u8> {
    let dir = Dir::new();
    let out = dir.path("copy");
    ffmpeg(&["-i", text(path), "-map", map, "-c", "copy", "-f", format, text(&out)]);
    std::fs::read(out).unwrap()
}

/// The packets of sound of a file as ffmpeg copies them, without ADTS.
pub(crate) fn sounds(path: &Path, format: &AudioFormat) -> Vec<Vec<u8>> {
    let opus = format.codec == "opus";
    let joined = stream(path, "0:a:0", if opus { "data" } else { "adts" });
    let mut rest = &joined[..];
    let mut packets = Vec::new();
    for (_, _, size, _) in self::packets(path, "a:0") {
        let (packet, next) = rest.split_at(size);
        packets.push(packet[if opus { 0 } else { 7 }..].to_vec());
        rest = next;
    }
    assert!(rest.is_empty());
    packets
}

/// What a source gave.
pub(crate) struct Taken {
    pub(crate) tracks: Vec<TrackFormat>,
    pub(crate) units: Vec<SourceUnit>,
}

impl Taken {
    pub(crate) fn pictures(&self) -> Vec<&SourceUnit> {
        self.of(|track| matches!(track, TrackFormat::Video(_)))
    }

    pub(crate) fn sounds(&self) -> Vec<&SourceUnit> {
        self.of(|track| matches!(track, TrackFormat::Audio(_)))
    }

    fn of(&self, kind: impl Fn(&TrackFormat) -> bool) -> Vec<&SourceUnit> {
        self.units.iter().filter(|unit| kind(&self.tracks[unit.track])).collect()
    }

    pub(crate) fn sound_format(&self) -> &AudioFormat {
        let audio = self.tracks.iter().find_map(|track| match track {
            TrackFormat::Audio(format) => Some(format),
            TrackFormat::Video(_) => None,
        });
        audio.expect("sound")
    }

    /// All pictures as one byte stream.
    pub(crate) fn joined(&self) -> Vec<u8> {
        self.pictures().iter().flat_map(|unit| unit.data.to_vec()).collect()
    }
}

pub(crate) fn drain(mut source: TsSource) -> Taken {
    let control = SourceControl::new();
    let mut units = Vec::new();
    while let Some(unit) = source.next(&control).unwrap() {
        units.push(unit);
    }
    Taken { tracks: source.tracks().to_vec(), units }
}

pub(crate) fn open(path: &Path) -> Result<TsSource, SourceError> {
    Ok(TsSource::open(path, Clock::new(), false)?.unpaced())
}

/// All units of a file.
pub(crate) fn read(path: &Path) -> Taken {
    drain(open(path).unwrap())
}

/// All units of a stream in memory, through the way of a pipe.
pub(crate) fn piped(bytes: Vec<u8>) -> Result<Taken, SourceError> {
    let reader: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(bytes));
    Ok(drain(TsSource::pipe(reader, Vec::new(), Clock::new(), &SourceControl::new())?.unpaced()))
}

/// What a viewer would get of a unit.
pub(crate) fn viewed(unit: &SourceUnit) -> ViewUnit {
    ViewUnit {
        seq: 0,
        group: 0,
        pts: unit.pts,
        decode_offset: unit.decode_offset,
        captured_us: 0,
        ready_us: 0,
        keyframe: unit.keyframe,
        data: unit.data.clone(),
    }
}

/// A writer whose bytes can be looked at afterwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Units through the sink.
pub(crate) fn sunk(taken: &Taken) -> Vec<u8> {
    let written = Written::default();
    let mut sink = TsSink::new(Box::new(written.clone()), &taken.tracks).unwrap();
    for unit in &taken.units {
        sink.push(unit.track, &viewed(unit)).unwrap();
    }
    sink.finish().unwrap();
    written.bytes()
}
