//! Streams that begin in the middle, lose packets or repeat them: what comes out is always a
//! beginning that decodes, and never a picture that was damaged.

use roommate_media::source::SourceUnit;

use crate::tool::{AAC, Dir, OPUS, PACKET, Taken, ZEROLATENCY, make, piped, read};

fn stream(dir: &Dir, sound: &[&str]) -> Vec<u8> {
    let path = dir.path("whole.ts");
    make(&path, "6", &[ZEROLATENCY, sound]);
    std::fs::read(path).unwrap()
}

/// Numbers of the units of `part` in `whole`, by their bytes; every one must be found, in order.
fn numbers(part: &[&SourceUnit], whole: &[&SourceUnit]) -> Vec<usize> {
    let mut from = 0;
    let number = |unit: &&SourceUnit| {
        let found = whole[from..].iter().position(|other| other.data == unit.data);
        let at = from + found.expect("a unit that is not in the original");
        from = at + 1;
        at
    };
    part.iter().map(number).collect()
}

/// Pictures are those of the original, and where one is missing the next is a keyframe.
fn decodes(part: &Taken, whole: &Taken) -> Vec<usize> {
    let pictures = part.pictures();
    let numbers = numbers(&pictures, &whole.pictures());
    assert!(pictures[0].keyframe);
    for (n, pair) in numbers.windows(2).enumerate() {
        assert!(pair[1] == pair[0] + 1 || pictures[n + 1].keyframe, "{pair:?}");
    }
    numbers
}

/// Times of both tracks moved by the same, and by nothing else.
fn in_time(part: &Taken, whole: &Taken) {
    let pictures = numbers(&part.pictures(), &whole.pictures());
    let shift = whole.pictures()[pictures[0]].pts - part.pictures()[0].pts;
    for (unit, number) in part.pictures().iter().zip(pictures) {
        assert_eq!(unit.pts + shift, whole.pictures()[number].pts);
    }
    let sounds = numbers(&part.sounds(), &whole.sounds());
    for (unit, number) in part.sounds().iter().zip(sounds) {
        let expected = whole.sounds()[number].pts - shift * 48_000 / 90_000;
        assert!((unit.pts - expected).abs() <= 48, "{} is not {expected}", unit.pts);
    }
}

#[test]
fn a_stream_that_begins_anywhere_begins_at_the_next_keyframe() {
    let dir = Dir::new();
    let bytes = stream(&dir, OPUS);
    let whole = piped(bytes.clone()).unwrap();
    for tenth in 1..8 {
        // In the middle of a packet.
        let part = piped(bytes[bytes.len() * tenth / 10 + 101..].to_vec()).unwrap();
        assert_eq!(part.tracks, whole.tracks);
        let numbers = decodes(&part, &whole);
        let last = whole.pictures().len() - 1;
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
        assert_eq!((numbers[0] % 25, numbers[numbers.len() - 1]), (0, last), "no keyframe missed");
        let sounds = numbers_of_sounds(&part, &whole);
        assert_eq!(sounds[sounds.len() - 1], whole.sounds().len() - 1);
        assert!(sounds.windows(2).all(|pair| pair[1] == pair[0] + 1));
        in_time(&part, &whole);
    }
}

fn numbers_of_sounds(part: &Taken, whole: &Taken) -> Vec<usize> {
    numbers(&part.sounds(), &whole.sounds())
}

#[test]
fn every_500th_packet_lost() {
    let dir = Dir::new();
    for (sound, phase) in [(AAC, 250), (OPUS, 250), (AAC, 499), (OPUS, 3)] {
        let bytes = stream(&dir, sound);
        let whole = piped(bytes.clone()).unwrap();
        let kept = bytes.chunks(PACKET).enumerate().filter(|(n, _)| n % 500 != phase);
        let kept: Vec<u8> = kept.flat_map(|(_, packet)| packet.to_vec()).collect();
        let part = piped(kept).unwrap();
        let pictures = decodes(&part, &whole);
        let lost = bytes.len() / PACKET / 500;
        assert!(lost >= 1 && pictures.len() < whole.pictures().len());
        let sounds = numbers_of_sounds(&part, &whole);
        // A PES packet of sound has at most a few frames; the pictures' loss costs none.
        assert!(sounds.len() + 10 * (lost + 1) >= whole.sounds().len(), "{}", sounds.len());
        in_time(&part, &whole);
    }
}

#[test]
fn a_lost_packet_of_sound_costs_no_picture() {
    let dir = Dir::new();
    let bytes = stream(&dir, AAC);
    let whole = piped(bytes.clone()).unwrap();
    let mut count = 0;
    let kept = bytes.chunks(PACKET).filter(|packet| {
        let sound = packet[1] & 0x1f == 1 && packet[2] == 1;
        count += usize::from(sound);
        !(sound && count % 40 == 0)
    });
    let part = piped(kept.flatten().copied().collect()).unwrap();
    assert_eq!(decodes(&part, &whole).len(), whole.pictures().len());
    assert!(numbers_of_sounds(&part, &whole).len() < whole.sounds().len());
    in_time(&part, &whole);
}

#[test]
fn packets_sent_twice_and_garbage_between() {
    let dir = Dir::new();
    let bytes = stream(&dir, AAC);
    let whole = piped(bytes.clone()).unwrap();
    let twice: Vec<u8> = bytes.chunks(PACKET).flat_map(|packet| packet.repeat(2)).collect();
    let same = piped(twice).unwrap();
    assert_eq!(same.joined(), whole.joined());
    assert_eq!(same.sounds().len(), whole.sounds().len());
    // Bytes that are no packets, between two packets: nothing is lost by them.
    let at = bytes.len() / PACKET / 2 * PACKET;
    let garbage = [&bytes[..at], &[0x47; 500], &[0; 400], &bytes[at..]].concat();
    let part = piped(garbage).unwrap();
    let missing = whole.pictures().len() - decodes(&part, &whole).len();
    assert!(missing <= 25, "{missing} pictures are missing");
    in_time(&part, &whole);
}

#[test]
fn a_file_that_was_cut_off_gives_what_is_whole() {
    let dir = Dir::new();
    let bytes = stream(&dir, AAC);
    let whole = piped(bytes.clone()).unwrap();
    let path = dir.write("cut.ts", &bytes[..bytes.len() * 2 / 3 + 77]);
    let part = read(&path);
    let mut pictures = part.pictures();
    // The last one may lack its end: nothing in the stream says so.
    pictures.pop();
    let numbers = numbers(&pictures, &whole.pictures());
    assert!(numbers.len() > 80 && numbers.iter().enumerate().all(|(n, &number)| n == number));
}
