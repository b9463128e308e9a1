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
        Self { sentence: for_people(&why.to_string()), code: 1 }
    }

    /// What was typed cannot be meant.
    pub(super) fn usage(why: impl Display) -> Self {
        Self { sentence: for_people(&why.to_string()), code: 2 }
    }

    /// What was typed is known, and comes with a later version.
    pub(super) fn later(what: &str) -> Self {
        Self::usage(format!("{what} is not in this version yet; `roommate --help` lists what is"))
    }
}

/// Without the numbers that the system's messages end with: they help nobody who reads a sentence.
fn for_people(text: &str) -> String {
    let mut rest = text;
    let mut sentence = String::new();
    while let Some(at) = rest.find(" (os error ") {
        let (before, number) = rest.split_at(at);
        sentence.push_str(before);
        rest = number.split_once(')').map_or("", |(_, after)| after);
    }
    sentence + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_system_are_left_out() {
        let text = "cannot read a: No such file (os error 2); and b: Full (os error 28)";
        assert_eq!(Fail::new(text).sentence, "cannot read a: No such file; and b: Full");
        assert_eq!(Fail::usage("plain (very)").sentence, "plain (very)");
    }
}
