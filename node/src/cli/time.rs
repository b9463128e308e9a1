//! `TIME` on the command line: a duration (`90m`, `12h`), an RFC 3339 time, or `never`.

use jiff::{SignedDuration, Timestamp};
use roommate_protocol::time::Wall;

/// Why text is no `TIME`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TimeError {
    /// None of the three forms.
    #[error(
        "{0:?} is no time: write a duration (90m, 12h), a time (2030-01-31T18:00:00Z) or never"
    )]
    Form(String),
    /// Not in the future.
    #[error("{0:?} is already over")]
    Past(String),
}

/// The time that `text` means, `None` for `never`.
///
/// # Errors
/// [`TimeError`]
pub(super) fn parse(text: &str, now: Wall) -> Result<Option<Wall>, TimeError> {
    if text == "never" {
        return Ok(None);
    }
    let micros = if let Ok(length) = text.parse::<SignedDuration>() {
        i128::from(now.as_micros()) + length.as_micros()
    } else if let Ok(time) = text.parse::<Timestamp>() {
        i128::from(time.as_microsecond())
    } else {
        return Err(TimeError::Form(text.to_owned()));
    };
    let at = i64::try_from(micros).map_err(|_| TimeError::Form(text.to_owned()))?;
    // Whole seconds: that is what a link holds.
    let at = Wall::from_secs(Wall::from_micros(at).as_secs());
    if at <= now { Err(TimeError::Past(text.to_owned())) } else { Ok(Some(at)) }
}

/// `at` as people and scripts read it (RFC 3339, UTC).
pub(super) fn show(at: Wall) -> String {
    Timestamp::from_second(at.as_secs())
        .map_or_else(|_| at.as_secs().to_string(), |t| t.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read() {
        let now = Wall::from_secs(1_800_000_000);
        assert_eq!(parse("90m", now), Ok(Some(Wall::from_secs(1_800_005_400))));
        assert_eq!(parse("12h", now), Ok(Some(Wall::from_secs(1_800_043_200))));
        assert_eq!(parse("2027-01-15T08:00:01Z", now), Ok(Some(Wall::from_secs(1_800_000_001))));
        assert_eq!(parse("never", now), Ok(None));
        assert_eq!(show(Wall::from_secs(1_800_000_001)), "2027-01-15T08:00:01Z");
    }

    #[test]
    fn nonsense_and_the_past_are_said() {
        let now = Wall::from_secs(1_800_000_000);
        for text in ["", "soon", "12", "99999999999999999999h", "-5m", "2001-01-01T00:00:00Z"] {
            assert!(parse(text, now).is_err(), "{text}");
        }
    }
}
