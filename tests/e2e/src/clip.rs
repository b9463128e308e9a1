//! A short clip made by ffmpeg, taken apart into the access units and packets that a node hands to
//! its page: Annex-B pictures, Opus packets or raw AAC frames, with their times.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::Stage;

/// Codecs of sound that a page can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoundCodec {
    /// 20 ms packets.
    Opus,
    /// LC, 1024 samples a frame.
    Aac,
}

/// What to make.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    /// A file name in the stage's folder, without an ending.
    pub name: &'a str,
    /// Input arguments of ffmpeg that give pictures.
    pub pictures: &'a [&'a str],
    /// Width, height, pictures a second.
    pub size: (u32, u32, u32),
    /// An expression of `t` for ffmpeg's `aevalsrc`, and what it becomes.
    pub sound: Option<(&'a str, SoundCodec)>,
    /// Pictures from keyframe to keyframe.
    pub group: u32,
    /// Length.
    pub seconds: u32,
}

/// One access unit or packet.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Microseconds from the first picture; sound may begin before it.
    pub pts_us: i64,
    /// Whether decoding can begin here.
    pub keyframe: bool,
    /// The bytes.
    pub data: Vec<u8>,
}

/// The pieces of a clip, in order.
#[derive(Clone, Debug, Default)]
pub struct Clip {
    /// Access units.
    pub pictures: Vec<Piece>,
    /// Packets.
    pub sound: Vec<Piece>,
}

/// Makes a clip.
///
/// # Panics
/// If ffmpeg is missing or refuses.
#[must_use]
pub fn make(stage: &Stage, shape: &Shape<'_>) -> Clip {
    let (width, height, fps) = shape.size;
    let path = |ending: &str| stage.path(&format!("{}.{ending}", shape.name));
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y"]).args(shape.pictures);
    if let Some((wave, _)) = shape.sound {
        ffmpeg.args(["-f", "lavfi", "-i", &format!("aevalsrc='{wave}':s=48000")]);
    }
    let length = shape.seconds.to_string();
    let scale = format!(
        "scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height},fps={fps}"
    );
    ffmpeg.args(["-map", "0:v", "-vf", &scale, "-t", &length, "-c:v", "libx264"]);
    ffmpeg.args(["-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"]);
    ffmpeg.args(["-profile:v", "baseline", "-threads", "1", "-g", &shape.group.to_string()]);
    ffmpeg.args(["-bsf:v", "h264_metadata=aud=insert", "-f", "h264"]).arg(path("h264"));
    if let Some((_, codec)) = shape.sound {
        ffmpeg.args(["-map", "1:a", "-t", &length, "-ac", "2"]);
        match codec {
            SoundCodec::Opus => ffmpeg.args(["-c:a", "libopus", "-f", "ogg"]).arg(path("ogg")),
            SoundCodec::Aac => ffmpeg.args(["-c:a", "aac", "-f", "adts"]).arg(path("aac")),
        };
    }
    let made = ffmpeg.output().expect("ffmpeg starts: cargo xtask setup installs it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Clip {
        pictures: access_units(&read(&path("h264")), fps),
        sound: match shape.sound {
            None => Vec::new(),
            Some((_, SoundCodec::Opus)) => opus(&read(&path("ogg"))),
            Some((_, SoundCodec::Aac)) => aac(&read(&path("aac"))),
        },
    }
}

fn read(path: &Path) -> Vec<u8> {
    let path: PathBuf = path.to_owned();
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Splits at access unit delimiters.
fn access_units(bytes: &[u8], fps: u32) -> Vec<Piece> {
    let marks: Vec<_> = bytes
        .windows(5)
        .enumerate()
        .filter(|(_, five)| five[..4] == [0, 0, 0, 1] && five[4] & 0x1f == 9)
        .map(|(at, _)| at)
        .collect();
    let ends = marks.iter().skip(1).copied().chain([bytes.len()]);
    let units = marks.iter().zip(ends).map(|(&start, end)| bytes[start..end].to_vec());
    units
        .enumerate()
        .map(|(number, data)| Piece {
            pts_us: number as i64 * 1_000_000 / i64::from(fps),
            keyframe: data.windows(4).any(|four| four[..3] == [0, 0, 1] && four[3] & 0x1f == 5),
            data,
        })
        .collect()
}

/// The packets of an Ogg stream behind its two heads. The encoder's 312 samples of look-ahead come
/// before the first picture.
fn opus(bytes: &[u8]) -> Vec<Piece> {
    let (mut packets, mut packet, mut at) = (Vec::new(), Vec::new(), 0);
    while at + 27 <= bytes.len() && &bytes[at..at + 4] == b"OggS" {
        let segments = usize::from(bytes[at + 26]);
        let table = &bytes[at + 27..at + 27 + segments];
        at += 27 + segments;
        for &length in table {
            packet.extend_from_slice(&bytes[at..at + usize::from(length)]);
            at += usize::from(length);
            if length < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
    }
    let times = (0..).map(|number| number * 20_000 - 6_500);
    let sound = packets.into_iter().skip(2).zip(times);
    sound.map(|(data, pts_us)| Piece { pts_us, keyframe: true, data }).collect()
}

/// The frames of an ADTS stream at 48 kHz, without their heads, the first of them priming.
fn aac(bytes: &[u8]) -> Vec<Piece> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    while at + 7 <= bytes.len() {
        let length = usize::from(bytes[at + 3] & 3) << 11
            | usize::from(bytes[at + 4]) << 3
            | usize::from(bytes[at + 5]) >> 5;
        let pts_us = (pieces.len() as i64 - 1) * 1024 * 1_000_000 / 48_000;
        pieces.push(Piece { pts_us, keyframe: true, data: bytes[at + 7..at + length].to_vec() });
        at += length;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_has_every_picture_and_every_packet() {
        let stage = Stage::shared();
        for (codec, packets) in [(SoundCodec::Opus, 100), (SoundCodec::Aac, 94)] {
            let shape = Shape {
                name: "clip",
                pictures: &["-f", "lavfi", "-i", "testsrc2=r=30"],
                size: (320, 180, 30),
                sound: Some(("sin(440*t)", codec)),
                group: 15,
                seconds: 2,
            };
            let clip = make(&stage, &shape);
            assert_eq!(clip.pictures.len(), 60);
            assert_eq!(clip.pictures.iter().filter(|piece| piece.keyframe).count(), 4);
            assert!((packets..packets + 3).contains(&clip.sound.len()), "{}", clip.sound.len());
        }
    }
}
