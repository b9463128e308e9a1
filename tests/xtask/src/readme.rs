//! README's commands that build, install or test, run as they stand there on a clean clone.
//!
//! Standard output is a report to be kept as `docs/readme-run.md`; what the commands say passes on
//! standard error. The other commands of the README are run by the suite `e2e`, which has no
//! minutes to build.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use xtask::{Typist, commands};

use crate::setup::is_root;

/// Lines of a command's output that the report quotes: how it ended.
const QUOTED: usize = 14;

/// What makes a program of ours end that a person would end, and open nothing that nobody looks at.
const WITHOUT_A_PERSON: [(&str, &str); 2] =
    [("ROOMMATE_SECONDS", "10"), ("ROOMMATE_NO_OPEN", "true")];

/// Runs those commands that contain `only`, each in a shell of its own, and reports.
pub(crate) fn run(root: &Path, only: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(root.join("README.md"))
        .map_err(|error| format!("README.md cannot be read: {error}"))?;
    let mut wanted = commands(&text);
    wanted.retain(|line| Typist::of(line).on_a_clone() && line.contains(only));
    if wanted.is_empty() {
        return Err(format!(
            "README.md has no command that builds, installs or tests and contains «{only}»"
        ));
    }
    let clone = Clone::of(root)?;
    println!("# The README's commands on a clean clone\n");
    println!("Printed by `cargo xtask readme`. {}\n", circumstances(&clone.0));
    let mut runs = Vec::new();
    for command in wanted {
        let run = Run::of(command, &clone.0)?;
        print!("{run}");
        runs.push(run);
    }
    let count = |end: End| runs.iter().filter(|run| run.end == end).count();
    let (passed, failed, skipped) = (count(End::Passed), count(End::Failed), count(End::Skipped));
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of README's commands failed")) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
    Skipped,
}

struct Run {
    command: String,
    environment: &'static [(&'static str, &'static str)],
    end: End,
    took: Duration,
    /// The end of what it said, or why it was not run.
    said: Vec<String>,
}

impl Run {
    fn of(command: String, place: &Path) -> Result<Self, String> {
        let start = Instant::now();
        let environment: &[_] =
            if command.starts_with("cargo run") { &WITHOUT_A_PERSON } else { &[] };
        let (end, said) = if command.starts_with("apt-get ") && !is_root() {
            (End::Skipped, vec!["Only root installs packages.".to_owned()])
        } else {
            eprintln!("$ {command}");
            let (status, said) = run_quoted(&command, environment, place)?;
            (if status.success() { End::Passed } else { End::Failed }, said)
        };
        Ok(Self { command, environment, end, took: start.elapsed(), said })
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = match self.end {
            End::Passed => "Done",
            End::Failed => "FAILED",
            End::Skipped => "Skipped",
        };
        writeln!(f, "## `{}`\n", self.command)?;
        write!(f, "{how} after {} s", self.took.as_secs())?;
        for (name, value) in self.environment {
            write!(f, ", `{name}={value}`")?;
        }
        writeln!(f, ".\n")?;
        writeln!(f, "```text")?;
        for line in &self.said {
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f, "```\n")
    }
}

/// Runs a command, passes on what it says, and keeps the last lines.
fn run_quoted(
    command: &str,
    environment: &[(&str, &str)],
    place: &Path,
) -> Result<(ExitStatus, Vec<String>), String> {
    let mut child = Command::new("sh")
        .args(["-ec", &format!("exec 2>&1\n{command}")])
        .current_dir(place)
        .env_remove("CARGO_TARGET_DIR")
        .env("CARGO_INSTALL_ROOT", place.join("target/installed"))
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("sh does not start: {error}"))?;
    // What a person answers who is asked whether to go on. Whoever asks nothing may be gone.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(b"y\n"));
    let stdout = child.stdout.take().ok_or("sh has no standard output")?;
    let mut last = VecDeque::new();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.map_err(|error| format!("the output of {command} ends: {error}"))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        eprintln!("{line}");
        last.push_back(line);
        if last.len() > QUOTED {
            last.pop_front();
        }
    }
    let status = child.wait().map_err(|error| format!("{command} is lost: {error}"))?;
    Ok((status, last.into()))
}

/// What the figures depend on.
fn circumstances(place: &Path) -> String {
    let tell = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).current_dir(place).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let unknown = || "unknown".to_owned();
    let commit = tell("git", &["log", "-1", "--format=%h of %cs"]).unwrap_or_else(unknown);
    let compiler = tell("rustc", &["--version"]).unwrap_or_else(unknown);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("Commit {commit}, {compiler}, {cores} cores, nothing built before.")
}

/// A clone of the committed state, removed when dropped.
struct Clone(PathBuf);

impl Clone {
    fn of(root: &Path) -> Result<Self, String> {
        let place = std::env::temp_dir().join(format!("roommate-readme-{}", std::process::id()));
        let clone = Self(place);
        let status = Command::new("git")
            .args(["clone", "--quiet", "--no-local"])
            .args([root, &clone.0])
            .status()
            .map_err(|error| format!("git does not start: {error}"))?;
        if status.success() { Ok(clone) } else { Err(format!("git clone failed: {status}")) }
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("xtask: {} stays behind: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_a_command_says_is_quoted_and_its_failure_noticed() {
        let here = std::env::temp_dir();
        let run = |command: &str| Run::of(command.to_owned(), &here).unwrap();
        let told = run("seq 100; read -r answer; echo \"$answer\" >&2");
        assert_eq!(told.end, End::Passed);
        assert_eq!(told.said.len(), QUOTED);
        assert_eq!(told.said[QUOTED - 2..], ["100", "y"]);
        assert!(told.to_string().contains("Done after 0 s.\n\n```text\n88\n"), "{told}");
        assert_eq!(run("false; true").end, End::Failed);
    }

    #[test]
    fn the_readme_has_commands_for_a_clone() {
        let text = std::fs::read_to_string(crate::root().join("README.md")).unwrap();
        let here = commands(&text).iter().filter(|line| Typist::of(line).on_a_clone()).count();
        assert!(here >= 3, "step 0, the demo and the tests: {here}");
    }
}
