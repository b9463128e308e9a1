//! Which test belongs to which suite, and how a suite is run and counted.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::build::{self, TestProgram};
use crate::counts::Counts;
use crate::setup::is_root;

/// The module of those tests that lay network namespaces under programs, which only root may.
const NEEDS_ROOT: &str = "lab::";

/// A group of tests that are run and counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Packages one by one, their examples in the documentation included.
    Unit,
    /// The virtual world.
    Sim,
    /// Real programs on real sockets.
    E2e,
    /// The viewer page in a real browser.
    Browser,
}

impl Suite {
    pub(crate) const ALL: [Self; 4] = [Self::Unit, Self::Sim, Self::E2e, Self::Browser];

    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Sim => "sim",
            Self::E2e => "e2e",
            Self::Browser => "browser",
        }
    }

    /// The suite of a test program. A package that nobody assigned is an error, never forgotten.
    fn of(program: &TestProgram) -> Option<Self> {
        match (program.package.as_str(), program.target.as_str()) {
            ("tests/e2e", "browser") => Some(Self::Browser),
            ("tests/e2e", _) => Some(Self::E2e),
            ("tests/sim", _) => Some(Self::Sim),
            (
                "protocol" | "node" | "node/clock" | "node/media" | "node/transport" | "bootstrap"
                | "android-jni" | "tests/xtask",
                _,
            ) => Some(Self::Unit),
            _ => None,
        }
    }

    /// Tests at once; none: as many as there are cores. Real nodes measure time: those that would
    /// measure each other wait for each other, and the rest is never more than two.
    fn threads(self) -> Option<&'static str> {
        match self {
            Self::Unit | Self::Sim => None,
            Self::E2e => Some("2"),
            Self::Browser => Some("1"),
        }
    }
}

/// The suites of these names, all if there are none.
pub(crate) fn parse(names: &[&str]) -> Result<Vec<Suite>, String> {
    if names.is_empty() {
        return Ok(Suite::ALL.to_vec());
    }
    let known = |name: &&str| {
        Suite::ALL.into_iter().find(|suite| suite.name() == *name).ok_or_else(|| {
            let all = Suite::ALL.map(Suite::name).join(" ");
            format!("there is no suite {name}: there are {all}")
        })
    };
    names.iter().map(known).collect()
}

/// Builds once, runs the suites in turn, and says how each ended.
pub(crate) fn run(
    root: &Path,
    suites: &[Suite],
    filter: &[&str],
    strict: bool,
) -> Result<(), String> {
    let start = Instant::now();
    let programs = build::build(root)?;
    let built = start.elapsed().as_secs();
    println!("== build: {built} s");
    if let Some(stray) = programs.iter().find(|program| Suite::of(program).is_none()) {
        return Err(format!(
            "no suite runs the tests of {}: give that package one in tests/xtask/src/suites.rs",
            stray.package
        ));
    }
    let (mut red, mut told) = (Vec::new(), Vec::new());
    for &suite in suites {
        let start = Instant::now();
        println!("== suite {}", suite.name());
        let mut counts = Counts::default();
        for program in programs.iter().filter(|program| Suite::of(program) == Some(suite)) {
            let start = Instant::now();
            println!("-- {} {}", program.package, program.target);
            let mut command = test_command(root, suite, program, filter);
            if !is_root() {
                counts.skipped += leave_out(test_command(root, suite, program, filter))?;
                command.args(["--skip", NEEDS_ROOT]);
            }
            counts += run_counted(command)?;
            println!("-- {:.1} s", start.elapsed().as_secs_f64());
        }
        if suite == Suite::Unit && filter.is_empty() {
            println!("-- examples in the documentation");
            let mut command = crate::cargo();
            command.current_dir(root).args(["test", "--quiet", "--workspace", "--doc"]);
            counts += run_counted(command)?;
        }
        let took = start.elapsed().as_secs();
        println!("== suite {}: {took} s", suite.name());
        println!("{counts}");
        told.push(format!("{:8} {took:5} s  {counts}", suite.name()));
        if !counts.green(strict, !filter.is_empty()) {
            red.push(suite.name());
        }
    }
    println!("== all suites, after a build of {built} s");
    told.iter().for_each(|line| println!("{line}"));
    if red.is_empty() { Ok(()) } else { Err(format!("not green: {}", red.join(", "))) }
}

fn test_command(root: &Path, suite: Suite, program: &TestProgram, filter: &[&str]) -> Command {
    let folder = root.join(&program.package);
    let mut command = Command::new(&program.executable);
    command.env("CARGO_MANIFEST_DIR", &folder).current_dir(folder).args(filter);
    if let Some(threads) = suite.threads() {
        command.args(["--test-threads", threads]);
    }
    command
}

/// How many of the tests of `command` need root, and says so where there are any.
fn leave_out(mut command: Command) -> Result<u64, String> {
    let listed = command.args(["--list", "--format", "terse"]).output();
    let listed = listed.map_err(|error| format!("a test program does not start: {error}"))?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let count = listed.lines().filter(|line| line.contains(NEEDS_ROOT)).count();
    if count > 0 {
        println!(
            "-- skipped: {count} tests of network namespaces and file systems of their own, which \
             need root"
        );
    }
    Ok(count as u64)
}

/// Runs to the end, passing the output on as it comes.
fn run_counted(mut command: Command) -> Result<Counts, String> {
    let program = command.get_program().display().to_string();
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program} does not start: {error}"))?;
    let stdout = child.stdout.take().ok_or("a test program has no standard output")?;
    let mut counts = Counts::default();
    let mut told = false;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.map_err(|error| format!("the output of {program} ends: {error}"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(more) = Counts::parse(&line) {
            counts += more;
            told = true;
        }
    }
    let status = child.wait().map_err(|error| format!("{program} is lost: {error}"))?;
    // No tests at all is a result line too; documentation tests of nothing print none.
    if !status.success() && counts.failed == 0 {
        println!("{program} ended with {status}{}", if told { "" } else { " and no result" });
        counts += Counts::CRASH;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(package: &str, target: &str) -> TestProgram {
        TestProgram { package: package.into(), target: target.into(), executable: "x".into() }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn every_package_has_its_suite_and_a_new_one_is_noticed() {
        assert_eq!(Suite::of(&program("tests/e2e", "browser")), Some(Suite::Browser));
        assert_eq!(Suite::of(&program("tests/e2e", "e2e")), Some(Suite::E2e));
        assert_eq!(Suite::of(&program("node/transport", "stock")), Some(Suite::Unit));
        assert_eq!(Suite::of(&program("tests/new", "new")), None);
    }

    #[test]
    fn every_member_of_the_workspace_has_a_suite() {
        let manifest = std::fs::read_to_string(crate::root().join("Cargo.toml")).unwrap();
        let members = manifest.split_once("\nmembers = [").unwrap().1.split_once(']').unwrap().0;
        for member in members.split(',').map(str::trim).filter(|member| !member.is_empty()) {
            let member = member.trim_matches('"');
            assert!(Suite::of(&program(member, "x")).is_some(), "{member} has no suite");
        }
    }

    #[test]
    fn an_unknown_suite_is_named_in_the_answer() {
        assert_eq!(parse(&[]).unwrap().len(), Suite::ALL.len());
        assert_eq!(parse(&["sim", "unit"]).unwrap(), [Suite::Sim, Suite::Unit]);
        assert!(parse(&["nat"]).unwrap_err().contains("no suite nat"));
    }

    #[test]
    fn results_of_a_program_are_added_up() {
        let said = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured";
        let counts = run_counted(shell(&format!("echo '{said}'; echo '{said}'"))).unwrap();
        assert_eq!(counts, Counts { passed: 4, failed: 0, skipped: 2 });
    }

    #[test]
    fn what_needs_root_is_counted_by_its_module() {
        let listed = "printf 'lab::slow::one: test\\nlife::two: test\\nlab::tests::three: test\\n'";
        assert_eq!(leave_out(shell(listed)).unwrap(), 2);
        assert_eq!(leave_out(shell("echo 'life::two: test'")).unwrap(), 0);
    }

    #[test]
    fn a_program_that_dies_without_a_result_counts_as_failed() {
        assert_eq!(run_counted(shell("kill -9 $$")).unwrap(), Counts::CRASH);
        let said = "test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured";
        let counts = run_counted(shell(&format!("echo '{said}'; exit 101"))).unwrap();
        assert_eq!(counts, Counts { passed: 2, failed: 3, skipped: 0 });
    }
}
