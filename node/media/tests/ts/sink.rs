//! What players are written: valid to ffprobe, played by ffplay, and ended by a closed player.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use roommate_media::source::TrackFormat;
use roommate_media::ts::{TsSink, TsSinkError};

use crate::tool::{
    AAC, Dir, OPUS, PACKET, Taken, Written, ZEROLATENCY, apart, make, make_from, packets, probe,
    read, sunk, viewed,
};

/// Clock references and tables of a stream, with the PID and position of each packet.
fn clocks(stream: &[u8]) -> Vec<(usize, i64)> {
    let clock = |(n, packet): (usize, &[u8])| {
        let has = packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0;
        let bytes = [0, 0, 0, packet[6], packet[7], packet[8], packet[9], packet[10]];
        has.then(|| (n, i64::from_be_bytes(bytes) >> 7))
    };
    stream.chunks(PACKET).enumerate().filter_map(clock).collect()
}

#[test]
fn clocks_and_tables_come_often_enough() {
    let dir = Dir::new();
    for (rate, sound) in [("25", AAC), ("3", OPUS), ("60", OPUS)] {
        let path = dir.path("a.ts");
        let camera = format!("testsrc2=size=320x240:rate={rate}");
        make_from(&path, &camera, "sine=sample_rate=48000", "4", &[ZEROLATENCY, sound]);
        let taken = read(&path);
        let stream = sunk(&taken);
        assert_eq!(stream.len() % PACKET, 0);
        let clocks = clocks(&stream);
        assert!(clocks.len() >= 39, "{} at {rate} a second", clocks.len());
        for pair in clocks.windows(2) {
            let apart = pair[1].1 - pair[0].1;
            assert!((0..=9_000).contains(&apart), "{apart} ticks apart at {rate} a second");
        }
        let tables = stream.chunks(PACKET).filter(|packet| packet[1..3] == [0x40, 0]).count();
        assert!(tables >= 15, "{tables} tables");
        for (n, packet) in stream.chunks(PACKET).enumerate() {
            let key = packet[1..3] == [0x41, 0] && packet[3] & 0x20 != 0 && packet[5] & 0x40 != 0;
            if key {
                let before = &stream[(n - 2) * PACKET..];
                assert_eq!(
                    (&before[1..3], &before[PACKET + 1..PACKET + 3]),
                    (&[0x40, 0][..], &[0x50, 0][..])
                );
            }
        }
    }
}

#[test]
fn a_delimiter_is_put_where_there_is_none() {
    let dir = Dir::new();
    let path = dir.path("a.ts");
    make(&path, "1", &[ZEROLATENCY, AAC]);
    let mut taken = read(&path);
    for unit in &mut taken.units {
        if unit.track == 0 && unit.data[4] == 9 {
            unit.data = unit.data.slice(6..);
        }
    }
    assert!(apart(&taken.joined()).0.iter().all(|nal| nal[0] != 9));
    let again = read(&dir.write("again.ts", &sunk(&taken)));
    let delimiters = apart(&again.joined()).0.iter().filter(|nal| nal[..] == [9, 0xf0]).count();
    assert_eq!(delimiters, 25);
}

#[test]
fn a_restarted_broadcast_goes_on_where_the_first_one_ended() {
    let dir = Dir::new();
    let path = dir.path("a.ts");
    make(&path, "2", &[ZEROLATENCY, OPUS]);
    let mut taken = read(&path);
    let again = taken.units.clone();
    taken.units.extend(again);
    let out = dir.write("twice.ts", &sunk(&taken));
    assert_eq!(probe(&out).0, "");
    for stream in ["v:0", "a:0"] {
        let packets = packets(&out, stream);
        let steps = packets.windows(2).map(|pair| pair[1].1 - pair[0].1);
        assert!(steps.clone().all(|step| step > 0 && step < 18_000), "{:?}", steps.max());
    }
}

struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn short(dir: &Dir) -> Taken {
    let path = dir.path("short.ts");
    make(&path, "2", &[ZEROLATENCY, OPUS]);
    read(&path)
}

#[test]
fn a_closed_player_is_an_end_of_its_own() {
    let dir = Dir::new();
    let taken = short(&dir);
    let mut sink = TsSink::new(Box::new(Gone), &taken.tracks).unwrap();
    let error = sink.push(0, &viewed(taken.pictures()[0])).unwrap_err();
    assert!(matches!(error, TsSinkError::Closed), "{error}");
}

#[test]
fn pictures_wait_for_a_keyframe_and_tracks_must_fit() {
    let dir = Dir::new();
    let taken = short(&dir);
    let written = Written::default();
    let mut sink = TsSink::new(Box::new(written.clone()), &taken.tracks).unwrap();
    sink.push(0, &viewed(taken.pictures()[1])).unwrap();
    assert!(written.bytes().is_empty());
    let out = || Box::new(Written::default());
    let (video, sound) = (taken.tracks[0].clone(), taken.tracks[1].clone());
    let refused = |tracks: &[TrackFormat]| TsSink::new(out(), tracks).unwrap_err().to_string();
    assert!(refused(&[]).contains("at least one"));
    assert!(refused(&[video.clone(), video]).contains("one track of pictures"));
    let TrackFormat::Audio(mut format) = sound else { panic!("sound comes second") };
    format.codec = "flac".to_owned();
    assert!(refused(&[TrackFormat::Audio(format.clone())]).contains("'flac'"));
    format.codec = "mp4a.40.2".to_owned();
    assert!(refused(&[TrackFormat::Audio(format)]).contains("'mp4a.40.2'"), "no configuration");
}

#[test]
fn ffplay_plays_it_from_a_pipe() {
    let dir = Dir::new();
    let taken = short(&dir);
    let mut ffplay = Command::new("ffplay");
    ffplay.args(["-v", "warning", "-autoexit", "-"]);
    ffplay.env("SDL_VIDEODRIVER", "dummy").env("SDL_AUDIODRIVER", "dummy");
    ffplay.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut ffplay = ffplay.spawn().expect("ffplay comes with: apt-get install ffmpeg");
    let pipe = ffplay.stdin.take().unwrap();
    let mut sink = TsSink::new(Box::new(pipe), &taken.tracks).unwrap();
    for unit in &taken.units {
        sink.push(unit.track, &viewed(unit)).unwrap();
    }
    sink.finish().unwrap();
    let output = ffplay.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("rror") && !said.contains("nvalid"), "{said}");
}
