//! README's commands that build, install or test, run as they stand there on a clean clone.
//!
//! The other commands of the README are run by the suite `e2e`, which has no minutes to build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Runs the commands, each in a shell of its own, and prints how long each took.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(root.join("README.md"))
        .map_err(|error| format!("README.md cannot be read: {error}"))?;
    let commands: Vec<_> = commands(&text).into_iter().filter(|line| builds(line)).collect();
    if commands.is_empty() {
        return Err("README.md has no command that builds, installs or tests".to_owned());
    }
    let place = Clone::of(root)?;
    for command in &commands {
        println!("$ {command}");
        let start = Instant::now();
        let status = Command::new("sh")
            .args(["-ec", command])
            .current_dir(&place.0)
            .env_remove("CARGO_TARGET_DIR")
            .env("CARGO_INSTALL_ROOT", place.0.join("target/installed"))
            .status()
            .map_err(|error| format!("sh does not start: {error}"))?;
        println!(
            "# {} in {} s",
            if status.success() { "done" } else { "FAILED" },
            start.elapsed().as_secs()
        );
        if !status.success() {
            return Err(format!("README's command failed with {status}: {command}"));
        }
    }
    println!("{} passed, 0 failed, 0 skipped", commands.len());
    Ok(())
}

/// The lines of all shell blocks, continued lines joined, comments left out.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let (mut inside, mut begun) = (false, String::new());
    for line in text.lines() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            inside = !inside && matches!(fence.trim(), "sh" | "bash" | "shell" | "console");
            continue;
        }
        let line = line.trim();
        if !inside || line.is_empty() || line.starts_with('#') {
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

fn builds(command: &str) -> bool {
    const STARTS: [&str; 5] = [
        "cargo build",
        "cargo install",
        "cargo test",
        "cargo xtask test",
        "cargo run --release -- demo",
    ];
    STARTS.iter().any(|start| command.starts_with(start))
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
    fn commands_stand_in_shell_blocks_and_may_be_continued() {
        let text = "cargo build\n```sh\n# first\ncargo build --release\n\n$ a \\\n  b\n```\n```json\n{}\n```\n```sh\nc\n```";
        assert_eq!(commands(text), ["cargo build --release", "a b", "c"]);
    }

    #[test]
    fn what_builds_installs_or_tests_is_run_here() {
        assert!(builds("cargo install --path node --locked"));
        assert!(builds("cargo xtask test"));
        assert!(!builds("cargo run --release -- publish LINK"));
        assert!(!builds("ffmpeg -i x"));
    }
}
