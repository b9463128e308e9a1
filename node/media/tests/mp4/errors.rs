//! Files that cannot be sent: each is refused in one sentence that says why.

use std::path::{Path, PathBuf};

use crate::tool::{boxes, ffmpeg, fixture, open, packets, read, text, with_b_frames};

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.path("x.mp4");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn refused(path: &Path) -> String {
    let error = open(path).expect_err("it cannot be sent").to_string();
    assert!(!error.contains('\n'));
    error
}

/// The fixture with the first occurrence of a name replaced by another of the same length.
fn renamed(from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut file = std::fs::read(fixture()).unwrap();
    let at = file.windows(from.len()).position(|window| window == from).unwrap();
    file[at..at + to.len()].copy_from_slice(to);
    file
}

#[test]
fn what_is_no_mp4_or_has_no_video_to_send() {
    let dir = Dir::new();
    let cases: [(&[u8], &str); 3] = [
        (b"", "it is empty"),
        (b"hello, this is no film but a letter", "it is not an MP4 file"),
        (&[0, 0, 0, 1, 0x67, 66, 0, 30, 1, 2, 3, 4], "it is not an MP4 file"),
    ];
    for (bytes, sentence) in cases {
        let path = dir.write(bytes);
        assert_eq!(refused(&path), format!("cannot send {}: {sentence}", path.display()));
    }
    assert!(refused(&dir.path("none.mp4")).starts_with("cannot read "));
    assert!(refused(dir.0.path()).ends_with("it is not a regular file"));
    let words = dir.path("words.mp4");
    std::fs::write(dir.path("w.srt"), "1\n00:00:00,000 --> 00:00:01,000\nhello\n").unwrap();
    ffmpeg(&["-i", text(&dir.path("w.srt")), "-c:s", "mov_text", text(&words)]);
    assert!(refused(&words).ends_with("it has neither a video track nor a track of sound"));
}

#[test]
fn other_codecs_are_named() {
    let dir = Dir::new();
    let hevc = dir.write(&renamed(b"avc1\0\0\0\0\0\0", b"hvc1"));
    assert!(refused(&hevc).contains("its video is HEVC, not H.264: convert it with 'ffmpeg"));
    let other = dir.write(&renamed(b"avc1\0\0\0\0\0\0", b"av01"));
    assert!(refused(&other).contains("its video is 'av01', not H.264"));
    let locked = dir.write(&renamed(b"avc1\0\0\0\0\0\0", b"encv"));
    assert!(
        refused(&locked).ends_with("encrypted: only files without copy protection can be sent")
    );
}

#[test]
fn pictures_that_nobody_plays() {
    let dir = Dir::new();
    let path = dir.path("x.mp4");
    let cases: [(&[&str], &str); 3] = [
        (&["-flags", "+ilme+ildct", "-pix_fmt", "yuv420p"], "it may be interlaced"),
        (&["-pix_fmt", "yuv420p10le"], "it has more than 8 bits a sample"),
        (&["-pix_fmt", "yuv444p"], "its colours are not sampled as 4:2:0"),
    ];
    for (args, sentence) in cases {
        let source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:duration=0.2"];
        ffmpeg(&[&source[..], &["-c:v", "libx264"], args, &[text(&path)]].concat());
        assert!(refused(&path).contains(sentence), "{}", refused(&path));
    }
}

#[test]
fn files_that_are_cut_short() {
    let dir = Dir::new();
    let file = std::fs::read(fixture()).unwrap();
    // Index first: pictures are missing.
    let half = dir.write(&file[..file.len() / 2]);
    assert!(refused(&half).ends_with("lies beyond the end of the file: it was cut short"));
    // Index last, as most recorders write: it is missing.
    let last = dir.path("last.mp4");
    with_b_frames(&last, &[]);
    let file = std::fs::read(&last).unwrap();
    let moov = boxes(&file).into_iter().find(|(name, ..)| name == "moov").unwrap();
    let cut = dir.write(&file[..moov.1 + 100]);
    assert!(refused(&cut).contains("it has no index (moov box)"));
}

/// Where the first size in the sample size table stands.
fn first_size(file: &[u8]) -> usize {
    file.windows(4).position(|window| window == b"stsz").unwrap() + 16
}

#[test]
fn an_index_that_lies_about_sizes() {
    let dir = Dir::new();
    let original = std::fs::read(fixture()).unwrap();
    let at = first_size(&original);
    let lying = |size: u32| {
        let mut file = original.clone();
        file[at..at + 4].copy_from_slice(&size.to_be_bytes());
        file
    };
    let huge = dir.write(&lying(0x7fff_ffff));
    assert!(refused(&huge).contains("picture 0 has 2147483647 bytes, more than 2097152"));
    let longer = dir.write(&lying(original.len() as u32));
    assert!(refused(&longer).contains("lies beyond the end of the file"));
    // A picture whose NAL unit is longer than the picture.
    let wrong = dir.write(&lying(1_000));
    assert!(refused(&wrong).contains("picture 0 is broken: a NAL unit is said to be longer"));
    // All alike, four thousand million of them.
    let mut file = original.clone();
    file[at - 8..at].copy_from_slice(&[0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff]);
    assert!(refused(&dir.write(&file)).contains("table is broken"));
}

#[test]
fn a_recording_that_was_killed_is_played_as_far_as_it_goes() {
    let dir = Dir::new();
    let path = dir.path("b.mp4");
    with_b_frames(&path, &["-movflags", "+frag_keyframe+empty_moov+default_base_moof"]);
    let file = std::fs::read(&path).unwrap();
    let cut = dir.write(&file[..file.len() * 2 / 3]);
    let (_, units) = read(&cut);
    let all = packets(&path).len();
    assert!(units.len() >= 60 && units.len() < all, "{} of {all}", units.len());
}
