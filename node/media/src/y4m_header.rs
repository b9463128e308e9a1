//! The header of a YUV4MPEG2 stream, and how its pictures lie in memory.
//!
//! It decides what can be encoded and refuses the rest in a sentence with the ffmpeg option that
//! mends it. Bound: a header of [`LINE_BYTES_MAX`] bytes, a picture of 1920x1080.

use super::picture::Picture;

/// Longest line of a header. ffmpeg writes 80 bytes.
pub(super) const LINE_BYTES_MAX: usize = 1_024;
/// Longer and shorter side of the largest picture: one core does not encode more in real time.
const SIDES_MAX: (usize, usize) = (1_920, 1_080);
/// Shorter side of the smallest picture: one macroblock.
const SIDE_MIN: usize = 16;
/// Pictures a second: above, one core does not encode them in real time.
const FPS_MAX: u32 = 60;

/// Why a stream is not taken. Each sentence stands behind "cannot send …: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("it is not a y4m stream: add '-f yuv4mpegpipe' to the ffmpeg command")]
    NotY4m,
    #[error(
        "its pictures are {0}, not 4:2:0 with 8 bits: add '-pix_fmt yuv420p' to the ffmpeg command"
    )]
    Samples(String),
    #[error("its pictures are interlaced: add '-vf yadif=deint=1' to the ffmpeg command")]
    Interlaced,
    #[error(
        "its pictures of {0}x{1} are not between 16x16 and 1920x1080: add '-vf scale=1280:-2' to the \
         ffmpeg command"
    )]
    Size(usize, usize),
    #[error(
        "its rate is not between 1 and 60 pictures a second: add '-r 30' to the ffmpeg command"
    )]
    Rate,
    #[error("behind picture {0} comes something that is no picture")]
    NotAFrame(u64),
}

/// What the first line of a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamHeader {
    /// As it is said, odd or even.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Pictures a second, a fraction of two numbers that are not 0.
    pub(super) fps: (u32, u32),
    /// No colour planes.
    pub(super) grey: bool,
}

impl StreamHeader {
    /// Reads the first line, without its line feed.
    pub(super) fn parse(line: &[u8]) -> Result<Self, HeaderError> {
        let line = str::from_utf8(line).map_err(|_| HeaderError::NotY4m)?;
        let mut words = line.split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err(HeaderError::NotY4m);
        }
        let (mut width, mut height, mut fps, mut samples) = (None, None, (25, 1), "420");
        for word in words.filter(|word| !word.is_empty()) {
            let (key, value) = word.split_at_checked(1).ok_or(HeaderError::NotY4m)?;
            match key {
                "W" => width = value.parse().ok(),
                "H" => height = value.parse().ok(),
                "F" => fps = fraction(value).ok_or(HeaderError::Rate)?,
                "C" => samples = value,
                // '?' is unknown: what does not say is taken as whole pictures.
                "I" if !matches!(value, "p" | "?") => return Err(HeaderError::Interlaced),
                _ => {}
            }
        }
        let grey = samples == "mono";
        if !(grey || matches!(samples, "420" | "420jpeg" | "420mpeg2" | "420paldv")) {
            return Err(HeaderError::Samples(samples.chars().take(16).collect()));
        }
        let (Some(width), Some(height)): (Option<usize>, Option<usize>) = (width, height) else {
            return Err(HeaderError::NotY4m);
        };
        let (long, short) = (width.max(height), width.min(height));
        if short < SIDE_MIN || long > SIDES_MAX.0 || short > SIDES_MAX.1 {
            return Err(HeaderError::Size(width, height));
        }
        if fps.0 < fps.1 || u64::from(fps.0) > u64::from(fps.1) * u64::from(FPS_MAX) {
            return Err(HeaderError::Rate);
        }
        Ok(Self { width, height, fps, grey })
    }

    pub(super) fn layout(&self) -> Layout {
        let luma = self.width * self.height;
        let colour = (self.width.div_ceil(2), self.height.div_ceil(2));
        let planes = if self.grey { 0 } else { 2 * colour.0 * colour.1 };
        let shown = (self.width & !1, self.height & !1);
        Layout { width: self.width, luma, colour, grey: self.grey, bytes: luma + planes, shown }
    }
}

fn fraction(text: &str) -> Option<(u32, u32)> {
    let (num, den) = text.split_once(':')?;
    let pair: (u32, u32) = (num.parse().ok()?, den.parse().ok()?);
    (pair.0 > 0 && pair.1 > 0).then_some(pair)
}

/// How one picture lies in the stream: luma, then both colours, rows without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    width: usize,
    luma: usize,
    colour: (usize, usize),
    grey: bool,
    /// Bytes of a picture.
    pub(super) bytes: usize,
    /// Width and height that are encoded, both even.
    pub(super) shown: (usize, usize),
}

impl Layout {
    /// Copies a picture of `bytes` bytes into one of the size `shown`.
    pub(super) fn copy(&self, raw: &[u8], picture: &mut Picture) {
        for (row, line) in raw.chunks(self.width).take(self.shown.1).enumerate() {
            picture.luma_row(row).copy_from_slice(&line[..self.shown.0]);
        }
        if self.grey {
            // The picture was made grey, and nothing has coloured it since.
            return;
        }
        let (width, half) = (self.colour.0, self.shown.0 / 2);
        let (u, v) = raw[self.luma..].split_at(width * self.colour.1);
        let rows = u.chunks(width).zip(v.chunks(width)).take(self.shown.1 / 2);
        for (row, (u_line, v_line)) in rows.enumerate() {
            let (u_out, v_out) = picture.colour_row(row * 2);
            u_out.copy_from_slice(&u_line[..half]);
            v_out.copy_from_slice(&v_line[..half]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<StreamHeader, HeaderError> {
        StreamHeader::parse(text.as_bytes())
    }

    #[test]
    fn what_ffmpeg_writes_is_read() {
        let line = "YUV4MPEG2 W853 H481 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG";
        let header = parse(line).unwrap();
        let want = StreamHeader { width: 853, height: 481, fps: (30_000, 1_001), grey: false };
        assert_eq!(header, want);
        let layout = header.layout();
        assert_eq!((layout.shown, layout.bytes), ((852, 480), 853 * 481 + 2 * 427 * 241));
        let grey = parse("YUV4MPEG2 W64 H48 F25:1 Cmono").unwrap().layout();
        assert_eq!(grey.bytes, 64 * 48);
    }

    #[test]
    fn what_cannot_be_encoded_is_refused_with_an_option() {
        for (text, want) in [
            ("YUV4MPEG2 W64 H48 F25:1 C422", "yuv420p"),
            ("YUV4MPEG2 W64 H48 F25:1 C444", "yuv420p"),
            ("YUV4MPEG2 W64 H48 F25:1 C420p10", "yuv420p"),
            ("YUV4MPEG2 W64 H48 F25:1 Cmono16", "yuv420p"),
            ("YUV4MPEG2 W64 H48 F25:1 It", "yadif"),
            ("YUV4MPEG2 W1922 H48 F25:1", "scale"),
            ("YUV4MPEG2 W1920 H1082 F25:1", "scale"),
            ("YUV4MPEG2 W64 H14 F25:1", "scale"),
            ("YUV4MPEG2 W99999999999999999999 H14 F25:1", "y4m"),
            ("YUV4MPEG2 W64 H48 F61:1", "-r 30"),
            ("YUV4MPEG2 W64 H48 F0:1", "-r 30"),
            ("YUV4MPEG2 W64 H48 F1:0", "-r 30"),
            ("YUV4MPEG2 W64 H48 F1:2", "-r 30"),
            ("YUV4MPEG2 H48", "y4m"),
            ("YUV4MPEG W64 H48", "y4m"),
            ("YUV4MPEG2 W64 H48 é", "y4m"),
            ("", "y4m"),
        ] {
            let said = parse(text).map(|_| ()).unwrap_err().to_string();
            assert!(said.contains(want) && !said.contains('\n'), "{text}: {said}");
        }
    }
}
