//! The beep and the flash of the test source: what is heard and seen begins at whole seconds, by the
//! crate's own decoder and by ffmpeg's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![allow(clippy::print_stdout, reason = "figures are read by people")]

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use roommate_clock::Clock;
use roommate_media::beep_source::{BEEP_SAMPLES, BeepSource, PACKET_SAMPLES, RATE};
use roommate_media::decode::LumaDecoder;
use roommate_media::pattern::{FLASH, flash_lit};
use roommate_media::source::{Source, SourceControl, SourceUnit, TrackFormat};
use roommate_media::spec::SourceSpec;
use roommate_media::test_source::{LATEST, TIMESCALE, TestSource};
use roommate_protocol::time::Now;
use ropus::{Channels, DecodeMode, Decoder};

/// 5 ms.
const NEAR: usize = 240;

fn packets(count: usize) -> Vec<SourceUnit> {
    let clock = Clock::new();
    let mut source = BeepSource::open(clock, clock.now()).unwrap().unpaced();
    let control = SourceControl::new();
    (0..count).map(|_| source.next(&control).unwrap().unwrap()).collect()
}

/// Begins of sounds: where it is loud after at least a tenth of a second of quiet.
fn onsets(samples: &[i16]) -> Vec<usize> {
    let mut quiet = usize::MAX / 2;
    let mut found = Vec::new();
    for (at, value) in samples.iter().enumerate() {
        if value.unsigned_abs() > 800 {
            if quiet > RATE as usize / 10 {
                found.push(at);
            }
            quiet = 0;
        } else {
            quiet += 1;
        }
    }
    found
}

fn check(samples: &[i16], seconds: usize, who: &str) {
    let found = onsets(samples);
    println!("{who}: beeps begin at samples {found:?}");
    assert_eq!(found.len(), seconds - 1, "{who}: {found:?}");
    for (number, at) in found.into_iter().enumerate() {
        let whole = (number + 1) * RATE as usize;
        assert!(at.abs_diff(whole) <= NEAR, "{who}: beep {number} at {at}, not {whole}");
        let end = whole + BEEP_SAMPLES as usize + NEAR;
        let tail = &samples[end..(end + RATE as usize / 2).min(samples.len())];
        assert!(tail.iter().all(|value| value.unsigned_abs() < 100), "{who}: silence between");
    }
}

#[test]
fn beeps_begin_at_whole_seconds_as_decoded() {
    let mut decoder = Decoder::new(RATE, Channels::Mono).unwrap();
    let mut samples = Vec::new();
    for unit in packets(250) {
        assert_eq!(unit.pts, i64::try_from(samples.len()).unwrap());
        assert!(unit.keyframe && !unit.data.is_empty() && unit.data.len() <= 1_275);
        let mut sound = [0; PACKET_SAMPLES as usize];
        let count = decoder.decode(&unit.data, &mut sound, DecodeMode::Normal).unwrap();
        assert_eq!(count, PACKET_SAMPLES as usize);
        samples.extend_from_slice(&sound);
    }
    check(&samples, 5, "own decoder");
}

#[test]
fn beeps_begin_at_whole_seconds_for_ffmpeg() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("beep.opus");
    let packets = packets(250);
    write_ogg(&file, &packets, 0);
    check(&decoded_by_ffmpeg(&file), 5, "ffmpeg");
    // The judge drops what it is told to drop: with a wrong pre-skip everything is early by it.
    write_ogg(&file, &packets, 312);
    let found = onsets(&decoded_by_ffmpeg(&file));
    assert!(found[0].abs_diff(RATE as usize - 312) <= 48, "{found:?}");
}

fn decoded_by_ffmpeg(file: &Path) -> Vec<i16> {
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i", file.to_str().unwrap()])
        .args(["-f", "s16le", "-ar", "48000", "-ac", "1", "-"])
        .output()
        .expect("ffmpeg starts; install it with: apt-get install ffmpeg");
    assert!(run.stderr.is_empty(), "{}", String::from_utf8_lossy(&run.stderr));
    run.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Ogg with one packet a page (RFC 3533, 7845): the least that ffmpeg reads.
fn write_ogg(file: &Path, packets: &[SourceUnit], pre_skip: u16) {
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend_from_slice(&pre_skip.to_le_bytes());
    head.extend_from_slice(&RATE.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]);
    let tags = b"OpusTags\x01\x00\x00\x00-\x00\x00\x00\x00".to_vec();
    let mut out = std::fs::File::create(file).unwrap();
    out.write_all(&page(0, 2, 0, &head)).unwrap();
    out.write_all(&page(1, 0, 0, &tags)).unwrap();
    for (number, unit) in packets.iter().enumerate() {
        let last = if number + 1 == packets.len() { 4 } else { 0 };
        let granule = u64::try_from(unit.pts).unwrap() + u64::from(PACKET_SAMPLES);
        let number = u32::try_from(number).unwrap() + 2;
        out.write_all(&page(number, last, granule, &unit.data)).unwrap();
    }
}

fn page(number: u32, flags: u8, granule: u64, packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend_from_slice(&granule.to_le_bytes());
    page.extend_from_slice(&7_u32.to_le_bytes());
    page.extend_from_slice(&number.to_le_bytes());
    page.extend_from_slice(&[0; 4]);
    let laces = packet.len() / 255 + 1;
    page.push(u8::try_from(laces).unwrap());
    page.extend(std::iter::repeat_n(255, laces - 1));
    page.push(u8::try_from(packet.len() % 255).unwrap());
    page.extend_from_slice(packet);
    let check = page.iter().fold(0_u32, |crc, &byte| {
        (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
            if crc >> 31 == 1 { (crc << 1) ^ 0x04C1_1DB7 } else { crc << 1 }
        })
    });
    page[22..26].copy_from_slice(&check.to_le_bytes());
    page
}

/// At the lowest bitrate of every size: the first picture at a whole second is the first that
/// flashes.
#[test]
fn flashes_begin_at_whole_seconds_at_the_lowest_bitrate() {
    for size in ["160x90@60", "320x180@25", "640x360@12", "1280x720", "1920x1080@10"] {
        let SourceSpec::Test(spec) = format!("test:{size},100").parse().unwrap() else { panic!() };
        let clock = Clock::new();
        let mut source = TestSource::open(spec, clock, clock.now()).unwrap().unpaced();
        let control = SourceControl::new();
        let mut decoder = LumaDecoder::new().unwrap();
        for number in 0..3 * spec.fps {
            let unit = source.next(&control).unwrap().unwrap();
            let luma = decoder.decode(&unit.data).unwrap().expect("no picture is held back");
            let into = unit.pts % i64::from(TIMESCALE);
            let lit = unit.pts >= i64::from(TIMESCALE)
                && into * 1_000 < i64::from(TIMESCALE) * i64::try_from(FLASH.as_millis()).unwrap();
            assert_eq!(flash_lit(&luma.data, luma.width, luma.height), lit, "{size}: {number}");
            assert!(luma.stamp().is_some(), "{size}: {number}");
        }
    }
}

#[test]
fn the_format_says_opus() {
    let clock = Clock::new();
    let source = BeepSource::open(clock, clock.now()).unwrap();
    let [TrackFormat::Audio(format)] = source.tracks() else { panic!("one track of sound") };
    assert_eq!((format.codec.as_str(), format.timescale, format.channels), ("opus", 48_000, 1));
    let packets = packets(500);
    // For the record: only what sounds, silence costs a twentieth of it.
    let sounding = packets.iter().filter(|unit| unit.data.len() > 20);
    let mut spent: Vec<u32> = sounding.map(|unit| unit.encode_us).collect();
    spent.sort_unstable();
    let bytes: usize = packets.iter().map(|unit| unit.data.len()).sum();
    println!("encoding: median {} µs a packet; {} bit/s", spent[spent.len() / 2], bytes * 8 / 10);
}

#[test]
fn packets_come_in_real_time_and_what_was_slept_through_is_skipped() {
    let clock = Clock::new();
    let now = clock.now();
    let slept = Duration::from_secs(5);
    let start = Now { mono: now.mono - slept, wall: now.wall - slept };
    let lost = now.mono.since(start.mono);
    let mut source = BeepSource::open(clock, start).unwrap();
    let control = SourceControl::new();
    let mut last = i64::MIN;
    for number in 0..20 {
        let unit = source.next(&control).unwrap().unwrap();
        let due = Duration::from_micros(u64::try_from(unit.pts).unwrap() * 1_000 / 48);
        assert!(due + LATEST >= lost, "packet {number} is of the time slept through");
        assert!(unit.captured.since(start.mono) >= due, "packet {number} is early");
        assert!(unit.pts > last && unit.pts % i64::from(PACKET_SAMPLES) == 0);
        last = unit.pts;
    }
}

#[test]
fn a_stopped_beep_ends_although_its_next_packet_is_far() {
    let clock = Clock::new();
    let now = clock.now();
    let start = Now { mono: now.mono + Duration::from_secs(3_000), wall: now.wall };
    let mut source = BeepSource::open(clock, start).unwrap();
    let control = Arc::new(SourceControl::new());
    let other = Arc::clone(&control);
    let thread = std::thread::spawn(move || source.next(&other).unwrap().is_none());
    control.stop();
    assert!(thread.join().unwrap());
}
