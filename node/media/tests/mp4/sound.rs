//! Sound passed through: each packet byte for byte, at the time that the file gives it beside the
//! pictures, whatever its codec, its rate, its edit list and its length.

use std::path::Path;

use roommate_clock::Clock;
use roommate_media::mp4::Mp4Source;
use roommate_media::source::{Source, SourceControl, SourceUnit, TrackFormat};

use crate::tool::{
    audio, ffmpeg, hashed, of_track, open, packets, read_all, run, sound_packets, text,
};

/// A picture of 2 s at 25 a second, with B-frames, and sound as asked for; both moved as asked.
pub(crate) fn film(path: &Path, sound: &[&str], more: &[&str]) {
    let inputs = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=2"];
    let codec = ["-c:v", "libx264", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p"];
    ffmpeg(&[&inputs[..], sound, &codec, more, &[text(path)]].concat());
}

pub(crate) fn sine(seconds: &str, rate: &str) -> String {
    format!("sine=duration={seconds}:sample_rate={rate}")
}

/// Both tracks as ffprobe gives them; the zero is the first picture.
fn is_as_ffprobe_says(path: &Path) -> (Vec<TrackFormat>, Vec<SourceUnit>) {
    let (tracks, units) = read_all(path);
    assert_eq!(tracks.len(), 2);
    assert!(matches!(tracks[0], TrackFormat::Video(_)));
    let pictures = packets(path);
    let zero = pictures.iter().map(|(pts, ..)| *pts).min().unwrap();
    let ours: Vec<i64> = of_track(&units, 0).iter().map(|unit| unit.pts + zero).collect();
    assert_eq!(ours, pictures.iter().map(|(pts, ..)| *pts).collect::<Vec<_>>());
    let scale = i64::from(audio(&tracks).timescale);
    let zero = zero * scale / i64::from(tracks[0].timescale());
    let (ours, theirs) = (hashed(&of_track(&units, 1)), sound_packets(path));
    assert_eq!(ours.len(), theirs.len(), "{}", path.display());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!((ours.0 + zero - theirs.0).abs() <= 1, "{} for {}", ours.0 + zero, theirs.0);
        assert_eq!(ours.1, theirs.1);
    }
    assert!(units.iter().filter(|unit| unit.track == 1).all(|unit| unit.keyframe));
    // By decoding time, the sound first of two at once.
    let due = |unit: &SourceUnit| {
        let micros = i128::from(unit.pts - i64::from(unit.decode_offset)) * 1_000_000
            / i128::from(tracks[unit.track].timescale());
        (micros, 1 - unit.track)
    };
    assert!(units.is_sorted_by_key(due), "tracks are interleaved by time");
    (tracks, units)
}

#[test]
fn aac_and_opus_of_every_layout() {
    let dir = tempfile::tempdir().unwrap();
    let layouts: [(&str, &[&str]); 5] = [
        ("index last", &[]),
        ("index first", &["-movflags", "+faststart"]),
        ("fragments", &["-movflags", "+frag_keyframe+empty_moov+default_base_moof"]),
        ("fragments with edit lists", &["-movflags", "+frag_keyframe+delay_moov"]),
        ("no edit list", &["-use_editlist", "0"]),
    ];
    for (name, flags) in layouts {
        for (codec, rate) in [("aac", "44100"), ("aac", "48000"), ("libopus", "48000")] {
            let path = dir.path().join(format!("{name} {codec} {rate}.mp4"));
            let sound = sine("2", rate);
            film(&path, &["-f", "lavfi", "-i", &sound, "-c:a", codec], flags);
            let (tracks, _) = is_as_ffprobe_says(&path);
            let format = audio(&tracks);
            assert_eq!((format.sample_rate.to_string().as_str(), format.channels), (rate, 1));
            assert_eq!(format.timescale, format.sample_rate);
            match codec {
                "aac" => {
                    assert_eq!(format.codec, "mp4a.40.2");
                    assert_eq!(format.description[..], extradata(&path)[..]);
                }
                _ => assert!(format.codec == "opus" && format.description.is_empty()),
            }
        }
    }
}

/// The decoder configuration of the sound as ffmpeg sees it.
fn extradata(path: &Path) -> Vec<u8> {
    let args = ["-v", "error", "-select_streams", "a:0", "-show_data", "-show_entries"];
    let rest = ["stream=extradata", "-of", "default=nw=1:nk=1", text(path)];
    let dump = String::from_utf8(run("ffprobe", &[&args[..], &rest].concat()).0).unwrap();
    let digits = dump.lines().filter_map(|line| line.get(10..49)).collect::<String>();
    let digits: String = digits.chars().filter(char::is_ascii_hexdigit).collect();
    (0..digits.len() / 2)
        .map(|n| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).unwrap())
        .collect()
}

#[test]
fn sound_that_is_longer_shorter_later_or_earlier() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.mp4");
    let long = sine("3.3", "44100");
    let short = sine("0.7", "44100");
    for sound in [&long, &short] {
        film(&path, &["-f", "lavfi", "-i", sound, "-c:a", "aac"], &[]);
        is_as_ffprobe_says(&path);
    }
    for codec in ["aac", "libopus"] {
        let late = sine("1", "48000");
        let sound = ["-itsoffset", "0.777", "-f", "lavfi", "-i", &late, "-c:a", codec];
        film(&path, &sound, &[]);
        let (_, units) = is_as_ffprobe_says(&path);
        let first = units.iter().find(|unit| unit.track == 1).unwrap().pts;
        // 0.777 s less what the encoder puts in front.
        assert!((36_000..=37_300).contains(&first), "{first}");
    }
    // Cut without encoding again: pictures from the keyframe before, hidden by an edit list.
    let cut = dir.path().join("cut.mp4");
    let sound = sine("2", "44100");
    film(&path, &["-f", "lavfi", "-i", &sound, "-c:a", "aac"], &[]);
    // At a picture: ffprobe moves an edit list that begins between two to the next.
    ffmpeg(&["-ss", "1.52", "-i", text(&path), "-c", "copy", text(&cut)]);
    let (_, units) = is_as_ffprobe_says(&cut);
    assert_eq!(of_track(&units, 0).len(), 25);
    // Pictures that begin 0.4 s behind the sound.
    let early = dir.path().join("early.mp4");
    let twice = ["-itsoffset", "0.4", "-i", text(&path), "-i", text(&path)];
    ffmpeg(&[&twice[..], &["-map", "0:v", "-map", "1:a", "-c", "copy", text(&early)]].concat());
    let (_, units) = is_as_ffprobe_says(&early);
    let first = units.iter().find(|unit| unit.track == 1).unwrap().pts;
    assert!((first + 1_024 + 17_640).abs() <= 44, "{first}");
}

#[test]
fn sound_of_a_part_that_was_cut_off_stays_away() {
    let dir = tempfile::tempdir().unwrap();
    let (path, cut) = (dir.path().join("x.mp4"), dir.path().join("cut.mp4"));
    let sound = sine("2", "48000");
    film(&path, &["-f", "lavfi", "-i", &sound, "-c:a", "aac"], &["-movie_timescale", "48000"]);
    // An edit list of the sound that begins at 1.5 s, as editors write it who cut nothing away.
    let mut file = std::fs::read(&path).unwrap();
    let lists: Vec<usize> =
        (0..file.len() - 4).filter(|&at| &file[at..at + 4] == b"elst").collect();
    let at = lists[1] + 4 + 4 + 4;
    file[at + 4..at + 8].copy_from_slice(&72_000u32.to_be_bytes());
    file[at..at + 4].copy_from_slice(&24_000u32.to_be_bytes());
    std::fs::write(&cut, &file).unwrap();
    let (_, units) = read_all(&cut);
    let (all, sound) = (sound_packets(&path), hashed(&of_track(&units, 1)));
    // A quarter of a second of it is sent, to warm the decoder up.
    assert!((sound[0].0 + 12_000).abs() <= 1_024, "begins at {}", sound[0].0);
    let cut_off = all.len() - sound.len();
    assert!(sound.iter().zip(&all[cut_off..]).all(|(ours, theirs)| ours.1 == theirs.1));
    // What was at 1.5 s is heard with the first picture.
    assert_eq!(sound[0].0 + 72_000 - 1_024, all[cut_off].0);
}

#[test]
fn a_loop_keeps_sound_and_pictures_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.mp4");
    // As long as the pictures, longer, shorter: how long a round is, in pictures of 40 ms.
    for (seconds, pictures) in [("2", 50), ("2.1", 50), ("3", 75), ("0.5", 50)] {
        let sound = sine(seconds, "44100");
        film(&path, &["-f", "lavfi", "-i", &sound, "-c:a", "aac"], &[]);
        let (_, once) = read_all(&path);
        let control = SourceControl::new();
        let mut source = Mp4Source::open(&path, Clock::new(), true).unwrap().unpaced();
        let units: Vec<_> =
            std::iter::from_fn(|| source.next(&control).unwrap()).take(1_500).collect();
        let (shown, heard) = (of_track(&units, 0), of_track(&units, 1));
        let once = (of_track(&once, 0), of_track(&once, 1));
        for (number, unit) in shown.iter().enumerate() {
            let round = (number / 50) as i64;
            let original = &once.0[number % 50];
            assert_eq!(unit.pts, original.pts + round * pictures * 512);
            assert_eq!(unit.data, original.data);
        }
        let gaps: Vec<i64> = heard.windows(2).map(|pair| pair[1].pts - pair[0].pts).collect();
        assert!(gaps.iter().all(|&gap| gap >= 512), "sound goes on, at most half a packet early");
        if seconds == "2" || seconds == "2.1" {
            assert!(gaps.iter().all(|&gap| gap <= 1_536), "nor is more than half a packet lost");
        }
        // A packet of round n is n rounds behind itself, to the tick: no drift.
        let sample = &once.1[10];
        let again: Vec<i64> =
            heard.iter().filter(|unit| unit.data == sample.data).map(|unit| unit.pts).collect();
        let rounds = (0..again.len() as i64)
            .map(|round| sample.pts + round * pictures * 40 * 44_100 / 1_000)
            .collect::<Vec<_>>();
        assert!(again.len() >= 5, "{} rounds", again.len());
        assert_eq!(again, rounds);
    }
}

#[test]
fn sound_alone_is_a_source() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.m4a");
    ffmpeg(&["-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac", text(&path)]);
    let (tracks, units) = read_all(&path);
    assert!(matches!(&tracks[..], [TrackFormat::Audio(format)] if format.codec == "mp4a.40.2"));
    let expected: Vec<_> =
        sound_packets(&path).into_iter().map(|(pts, hash)| (pts + 1_024, hash)).collect();
    assert_eq!(hashed(&units), expected, "its zero is its first packet");
    let control = SourceControl::new();
    let mut source = Mp4Source::open(&path, Clock::new(), true).unwrap().unpaced();
    // 2 s and what the encoder puts in front; the last packet, of which 136 samples count, would
    // overlap the next round by more than half.
    for number in 0..500 {
        let round = number / 87 * 89_224;
        assert_eq!(source.next(&control).unwrap().unwrap().pts, round + number % 87 * 1_024);
    }
}

#[test]
fn more_channels_than_two_and_several_tracks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.mp4");
    let sound = "aevalsrc=sin(440*t)|0|0|0|sin(880*t)|0:d=2:c=5.1";
    film(&path, &["-f", "lavfi", "-i", sound, "-c:a", "libopus"], &[]);
    let (tracks, _) = is_as_ffprobe_says(&path);
    let format = audio(&tracks);
    assert_eq!((format.channels, format.description.len()), (6, 27));
    assert!(format.description.starts_with(b"OpusHead\x01\x06\0\0"));
    film(&path, &["-f", "lavfi", "-i", sound, "-c:a", "aac"], &[]);
    let (tracks, _) = is_as_ffprobe_says(&path);
    assert_eq!(audio(&tracks).channels, 6);
    // The first that can be carried is taken.
    let maps = ["-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:a:0", "ac3", "-c:a:1", "aac"];
    film(&path, &[&["-f", "lavfi", "-i", sound][..], &maps].concat(), &[]);
    assert_eq!(audio(&read_all(&path).0).codec, "mp4a.40.2");
    assert!(open(&path).unwrap().notes().is_empty());
}

#[test]
fn sound_that_cannot_be_carried_is_said_once_and_the_pictures_play() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.mp4");
    let sound = sine("2", "48000");
    let encoded = |codec: &[&str]| {
        film(&path, &[&["-f", "lavfi", "-i", &sound][..], codec].concat(), &[]);
    };
    let said = |sentence: &str, mended: bool| {
        let (tracks, units) = read_all(&path);
        assert_eq!((tracks.len(), units.len()), (1, 50));
        let notes = open(&path).unwrap().notes().to_vec();
        let mend = if mended {
            "; convert it with 'ffmpeg -i FILE -c:v copy -c:a aac OUT.mp4'"
        } else {
            ""
        };
        let expected = format!("{}: only its pictures are sent: {sentence}{mend}", path.display());
        assert_eq!(notes, [expected]);
    };
    encoded(&["-c:a", "libmp3lame"]);
    said("its sound is MP3, not AAC or Opus", true);
    encoded(&["-c:a", "ac3"]);
    said("its sound is AC-3, not AAC or Opus", true);
    encoded(&["-c:a", "flac", "-strict", "-2"]);
    said("its sound is 'fLaC', not AAC or Opus", true);
    encoded(&["-c:a", "aac"]);
    let file = std::fs::read(&path).unwrap();
    let changed = |from: &[u8], at: usize, to: &[u8]| {
        let mut file = file.clone();
        let found = file.windows(from.len()).rposition(|window| window == from).unwrap() + at;
        file[found..found + to.len()].copy_from_slice(to);
        std::fs::write(&path, &file).unwrap();
    };
    changed(b"mp4a", 0, b"enca");
    said("its sound is encrypted", false);
    // The AudioSpecificConfig stands behind its descriptor's tag and length: AAC-LTP, and then a rate that
    // there is not.
    changed(&[0x05, 0x80, 0x80, 0x80], 5, &[0x22]);
    said("its sound is AAC of object type 4, which browsers do not play", true);
    changed(&[0x05, 0x80, 0x80, 0x80], 5, &[0x16]);
    said("the decoder configuration of its sound is broken", true);
    // Its first packet is said to lie behind the file: the pictures are whole.
    changed(b"stco", 12, &[0x7f]);
    said("sound packet 0 lies beyond the end of the file: it was cut short", true);
    // Without pictures there is nothing left.
    ffmpeg(&["-f", "lavfi", "-i", &sound, "-c:a", "ac3", text(&path)]);
    let error = open(&path).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "it has no video track, and its sound is AC-3, not AAC or Opus: convert it with \
             'ffmpeg -i FILE -vn -c:a aac OUT.mp4'"
        ),
        "{error}"
    );
}

#[test]
fn both_tracks_are_paced_by_one_clock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.mp4");
    let sound = sine("2", "48000");
    film(&path, &["-f", "lavfi", "-i", &sound, "-c:a", "aac"], &[]);
    let mut source = Mp4Source::open(&path, Clock::new(), false).unwrap();
    let control = SourceControl::new();
    let first = source.next(&control).unwrap().unwrap();
    let tracks = source.tracks().to_vec();
    let due = |unit: &SourceUnit| {
        let dts = unit.pts - i64::from(unit.decode_offset);
        dts * 1_000_000 / i64::from(tracks[unit.track].timescale())
    };
    let mut seen = [0, 0];
    for _ in 0..20 {
        let unit = source.next(&control).unwrap().unwrap();
        seen[unit.track] += 1;
        let passed = unit.captured.since(first.captured).as_micros() as i64;
        // The first was captured a moment after the clock was anchored.
        assert!(passed + 5_000 >= due(&unit) - due(&first));
    }
    assert!(seen[0] >= 5 && seen[1] >= 8, "{seen:?}");
    // A pause moves both on by the same.
    std::thread::sleep(std::time::Duration::from_millis(700));
    let units: Vec<_> = (0..12).map(|_| source.next(&control).unwrap().unwrap()).collect();
    let (_, original) = read_all(&path);
    let moved = |unit: &SourceUnit| {
        let before = original.iter().find(|other| other.data == unit.data).unwrap();
        due(unit) - due(before)
    };
    let pause = moved(&units[1]);
    assert!((400_000..2_000_000).contains(&pause), "{pause}");
    for unit in &units[1..] {
        assert!((moved(unit) - pause).abs() <= 100, "{} for {pause}", moved(unit));
    }
}
