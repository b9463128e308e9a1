//! A live stream, a fragment for each unit: what a browser's `SourceBuffer` and a player over HTTP
//! are fed.

use std::path::Path;

use roommate_media::mp4::{Fmp4, Fragment, LEAD, Start};
use roommate_media::source::{SourceUnit, TrackFormat};

use crate::sound::{film, sine};
use crate::tool::{ffmpeg, hashed, of_track, packets, read, read_all, sound_packets, text, viewed};

fn source(dir: &Path, codec: &str) -> (Vec<TrackFormat>, Vec<SourceUnit>) {
    let path = dir.join("source.mp4");
    let sound = sine("2", "48000");
    film(&path, &["-f", "lavfi", "-i", &sound, "-c:a", codec], &[]);
    read_all(&path)
}

/// The stream of these units, and the fragments that it is made of.
fn stream(muxer: &mut Fmp4, units: &[SourceUnit]) -> (Vec<u8>, Vec<Option<Fragment>>) {
    let (mut bytes, mut fragments) = (Vec::new(), Vec::new());
    for (unit, viewed) in units.iter().zip(viewed(units)) {
        let fragment = muxer.push(unit.track.min(muxer_tracks(muxer) - 1), &viewed);
        if let Some(fragment) = &fragment {
            if fragment.new_init {
                bytes.extend(muxer.init().unwrap());
            }
            bytes.extend(&fragment.bytes);
        }
        fragments.push(fragment);
    }
    (bytes, fragments)
}

fn muxer_tracks(muxer: &Fmp4) -> usize {
    muxer.mime().split(',').count()
}

fn written(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    assert_eq!(ffmpeg(&["-i", text(path), "-f", "null", "-"]), "", "it decodes clean");
}

#[test]
fn a_stream_of_both_tracks_begins_at_its_first_keyframe() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    for codec in ["aac", "libopus"] {
        let (formats, units) = source(dir.path(), codec);
        for skipped in [0, 20] {
            let mut muxer = Fmp4::new(&formats, Start::Keyframe).unwrap();
            assert!(muxer.init().is_none());
            let (bytes, fragments) = stream(&mut muxer, &units[skipped..]);
            written(&out, &bytes);
            let begin = fragments.iter().position(Option::is_some).unwrap() + skipped;
            assert!(units[begin].keyframe && units[begin].track == 0);
            let first = fragments[begin - skipped].as_ref().unwrap();
            assert!(first.new_init && first.begins);
            let (key, offset) = (units[begin].pts, i64::from(units[begin].decode_offset));
            let shown: Vec<i64> =
                of_track(&units[begin..], 0).iter().map(|unit| unit.pts - key + offset).collect();
            assert_eq!(packets(&out).iter().map(|packet| packet.0).collect::<Vec<_>>(), shown);
            // 12 800 and 48 000 ticks a second.
            let (heard_from, moved) = (key * 15 / 4, (offset - key) * 15 / 4);
            let heard: Vec<_> = hashed(&of_track(&units[begin..], 1))
                .into_iter()
                .filter(|(pts, _)| *pts >= heard_from)
                .map(|(pts, hash)| (pts + moved, hash))
                .collect();
            assert_eq!(sound_packets(&out), heard);
            // One fragment a unit, and each says whose it is.
            let sent: Vec<_> = fragments.iter().flatten().collect();
            assert_eq!(sent.len(), shown.len() + heard.len());
            assert_eq!(sent.iter().filter(|fragment| fragment.track == 1).count(), heard.len());
            let begins = sent.iter().filter(|fragment| fragment.begins).count();
            assert_eq!(begins, if skipped == 0 { 2 } else { 1 });
            assert_eq!(sent.iter().filter(|fragment| fragment.new_init).count(), 1);
        }
    }
}

#[test]
fn muxers_of_one_broadcast_agree_on_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (formats, units) = source(dir.path(), "aac");
    for skipped in [0, 30] {
        let mut pictures = Fmp4::new(&formats[..1], Start::Broadcast).unwrap();
        let shown = of_track(&units[skipped..], 0);
        written(&out, &stream(&mut pictures, &shown).0);
        let begin = shown.iter().position(|unit| unit.keyframe).unwrap();
        let expected: Vec<i64> =
            shown[begin..].iter().map(|unit| unit.pts + i64::from(LEAD) * 12_800).collect();
        assert_eq!(packets(&out).iter().map(|packet| packet.0).collect::<Vec<_>>(), expected);

        let mut sound = Fmp4::new(&formats[1..], Start::Broadcast).unwrap();
        assert!(sound.init().is_some(), "it waits for nothing");
        let heard = of_track(&units[skipped..], 1);
        written(&out, &stream(&mut sound, &heard).0);
        let expected: Vec<_> = hashed(&heard)
            .into_iter()
            .map(|(pts, hash)| (pts + i64::from(LEAD) * 48_000, hash))
            .collect();
        assert_eq!(sound_packets(&out), expected, "all of it, that before the picture as well");
    }
}

#[test]
fn each_fragment_lasts_as_long_as_its_unit() {
    let dir = tempfile::tempdir().unwrap();
    for (codec, lasts) in [("aac", 1_024), ("libopus", 960)] {
        let (formats, units) = source(dir.path(), codec);
        let mut muxer = Fmp4::new(&formats, Start::Keyframe).unwrap();
        for fragment in stream(&mut muxer, &units).1.into_iter().flatten() {
            // Read by hand, because ffprobe looks at the next sample: name, flags, count, where the
            // data lies, the first sample's flags and its duration.
            let trun = fragment.bytes.windows(4).position(|window| window == b"trun").unwrap();
            let duration = fragment.bytes[trun + 20..trun + 24].try_into().unwrap();
            assert_eq!(u32::from_be_bytes(duration), [512, lasts][fragment.track]);
        }
    }
}

#[test]
fn another_size_brings_another_header() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("x.mp4"), dir.path().join("out.mp4"));
    let (formats, first) = source(dir.path(), "aac");
    let larger = "testsrc2=size=320x240:rate=25:duration=1";
    ffmpeg(&["-f", "lavfi", "-i", larger, "-c:v", "libx264", "-bf", "0", text(&path)]);
    let mut second = read(&path).1;
    for unit in &mut second {
        unit.pts += 3 * 12_800;
    }
    let first = of_track(&first, 0);
    let mut muxer = Fmp4::new(&formats[..1], Start::Keyframe).unwrap();
    let (_, fragments) = stream(&mut muxer, &[first.clone(), second.clone()].concat());
    let changes: Vec<usize> =
        (0..fragments.len()).filter(|&n| fragments[n].as_ref().unwrap().new_init).collect();
    assert_eq!(changes, [0, first.len()]);
    // From there on it is a stream for whoever joins.
    let mut bytes = muxer.init().unwrap().to_vec();
    for fragment in fragments[first.len()..].iter().flatten() {
        bytes.extend(&fragment.bytes);
    }
    written(&out, &bytes);
    let (format, units) = read(&out);
    assert_eq!((format.width, format.height, units.len()), (320, 240, 25));
}

#[test]
fn what_cannot_be_shown_makes_no_fragment() {
    let dir = tempfile::tempdir().unwrap();
    let (formats, units) = source(dir.path(), "aac");
    let mut muxer = Fmp4::new(&formats, Start::Keyframe).unwrap();
    let (shown, heard) = (viewed(&of_track(&units, 0)), viewed(&of_track(&units, 1)));
    assert!(muxer.push(0, &shown[1]).is_none(), "no keyframe yet");
    assert!(muxer.push(1, &heard[5]).is_none(), "no picture yet");
    let mut bare = shown[0].clone();
    bare.data = bytes::Bytes::from_static(&[0, 0, 0, 1, 0x65, 0x88]);
    assert!(muxer.push(0, &bare).is_none(), "a keyframe without parameter sets");
    assert!(muxer.push(0, &shown[0]).is_some());
    assert!(muxer.push(0, &shown[0]).is_none(), "its time does not grow");
    assert!(muxer.push(1, &heard[0]).is_none(), "heard before the first picture");
    assert!(muxer.push(1, &heard[1]).is_some());
    assert!(muxer.push(2, &heard[2]).is_none(), "there is no such track");
    for pts in [i64::MIN, i64::MAX] {
        let mut wild = shown[1].clone();
        wild.pts = pts;
        wild.decode_offset = i32::MAX;
        let _ = muxer.push(0, &wild);
        let _ = muxer.push(1, &wild);
    }
}

#[test]
fn it_says_what_a_browser_must_support() {
    let dir = tempfile::tempdir().unwrap();
    let (formats, _) = source(dir.path(), "aac");
    let mime = |formats: &[TrackFormat]| Fmp4::new(formats, Start::Broadcast).unwrap().mime();
    let TrackFormat::Video(video) = &formats[0] else { panic!("pictures") };
    assert_eq!(mime(&formats[..1]), format!("video/mp4; codecs=\"{}\"", video.codec));
    assert_eq!(mime(&formats[1..]), "audio/mp4; codecs=\"mp4a.40.2\"");
    assert_eq!(mime(&formats), format!("video/mp4; codecs=\"{}, mp4a.40.2\"", video.codec));
}
