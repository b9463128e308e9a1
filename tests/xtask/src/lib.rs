//! What the README tells people to type, and which of the two who type it for us does: the suite
//! `e2e` or `cargo xtask readme`. Reads the text; runs nothing. What all documents name: [`named`].

pub mod named;

/// Who runs a command of the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typist {
    /// `cargo xtask readme`, on a clean clone: it builds, installs or tests.
    Clone,
    /// The suite `e2e`, with the programs that it was built with.
    Suite,
    /// Both: it builds, and what it then does takes seconds.
    Both,
}

impl Typist {
    /// Who runs this command.
    #[must_use]
    pub fn of(command: &str) -> Self {
        const BUILDS: [&str; 6] =
            ["apt-get ", "cargo build", "cargo install", "cargo test", "cargo xtask ", "rustup "];
        if BUILDS.iter().any(|start| command.starts_with(start)) {
            Self::Clone
        } else if command == "cargo run --release -- demo" {
            Self::Both
        } else {
            Self::Suite
        }
    }

    /// Whether `cargo xtask readme` runs it.
    #[must_use]
    pub fn on_a_clone(self) -> bool {
        self != Self::Suite
    }

    /// Whether the suite runs it.
    #[must_use]
    pub fn in_the_suite(self) -> bool {
        self != Self::Clone
    }
}

/// The commands of all shell blocks, continued lines joined, comments left out.
#[must_use]
pub fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let (mut fenced, mut shell, mut begun) = (false, false, String::new());
    for line in text.lines() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            fenced = !fenced;
            shell = fenced && matches!(fence.trim(), "sh" | "bash" | "shell" | "console");
            continue;
        }
        let line = line.trim();
        if !shell || line.is_empty() || line.starts_with('#') {
            continue;
        }
        begun.push_str(line.strip_prefix("$ ").unwrap_or(line));
        if begun.ends_with('\\') {
            begun.pop();
            continue;
        }
        commands.push(std::mem::take(&mut begun));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_in_shell_blocks_and_may_be_continued() {
        let text = "cargo build\n```sh\n# first\ncargo build --release\n\n$ a \\\n  b\n```\n```json\n{}\n```\n```sh\nc\n```";
        assert_eq!(commands(text), ["cargo build --release", "a b", "c"]);
    }

    #[test]
    fn a_picture_in_a_fence_without_a_word_is_no_command() {
        assert_eq!(commands("```\nyou ──► friend\n```\nrm\n```sh\nls\n```"), ["ls"]);
    }

    #[test]
    fn what_builds_installs_or_tests_is_run_on_a_clone() {
        assert_eq!(Typist::of("apt-get install build-essential nasm"), Typist::Clone);
        assert_eq!(Typist::of("cargo install --path node --locked"), Typist::Clone);
        assert_eq!(Typist::of("cargo xtask test"), Typist::Clone);
        assert_eq!(Typist::of("cargo run --release -- demo"), Typist::Both);
        assert_eq!(Typist::of("cargo run --release -- publish LINK"), Typist::Suite);
        assert_eq!(Typist::of("ffmpeg -i x"), Typist::Suite);
    }
}
