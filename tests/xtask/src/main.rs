//! Developer commands: `cargo xtask COMMAND`. No dependencies, so that on a fresh machine it runs
//! within seconds and can install what the first real build needs.
#![allow(clippy::print_stdout, reason = "the figures of the suites are this program's output")]

mod build;
mod counts;
mod figures;
mod readme;
mod setup;
mod suites;
mod transcript;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test [SUITE]... [-- FILTER...]   suites: unit sim e2e browser; none named: all
cargo xtask setup                            installs what the suites need, or says what to install
cargo xtask readme [--only WORD]             runs README's build, install and test commands on a clean clone;
                                             all of them: writes docs/readme-run.md";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.split_first() {
        Some((&"test", rest)) => test(rest),
        Some((&"setup", [])) => setup::run(&suites::Suite::ALL),
        Some((&"readme", [])) => readme::run(&root(), ""),
        Some((&"readme", &["--only", word])) => readme::run(&root(), word),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("xtask: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn test(args: &[&str]) -> Result<(), String> {
    let (names, filter) = match args.iter().position(|arg| *arg == "--") {
        Some(at) => (&args[..at], &args[at + 1..]),
        None => (args, &[][..]),
    };
    let suites = suites::parse(names)?;
    setup::run(&suites)?;
    let strict = std::env::var_os("CI").is_some_and(|value| value == "true");
    suites::run(&root(), &suites, filter, strict)
}

/// The workspace this program was started in.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.ancestors().nth(2).map_or_else(|| package.clone(), PathBuf::from)
}

/// The cargo that started us, so that a toolchain override holds for everything below.
fn cargo() -> std::process::Command {
    std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
