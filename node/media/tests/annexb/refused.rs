//! Streams that cannot be sent, and bytes that are none.

use std::path::Path;

use roommate_clock::Clock;
use roommate_media::annexb_source::AnnexBSource;
use roommate_media::source::{Source, SourceControl};
use roommate_protocol::h264::annexb;

use crate::stream;
use crate::tool::{ffmpeg, text};

fn refused(path: &Path) -> String {
    let opened = AnnexBSource::open(path, Clock::new(), false);
    let said = match opened {
        Err(error) => error.to_string(),
        Ok(source) => {
            let (mut source, control) = (source.unpaced(), SourceControl::new());
            loop {
                match source.next(&control) {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{} was played", path.display()),
                    Err(error) => break error.to_string(),
                }
            }
        }
    };
    assert!(!said.contains('\n'), "{said}");
    said
}

#[test]
fn what_cannot_be_sent_is_refused_with_the_option_that_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let make = |name: &str, seconds: &str, more: &[&str], format: &str| {
        let path = path(name);
        let head = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25", "-t", seconds];
        ffmpeg(&[&head[..], more, &["-f", format, text(&path)]].concat());
        path
    };
    let x264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p"];
    let with = |more: &[&'static str]| [&x264[..], more].concat();
    for (file, want) in [
        (make("b.h264", "2", &with(&["-bf", "2"]), "h264"), "'-bf 0'"),
        (make("i.h264", "2", &with(&["-flags", "+ildct+ilme"]), "h264"), "yadif"),
        (
            make(
                "r.h264",
                "24",
                &with(&["-bf", "0", "-x264-params", "intra-refresh=1:keyint=50"]),
                "h264",
            ),
            "intra-refresh=0",
        ),
        (
            make("h.h265", "1", &["-c:v", "libx265", "-x265-params", "log-level=none"], "hevc"),
            "HEVC",
        ),
        (make("c.h264", "1", &["-c:v", "libx264", "-pix_fmt", "yuv444p"], "h264"), "yuv420p"),
        (make("m.mp3", "1", &["-c:v", "mpeg2video"], "mpeg2video"), "none of MPEG-TS"),
    ] {
        let bytes = std::fs::read(&file).unwrap();
        if want == "intra-refresh=0" {
            // Its only IDR picture is the first: joined later, there is none.
            let nal = annexb::nals(&bytes).filter(|nal| nal[0] & 31 != 5);
            let mut late = Vec::new();
            nal.for_each(|nal| annexb::append(&mut late, nal));
            std::fs::write(&file, late).unwrap();
        }
        let said = refused(&file);
        assert!(said.contains(want), "{want}: {said}");
    }
    for (name, bytes) in [("empty", vec![]), ("zeros", vec![0; 9_000]), ("text", b"hello".to_vec())]
    {
        std::fs::write(path(name), bytes).unwrap();
        assert!(refused(&path(name)).contains("none of MPEG-TS"), "{name}");
    }
    assert!(refused(&path("none")).contains("cannot read"));
}

/// Flipped bits, cuts, repeats: it may be refused, it never panics, and no unit is too long.
#[test]
fn hostile_bytes_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = stream(&dir, "seed.h264", "160x120", "1", &["-x264-params", "aud=1:slices=2"]);
    let seed = std::fs::read(&path).unwrap();
    let mut dice = 1_u32;
    let mut roll = |below: usize| {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (dice >> 8) as usize % below.max(1)
    };
    let bad = dir.path().join("bad.h264");
    let (mut played, mut told) = (0, 0);
    for round in 0..300 {
        let mut bytes = seed.clone();
        for _ in 0..=roll(20) {
            let at = roll(if round % 2 == 0 { 200 } else { bytes.len() });
            bytes[at] ^= 1 << roll(8);
        }
        bytes.truncate(roll(seed.len()) + 1);
        std::fs::write(&bad, &bytes).unwrap();
        let Ok(source) = AnnexBSource::open(&bad, Clock::new(), false) else {
            told += 1;
            continue;
        };
        let (mut source, control) = (source.unpaced(), SourceControl::new());
        while let Ok(Some(unit)) = source.next(&control) {
            assert!(unit.data.len() <= 2 * 1024 * 1024);
            played += 1;
        }
    }
    assert!(played > 0 && told > 0, "{played} pictures, {told} files refused");
    // One NAL unit without an end.
    let endless = [&seed[..], &[0, 0, 0, 1, 0x41][..], &vec![0x55; 3 * 1024 * 1024]].concat();
    std::fs::write(&bad, endless).unwrap();
    assert!(refused(&bad).contains("2097152"));
}
