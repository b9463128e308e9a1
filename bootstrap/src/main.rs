//! The program `roommate-bootstrap`: options in, one bootstrap, figures out, until it is told to end.

mod cli;
mod report;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use roommate_bootstrap::run;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Fail};
use crate::report::Report;

/// A second signal, or this, ends what a first one could not.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1_500);

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli.verbose);
    match serve(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fail { sentence, code }) => {
            note(&format!("error: {sentence}"));
            ExitCode::from(code)
        }
    }
}

async fn serve(cli: &Cli) -> Result<(), Fail> {
    let settings = cli.settings()?;
    // Before anything is open, so that a signal during the start ends in order as well.
    let mut end = Signals::new()?;
    let report = Report::new(cli.json);
    let mut running = run(settings).await?;
    report.listening(running.listen_addrs());
    note("roommate-bootstrap is listening; give nodes one of these with --bootstrap:");
    for address in running.listen_addrs() {
        note(&format!("  {address}"));
    }
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The first tick is now; the first second is not over yet.
    seconds.tick().await;
    loop {
        tokio::select! {
            _ = seconds.tick() => report.second(running.counts()),
            () = end.wait() => break,
            () = running.ended() => {
                let sentence = "the bootstrap stopped by a defect of its own; please report the log";
                return Err(Fail { sentence: sentence.into(), code: 1 });
            }
        }
    }
    let counts = running.counts();
    let _ = timeout(SHUTDOWN_TIMEOUT, running.shutdown()).await;
    report.summary(counts);
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Result<Self, Fail> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(no_signals);
        let interrupt = listen(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: listen(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Result<Self, Fail> {
        Ok(Self)
    }

    async fn wait(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without signals it runs until it is killed.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
fn no_signals(error: std::io::Error) -> Fail {
    Fail { sentence: format!("the system gives no signals to this program: {error}"), code: 1 }
}

fn log(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "info,roommate_bootstrap=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn note(text: &str) {
    // A closed standard error is no reason to end.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
