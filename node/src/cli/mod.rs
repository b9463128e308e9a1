//! The command line: each command in a file of its own, and how all of them begin and end.

pub mod args;
#[cfg(feature = "demo")]
mod demo;
mod end;
mod fail;
mod outage;
mod outlets;
mod page;
mod peer;
mod people;
mod played;
mod publish;
mod publishing;
mod recordings;
mod room;
mod say;
mod session;
mod source;
mod time;
mod totals;
mod watch;
mod watch_line;
mod watching;

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use self::args::{Cli, Command};
use self::fail::Fail;

/// What `roommate` alone says.
const WHAT_THIS_IS: &str = "Roommate: live video rooms without a media server.

  roommate demo            see it work, on this machine alone
  roommate publish         go live: makes a room and prints its link
  roommate watch LINK      watch: a browser page opens and plays

`roommate --help` lists everything.";

/// Reads what was typed, does it, and says in one sentence why where it failed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let Some(command) = cli.command else {
        say::line(WHAT_THIS_IS);
        return ExitCode::SUCCESS;
    };
    start_log(&command);
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => {
            say::note(&format!("roommate: {}", fail.sentence));
            ExitCode::from(fail.code)
        }
    }
}

fn run(command: Command) -> Result<(), Fail> {
    match command {
        Command::Room(command) => room::run(command),
        Command::Publish(args) => block_on(publish::run(args)),
        Command::Watch(args) => block_on(watch::run(args)),
        #[cfg(feature = "demo")]
        Command::Demo(args) => block_on(demo::run(args)),
        #[cfg(not(feature = "demo"))]
        Command::Demo(_) => Err(Fail::usage("this build has no demo in it")),
        Command::Call(_) => Err(Fail::later("call")),
        Command::Forward(_) => Err(Fail::later("forward")),
        Command::Doctor(_) => Err(Fail::later("doctor")),
    }
}

/// Runs a command on a runtime of its own, which ends with it.
fn block_on(command: impl Future<Output = Result<(), Fail>>) -> Result<(), Fail> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("roommate-tasks")
        .build()
        .map_err(|error| Fail::new(format!("the system gives no threads: {error}")))?;
    let result = runtime.block_on(command);
    // Codec threads and stream tasks were ended by the command; nothing is waited for twice.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    result
}

fn start_log(command: &Command) {
    let verbose = match command {
        Command::Demo(args) => args.common.verbose,
        Command::Publish(args) => args.common.verbose,
        Command::Watch(args) => args.common.verbose,
        Command::Room(_) | Command::Call(_) | Command::Forward(_) | Command::Doctor(_) => 0,
    };
    let level = match verbose {
        0 => "warn",
        1 => "roommate=info,roommate_bootstrap=info,roommate_transport=info,warn",
        2 => "roommate=debug,roommate_bootstrap=debug,roommate_transport=debug,info",
        _ => "roommate=trace,debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A second call (several commands in one test process) keeps the first log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .try_init();
}
