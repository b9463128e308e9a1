//! README's commands that build, install or test, run as they stand there on a clean clone, and what
//! the demo of that build must show.
//!
//! The report is kept as `docs/readme-run.md` where everything was run, else it is standard output;
//! what the commands say passes on standard error. The other commands of the README are run by the
//! suite `e2e`, which has no minutes to build.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use xtask::{Typist, commands};

use crate::figures;
use crate::setup::is_root;
use crate::transcript::Transcript;

/// Where the report is kept.
const REPORT: &str = "docs/readme-run.md";

/// What makes a program of ours end that a person would end, and open nothing that nobody looks at.
const WITHOUT_A_PERSON: [(&str, &str); 2] =
    [("ROOMMATE_SECONDS", "10"), ("ROOMMATE_NO_OPEN", "true")];

/// What the demo of a release build is measured by.
const MEASURED: &str = "target/release/roommate demo --seconds 10 --viewers 3 --json --no-open";

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
    let mut runs = Vec::new();
    for command in wanted {
        let demo = command.ends_with("-- demo");
        let run = Run::of(command, &clone.0)?;
        let built = demo && run.end == End::Passed;
        runs.push(run);
        if built {
            runs.push(Run::measured(MEASURED.to_owned(), &clone.0)?);
        }
    }
    let report = report(&circumstances(&clone.0), &runs);
    if only.is_empty() {
        std::fs::write(root.join(REPORT), report)
            .map_err(|error| format!("{REPORT} cannot be written: {error}"))?;
        eprintln!("xtask: the report is in {REPORT}: commit it");
    } else {
        print!("{report}");
    }
    let failed = runs.iter().filter(|run| run.end == End::Failed).count();
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of README's commands failed")) }
}

fn report(circumstances: &str, runs: &[Run]) -> String {
    let mut report = format!(
        "# The README's commands on a clean clone\n\nWritten by `cargo xtask readme`. \
         {circumstances}\n\n"
    );
    for run in runs {
        let _ = write!(report, "{run}");
    }
    let count = |end: End| runs.iter().filter(|run| run.end == end).count();
    let (passed, failed, skipped) = (count(End::Passed), count(End::Failed), count(End::Skipped));
    let _ = writeln!(report, "{passed} passed, {failed} failed, {skipped} skipped");
    report
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

    /// Runs a demo that tells its figures in JSON, and reports those in place of what it said.
    fn measured(command: String, place: &Path) -> Result<Self, String> {
        let start = Instant::now();
        eprintln!("$ {command}");
        let (status, said) = run_quoted(&command, &[], place)?;
        let summary = said.iter().rfind(|line| line.contains(r#""summary":true"#));
        let (end, said) = match summary.map(|line| figures::judge(line)) {
            Some(Ok(lines)) if status.success() => (End::Passed, lines),
            Some(Err(lines)) => (End::Failed, lines),
            _ => (End::Failed, said),
        };
        Ok(Self { command, environment: &[], end, took: start.elapsed(), said })
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

/// Runs a command, passes on what it says, and keeps how it ended.
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
    let mut said = Transcript::new(place);
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.map_err(|error| format!("the output of {command} ends: {error}"))?;
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        said.hear(&line);
    }
    let status = child.wait().map_err(|error| format!("{command} is lost: {error}"))?;
    Ok((status, said.end()))
}

/// What the figures depend on.
fn circumstances(place: &Path) -> String {
    let tell = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).current_dir(place).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let unknown = || "unknown".to_owned();
    let commit = tell("git", &["log", "-1", "--format=%h of %cs"]).unwrap_or_else(unknown);
    let today = tell("date", &["-u", "+%F"]).unwrap_or_else(unknown);
    let compiler = tell("rustc", &["--version"]).unwrap_or_else(unknown);
    let system = std::fs::read_to_string("/etc/os-release").ok();
    let system = system.as_deref().and_then(|text| after(text, "PRETTY_NAME="));
    let system = system.map_or_else(unknown, |name| name.trim_matches('"').to_owned());
    let memory = std::fs::read_to_string("/proc/meminfo").ok();
    let memory = memory.as_deref().and_then(|text| after(text, "MemTotal:"));
    let memory = memory.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let memory = memory.map_or_else(unknown, |kib| format!("{} GiB", (kib + (1 << 19)) >> 20));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "Commit {commit}, run on {today}: {system}, {compiler}, {cores} cores, {memory} of memory, \
         nothing built before."
    )
}

/// The rest of the first line that begins so.
fn after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(start))
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

    fn run(command: &str) -> Run {
        Run::of(command.to_owned(), &std::env::temp_dir()).unwrap()
    }

    #[test]
    fn the_end_of_what_a_command_says_is_quoted_and_its_failure_noticed() {
        let told = run("seq 100; read -r answer; echo \"$answer\" >&2");
        assert_eq!(told.end, End::Passed);
        assert_eq!(told.said[told.said.len() - 2..], ["100", "y"]);
        assert!(told.to_string().contains("Done after 0 s.\n\n```text\n88\n"), "{told}");
        assert_eq!(run("false; true").end, End::Failed);
    }

    #[test]
    fn a_demo_is_judged_by_its_summary_and_fails_without_one() {
        let summary = figures::tests::SUMMARY;
        let measured = |command: String| Run::measured(command, &std::env::temp_dir()).unwrap();
        assert_eq!(measured(format!("echo '{summary}'")).end, End::Passed);
        assert_eq!(measured(format!("echo '{summary}'; exit 1")).end, End::Failed);
        assert_eq!(measured("echo nothing".to_owned()).end, End::Failed);
        let slow = summary.replace(r#""p99":31.2"#, r#""p99":131.2"#);
        assert_eq!(measured(format!("echo '{slow}'")).end, End::Failed);
    }

    #[test]
    fn the_report_counts_and_tells_of_what_it_depends_on() {
        let told = report(&circumstances(&crate::root()), &[run("echo yes"), run("exit 3")]);
        assert!(told.contains("cores, ") && told.contains("GiB of memory"), "{told}");
        assert!(!told.contains("unknown"), "{told}");
        assert!(told.contains("## `echo yes`") && told.contains("FAILED after 0 s"), "{told}");
        assert!(told.ends_with("1 passed, 1 failed, 0 skipped\n"), "{told}");
    }

    #[test]
    fn the_readme_has_commands_for_a_clone() {
        let text = std::fs::read_to_string(crate::root().join("README.md")).unwrap();
        let here = commands(&text).iter().filter(|line| Typist::of(line).on_a_clone()).count();
        assert!(here >= 3, "step 0, the demo and the tests: {here}");
    }
}
