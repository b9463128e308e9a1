//! A file passed through is the file: its pictures byte for byte, its times tick for tick.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use roommate_clock::Clock;
use roommate_media::mp4::Mp4Source;
use roommate_media::source::{Source, SourceControl};
use roommate_protocol::h264::access_unit::AccessUnits;

use crate::tool::{
    apart, copied, ffmpeg, fixture, packets, read, record, text, viewed, with_b_frames,
};

/// Through source and sink, compared with ffmpeg's own copy of the original.
fn is_the_same(original: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mp4");
    let (format, units) = read(original);
    let (coded, sets) = copied(original);
    let stream: Vec<u8> = units.iter().flat_map(|unit| unit.data.to_vec()).collect();
    let ours = apart(&stream);
    assert!(ours.0 == coded, "slices, SEI and delimiters of {} differ", original.display());
    assert_eq!(ours.1, sets, "parameter sets of {}", original.display());
    for unit in units.iter().filter(|unit| unit.keyframe) {
        assert!(apart(&unit.data).1.len() >= 2, "a keyframe has its parameter sets");
    }
    record(&out, &format, &viewed(&units));
    let again = copied(&out);
    assert!(again.0 == coded, "pictures in the recording of {} differ", original.display());
    assert_eq!(again.1, sets, "parameter sets in the recording of {}", original.display());

    let expected = packets(original);
    let shown: Vec<_> = units
        .iter()
        .map(|unit| (unit.pts, unit.pts - i64::from(unit.decode_offset), unit.keyframe))
        .collect();
    assert_eq!(shown, expected, "times that the source gives");
    assert_eq!(packets(&out), expected, "times in the recording");
    assert_eq!(ffmpeg(&["-i", text(&out), "-f", "null", "-"]), "", "the recording decodes clean");
}

#[test]
fn the_fixture() {
    is_the_same(&fixture());
    let (format, units) = read(&fixture());
    assert_eq!((format.width, format.height, format.fps), (1280, 720, (25, 1)));
    assert_eq!((format.codec.as_str(), format.timescale), ("avc1.4d401f", 12_800));
    assert!(!format.can_force_keyframe);
    assert_eq!(units.len(), 60);
}

#[test]
fn b_frames_whatever_the_layout_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let layouts: [(&str, &[&str]); 5] = [
        ("index last", &[]),
        ("index first", &["-movflags", "+faststart"]),
        ("fragments", &["-movflags", "+frag_keyframe+empty_moov+default_base_moof"]),
        ("fragments with an edit list", &["-movflags", "+frag_keyframe+delay_moov"]),
        ("negative composition offsets", &["-movflags", "+negative_cts_offsets"]),
    ];
    for (name, flags) in layouts {
        let path = dir.path().join(format!("{name}.mp4"));
        with_b_frames(&path, flags);
        if name == "fragments" {
            // Without an edit list ffmpeg begins at the first decoding time, we at the first picture.
            let first = packets(&path)[0].0;
            let ours: Vec<_> = read(&path).1.iter().map(|unit| unit.pts + first).collect();
            let theirs: Vec<_> = packets(&path).iter().map(|packet| packet.0).collect();
            assert_eq!(ours, theirs);
            continue;
        }
        is_the_same(&path);
        let (format, units) = read(&path);
        assert_eq!((format.fps, format.timescale), ((30_000, 1_001), 30_000));
        assert_eq!(units.len(), 120);
        assert!(units.iter().any(|unit| unit.decode_offset == 0), "pictures shown when decoded");
        assert!(
            units.windows(2).any(|pair| pair[1].pts < pair[0].pts),
            "B-frames keep their order"
        );
    }
}

#[test]
fn the_stream_cut_without_the_file_has_the_same_units() {
    let dir = tempfile::tempdir().unwrap();
    let (path, raw) = (dir.path().join("b.mp4"), dir.path().join("b.h264"));
    with_b_frames(&path, &[]);
    ffmpeg(&["-i", text(&path), "-map", "0:v:0", "-c", "copy", "-f", "h264", text(&raw)]);
    let mut splitter = AccessUnits::new();
    let mut cut = Vec::new();
    for part in std::fs::read(raw).unwrap().chunks(1_000) {
        cut.extend(splitter.push(part).unwrap());
    }
    cut.extend(splitter.flush().unwrap());
    let (_, units) = read(&path);
    assert_eq!(cut.len(), units.len());
    for (cut, unit) in cut.iter().zip(&units) {
        assert_eq!(apart(&cut.data), apart(&unit.data));
        assert_eq!(cut.keyframe, unit.keyframe);
    }
}

#[test]
fn a_loop_has_no_seam() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.mp4");
    with_b_frames(&path, &[]);
    let (_, once) = read(&path);
    let control = SourceControl::new();
    let mut source = Mp4Source::open(&path, Clock::new(), true).unwrap().unpaced();
    let span = 120 * 1_001;
    let mut pictures =
        std::iter::from_fn(|| source.next(&control).unwrap()).filter(|unit| unit.track == 0);
    for round in 0..3 {
        for unit in &once {
            let looped = pictures.next().unwrap();
            assert_eq!(looped.pts, unit.pts + round * span);
            assert_eq!(
                (looped.decode_offset, looped.keyframe, &looped.data),
                (unit.decode_offset, unit.keyframe, &unit.data)
            );
        }
    }
}

#[test]
fn an_edit_list_that_begins_in_the_middle_is_played_from_its_keyframe() {
    let dir = tempfile::tempdir().unwrap();
    let (path, cut) = (dir.path().join("b.mp4"), dir.path().join("cut.mp4"));
    with_b_frames(&path, &[]);
    // Picture 45 is in the second group: ffmpeg copies from picture 30 and hides the rest by an
    // edit list.
    ffmpeg(&["-ss", "1.5", "-i", text(&path), "-c", "copy", text(&cut)]);
    let (_, units) = read(&cut);
    assert_eq!(units.len(), 90);
    assert!(units[0].keyframe && units[0].pts == 0);
    assert!(
        copied(&cut).0 == apart(&units.iter().flat_map(|u| u.data.to_vec()).collect::<Vec<_>>()).0
    );
}

#[test]
fn pictures_come_no_sooner_than_they_are_due() {
    let mut source = Mp4Source::open(&fixture(), Clock::new(), false).unwrap();
    let control = SourceControl::new();
    let first = source.next(&control).unwrap().unwrap();
    for number in 1..=5u64 {
        let unit = source.next(&control).unwrap().unwrap();
        let passed = unit.captured.since(first.captured);
        // The first was captured a moment after the clock was anchored.
        assert!(passed + Duration::from_millis(5) >= Duration::from_millis(40 * number));
    }
}

#[test]
fn after_a_pause_it_goes_on_from_now_and_its_times_say_so() {
    let mut source = Mp4Source::open(&fixture(), Clock::new(), false).unwrap();
    let control = SourceControl::new();
    let first = source.next(&control).unwrap().unwrap();
    // The pause itself is what is tested: as if the machine had slept.
    std::thread::sleep(Duration::from_millis(700));
    let second = source.next(&control).unwrap().unwrap();
    let passed = second.captured.since(first.captured);
    let shown = Duration::from_micros((second.pts - first.pts) as u64 * 1_000_000 / 12_800);
    assert!(shown + Duration::from_millis(5) >= Duration::from_millis(700), "{shown:?}");
    assert!(shown <= passed + Duration::from_millis(5), "{shown:?} shown in {passed:?}");
    let third = source.next(&control).unwrap().unwrap();
    assert_eq!(third.pts - second.pts, 512, "and then as before");
}

#[test]
fn a_source_that_waits_can_be_stopped() {
    let mut source = Mp4Source::open(&fixture(), Clock::new(), true).unwrap();
    let control = Arc::new(SourceControl::new());
    let player = {
        let control = Arc::clone(&control);
        std::thread::spawn(move || {
            let mut units = 0;
            while source.next(&control).unwrap().is_some() {
                units += 1;
            }
            units
        })
    };
    control.stop();
    // It repeats for ever: that the thread ends at all is the proof.
    player.join().unwrap();
}
