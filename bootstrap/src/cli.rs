//! What can be typed.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::BoolishValueParser;
use etcetera::{BaseStrategy, choose_base_strategy};
use libp2p::Multiaddr;
use roommate_bootstrap::{Config, Identity};

const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("ROOMMATE_COMMIT"), ")\nwire: rooms 1");

/// The rendezvous point of Roommate: introduces peers to each other and carries no media.
#[derive(Debug, Parser)]
#[command(name = "roommate-bootstrap", version = VERSION)]
pub(crate) struct Cli {
    /// Where to listen: /ip4/A/udp/PORT/quic-v1 or /ip4/A/tcp/PORT, ip6 too (repeatable; default:
    /// every interface, port 4001, QUIC and TCP)
    #[arg(long, env = "ROOMMATE_LISTEN", value_name = "ADDR", value_delimiter = ',')]
    pub(crate) listen: Vec<Multiaddr>,
    /// Read the settings from a file (comes with a later version)
    #[arg(long, env = "ROOMMATE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the identity is kept (default: the platform's data folder)
    #[arg(long, env = "ROOMMATE_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Serve metrics (comes with a later version)
    #[arg(long, env = "ROOMMATE_METRICS", value_name = "ADDR")]
    pub(crate) metrics: Option<String>,
    /// One JSON object a second on standard output
    #[arg(long, env = "ROOMMATE_JSON", value_parser = BoolishValueParser::new())]
    pub(crate) json: bool,
    /// More log (-vv: still more); RUST_LOG overrides
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// How the program ends when it does not succeed.
#[derive(Debug)]
pub(crate) struct Fail {
    pub(crate) sentence: String,
    /// 1 failed, 2 usage.
    pub(crate) code: u8,
}

impl Fail {
    fn later(what: &str, instead: &str) -> Self {
        Self { sentence: format!("{what} is not in this version yet; {instead}"), code: 2 }
    }
}

impl From<roommate_bootstrap::Error> for Fail {
    fn from(error: roommate_bootstrap::Error) -> Self {
        let usage = matches!(error, roommate_bootstrap::Error::Address(_));
        Self { sentence: error.to_string(), code: if usage { 2 } else { 1 } }
    }
}

impl Cli {
    pub(crate) fn settings(&self) -> Result<Config, Fail> {
        if self.config.is_some() {
            return Err(Fail::later("--config", "give the settings as options or environment"));
        }
        if self.metrics.is_some() {
            return Err(Fail::later("--metrics", "--json prints the figures every second"));
        }
        let directory = match &self.data_dir {
            Some(directory) => directory.clone(),
            None => platform_folder()?,
        };
        let (listen, identity) = (self.listen.clone(), Identity::Kept(directory));
        Ok(Config { listen, identity, registry: Default::default() })
    }
}

fn platform_folder() -> Result<PathBuf, Fail> {
    match choose_base_strategy() {
        Ok(strategy) => Ok(strategy.data_dir().join("roommate-bootstrap")),
        Err(_) => Err(Fail {
            sentence: "no home folder is known: name a directory with --data-dir".into(),
            code: 1,
        }),
    }
}
