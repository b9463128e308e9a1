//! The one build under all suites: `cargo test --workspace --no-run`, and what it made.
//!
//! The suites run these executables themselves: `cargo test -p one` would resolve features anew
//! for that package and build half of the tree a second time.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The programs that suites start as users would.
const PROGRAMS: [&str; 2] = ["roommate", "roommate-bootstrap"];

/// An executable full of tests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TestProgram {
    /// Folder of its package, relative to the workspace.
    pub(crate) package: String,
    /// Name of the target: of the library, or of the file in `tests/`.
    pub(crate) target: String,
    /// The file to run.
    pub(crate) executable: PathBuf,
}

/// Builds everything and names the test programs.
pub(crate) fn build(root: &Path) -> Result<Vec<TestProgram>, String> {
    let mut child = crate::cargo()
        .current_dir(root)
        .args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    let stdout = child.stdout.take().ok_or("cargo has no standard output")?;
    let (mut tests, mut programs) = (Vec::new(), Vec::new());
    for line in BufReader::new(stdout).lines() {
        match artifact(&line.map_err(|error| format!("cargo's output ends: {error}"))?, root) {
            Some(Artifact::Test(program)) => tests.push(program),
            Some(Artifact::Program(name)) => programs.push(name),
            None => {}
        }
    }
    let status = child.wait().map_err(|error| format!("cargo is lost: {error}"))?;
    if !status.success() {
        return Err("the build failed, so no suite was run".to_owned());
    }
    for needed in PROGRAMS {
        if !programs.iter().any(|name| name == needed) {
            return Err(format!(
                "cargo test --workspace did not build the program {needed}: its package needs an \
                 integration test, for which cargo builds it"
            ));
        }
    }
    Ok(tests)
}

enum Artifact {
    Test(TestProgram),
    Program(String),
}

fn artifact(line: &str, root: &Path) -> Option<Artifact> {
    if !line.starts_with(r#"{"reason":"compiler-artifact""#) {
        return None;
    }
    let executable = field(line, "executable")?;
    // Inside "target", whose first "name" is the target's.
    let target = field(line.split_once(r#""target":{"#)?.1, "name")?.to_owned();
    if !line.contains(r#""test":true},"features""#) {
        return Some(Artifact::Program(target));
    }
    let manifest = Path::new(field(line, "manifest_path")?);
    let folder = manifest.parent()?;
    Some(Artifact::Test(TestProgram {
        package: folder.strip_prefix(root).unwrap_or(folder).to_str()?.to_owned(),
        target,
        executable: executable.into(),
    }))
}

/// The text of the first field of that name. Paths with quotes or backslashes are not unescaped.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!(r#""{name}":""#))? + name.len() + 4;
    line[start..].split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/node#roommate@0.1.0","manifest_path":"/w/node/Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"cli","src_path":"/w/node/tests/cli.rs","edition":"2024","doc":false,"doctest":false,"test":true},"profile":{"opt_level":"0","debuginfo":1,"debug_assertions":true,"overflow_checks":true,"test":true},"features":["demo"],"filenames":["/w/target/debug/deps/cli-1"],"executable":"/w/target/debug/deps/cli-1","fresh":true}"#;

    #[test]
    fn a_test_program_is_known_by_its_package_and_target() {
        let Some(Artifact::Test(program)) = artifact(LINE, Path::new("/w")) else { panic!("none") };
        assert_eq!(program.package, "node");
        assert_eq!(program.target, "cli");
        assert_eq!(program.executable, Path::new("/w/target/debug/deps/cli-1"));
    }

    #[test]
    fn a_program_is_no_test_although_it_may_be_tested() {
        let line = LINE.replace(r#""test":true},"features""#, r#""test":false},"features""#);
        let Some(Artifact::Program(name)) = artifact(&line, Path::new("/w")) else {
            panic!("taken for a test");
        };
        assert_eq!(name, "cli");
    }

    #[test]
    fn libraries_and_messages_are_passed_over() {
        let library =
            LINE.replace(r#""executable":"/w/target/debug/deps/cli-1""#, r#""executable":null"#);
        assert!(artifact(&library, Path::new("/w")).is_none());
        assert!(
            artifact(r#"{"reason":"build-finished","success":true}"#, Path::new("/w")).is_none()
        );
    }
}
