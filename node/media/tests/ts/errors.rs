//! Streams that cannot be sent: each is refused in one sentence that says why, and which option of
//! ffmpeg mends it.

use std::path::Path;

use roommate_media::source::{Source, SourceControl};

use crate::tool::{AAC, Dir, PACKET, ZEROLATENCY, ffmpeg, make, open, piped, text};

/// The sentence with which a stream is refused, at its begin or while it is played.
fn refused(path: &Path) -> String {
    let control = SourceControl::new();
    let error = match open(path) {
        Err(error) => error,
        Ok(mut source) => loop {
            match source.next(&control) {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{} was sent", path.display()),
                Err(error) => break error,
            }
        },
    };
    let said = error.to_string();
    assert!(!said.contains('\n'), "{said}");
    said
}

#[test]
fn what_is_no_transport_stream() {
    let dir = Dir::new();
    let empty = dir.write("empty.ts", b"");
    assert_eq!(refused(&empty), format!("cannot send {}: it is empty", empty.display()));
    let letter = dir.write("letter.ts", b"hello, this is no film but a letter");
    assert!(refused(&letter).contains("it is not an MPEG transport stream"));
    let noise = dir.write("noise.ts", &vec![0x46; 300_000]);
    assert!(refused(&noise).ends_with("'-f mpegts'"));
    assert!(refused(&dir.path("none.ts")).starts_with("cannot read "));
    let null = [&[0x47, 0x1f, 0xff, 0x10][..], &[0xff; 184]].concat().repeat(100);
    assert!(refused(&dir.write("null.ts", &null)).contains("no picture or sound"));
    let said = piped(b"hello".to_vec()).err().unwrap().to_string();
    assert!(said.starts_with("cannot send standard input: it is not an MPEG"), "{said}");
}

#[test]
fn other_codecs_are_named_with_their_remedy() {
    let dir = Dir::new();
    let cases: [(&[&str], &str, &str); 9] = [
        (&["-c:v", "libx265", "-x265-params", "log-level=none"], "video is HEVC", "-c:v libx264"),
        (&["-c:v", "mpeg2video"], "video is MPEG-2", "-c:v libx264"),
        (&["-c:v", "mpeg4"], "video is MPEG-4 part 2", "-c:v libx264"),
        (&["-c:v", "libx264", "-c:a", "mp2"], "sound is MPEG audio", "-c:a aac"),
        (&["-c:v", "libx264", "-c:a", "ac3"], "sound is AC-3", "-c:a aac"),
        (&["-c:v", "libx264", "-c:a", "aac", "-mpegts_flags", "latm"], "LATM", "-c:a aac"),
        (&["-c:v", "libx264", "-c:a", "libopus", "-ac", "6"], "Opus of 6 channels", "-ac 2"),
        (
            &["-c:v", "libx264", "-flags", "+ilme+ildct", "-x264-params", "tff=1", "-c:a", "aac"],
            "it may be interlaced",
            "yadif",
        ),
        (
            &["-c:v", "libx264", "-pix_fmt", "yuv444p", "-c:a", "aac"],
            "not sampled as 4:2:0",
            "-pix_fmt yuv420p",
        ),
    ];
    for (args, sentence, remedy) in cases {
        let path = dir.path("x.ts");
        make(&path, "1", &[args]);
        let said = refused(&path);
        assert!(said.contains(sentence) && said.contains(remedy), "{args:?}: {said}");
    }
}

#[test]
fn encrypted_packets() {
    let dir = Dir::new();
    let path = dir.path("x.ts");
    make(&path, "2", &[ZEROLATENCY, AAC]);
    let mut bytes = std::fs::read(&path).unwrap();
    for packet in bytes.chunks_mut(PACKET).filter(|packet| packet[1] & 0x1f == 1) {
        packet[3] |= 0x80;
    }
    assert!(refused(&dir.write("locked.ts", &bytes)).contains("it is encrypted"));
}

#[test]
fn a_refresh_without_keyframes() {
    let dir = Dir::new();
    let (path, cut) = (dir.path("x.ts"), dir.path("cut.ts"));
    let camera = "testsrc2=size=64x64:rate=25";
    let codec = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "0", "-x264-params"];
    let refresh = ["intra-refresh=1:keyint=50", "-t", "16", "-f", "mpegts", text(&path)];
    ffmpeg(&[&["-f", "lavfi", "-i", camera][..], &codec, &refresh].concat());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&cut, &bytes[bytes.len() / 10..]).unwrap();
    let said = refused(&cut);
    assert!(
        said.contains("no keyframe (IDR) came within 12 s") && said.contains("intra-refresh=0")
    );
    // Joined at its only keyframe it can be sent.
    assert!(open(&path).is_ok());
}

#[test]
fn sound_that_changes_ends_in_a_sentence() {
    let dir = Dir::new();
    let mut bytes = Vec::new();
    for rate in ["48000", "44100"] {
        let path = dir.path("part.ts");
        make(&path, "3", &[ZEROLATENCY, AAC, &["-ar", rate]]);
        bytes.extend(std::fs::read(&path).unwrap());
    }
    let said = refused(&dir.write("both.ts", &bytes));
    assert!(said.contains("from 48000 Hz in 1 channels to 44100 Hz") && said.contains("-ar 48000"));
}
