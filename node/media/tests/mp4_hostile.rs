//! A thousand damaged files: none panics, none makes us reserve more than a small multiple of what
//! is really there. Alone in its program, because it counts every byte that is allocated.

#![expect(clippy::unwrap_used, reason = "in a test a failure is told by failing")]

#[path = "../../../tests/support/hostile.rs"]
mod hostile;

use std::path::Path;
use std::sync::atomic::Ordering;

use hostile::{NOW, PEAK, Seeded};
use roommate_clock::Clock;
use roommate_media::mp4::Mp4Source;
use roommate_media::source::{Source, SourceControl};

fn mutate(file: &[u8], index: std::ops::Range<usize>, random: &mut Seeded) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..1 + random.below(4) {
        // Mostly the index, where every byte means something.
        let at = if random.below(8) == 0 {
            random.below(bytes.len())
        } else {
            index.start + random.below(index.len())
        };
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes[at] = 0xff,
            3 => {
                let word = [u32::MAX, 0, 1, 0x7fff_ffff, 0x00ff_ffff, random.next() as u32];
                let word = word[random.below(word.len())].to_be_bytes();
                let end = (at + 4).min(bytes.len());
                bytes[at..end].copy_from_slice(&word[..end - at]);
            }
            4 => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, random.next() as u8),
        }
    }
    if random.below(16) == 0 {
        bytes.truncate(random.below(bytes.len()));
    }
    bytes
}

/// Where the `moov`, and in a fragmented file every `moof` before the first `mdat`, lies.
fn index(file: &[u8]) -> std::ops::Range<usize> {
    let find = |name: &[u8]| file.windows(4).position(|window| window == name).unwrap();
    let (moov, mdat) = (find(b"moov") - 4, find(b"mdat") - 4);
    moov..if mdat > moov { mdat } else { file.len() }
}

fn small(path: &Path, sound: &str, flags: &str) -> Vec<u8> {
    let source = "testsrc2=size=64x64:rate=25:duration=2";
    let mut ffmpeg = std::process::Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source]);
    if !sound.is_empty() {
        ffmpeg.args(["-f", "lavfi", "-i", "sine=duration=2", "-ac", "2", "-c:a", sound]);
    }
    ffmpeg.args(["-c:v", "libx264", "-g", "25", "-bf", "3", "-movflags", flags]).arg(path);
    let status = ffmpeg.status().unwrap_or_else(|error| {
        panic!("ffmpeg does not start ({error}); install it with: apt-get install ffmpeg")
    });
    assert!(status.success());
    std::fs::read(path).unwrap()
}

/// A mutant's way through the source: whether it was taken, how many packets of sound it gave, and
/// whether its sound was left out.
fn play(path: &Path, repeat: bool) -> (bool, usize, bool) {
    let control = SourceControl::new();
    let Ok(source) = Mp4Source::open(path, Clock::new(), repeat) else { return (false, 0, false) };
    let sound = source.tracks().len() - usize::from(source.video().is_some());
    let mut source = source.unpaced();
    let (mut packets, mut units) = (0, 0);
    let audio = source.tracks().len() - 1;
    while units < 1_000
        && let Ok(Some(unit)) = source.next(&control)
    {
        units += 1;
        packets += usize::from(sound > 0 && unit.track == audio);
    }
    (true, packets, !source.notes().is_empty())
}

#[test]
fn a_thousand_mutants() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mutant.mp4");
    let (mut refused, mut played, mut heard, mut left_out) = (0, 0, 0, 0);
    let files = [
        ("", "+faststart"),
        ("", "+frag_keyframe+empty_moov"),
        ("", "+isml"),
        ("aac", "+faststart"),
        ("libopus", "+faststart"),
        ("aac", "+frag_keyframe+empty_moov"),
        ("libopus", "+frag_keyframe+delay_moov"),
    ];
    for ((sound, flags), seed) in files.into_iter().zip(1..) {
        let file = small(&path, sound, flags);
        let mut random = Seeded(seed);
        for number in 0..400 {
            let mutant = mutate(&file, index(&file), &mut random);
            std::fs::write(&path, &mutant).unwrap();
            let before = NOW.load(Ordering::Relaxed);
            PEAK.store(before, Ordering::Relaxed);
            let (taken, packets, noted) = play(&path, number % 4 == 0);
            let most = PEAK.load(Ordering::Relaxed).saturating_sub(before);
            let bound = 64 * mutant.len() + 256 * 1024;
            assert!(most <= bound, "mutant {number} of {sound} {flags}: {most}, not {bound}");
            refused += usize::from(!taken);
            played += usize::from(taken);
            heard += usize::from(packets > 0);
            left_out += usize::from(noted);
        }
    }
    // All happen, or the mutants are too mild or too wild to prove anything.
    assert!(refused > 100 && played > 100, "{refused} refused, {played} played");
    assert!(heard > 100 && left_out > 100, "{heard} heard, {left_out} without their sound");
}

#[test]
fn sound_of_a_byte_a_packet_is_no_way_around_the_bound() {
    // Tables that say in a few bytes: packets of one byte each, a third as many as the file is long.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.mp4");
    let mut file = small(&path, "libopus", "+faststart");
    let length = u32::try_from(file.len()).unwrap();
    let last = |name: &[u8]| file.windows(4).rposition(|it| it == name).unwrap();
    let (sizes, runs, times, chunks) = (last(b"stsz"), last(b"stsc"), last(b"stts"), last(b"stco"));
    let mut put = |at: usize, word: u32| file[at..at + 4].copy_from_slice(&word.to_be_bytes());
    put(sizes + 8, 1);
    put(sizes + 12, length / 3 + 1);
    put(runs + 16, length);
    put(times + 12, length);
    put(chunks + 12, 0);
    std::fs::write(&path, &file).unwrap();
    let source = Mp4Source::open(&path, Clock::new(), false).unwrap();
    assert_eq!(source.tracks().len(), 1);
    let why = "its index says that the sound packets are longer than the file itself";
    assert!(source.notes()[0].contains(why), "{:?}", source.notes());
}
