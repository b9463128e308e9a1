//! The test picture through the real encoder: what is stamped in comes out, bits and keyframes are
//! what was asked for, and time is kept.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::sync::Arc;
use std::time::Duration;

use roommate_clock::Clock;
use roommate_media::decode::LumaDecoder;
use roommate_media::source::{Source, SourceControl, SourceUnit};
use roommate_media::spec::{SourceSpec, TestSpec};
use roommate_media::test_source::{LATEST, TIMESCALE, TestSource};
use roommate_protocol::time::{Mono, Now};

fn spec(text: &str) -> TestSpec {
    match text.parse().unwrap() {
        SourceSpec::Test(spec) => spec,
        other => panic!("{other}"),
    }
}

fn unpaced(text: &str) -> TestSource {
    let clock = Clock::new();
    TestSource::open(spec(text), clock, clock.now()).unwrap().unpaced()
}

fn take(source: &mut TestSource, control: &SourceControl, count: usize) -> Vec<SourceUnit> {
    (0..count).map(|_| source.next(control).unwrap().unwrap()).collect()
}

/// The lowest bitrate at every layout of the strip.
#[test]
fn stamps_survive_the_lowest_bitrate() {
    for size in ["160x90@60", "320x180@60", "640x360", "1280x720", "1920x1080"] {
        let clock = Clock::new();
        let start = clock.now();
        let spec = spec(&format!("test:{size},100"));
        let mut source = TestSource::open(spec, clock, start).unwrap().unpaced();
        let control = SourceControl::new();
        let mut decoder = LumaDecoder::new().unwrap();
        for number in 0..60 {
            let unit = source.next(&control).unwrap().unwrap();
            let luma = decoder.decode(&unit.data).unwrap().expect("no picture is held back");
            let stamp = luma.stamp().unwrap_or_else(|| panic!("{size}: picture {number}"));
            assert_eq!(stamp.number, number, "{size}");
            let captured = start.wall + unit.captured.since(start.mono);
            assert_eq!(stamp.age_ms(captured.as_micros()), 0, "{size}: picture {number}");
        }
    }
}

#[test]
fn a_keyframe_asked_for_is_the_very_next_access_unit() {
    let mut source = unpaced("test:320x180,400,gop=60");
    let control = SourceControl::new();
    // Asked for before the first picture: that one is a keyframe anyway.
    control.request_keyframe();
    let mut keyframes = Vec::new();
    for number in 0..40 {
        if number == 17 || number == 18 || number == 30 {
            control.request_keyframe();
        }
        let unit = source.next(&control).unwrap().unwrap();
        let parameter_sets = unit.data.starts_with(&[0, 0, 0, 1, 0x67]);
        assert_eq!(parameter_sets, unit.keyframe, "parameter sets with every keyframe: {number}");
        if unit.keyframe {
            keyframes.push(number);
        }
    }
    assert_eq!(keyframes, [0, 17, 18, 30]);
}

#[test]
fn a_group_ends_when_its_time_is_over() {
    let mut source = unpaced("test:320x180@20,400,gop=1.5");
    let units = take(&mut source, &SourceControl::new(), 100);
    let keyframes: Vec<_> = (0..100).filter(|&number| units[number].keyframe).collect();
    assert_eq!(keyframes, [0, 30, 60, 90]);
}

/// What a viewer's link is loaded with must be what was asked for, or a test of a narrow link tests
/// nothing.
#[test]
fn the_bitrate_is_held_and_can_be_changed() {
    for text in ["test", "test:640x360,800", "test:320x180@15,300", "test:1280x720,2500,gop=1"] {
        let spec = spec(text);
        let mut source = unpaced(text);
        let control = SourceControl::new();
        let seconds = 4 * spec.fps as usize;
        let got = kbits(&take(&mut source, &control, seconds));
        let want = f64::from(spec.kbits);
        assert!((got - want).abs() <= 0.15 * want, "{text}: {got:.0} kbit/s");
        control.set_target_kbps(spec.kbits / 2);
        // The change may take the controller a second.
        take(&mut source, &control, spec.fps as usize);
        let got = kbits(&take(&mut source, &control, seconds));
        assert!((got - want / 2.0).abs() <= 0.15 * want / 2.0, "{text} halved: {got:.0} kbit/s");
    }
}

fn kbits(units: &[SourceUnit]) -> f64 {
    let bytes: usize = units.iter().map(|unit| unit.data.len()).sum();
    let span = units[units.len() - 1].pts - units[0].pts + units[1].pts - units[0].pts;
    bytes as f64 * 8.0 / 1_000.0 / (span as f64 / f64::from(TIMESCALE))
}

#[test]
fn the_format_says_what_the_stream_is() {
    let source = unpaced("test:640x360@25,800");
    let format = source.video().expect("pictures");
    assert!(format.codec.starts_with("avc1.42"), "{}", format.codec);
    assert_eq!(format.codec.len(), "avc1.42c01f".len());
    assert_eq!((format.width, format.height, format.fps), (640, 360, (25, 1)));
    assert!(format.can_force_keyframe);
}

/// Never early, never back; how late is up to the machine.
#[test]
fn pictures_come_in_real_time() {
    let clock = Clock::new();
    let start = clock.now();
    let mut source = TestSource::open(spec("test:160x90@50,100"), clock, start).unwrap();
    let control = SourceControl::new();
    let mut last = -1;
    for index in 0..60 {
        let unit = source.next(&control).unwrap().unwrap();
        assert!(unit.pts > last && unit.pts % i64::from(TIMESCALE / 50) == 0, "picture {index}");
        last = unit.pts;
        let due = Duration::from_micros(u64::try_from(unit.pts).unwrap() * 100 / 9);
        let after = unit.captured.since(start.mono);
        assert!(after >= due, "picture {index} is {:?} early", due - after);
        assert!(unit.captured <= clock.mono());
    }
    assert!(clock.mono().since(start.mono) >= Duration::from_millis(59 * 20));
}

/// A machine that slept for eight hours sends the next picture, not 864000 old ones.
#[test]
fn time_slept_through_is_skipped_and_numbers_stay_consecutive() {
    let clock = Clock::new();
    let now = clock.now();
    let slept = Duration::from_secs(5);
    // The steady clock of a machine that was started a moment ago has not run for eight hours.
    let start = Now { mono: now.mono - slept, wall: now.wall - slept };
    let lost = now.mono.since(start.mono);
    assert!(start.mono > Mono::from_micros(0));
    let mut source = TestSource::open(spec("test:160x90@50,100"), clock, start).unwrap();
    let control = SourceControl::new();
    let mut decoder = LumaDecoder::new().unwrap();
    for number in 0..5 {
        let unit = source.next(&control).unwrap().unwrap();
        assert!(u128::try_from(unit.pts).unwrap() * 100 / 9 >= (lost - LATEST).as_micros());
        let stamp = decoder.decode(&unit.data).unwrap().unwrap().stamp().unwrap();
        assert_eq!(stamp.number, number);
    }
}

#[test]
fn a_stopped_source_ends_although_its_next_picture_is_far() {
    let clock = Clock::new();
    let now = clock.now();
    let start = Now { mono: now.mono + Duration::from_secs(3_000), wall: now.wall };
    let mut source = TestSource::open(spec("test:160x90@1,100"), clock, start).unwrap();
    let control = Arc::new(SourceControl::new());
    let other = Arc::clone(&control);
    let (ended, seen) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = ended.send(source.next(&other).unwrap().is_none());
    });
    control.stop();
    assert_eq!(seen.recv_timeout(Duration::from_secs(30)), Ok(true));
    thread.join().unwrap();
}
