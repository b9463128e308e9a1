//! When a command ends: by a signal, by `--seconds`, or by itself.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use super::fail::Fail;

/// Tells every part of a command that the person wants it to end.
pub(super) struct Signals(watch::Receiver<bool>);

impl Signals {
    /// Listens for Ctrl-C and SIGTERM from now on.
    pub(super) fn listen() -> Result<Self, Fail> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Fail::new)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Fail::new)?;
        let (tell, told) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tell.send_replace(true);
            // The second one is for whoever cannot wait for the two seconds.
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(1);
        });
        Ok(Self(told))
    }

    /// Waits for the first signal.
    pub(super) async fn wait(&mut self) {
        if self.0.wait_for(|told| *told).await.is_err() {
            std::future::pending().await
        }
    }
}

/// `--seconds`, counted from when it is begun.
#[derive(Debug)]
pub(super) struct Countdown {
    length: Option<Duration>,
    end: Option<Instant>,
}

impl Countdown {
    /// Not begun; `None` never ends.
    pub(super) fn new(seconds: Option<f64>) -> Result<Self, Fail> {
        let length =
            match seconds {
                Some(number) => Some(super::args::seconds(number).ok_or_else(|| {
                    Fail::usage(format!("--seconds {number} is no length of time"))
                })?),
                None => None,
            };
        Ok(Self { length, end: None })
    }

    /// Counts from now on; later calls change nothing.
    pub(super) fn begin(&mut self) {
        if self.end.is_none() {
            self.end = self.length.map(|length| Instant::now() + length);
        }
    }

    /// Waits for the end; for ever where there is none yet.
    pub(super) async fn wait(&self) {
        match self.end {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    }
}
