//! How a command ends when it does not succeed: one clear sentence and an exit code.

use std::fmt::Display;

/// A failed command.
#[derive(Debug)]
pub(super) struct Fail {
    /// What, why, and what to do.
    pub(super) sentence: String,
    /// 1 failed, 2 usage.
    pub(super) code: u8,
}

impl Fail {
    /// The command could not do what it was asked to.
    pub(super) fn new(why: impl Display) -> Self {
        Self { sentence: why.to_string(), code: 1 }
    }

    /// What was typed cannot be meant.
    pub(super) fn usage(why: impl Display) -> Self {
        Self { sentence: why.to_string(), code: 2 }
    }

    /// What was typed is known, and comes with a later version.
    pub(super) fn later(what: &str) -> Self {
        Self::usage(format!("{what} is not in this version yet; `roommate --help` lists what is"))
    }
}
