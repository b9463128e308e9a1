//! Live: what comes is handed on as it comes, and who waits can be told to stop.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use roommate_clock::Clock;
use roommate_media::source::{Source, SourceControl};
use roommate_media::ts::TsSource;

use crate::tool::{AAC, Dir, OPUS, PACKET, ZEROLATENCY, drain, make, piped};

/// A pipe whose writer is the test.
struct Pipe {
    from: Receiver<Vec<u8>>,
    rest: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            match self.from.recv() {
                Ok(bytes) => self.rest = bytes,
                Err(_) => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest[..length]);
        self.rest.drain(..length);
        Ok(length)
    }
}

fn pipe() -> (Sender<Vec<u8>>, Box<dyn Read + Send>) {
    let (to, from) = channel();
    (to, Box::new(Pipe { from, rest: Vec::new() }))
}

/// A stream in parts that each end with a picture.
fn by_pictures(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = vec![Vec::new()];
    for packet in bytes.chunks(PACKET) {
        let begins = packet[1] == 0x41 && packet[2] == 0;
        if begins {
            parts.push(Vec::new());
        }
        parts.last_mut().unwrap().extend_from_slice(packet);
    }
    // Tables before the first picture belong to it.
    let first = parts.remove(0);
    parts[0] = [first, parts[0].clone()].concat();
    parts
}

/// The last packet of the pictures in a part has no room left.
fn fills_its_last(part: &[u8]) -> bool {
    let last = part.chunks(PACKET).rfind(|packet| packet[1] & 0x1f == 1 && packet[2] == 0);
    last.unwrap()[3] & 0x20 == 0
}

#[test]
fn a_picture_is_handed_on_before_the_next_one_begins() {
    let dir = Dir::new();
    let path = dir.path("a.ts");
    make(&path, "3", &[ZEROLATENCY, &["-an"]]);
    let bytes = std::fs::read(&path).unwrap();
    let whole = piped(bytes.clone()).unwrap();
    let (to, reader) = pipe();
    let parts = by_pictures(&bytes);
    assert_eq!(parts.len(), 75);
    let mut full: Vec<bool> = parts.iter().map(|part| fills_its_last(part)).collect();
    let mut parts = parts.into_iter();
    to.send(parts.next().unwrap()).unwrap();
    let clock = Clock::new();
    let control = SourceControl::new();
    let mut source = TsSource::pipe(reader, Vec::new(), clock, &control).unwrap();
    let mut ahead = usize::from(full.remove(0));
    if ahead == 1 {
        to.send(parts.next().unwrap()).unwrap();
    }
    for expected in whole.pictures() {
        let unit = source.next(&control).unwrap().unwrap();
        assert_eq!((unit.pts, &unit.data), (expected.pts, &expected.data));
        assert!(unit.captured <= clock.mono());
        // One in 184 fills its last packet, so that nothing shows its end before the next begins.
        for part in parts.by_ref() {
            to.send(part).unwrap();
            if !full.remove(0) {
                break;
            }
            ahead += 1;
        }
    }
    assert!(ahead <= 3, "{ahead} pictures waited for the next one");
    drop(to);
    assert!(source.next(&control).unwrap().is_none());
}

#[test]
fn a_cat_is_held_to_real_time_and_loses_nothing() {
    let dir = Dir::new();
    let path = dir.path("a.ts");
    make(&path, "4", &[ZEROLATENCY, AAC]);
    let whole = piped(std::fs::read(&path).unwrap()).unwrap();
    let mut cat = Command::new("cat").arg(&path).stdout(Stdio::piped()).spawn().unwrap();
    let out = cat.stdout.take().unwrap();
    let clock = Clock::new();
    let began = clock.mono();
    let taken =
        drain(TsSource::pipe(Box::new(out), Vec::new(), clock, &SourceControl::new()).unwrap());
    // Four seconds, of which one may be ahead.
    assert!(clock.mono().since(began) >= Duration::from_millis(2_700));
    assert!(cat.wait().unwrap().success());
    let plain = |units: &[roommate_media::source::SourceUnit]| {
        units.iter().map(|unit| (unit.track, unit.pts, unit.data.clone())).collect::<Vec<_>>()
    };
    assert!(plain(&taken.units) == plain(&whole.units));
}

#[test]
fn first_bytes_that_were_read_before_are_not_lost() {
    let dir = Dir::new();
    let path = dir.path("a.ts");
    make(&path, "1", &[ZEROLATENCY, OPUS]);
    let bytes = std::fs::read(&path).unwrap();
    let whole = piped(bytes.clone()).unwrap();
    let (first, rest) = bytes.split_at(1_000);
    let reader = Box::new(io::Cursor::new(rest.to_vec()));
    let taken =
        drain(TsSource::pipe(reader, first.to_vec(), Clock::new(), &SourceControl::new()).unwrap());
    assert_eq!(taken.units.len(), whole.units.len());
    assert_eq!(taken.joined(), whole.joined());
}

#[test]
fn a_wait_for_a_silent_pipe_can_be_stopped() {
    let dir = Dir::new();
    let path = dir.path("a.ts");
    make(&path, "1", &[ZEROLATENCY, AAC]);
    let (to, reader) = pipe();
    to.send(std::fs::read(&path).unwrap()).unwrap();
    let control = Arc::new(SourceControl::new());
    let source = TsSource::pipe(reader, Vec::new(), Clock::new(), &control).unwrap();
    let mut source = source.unpaced();
    let (tell, told) = channel();
    let player = {
        let control = Arc::clone(&control);
        std::thread::spawn(move || {
            while let Some(unit) = source.next(&control).unwrap() {
                tell.send(unit.track).unwrap();
            }
        })
    };
    // The last picture comes when the pipe pauses; behind it nothing will come any more.
    assert_eq!(told.iter().filter(|&track| track == 0).take(25).count(), 25);
    // That it waits is what is tested.
    std::thread::sleep(Duration::from_millis(100));
    control.stop();
    // The pipe stays open and silent: that the thread ends at all is the proof.
    player.join().unwrap();
    drop(to);
}

#[test]
fn a_wait_for_the_first_bytes_can_be_stopped() {
    let (to, reader) = pipe();
    let control = Arc::new(SourceControl::new());
    let opener = {
        let control = Arc::clone(&control);
        std::thread::spawn(move || TsSource::pipe(reader, Vec::new(), Clock::new(), &control).err())
    };
    control.stop();
    let said = opener.join().unwrap().unwrap().to_string();
    assert!(said.starts_with("cannot read standard input"), "{said}");
    drop(to);
}

#[test]
fn a_real_ffmpeg_in_real_time_and_its_end() {
    let camera = ["-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25"];
    let mic = ["-re", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "4"];
    let codecs = ["-pix_fmt", "yuv420p", "-c:a", "libopus", "-f", "mpegts", "-"];
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error"]).args(camera).args(mic).args(ZEROLATENCY).args(codecs);
    let mut ffmpeg = ffmpeg.stdout(Stdio::piped()).spawn().unwrap();
    let out = ffmpeg.stdout.take().unwrap();
    let taken = drain(
        TsSource::pipe(Box::new(out), Vec::new(), Clock::new(), &SourceControl::new()).unwrap(),
    );
    assert!(ffmpeg.wait().unwrap().success());
    let pictures = taken.pictures();
    assert_eq!(pictures.len(), 100);
    assert!(pictures.windows(2).all(|pair| pair[1].pts - pair[0].pts == 3_600));
    let sounds = taken.sounds();
    assert!(sounds.len() >= 200 && sounds.windows(2).all(|p| p[1].pts - p[0].pts == 960));
}
