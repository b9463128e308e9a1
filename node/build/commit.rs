//! Tells a program its commit, as `ROOMMATE_COMMIT` at compile time. A part of the build scripts of
//! `node` and `bootstrap`, which take it in by its path.
//!
//! Why here: it must run while each of the two is built. A crate of its own would be a dependency
//! and a row in every picture for fifteen lines, and as a constant of a crate below both it would
//! have that crate and all above it built anew at each commit. Outside git it says `unknown`.

use std::process::Command;

pub(crate) fn tell() {
    // The reflog changes with every commit and checkout, also in a linked worktree.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    println!("cargo:rustc-env=ROOMMATE_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
