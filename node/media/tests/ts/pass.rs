//! A stream passed through is the stream: its pictures and packets of sound byte for byte, its
//! times tick for tick.

use std::path::Path;

use roommate_clock::Clock;
use roommate_media::source::{Source, SourceControl, TrackFormat};
use roommate_media::ts::TsSource;

use crate::tool::{
    AAC, Dir, OPUS, Taken, ZEROLATENCY, apart, copied, ffmpeg, make, make_from, packets, piped,
    probe, read, sounds, sunk, text,
};

/// As a file, as a pipe, and through the sink: compared with ffmpeg's own copy.
pub(crate) fn is_the_same(path: &Path) -> Taken {
    let taken = read(path);
    check(path, &taken, "as a file");
    let live = piped(std::fs::read(path).unwrap()).unwrap();
    assert_eq!(live.tracks, taken.tracks);
    check(path, &live, "as a pipe");
    let dir = Dir::new();
    let again = dir.write("again.ts", &sunk(&taken));
    let (warnings, streams) = probe(&again);
    assert_eq!(warnings, "", "of {}", path.display());
    assert_eq!(streams.len(), taken.tracks.len(), "{streams:?}");
    check(&again, &taken, "through the sink");
    assert_eq!(ffmpeg(&["-v", "warning", "-i", text(&again), "-f", "null", "-"]), "");
    taken
}

fn check(path: &Path, taken: &Taken, how: &str) {
    let how = format!("{} {how}", path.display());
    let mut zero = None;
    if matches!(taken.tracks[0], TrackFormat::Video(_)) {
        let expected = packets(path, "v:0");
        zero = Some(expected[0].0);
        let (coded, sets) = copied(path);
        let ours = apart(&taken.joined());
        // A delimiter that the sink has put in front is the only difference that may be.
        let plain = |nals: Vec<Vec<u8>>| -> Vec<_> {
            nals.into_iter().filter(|nal| nal[0] & 31 != 9).collect()
        };
        assert!(plain(ours.0) == plain(coded), "slices and SEI differ: {how}");
        assert_eq!(ours.1, sets, "parameter sets differ: {how}");
        let times: Vec<_> = taken
            .pictures()
            .iter()
            .map(|unit| (unit.pts, unit.pts - i64::from(unit.decode_offset), unit.keyframe))
            .collect();
        let zero = expected[0].0;
        let theirs: Vec<_> = expected.iter().map(|p| (p.0 - zero, p.1 - zero, p.3)).collect();
        assert_eq!(times, theirs, "times of pictures: {how}");
        for unit in taken.pictures().iter().filter(|unit| unit.keyframe) {
            assert!(apart(&unit.data).1.len() >= 2, "a keyframe has its parameter sets: {how}");
        }
    }
    if taken.tracks.iter().any(|track| matches!(track, TrackFormat::Audio(_))) {
        let format = taken.sound_format();
        let theirs = sounds(path, format);
        let ours: Vec<_> = taken.sounds().iter().map(|unit| unit.data.to_vec()).collect();
        assert!(
            ours == theirs,
            "{} packets of sound, {} expected: {how}",
            ours.len(),
            theirs.len()
        );
        let expected = packets(path, "a:0");
        let zero = zero.unwrap_or(expected[0].0);
        for (unit, packet) in taken.sounds().iter().zip(expected) {
            let ticks = unit.pts * 90_000 / i64::from(format.timescale);
            let apart = (ticks - (packet.0 - zero)).abs();
            assert!(apart <= 90, "{} and {} are {apart} apart: {how}", ticks, packet.0 - zero);
        }
    }
}

#[test]
fn without_delay_with_aac_of_every_kind() {
    let dir = Dir::new();
    for (rate, channels) in [("48000", "2"), ("48000", "1"), ("44100", "2"), ("44100", "1")] {
        let path = dir.path(&format!("{rate}-{channels}.ts"));
        make(&path, "3", &[ZEROLATENCY, AAC, &["-ar", rate, "-ac", channels]]);
        let taken = is_the_same(&path);
        let format = taken.sound_format();
        assert_eq!(format.sample_rate.to_string(), rate);
        assert_eq!(format.channels.to_string(), channels);
        assert_eq!((format.codec.as_str(), format.timescale), ("mp4a.40.2", format.sample_rate));
        // A decoder's configuration as ffmpeg's own mp4 has it: LC, rate, channels.
        let index = if rate == "48000" { 3u8 } else { 4 };
        let config = [2 << 3 | index >> 1, index << 7 | format.channels << 3];
        assert_eq!(format.description[..], config);
        // Frames are equally far apart, save where ffmpeg's rounding is not.
        let sounds = taken.sounds();
        let odd = sounds.windows(2).filter(|pair| pair[1].pts - pair[0].pts != 1_024).count();
        assert_eq!(odd, 0, "of {} frames", sounds.len());
    }
}

#[test]
fn opus_of_every_duration() {
    let dir = Dir::new();
    for (duration, samples) in
        [("2.5", 120), ("5", 240), ("10", 480), ("20", 960), ("40", 1_920), ("60", 2_880)]
    {
        let path = dir.path(&format!("{duration}.ts"));
        make(&path, "2", &[ZEROLATENCY, OPUS, &["-frame_duration", duration, "-ac", "2"]]);
        let taken = is_the_same(&path);
        let format = taken.sound_format();
        assert_eq!((format.codec.as_str(), format.timescale, format.channels), ("opus", 48_000, 2));
        assert!(format.description.is_empty());
        let sounds = taken.sounds();
        assert!(sounds.windows(2).all(|pair| pair[1].pts - pair[0].pts == samples), "{duration}");
    }
    let path = dir.path("mono.ts");
    make(&path, "2", &[ZEROLATENCY, OPUS, &["-ac", "1", "-pes_payload_size", "0"]]);
    assert_eq!(is_the_same(&path).sound_format().channels, 1);
}

#[test]
fn b_frames_cabac_slices_and_filler() {
    let dir = Dir::new();
    let kinds: [(&str, &[&str]); 6] = [
        (
            "pyramid",
            &["-c:v", "libx264", "-bf", "3", "-g", "30", "-x264-params", "b-pyramid=normal"],
        ),
        (
            "high",
            &["-c:v", "libx264", "-profile:v", "high", "-coder", "1", "-x264-params", "8x8dct=1"],
        ),
        ("slices", &["-c:v", "libx264", "-bf", "0", "-x264-params", "slices=4"]),
        (
            "filler",
            &[
                "-c:v",
                "libx264",
                "-b:v",
                "2M",
                "-minrate",
                "2M",
                "-maxrate",
                "2M",
                "-bufsize",
                "1M",
                "-x264-params",
                "nal-hrd=cbr:force-cfr=1",
            ],
        ),
        ("one keyframe", &["-c:v", "libx264", "-preset", "ultrafast", "-g", "1000", "-bf", "0"]),
        ("in parts", &["-c:v", "libx264", "-b:v", "4M", "-omit_video_pes_length", "0"]),
    ];
    for (name, codec) in kinds {
        let path = dir.path(&format!("{name}.ts"));
        let seconds = if name == "one keyframe" { "10" } else { "3" };
        make(&path, seconds, &[codec, AAC]);
        let taken = is_the_same(&path);
        let later = taken.pictures().windows(2).any(|pair| pair[1].pts < pair[0].pts);
        assert_eq!(later, matches!(name, "pyramid" | "high" | "filler" | "in parts"), "{name}");
        let video = match &taken.tracks[0] {
            TrackFormat::Video(video) => video,
            TrackFormat::Audio(_) => panic!("pictures come first"),
        };
        assert_eq!((video.width, video.height, video.fps), (320, 240, (25, 1)));
    }
}

#[test]
fn odd_sizes_and_variable_rate() {
    let dir = Dir::new();
    let path = dir.path("odd.ts");
    // 4:2:0 crops in steps of two: an odd macroblock count and a cropped edge.
    make_from(&path, "testsrc2=size=322x182:rate=30000/1001", "sine", "2", &[ZEROLATENCY, AAC]);
    let taken = is_the_same(&path);
    let TrackFormat::Video(video) = &taken.tracks[0] else { panic!("pictures come first") };
    assert_eq!((video.width, video.height, video.fps), (322, 182, (30_000, 1_001)));
    let path = dir.path("vfr.ts");
    let uneven = ["-vf", "select='not(mod(n\\,3))+gt(random(1)\\,0.6)'", "-vsync", "vfr"];
    make(&path, "4", &[ZEROLATENCY, AAC, &uneven]);
    let taken = is_the_same(&path);
    let steps: std::collections::BTreeSet<i64> =
        taken.pictures().windows(2).map(|pair| pair[1].pts - pair[0].pts).collect();
    assert!(steps.len() > 1, "{steps:?}");
}

#[test]
fn one_track_alone() {
    let dir = Dir::new();
    for (name, args) in [
        ("aac", &["-vn", "-c:a", "aac"][..]),
        ("opus", &["-vn", "-c:a", "libopus"]),
        ("pictures", &["-an", "-c:v", "libx264", "-tune", "zerolatency"]),
    ] {
        let path = dir.path(&format!("{name}.ts"));
        make(&path, "6", &[args]);
        let taken = is_the_same(&path);
        assert_eq!(taken.tracks.len(), 1, "{name}");
        assert_eq!(taken.units[0].pts, 0, "{name}");
    }
}

#[test]
fn parameter_sets_that_change_and_a_clock_that_begins_anew() {
    let dir = Dir::new();
    let (small, large, joined) = (dir.path("a.ts"), dir.path("b.ts"), dir.path("c.ts"));
    make(&small, "2", &[ZEROLATENCY, AAC]);
    let high: &[&str] = &["-c:v", "libx264", "-profile:v", "high", "-bf", "0"];
    make_from(
        &large,
        "testsrc2=size=640x360:rate=25",
        "sine=frequency=1234:sample_rate=48000",
        "2",
        &[high, AAC],
    );
    let bytes = [std::fs::read(&small).unwrap(), std::fs::read(&large).unwrap()].concat();
    std::fs::write(&joined, bytes).unwrap();
    let (first, second, both) = (read(&small), read(&large), read(&joined));
    let expected = [apart(&first.joined()).0, apart(&second.joined()).0].concat();
    assert!(apart(&both.joined()).0 == expected, "every picture of both");
    // The pictures of the second follow those of the first, and its sound moves by the same.
    let pictures = both.pictures();
    assert!(pictures.windows(2).all(|pair| pair[1].pts - pair[0].pts == 3_600));
    let theirs = second.sounds()[5].pts * 90_000 / 48_000;
    let sounds = both.sounds();
    let at = sounds.iter().position(|unit| unit.data == second.sounds()[5].data).unwrap();
    let ours = sounds[at].pts * 90_000 / 48_000;
    let shift = pictures[first.pictures().len()].pts - second.pictures()[0].pts;
    assert!((ours - theirs - shift).abs() <= 90, "{ours} {theirs} {shift}");
    assert!(sounds.windows(2).all(|pair| pair[1].pts > pair[0].pts));
}

#[test]
fn a_clock_that_wraps() {
    let dir = Dir::new();
    let (plain, wraps) = (dir.path("plain.ts"), dir.path("wraps.ts"));
    make(&plain, "5", &[ZEROLATENCY, OPUS, &["-muxdelay", "0"]]);
    // 2^33 ticks are 95443.7 s.
    make(&wraps, "5", &[ZEROLATENCY, OPUS, &["-muxdelay", "0", "-output_ts_offset", "95440"]]);
    let raw = std::fs::read(&wraps).unwrap();
    let (plain, wraps) = (read(&plain), piped(raw).unwrap());
    assert_eq!(plain.units.len(), wraps.units.len());
    for (one, other) in plain.pictures().iter().zip(wraps.pictures()) {
        assert_eq!((one.pts, &one.data), (other.pts, &other.data));
    }
    for (one, other) in plain.sounds().iter().zip(wraps.sounds()) {
        assert!((one.pts - other.pts).abs() <= 1, "{} {}", one.pts, other.pts);
        assert_eq!(one.data, other.data);
    }
}

#[test]
fn a_loop_has_no_seam() {
    let dir = Dir::new();
    let path = dir.path("loop.ts");
    make(&path, "2", &[&["-c:v", "libx264", "-bf", "2"], AAC]);
    let once = read(&path);
    let count = once.pictures().len();
    let control = SourceControl::new();
    let mut source = TsSource::open(&path, Clock::new(), true).unwrap().unpaced();
    let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
    while pictures.len() < 3 * count {
        let unit = source.next(&control).unwrap().unwrap();
        if unit.track == 0 { pictures.push(unit) } else { sounds.push(unit) }
    }
    for (n, unit) in pictures.iter().enumerate() {
        let original = once.pictures()[n % count];
        assert_eq!(unit.pts, original.pts + (n / count * count) as i64 * 3_600);
        assert_eq!(unit.data, original.data);
    }
    let steps = sounds.windows(2).map(|pair| pair[1].pts - pair[0].pts);
    // At a seam, less than two frames are missing or shared; nowhere else anything.
    // What sounds beyond the last picture, or before the first, meets its neighbour at the seam.
    assert!(sounds.len() >= 3 * once.sounds().len() - 10, "{}", sounds.len());
    assert!(steps.clone().all(|step| step > 0 && step < 3 * 1_024), "{:?}", steps.max());
    assert!(steps.filter(|&step| step != 1_024).count() <= 3);
}

#[test]
fn packets_of_192_bytes_as_cameras_write_them() {
    let dir = Dir::new();
    let (path, wide) = (dir.path("a.ts"), dir.path("a.m2ts"));
    make(&path, "2", &[ZEROLATENCY, AAC]);
    let bytes = std::fs::read(&path).unwrap();
    let packets = bytes.chunks(188).flat_map(|packet| [&[0, 0, 0, 9][..], packet].concat());
    std::fs::write(&wide, packets.collect::<Vec<u8>>()).unwrap();
    let (one, other) = (read(&path), read(&wide));
    assert_eq!(
        one.units,
        other
            .units
            .iter()
            .zip(&one.units)
            .map(|(unit, one)| {
                roommate_media::source::SourceUnit { captured: one.captured, ..unit.clone() }
            })
            .collect::<Vec<_>>()
    );
}
