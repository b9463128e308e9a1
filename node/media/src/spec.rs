//! What `--source S` means, and what it cannot mean.
//!
//! Everything is refused here, in one sentence, before a device or a file is touched.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Widths that the test picture has: below, its stamp and digits would not fit; above, one core
/// does not encode it in real time, and viewers refuse more than 1080 lines.
pub const WIDTHS: RangeInclusive<u32> = 160..=1920;
/// Heights that the test picture has, for the same reasons as [`WIDTHS`].
pub const HEIGHTS: RangeInclusive<u32> = 90..=1080;
/// Pictures a second: above 60, one core does not encode them in real time.
pub const RATES: RangeInclusive<u32> = 1..=60;
/// Kilobits a second: below 100 even the smallest picture falls apart; above 20000 nobody watches
/// over a network.
pub const KBITS: RangeInclusive<u32> = 100..=20_000;
/// Milliseconds between keyframes: below 500 keyframes eat the bitrate; above 60000 a group
/// outgrows every cache.
pub const GOP_MS: RangeInclusive<u32> = 500..=60_000;

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// `test[:WxH[@FPS]][,KBITS][,gop=SECONDS][,nosound]`: the moving test picture and its beep.
    Test(TestSpec),
    /// `file:PATH`: a file; what is in it is told by its first bytes ([`super::sniff`]).
    File(PathBuf),
    /// `-`: standard input; what comes is told by its first bytes ([`super::sniff::peek`]).
    Pipe,
}

/// The test picture's size, rate and bitrate; always within the bounds of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestSpec {
    /// Width in pixels, even, in [`WIDTHS`].
    pub width: u32,
    /// Height in pixels, even, in [`HEIGHTS`].
    pub height: u32,
    /// Pictures a second, in [`RATES`].
    pub fps: u32,
    /// Kilobits a second, in [`KBITS`]. A picture has a least size, whatever is asked for: about 600
    /// kbit/s at 1280x720 and 30.
    pub kbits: u32,
    /// The longest time between two keyframes, within [`GOP_MS`].
    pub gop: Duration,
    /// Whether it beeps when it flashes; `,nosound` switches that off.
    pub sound: bool,
}

impl Default for TestSpec {
    fn default() -> Self {
        let gop = Duration::from_secs(2);
        Self { width: 1280, height: 720, fps: 30, kbits: 2_500, gop, sound: true }
    }
}

impl Default for SourceSpec {
    fn default() -> Self {
        Self::Test(TestSpec::default())
    }
}

/// Why a `--source` is refused: each a sentence with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceSpecError {
    /// Promised, not built.
    #[error("--source {0} comes with a later version; use test, file:PATH or -")]
    NotYet(String),
    /// No such kind of source.
    #[error(
        "there is no source '{0}'; use test[:WxH[@FPS]][,KBITS][,gop=SECONDS][,nosound], file:PATH or -"
    )]
    Unknown(String),
    /// `file:` without a path.
    #[error("file: needs a path, as in file:clip.mp4")]
    NoPath,
    /// A part of `test:…` that means nothing.
    #[error("'{0}' means nothing in a test source; write test:1280x720@30,2500,gop=2")]
    Nonsense(String),
    /// A part of `test:…` that is written twice.
    #[error("{0} is given twice in the test source")]
    Twice(&'static str),
    /// A number outside its bounds.
    #[error("{what} must be {least} to {most}{why}, not {given}")]
    Bounds {
        /// What the number is.
        what: &'static str,
        /// The smallest that is taken.
        least: String,
        /// The largest that is taken.
        most: String,
        /// More to know, or nothing.
        why: &'static str,
        /// What was written.
        given: String,
    },
    /// A size with an odd number of pixels.
    #[error("width and height must be even (colour has half the resolution), not {0}x{1}")]
    Odd(u32, u32),
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Pipe => f.write_str("-"),
            Self::Test(spec) => spec.fmt(f),
        }
    }
}

impl fmt::Display for TestSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, fps, kbits, gop, sound } = self;
        let quiet = if *sound { "" } else { ",nosound" };
        write!(f, "test:{width}x{height}@{fps},{kbits},gop={}{quiet}", gop.as_secs_f64())
    }
}

impl FromStr for SourceSpec {
    type Err = SourceSpecError;

    fn from_str(text: &str) -> Result<Self, SourceSpecError> {
        if text == "-" {
            return Ok(Self::Pipe);
        }
        if text == "camera" || text.starts_with("camera:") {
            return Err(SourceSpecError::NotYet(text.to_owned()));
        }
        if let Some(path) = text.strip_prefix("file:") {
            if path.is_empty() {
                return Err(SourceSpecError::NoPath);
            }
            return Ok(Self::File(PathBuf::from(path)));
        }
        match text.strip_prefix("test") {
            Some(rest) if rest.is_empty() || rest.starts_with([':', ',']) => {
                TestSpec::parse(rest).map(Self::Test)
            }
            _ => Err(SourceSpecError::Unknown(text.to_owned())),
        }
    }
}

impl TestSpec {
    /// Reads what stands behind `test`: `[:WxH[@FPS]][,KBITS][,gop=SECONDS][,nosound]`.
    fn parse(rest: &str) -> Result<Self, SourceSpecError> {
        let mut spec = Self::default();
        let mut parts = rest.split(',');
        if let Some(size) = parts.next().and_then(|head| head.strip_prefix(':')) {
            spec.read_size(size)?;
        }
        let (mut kbits, mut gop, mut nosound) = (false, false, false);
        for part in parts {
            if part == "nosound" {
                once(&mut nosound, "nosound")?;
                spec.sound = false;
            } else if let Some(seconds) = part.strip_prefix("gop=") {
                once(&mut gop, "gop")?;
                spec.gop = parse_gop(seconds)?;
            } else {
                let given = number(part)?;
                once(&mut kbits, "the bitrate")?;
                spec.kbits = within(given, &KBITS, "the bitrate in kbit/s", "")?;
            }
        }
        Ok(spec)
    }

    fn read_size(&mut self, text: &str) -> Result<(), SourceSpecError> {
        let nonsense = || SourceSpecError::Nonsense(text.to_owned());
        let (size, fps) = match text.split_once('@') {
            Some((size, fps)) => (size, Some(fps)),
            None => (text, None),
        };
        let (width, height) = size.split_once('x').ok_or_else(nonsense)?;
        self.width = within(number(width)?, &WIDTHS, "the width", " pixels")?;
        self.height = within(number(height)?, &HEIGHTS, "the height", " pixels")?;
        if !(self.width.is_multiple_of(2) && self.height.is_multiple_of(2)) {
            return Err(SourceSpecError::Odd(self.width, self.height));
        }
        if let Some(fps) = fps {
            self.fps = within(number(fps)?, &RATES, "the pictures a second", " (a whole number)")?;
        }
        Ok(())
    }

    /// Pictures from one keyframe to the next, at least one.
    pub fn gop_pictures(&self) -> u32 {
        let pictures = self.gop.as_millis() * u128::from(self.fps) / 1_000;
        u32::try_from(pictures).unwrap_or(u32::MAX).max(1)
    }
}

/// Digits only: what `u32::from_str` takes beyond that (a plus sign) is nonsense here.
fn number(text: &str) -> Result<u32, SourceSpecError> {
    let nonsense = || SourceSpecError::Nonsense(text.to_owned());
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(nonsense());
    }
    // More digits than fit are still a number; its bound is what refuses it.
    Ok(text.parse().unwrap_or(u32::MAX))
}

fn parse_gop(text: &str) -> Result<Duration, SourceSpecError> {
    let nonsense = || SourceSpecError::Nonsense(format!("gop={text}"));
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let whole = number(whole).map_err(|_| nonsense())?;
    if number(part).is_err() || part.len() > 3 {
        return Err(nonsense());
    }
    let millis: u32 = format!("{part:0<3}").parse().map_err(|_| nonsense())?;
    let total = whole.saturating_mul(1_000).saturating_add(millis);
    if !GOP_MS.contains(&total) {
        return Err(SourceSpecError::Bounds {
            what: "gop",
            least: "0.5".to_owned(),
            most: "60".to_owned(),
            why: " seconds",
            given: text.to_owned(),
        });
    }
    Ok(Duration::from_millis(u64::from(total)))
}

fn within(
    given: u32,
    bounds: &RangeInclusive<u32>,
    what: &'static str,
    why: &'static str,
) -> Result<u32, SourceSpecError> {
    if bounds.contains(&given) {
        return Ok(given);
    }
    let (least, most) = (bounds.start().to_string(), bounds.end().to_string());
    Err(SourceSpecError::Bounds { what, least, most, why, given: given.to_string() })
}

fn once(seen: &mut bool, what: &'static str) -> Result<(), SourceSpecError> {
    if std::mem::replace(seen, true) { Err(SourceSpecError::Twice(what)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(text: &str) -> TestSpec {
        match text.parse().unwrap() {
            SourceSpec::Test(spec) => spec,
            other => panic!("{text} became {other}"),
        }
    }

    #[test]
    fn every_part_of_a_test_source_may_be_left_out() {
        let all = TestSpec {
            width: 640,
            height: 360,
            fps: 25,
            kbits: 800,
            gop: Duration::from_millis(10_500),
            sound: true,
        };
        let default = TestSpec::default();
        assert_eq!(test("test"), default);
        assert_eq!(test("test:640x360@25,800,gop=10.5"), all);
        assert_eq!(test("test:640x360@25,gop=10.5,800"), all);
        assert_eq!(test("test,gop=10"), TestSpec { gop: Duration::from_secs(10), ..default });
        assert_eq!(test("test,900"), TestSpec { kbits: 900, ..default });
        assert_eq!(test("test,nosound,900"), TestSpec { kbits: 900, sound: false, ..default });
        assert_eq!(test("test:640x360"), TestSpec { width: 640, height: 360, ..default });
        assert_eq!(test("test,gop=0.5").gop_pictures(), 15);
        assert_eq!(test("test:160x90@1,gop=0.5").gop_pictures(), 1);
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in [
            "test",
            "test:640x360@25,800,gop=10.5",
            "test,gop=0.505",
            "test,nosound",
            "file:/a b/c.mp4",
        ] {
            let spec: SourceSpec = text.parse().unwrap();
            assert_eq!(spec.to_string().parse(), Ok(spec), "{text}");
        }
    }

    #[test]
    fn bounds_are_taken_and_one_beyond_is_refused_with_both_ends() {
        for good in ["test:160x90@1,100", "test:1920x1080@60,20000,gop=60", "test,gop=0.5"] {
            assert!(good.parse::<SourceSpec>().is_ok(), "{good}");
        }
        for (bad, least, most) in [
            ("test:158x90", "160", "1920"),
            ("test:1922x1080", "160", "1920"),
            ("test:160x88", "90", "1080"),
            ("test:160x1082", "90", "1080"),
            ("test:640x360@0", "1", "60"),
            ("test:640x360@61", "1", "60"),
            ("test,99", "100", "20000"),
            ("test,20001", "100", "20000"),
            ("test,99999999999999999999", "100", "20000"),
            ("test,gop=0.499", "0.5", "60"),
            ("test,gop=60.001", "0.5", "60"),
            ("test,gop=99999999999", "0.5", "60"),
        ] {
            let said = bad.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(said.contains(&format!("{least} to {most}")), "{bad}: {said}");
        }
    }

    #[test]
    fn nonsense_is_refused_in_one_sentence() {
        for bad in [
            "",
            "tes",
            "testing",
            "test:",
            "test:640",
            "test:x",
            "test:640x",
            "test:640x361",
            "test:640x360@",
            "test:640x360@29.97",
            "test:-640x360",
            "test:+640x360",
            "test,",
            "test,800,900",
            "test,gop=2,gop=3",
            "test,gop=",
            "test,gop=.5",
            "test,gop=1.",
            "test,gop=1.0005",
            "test,gop=1e3",
            "test,gop=-1",
            "test,nosound,nosound",
            "test,sound",
            "test,fps=3",
            "test: 640x360",
            "test:640x360@30@30",
            "test:640X360",
            "file:",
            "file",
            "camera",
            "camera:0",
            "--",
            "http://x/y",
            "TEST",
            "test:٣٢٠x180",
        ] {
            let said = bad.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(!said.contains('\n') && said.len() < 200, "{bad}: {said}");
        }
    }

    #[test]
    fn what_comes_later_is_named_as_such() {
        for later in ["camera", "camera:1"] {
            assert_eq!(later.parse::<SourceSpec>(), Err(SourceSpecError::NotYet(later.to_owned())));
        }
    }
}
