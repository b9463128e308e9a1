//! Recordings: playable at every fragment, gaps as gaps, and clear words when they cannot go on.

use std::path::Path;

use roommate_media::mp4::{Mp4Sink, SinkError};
use roommate_media::source::{TrackFormat, VideoFormat};

use crate::tool::{
    boxes, copied, ffmpeg, fixture, packets, read, record, text, viewed, with_b_frames,
};

fn pictures(format: &VideoFormat) -> [TrackFormat; 1] {
    [TrackFormat::Video(format.clone())]
}

#[test]
fn a_file_cut_at_any_fragment_plays_to_there() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out, cut) =
        (dir.path().join("b.mp4"), dir.path().join("out.mp4"), dir.path().join("cut.mp4"));
    with_b_frames(&path, &[]);
    let (format, units) = read(&path);
    record(&out, &format, &viewed(&units));
    let all = packets(&out);
    let file = std::fs::read(&out).unwrap();
    let boxes = boxes(&file);
    let names: Vec<&str> = boxes.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names[..2], ["ftyp", "moov"]);
    assert_eq!(names.last(), Some(&"mfra"));
    let ends: Vec<usize> =
        boxes.iter().filter(|(name, ..)| name == "mdat").map(|(.., end)| *end).collect();
    assert!(ends.len() >= 8, "four seconds have at least a fragment each half, not {}", ends.len());
    let mut before = 0;
    for end in ends {
        std::fs::write(&cut, &file[..end]).unwrap();
        let here = packets(&cut);
        assert!(here.len() > before && here[..] == all[..here.len()]);
        // 30 pictures are a second: no fragment is longer.
        assert!(here.len() - before <= 30);
        assert_eq!(ffmpeg(&["-i", text(&cut), "-f", "null", "-"]), "");
        // The fragment that follows, torn at some places: its writer was killed before it got its
        // name. What was whole before plays, here and by ourselves.
        let mut torn = file.clone();
        if torn.get(end + 4..end + 8) == Some(b"moof") {
            torn[end + 4..end + 8].copy_from_slice(b"free");
        }
        for more in [3, 8, 150, 600, 3_000] {
            std::fs::write(&cut, &torn[..(end + more).min(torn.len())]).unwrap();
            assert_eq!(packets(&cut), here);
            assert_eq!(read(&cut).1.len(), here.len());
        }
        before = here.len();
    }
    assert_eq!(before, all.len());
}

#[test]
fn a_killed_writer_loses_less_than_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (format, units) = read(&fixture());
    for count in [26, 40, 60] {
        let mut sink = Mp4Sink::create(&out, &pictures(&format)).unwrap();
        for unit in &viewed(&units)[..count] {
            sink.push(0, unit).unwrap();
        }
        // As a kill leaves it: nothing more is written, nothing is closed in order.
        std::mem::forget(sink);
        let there = packets(&out).len();
        assert!(there + 25 > count, "{there} of {count} pictures are in the file");
    }
}

#[test]
fn a_gap_keeps_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (format, units) = read(&fixture());
    let mut units = viewed(&units);
    units.drain(20..45);
    record(&out, &format, &units);
    let expected: Vec<i64> = units.iter().map(|unit| unit.pts).collect();
    let written: Vec<i64> = packets(&out).iter().map(|packet| packet.0).collect();
    assert_eq!(written, expected);
    assert_eq!(written[20] - written[19], 26 * 512);
}

#[test]
fn a_late_join_begins_at_its_first_keyframe_and_at_zero() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("b.mp4"), dir.path().join("out.mp4"));
    with_b_frames(&path, &[]);
    let (format, units) = read(&path);
    record(&out, &format, &viewed(&units)[10..]);
    let (written, original) = (packets(&out), packets(&path));
    let shifted: Vec<_> =
        original[30..].iter().map(|(pts, dts, key)| (pts - 30_030, dts - 30_030, *key)).collect();
    assert_eq!(written, shifted);
}

#[test]
fn a_publisher_that_comes_back_with_another_size_goes_on_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (small, large, out) =
        (dir.path().join("s.mp4"), dir.path().join("l.mp4"), dir.path().join("out.mp4"));
    for (path, size) in [(&small, "320x240"), (&large, "640x480")] {
        let source = format!("testsrc2=size={size}:rate=25:duration=2");
        ffmpeg(&[
            "-f",
            "lavfi",
            "-i",
            &source,
            "-c:v",
            "libx264",
            "-g",
            "10",
            "-bf",
            "2",
            text(path),
        ]);
    }
    let ((format, first), (_, second)) = (read(&small), read(&large));
    let both = [viewed(&first), viewed(&second)].concat();
    record(&out, &format, &both);
    let written = packets(&out);
    assert_eq!(written.len(), 100);
    assert!(written.windows(2).all(|pair| pair[1].1 > pair[0].1), "decoding times grow");
    let sets = copied(&small).1.union(&copied(&large).1).cloned().collect();
    assert_eq!(copied(&out).1, sets, "keyframes carry the sets of their own size");
    assert_eq!(frames(&out), [vec![(320, 240); 50], vec![(640, 480); 50]].concat());
}

#[test]
fn a_broadcast_with_a_later_zero_leaves_no_hole() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (format, units) = read(&fixture());
    let mut sink = Mp4Sink::create(&out, &pictures(&format)).unwrap();
    for hours in 0..2 {
        sink.next_broadcast();
        for mut unit in viewed(&units) {
            unit.pts += hours * 3_600 * 12_800;
            sink.push(0, &unit).unwrap();
        }
    }
    sink.finish().unwrap();
    let written: Vec<i64> = packets(&out).iter().map(|packet| packet.0).collect();
    assert_eq!(written, (0..120).map(|number| number * 512).collect::<Vec<_>>());
}

/// The size of each picture that ffmpeg decodes.
fn frames(path: &Path) -> Vec<(u32, u32)> {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.txt");
    let print = format!("metadata=mode=print:file={}", text(&log));
    let filter = format!("showinfo,{print}");
    let output = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-i", text(path), "-autoscale", "0", "-vf", &filter, "-f", "null", "-"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let size = |line: &str| {
        let (_, rest) = line.split_once(" s:")?;
        let (width, height) = rest.split_whitespace().next()?.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    };
    errors.lines().filter(|line| line.contains("showinfo")).filter_map(size).collect()
}

#[test]
fn a_full_disk_is_said_once_and_ends_only_the_recording() {
    let (format, units) = read(&fixture());
    let mut sink = Mp4Sink::create(Path::new("/dev/full"), &pictures(&format)).unwrap();
    let units = viewed(&units);
    let error = sink.push(0, &units[0]).unwrap_err();
    assert!(matches!(error, SinkError::DiskFull { .. }), "{error}");
    assert_eq!(error.to_string(), "the disk is full: /dev/full ends at 0.0 s, and plays to there");
    assert!(matches!(sink.push(0, &units[1]), Err(SinkError::Ended { .. })));
}

#[test]
fn a_file_that_cannot_be_opened_is_said_at_once() {
    let (format, _) = read(&fixture());
    let error = Mp4Sink::create(Path::new("/nowhere/out.mp4"), &pictures(&format)).unwrap_err();
    assert!(error.to_string().starts_with("cannot write to /nowhere/out.mp4: No such file"));
}

#[test]
fn without_a_picture_nothing_is_left_and_nothing_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (fresh, old) = (dir.path().join("fresh.mp4"), dir.path().join("old.mp4"));
    std::fs::write(&old, b"an older recording").unwrap();
    let (format, units) = read(&fixture());
    for path in [&fresh, &old] {
        let mut sink = Mp4Sink::create(path, &pictures(&format)).unwrap();
        // A picture that no decoder can begin with is none.
        sink.push(0, &viewed(&units)[1]).unwrap();
        let error = sink.finish().unwrap_err();
        assert!(matches!(error, SinkError::Empty { .. }));
        assert!(error.to_string().contains("no picture came"), "{error}");
    }
    assert!(!fresh.exists());
    assert_eq!(std::fs::read(&old).unwrap(), b"an older recording");
    record(&old, &format, &viewed(&units));
    assert_eq!(packets(&old).len(), 60, "the old content is gone once a picture has come");
}

#[test]
fn a_pipe_gets_a_fragment_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("piped.mp4");
    let (format, units) = read(&fixture());
    let pipe = Box::new(std::fs::File::create(&out).unwrap());
    let mut sink = Mp4Sink::stream("standard output", pipe, &pictures(&format)).unwrap();
    for unit in viewed(&units) {
        sink.push(0, &unit).unwrap();
    }
    sink.finish().unwrap();
    let file = std::fs::read(&out).unwrap();
    assert_eq!(boxes(&file).iter().filter(|(name, ..)| name == "moof").count(), 60);
    assert_eq!(packets(&out), packets(&fixture()));
}
