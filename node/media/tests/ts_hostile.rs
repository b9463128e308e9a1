//! A thousand damaged streams: none panics, none makes us reserve more than the stated bound.
//! Alone in its program, because it counts every byte that is allocated.

#![expect(clippy::unwrap_used, reason = "in a test a failure is told by failing")]

#[path = "../../../tests/support/hostile.rs"]
mod hostile;

use std::path::Path;
use std::sync::atomic::Ordering;

use hostile::{NOW, PEAK, Seeded};
use roommate_clock::Clock;
use roommate_media::source::{Source, SourceControl};
use roommate_media::ts::TsSource;

/// What `ts` promises to hold at most.
const BOUND: usize = 32 * 1024 * 1024;

fn mutate(file: &[u8], random: &mut Seeded) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..1 + random.below(60) {
        // Mostly the head of a packet, where every byte means something.
        let packet = random.below(bytes.len() / 188) * 188;
        let within = if random.below(4) == 0 { 188 } else { 40 };
        let at = (packet + random.below(within)).min(bytes.len() - 1);
        match random.below(8) {
            0..=2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes[at] = random.next() as u8,
            4 => bytes[at] = 0xff,
            5 => bytes[at] = 0,
            6 => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, random.next() as u8),
        }
    }
    bytes
}

/// The tables' checksum (13818-1, annex A), so that mutants of tables get past it.
fn seal(section: &mut [u8]) {
    let (body, sum) = section.split_last_chunk_mut::<4>().unwrap();
    let crc = body.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    });
    *sum = crc.to_be_bytes();
}

/// Changes a byte of every copy of a table, and makes its checksum right.
fn mutate_tables(file: &[u8], random: &mut Seeded) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let (map, offset, value) = (random.below(4) > 0, random.below(40), random.next() as u8);
    for packet in bytes.chunks_exact_mut(188) {
        let is = if map { packet[1..3] == [0x50, 0] } else { packet[1..3] == [0x40, 0] };
        if is {
            let length = 3 + usize::from(packet[7]);
            let section = &mut packet[5..5 + length];
            let at = offset % (length - 4);
            section[at] = value;
            seal(section);
        }
    }
    bytes
}

fn small(path: &Path, codecs: &[&str]) -> Vec<u8> {
    let mut ffmpeg = std::process::Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"]);
    ffmpeg.args(["testsrc2=size=64x64:rate=25:duration=2", "-f", "lavfi", "-i"]);
    ffmpeg.args(["sine=duration=2", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "12"]);
    let status = ffmpeg.args(codecs).args(["-f", "mpegts"]).arg(path).status();
    let status = status.unwrap_or_else(|error| {
        panic!("ffmpeg does not start ({error}); install it with: apt-get install ffmpeg")
    });
    assert!(status.success());
    std::fs::read(path).unwrap()
}

/// Plays a stream to its end; whether it could be begun, and how many bytes were held at most.
fn play(path: &Path, bytes: &[u8]) -> (bool, usize) {
    std::fs::write(path, bytes).unwrap();
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let begun = match TsSource::open(path, Clock::new(), false) {
        Err(_) => false,
        Ok(source) => {
            let mut source = source.unpaced();
            let control = SourceControl::new();
            while let Ok(Some(_)) = source.next(&control) {}
            true
        }
    };
    (begun, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

#[test]
fn a_thousand_mutants_and_floods() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mutant.ts");
    let (mut refused, mut played) = (0, 0);
    let kinds: [&[&str]; 3] =
        [&["-bf", "3", "-c:a", "aac"], &["-bf", "0", "-c:a", "libopus"], &["-c:a", "aac", "-vn"]];
    for (seed, codecs) in kinds.into_iter().enumerate() {
        let file = small(&path, codecs);
        let mut random = Seeded(seed as u64);
        for number in 0..400 {
            let tables = number % 3 == 0;
            let mutant =
                if tables { mutate_tables(&file, &mut random) } else { mutate(&file, &mut random) };
            let (begun, most) = play(&path, &mutant);
            if begun {
                played += 1
            } else {
                refused += 1
            }
            // Far below the bound: what such a short stream can need.
            let bound = 8 * mutant.len() + 1024 * 1024;
            assert!(most <= bound, "mutant {number} of {codecs:?}: {most} bytes, not {bound}");
        }
    }
    // Both happen, or the mutants are too mild or too wild to prove anything.
    assert!(refused > 50 && played > 100, "{refused} refused, {played} played");
    floods(&path, &small(&path, kinds[0]));
}

/// A packet of the pictures, filled up with `fill`.
fn with(head: &[u8], fill: u8) -> Vec<u8> {
    let mut packet = vec![fill; 188];
    packet[..head.len()].copy_from_slice(head);
    packet
}

/// A good begin, then a PES packet that begins, and then 40 MiB of one packet that never lets
/// anything end.
fn floods(path: &Path, good: &[u8]) {
    let begin =
        |pid, id| [0x47, 0x41, pid, 0x10, 0, 0, 1, id, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
    let (video, sound) = (begin(0, 0xe0), begin(1, 0xc0));
    let floods = [
        ("a picture without end", with(&video, 0xff), with(&[0x47, 1, 0, 0x10], 0xaa)),
        ("a header without end", with(&video, 0xff), with(&video[..14], 0xff)),
        ("pictures that begin", with(&video, 0xff), with(&video, 0xff)),
        ("sound without end", with(&sound, 0xff), with(&[0x47, 1, 1, 0x10], 0xff)),
        ("a table without end", with(&video, 0), with(&[0x47, 0x40, 0, 0x10, 0, 0, 0xb3, 0xff], 1)),
        ("slices", with(&video, 0), with(&[0x47, 1, 0, 0x10, 0, 0, 1, 0x41, 0xe0], 0)),
    ];
    for (name, first, packet) in floods {
        let mut bytes = [good, &first].concat();
        for _ in 0..40 * 1024 * 1024 / 188 {
            bytes.extend_from_slice(&packet);
        }
        number(&mut bytes[good.len()..]);
        let (_, most) = play(path, &bytes);
        assert!(most <= BOUND, "{name}: {most} bytes, not {BOUND}");
    }
    let (_, most) = play(path, &[good, &all_sets(&video)].concat());
    assert!(most <= BOUND, "keyframes that need all sets: {most} bytes, not {BOUND}");
}

/// Gives each packet the counter that follows, for each PID.
fn number(bytes: &mut [u8]) {
    let mut counters = [0u8; 2];
    for packet in bytes.chunks_exact_mut(188) {
        let counter = &mut counters[usize::from(packet[2] & 1)];
        packet[3] = packet[3] & 0xf0 | *counter & 0x0f;
        *counter = counter.wrapping_add(1);
    }
}

/// 200 parameter sets of 3 KiB, and after them keyframes of two bytes.
fn all_sets(begin: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for id in 0..200u32 {
        // ue(id), then ue(0) for the sequence, then what nobody reads.
        let (code, length) = (id + 1, 32 - (id + 1).leading_zeros());
        let bits = (u64::from(code) << 1 | 1) << (64 - 2 * length);
        stream.extend([0, 0, 1, 0x68]);
        stream.extend(&bits.to_be_bytes()[..3]);
        stream.extend([0xaa; 3_000]);
    }
    stream.extend([0, 0, 1, 0x65, 0x88].repeat(100_000));
    let mut bytes = with(begin, 0);
    for part in stream.chunks(184) {
        let mut packet = with(&[0x47, 1, 0, 0x10], 0);
        packet[4..4 + part.len()].copy_from_slice(part);
        bytes.extend(packet);
    }
    number(&mut bytes);
    bytes
}
