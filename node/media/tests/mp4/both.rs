//! Recordings of sound and pictures: the packets of the source, in sync to the millisecond, through
//! kills, gaps and a publisher that comes back.

use std::path::Path;

use roommate_media::ViewUnit;
use roommate_media::mp4::{Mp4Sink, SinkError};
use roommate_media::source::{SourceUnit, TrackFormat};

use crate::sound::{film, sine};
use crate::tool::{
    audio, boxes, copied, ffmpeg, hashed, of_track, packets, read, read_all, record_all, run,
    sound_packets, text, viewed,
};

/// A film of 2 s with sound.
fn source(dir: &Path, codec: &str, rate: &str) -> (Vec<TrackFormat>, Vec<SourceUnit>) {
    let path = dir.join("source.mp4");
    let sound = sine("2", rate);
    film(&path, &["-f", "lavfi", "-i", &sound, "-c:a", codec], &[]);
    read_all(&path)
}

fn push_all(sink: &mut Mp4Sink, units: &[SourceUnit]) {
    for (unit, viewed) in units.iter().zip(viewed(units)) {
        sink.push(unit.track, &viewed).unwrap();
    }
}

fn decodes_clean(path: &Path) {
    // Times as they are: a grid of 25 a second is no concern of a file that two broadcasts fill.
    let times = ["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"];
    let said = ffmpeg(&[&["-i", text(path)][..], &times].concat());
    assert_eq!(said, "", "{}", path.display());
}

#[test]
fn both_tracks_are_the_source_packet_by_packet_and_in_sync() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    for (codec, rate) in [("aac", "44100"), ("aac", "48000"), ("libopus", "48000")] {
        let (formats, units) = source(dir.path(), codec, rate);
        record_all(&out, &formats, &units);
        decodes_clean(&out);
        let heard: Vec<_> =
            hashed(&of_track(&units, 1)).into_iter().filter(|(pts, _)| *pts >= 0).collect();
        assert_eq!(sound_packets(&out), heard, "{codec} {rate}: tick for tick");
        assert_eq!(heard.len() + 1, of_track(&units, 1).len(), "one packet was before the picture");
        let original = dir.path().join("source.mp4");
        assert_eq!(packets(&out), packets(&original));
        assert!(copied(&out).0 == copied(&original).0, "pictures");
        // And back again.
        let (again, units_again) = read_all(&out);
        assert_eq!(audio(&again), audio(&formats));
        assert_eq!(hashed(&of_track(&units_again, 1)), heard);
    }
}

#[test]
fn other_readers_see_two_tracks_and_the_tables_that_firefox_wants() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    for (codec, named) in [("aac", "aac"), ("libopus", "opus")] {
        let (formats, units) = source(dir.path(), codec, "48000");
        record_all(&out, &formats, &units);
        let args = ["-v", "error", "-show_entries", "stream=codec_name,channels,sample_rate"];
        let (said, _) = run("ffprobe", &[&args[..], &["-of", "csv=p=0", text(&out)]].concat());
        let said = String::from_utf8(said).unwrap();
        assert_eq!(said, format!("h264\n{named},48000,1\n"));
        let file = std::fs::read(&out).unwrap();
        let count = |name: &[u8]| file.windows(4).filter(|window| *window == name).count();
        assert_eq!((count(b"trak"), count(b"stco"), count(b"trex")), (2, 2, 2));
        // MPEG-4 audio, an audio stream: what ffmpeg does not look at, but others do.
        assert_eq!(count(&[4, 20, 0x40, 0x15]), usize::from(codec == "aac"));
    }
    for codec in ["aac", "libopus"] {
        let path = dir.path().join("source.mp4");
        let sound = "aevalsrc=sin(440*t)|0|0|0|sin(880*t)|0:d=2:c=5.1";
        film(&path, &["-f", "lavfi", "-i", sound, "-c:a", codec], &[]);
        let (formats, units) = read_all(&path);
        record_all(&out, &formats, &units);
        decodes_clean(&out);
        assert_eq!(audio(&read_all(&out).0), audio(&formats), "six channels");
    }
}

#[test]
fn sound_may_come_before_or_behind_the_pictures_that_it_belongs_to() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (formats, units) = source(dir.path(), "aac", "48000");
    record_all(&out, &formats, &units);
    let (heard, shown) = (sound_packets(&out), packets(&out));
    // As a network brings it: all sound first, or by half a second late.
    let order = |delay: i64| {
        let mut units = units.clone();
        units.sort_by_key(|unit| match unit.track {
            0 => (unit.pts - i64::from(unit.decode_offset)) * 1_000 / 12_800,
            _ => unit.pts * 1_000 / 48_000 + delay,
        });
        units
    };
    for delay in [-10_000, -500, 500] {
        record_all(&out, &formats, &order(delay));
        assert_eq!(sound_packets(&out), heard, "{delay} ms");
        assert_eq!(packets(&out), shown, "{delay} ms");
        decodes_clean(&out);
    }
}

#[test]
fn a_late_join_leaves_out_the_sound_before_its_first_keyframe() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (formats, units) = source(dir.path(), "aac", "44100");
    let second = of_track(&units, 0)[25].clone();
    assert!(second.keyframe && second.pts == 12_800);
    record_all(&out, &formats, &units[20..]);
    let heard: Vec<_> = hashed(&of_track(&units, 1))
        .into_iter()
        .filter(|(pts, _)| *pts >= 44_100)
        .map(|(pts, hash)| (pts - 44_100, hash))
        .collect();
    assert_eq!(sound_packets(&out), heard);
    assert_eq!(packets(&out).len(), 25);
}

#[test]
fn fragments_hold_both_and_a_cut_at_any_place_plays_to_there() {
    let dir = tempfile::tempdir().unwrap();
    let (out, cut) = (dir.path().join("out.mp4"), dir.path().join("cut.mp4"));
    let (formats, units) = source(dir.path(), "aac", "48000");
    record_all(&out, &formats, &units);
    let (shown, heard) = (packets(&out), sound_packets(&out));
    let file = std::fs::read(&out).unwrap();
    let boxes = boxes(&file);
    let moofs: Vec<_> = boxes.iter().filter(|(name, ..)| name == "moof").collect();
    assert!((4..=6).contains(&moofs.len()), "{}", moofs.len());
    for (_, begin, end) in &moofs[..3] {
        let trafs = file[*begin..*end].windows(4).filter(|window| *window == b"traf").count();
        assert_eq!(trafs, 2);
    }
    let mut before = (0, 0);
    for (_, _, end) in boxes.iter().filter(|(name, ..)| name == "mdat") {
        // The fragment that follows is torn: its writer was killed before it got its name.
        let mut torn = file.clone();
        if torn.get(end + 4..end + 8) == Some(b"moof") {
            torn[end + 4..end + 8].copy_from_slice(b"free");
        }
        for more in [0, 3, 8, 700] {
            std::fs::write(&cut, &torn[..(end + more).min(torn.len())]).unwrap();
            let here = (packets(&cut), sound_packets(&cut));
            assert!(here.0[..] == shown[..here.0.len()] && here.1[..] == heard[..here.1.len()]);
            let counts = (here.0.len(), here.1.len());
            if more == 0 {
                // Half a second is 13 pictures and 24 packets.
                assert!(counts.0 - before.0 <= 13 && counts.1 - before.1 <= 30, "{counts:?}");
                decodes_clean(&cut);
                before = counts;
            }
            assert_eq!(counts, before);
            let (_, ours) = read_all(&cut);
            assert_eq!((of_track(&ours, 0).len(), of_track(&ours, 1).len()), counts);
        }
    }
    assert_eq!(before, (shown.len(), heard.len()));
}

#[test]
fn a_killed_writer_loses_less_than_a_second_of_both() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (formats, units) = source(dir.path(), "aac", "48000");
    for count in [80, 100, 140] {
        let mut sink = Mp4Sink::create(&out, &formats).unwrap();
        push_all(&mut sink, &units[..count]);
        std::mem::forget(sink);
        let pushed = &units[..count];
        assert!(packets(&out).len() + 25 > of_track(pushed, 0).len());
        assert!(sound_packets(&out).len() + 47 > of_track(pushed, 1).len());
    }
}

#[test]
fn gaps_stay_gaps_in_both() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (formats, units) = source(dir.path(), "aac", "48000");
    let lost = |unit: &SourceUnit| match unit.track {
        0 => (12_800 / 2..12_800).contains(&unit.pts),
        _ => (9_600..67_200).contains(&unit.pts),
    };
    let kept: Vec<_> = units.iter().filter(|unit| !lost(unit)).cloned().collect();
    record_all(&out, &formats, &kept);
    let shown: Vec<i64> = of_track(&kept, 0).iter().map(|unit| unit.pts).collect();
    assert_eq!(packets(&out).iter().map(|packet| packet.0).collect::<Vec<_>>(), shown);
    let heard: Vec<_> =
        hashed(&of_track(&kept, 1)).into_iter().filter(|(pts, _)| *pts >= 0).collect();
    assert_eq!(sound_packets(&out), heard);
    assert!(heard.windows(2).any(|pair| pair[1].0 - pair[0].0 > 57_000), "a gap of 1.2 s");
    decodes_clean(&out);
}

#[test]
fn a_silent_track_of_sound_keeps_nothing_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let (out, alone) = (dir.path().join("out.mp4"), dir.path().join("alone.mp4"));
    let (formats, units) = source(dir.path(), "aac", "48000");
    let shown = of_track(&units, 0);
    let mut sink = Mp4Sink::create(&out, &formats).unwrap();
    for (number, unit) in viewed(&shown).iter().enumerate() {
        sink.push(0, unit).unwrap();
        assert!(packets_in(&out) + 15 > number, "they flow into the file");
    }
    sink.finish().unwrap();
    assert_eq!(packets(&out), packets(&dir.path().join("source.mp4")));
    record_all(&alone, &formats[..1], &shown);
    assert_eq!(count(&out, b"moof"), count(&alone, b"moof"));
    // And the other way round: pictures stall, sound goes on.
    let mut sink = Mp4Sink::create(&out, &formats).unwrap();
    let (first, rest): (Vec<_>, Vec<_>) =
        units.iter().cloned().partition(|unit| unit.track == 0 && unit.pts < 6_400);
    push_all(&mut sink, &first);
    push_all(&mut sink, &of_track(&rest, 1));
    std::mem::forget(sink);
    assert!(sound_packets(&out).len() + 47 > of_track(&units, 1).len());
}

fn count(path: &Path, name: &[u8]) -> usize {
    std::fs::read(path).unwrap().windows(4).filter(|window| *window == name).count()
}

/// Pictures that a file holds by the sizes of its fragments, without asking ffprobe each time.
fn packets_in(path: &Path) -> usize {
    if count(path, b"moof") == 0 { 0 } else { read(path).1.len() }
}

#[test]
fn a_publisher_that_comes_back_keeps_its_lips() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (formats, units) = source(dir.path(), "aac", "44100");
    // Another zero; all of it; sound that is a second ahead; not told; ended between a picture and
    // the B-frames before it.
    for (told, moved, shown, heard) in [
        (true, 3_600, 25, 44_100),
        (true, -2, 50, 88_200),
        (true, 0, 25, 88_200),
        (false, 0, 50, 88_200),
        (true, 0, 23, 30_000),
    ] {
        let pictures =
            of_track(&units, 0)[..shown].iter().map(|it| it.data.clone()).collect::<Vec<_>>();
        let first: Vec<_> = units
            .iter()
            .filter(|it| it.track == 1 && it.pts < heard || pictures.contains(&it.data))
            .cloned()
            .collect();
        let over = |it: &SourceUnit| match it.track {
            0 => (it.pts + 512) as f64 / 12_800.0,
            _ => (it.pts + 1_024) as f64 / 44_100.0,
        };
        let over = first.iter().map(over).fold(0.0, f64::max);
        let mut second = units.clone();
        for unit in &mut second {
            unit.pts += moved * i64::from(formats[unit.track].timescale());
        }
        let mut sink = Mp4Sink::create(&out, &formats).unwrap();
        push_all(&mut sink, &first);
        if told {
            sink.next_broadcast();
        }
        push_all(&mut sink, &second);
        sink.finish().unwrap();
        decodes_clean(&out);
        let (pictures, (shown, heard)) = (shown, (packets(&out), sound_packets(&out)));
        assert_eq!(shown.len(), pictures + 50, "no picture is lost");
        assert!(shown.windows(2).all(|pair| pair[1].1 > pair[0].1), "decoding times grow");
        let grows = heard.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 1_023);
        assert!(grows, "no packet covers another");
        // The second broadcast's first picture, and all sound beside it as in the source.
        let begins = shown[pictures].0 as f64 / 12_800.0;
        let mut original = hashed(&of_track(&units, 1));
        original.retain(|(pts, _)| *pts >= 0);
        let again = &heard[heard.len() - original.len()..];
        for ((pts, hash), (at, other)) in again.iter().zip(&original) {
            assert_eq!(hash, other);
            let apart = (*pts - at) as f64 / 44_100.0 - begins;
            assert!(apart.abs() < 0.001, "{apart} s, {told} {moved} {pictures}");
        }
        assert!((begins - over).abs() < 0.001, "it follows at {begins} s, not at {over} s");
    }
}

#[test]
fn sound_alone_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    for codec in ["aac", "libopus"] {
        let (formats, units) = source(dir.path(), codec, "48000");
        let mut heard = of_track(&units, 1);
        for unit in &mut heard {
            unit.track = 0;
        }
        record_all(&out, &formats[1..], &heard);
        let zero = heard[0].pts;
        let expected: Vec<_> =
            hashed(&heard).into_iter().map(|(pts, hash)| (pts - zero, hash)).collect();
        assert_eq!(sound_packets(&out), expected);
        decodes_clean(&out);
    }
}

#[test]
fn tracks_that_have_no_place_in_a_file_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (formats, _) = source(dir.path(), "aac", "48000");
    let refused = |formats: &[TrackFormat]| {
        let error = Mp4Sink::create(&out, formats).unwrap_err();
        assert!(matches!(error, SinkError::Format { .. }) && !out.exists());
        let said = error.to_string();
        said.strip_prefix(&format!("cannot record to {}: ", out.display())).unwrap().to_owned()
    };
    let other = |change: fn(&mut roommate_media::source::AudioFormat)| {
        let mut format = audio(&formats).clone();
        change(&mut format);
        vec![formats[0].clone(), TrackFormat::Audio(format)]
    };
    assert_eq!(refused(&[]), "there is no track to write");
    let twice = [formats[0].clone(), formats[0].clone()];
    assert!(refused(&twice).starts_with("one track of pictures and one of sound"));
    let codec = "a track of codec 'vorbis' cannot be written";
    assert_eq!(refused(&other(|it| it.codec = "vorbis".into())), codec);
    let codec = "a track of codec 'mp4a.40.2' cannot be written";
    assert_eq!(refused(&other(|it| it.description = Default::default())), codec);
    assert_eq!(refused(&other(|it| it.channels = 0)), codec);
}

#[test]
fn times_of_a_stranger_panic_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (formats, units) = source(dir.path(), "libopus", "48000");
    let wild = [i64::MIN, -1, 0, 1, 1 << 31, 1 << 62, i64::MAX];
    for first in wild {
        for (other, offset) in wild.into_iter().zip([i32::MIN, -1, 0, 1, 900, 1, i32::MAX]) {
            let mut sink = Mp4Sink::create(&out, &formats).unwrap();
            for (n, mut unit) in viewed(&units[..40]).into_iter().enumerate() {
                let pts = if n % 3 == 0 { first } else { other };
                unit = ViewUnit { pts, decode_offset: offset, ..unit };
                unit.keyframe |= n % 5 == 0;
                sink.push(units[n].track, &unit).unwrap();
                if n == 30 {
                    sink.next_broadcast();
                }
            }
            let _ = sink.finish();
        }
    }
}
