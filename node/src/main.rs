//! The program `roommate`: reads what was typed, does it, and ends with one exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    roommate::cli::main()
}
