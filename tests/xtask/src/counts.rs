//! What a test program says of itself: its result lines, added up.

use std::fmt;
use std::ops::AddAssign;

/// Tests by their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    /// One program that ended without a result of its own: aborted, killed, or not started.
    pub(crate) const CRASH: Self = Self { passed: 0, failed: 1, skipped: 0 };

    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`; other lines are none.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (_, told) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut counts = Self::default();
        for part in told.split("; ") {
            let Some((number, what)) = part.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => counts.passed = number,
                "failed" => counts.failed = number,
                "ignored" => counts.skipped = number,
                _ => {}
            }
        }
        Some(counts)
    }

    /// Whether the suite may be called green. A suite that ran nothing proved nothing.
    pub(crate) fn green(self, strict: bool, filtered: bool) -> bool {
        self.failed == 0 && (self.passed > 0 || filtered) && !(strict && self.skipped > 0)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read_and_others_are_not() {
        let line = "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s";
        assert_eq!(Counts::parse(line), Some(Counts { passed: 12, failed: 2, skipped: 1 }));
        assert_eq!(Counts::parse("test counts::tests::x ... ok"), None);
        assert_eq!(Counts::parse("running 3 tests"), None);
    }

    #[test]
    fn the_closing_line_is_as_promised() {
        let mut sum = Counts { passed: 3, failed: 0, skipped: 1 };
        sum += Counts::CRASH;
        assert_eq!(sum.to_string(), "3 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn a_failure_nothing_and_under_ci_a_skip_are_not_green() {
        let counts = |passed, failed, skipped| Counts { passed, failed, skipped };
        assert!(counts(1, 0, 0).green(true, false));
        assert!(!counts(1, 1, 0).green(false, false));
        assert!(!counts(0, 0, 0).green(false, false));
        assert!(counts(0, 0, 0).green(false, true));
        assert!(counts(1, 0, 1).green(false, false));
        assert!(!counts(1, 0, 1).green(true, false));
    }
}
