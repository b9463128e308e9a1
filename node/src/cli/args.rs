//! What can be typed. What a later version brings is accepted here and refused in one sentence by
//! the command, never ignored.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use libp2p::Multiaddr;

/// Brackets that the documentation would take for links.
const SOURCE_HELP: &str = "What to publish: test[:WxH[@FPS]][,KBITS][,gop=SECONDS][,nosound], \
     file:PATH (MP4, MPEG-TS, H.264 or y4m), or - for standard input (MPEG-TS, H.264 or y4m)";

/// Live video rooms without a media server.
#[derive(Debug, Parser)]
#[command(name = "roommate", version = crate::version::LONG, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do; nothing: say what this is.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show everything on this machine: a bootstrap, a publisher and viewers
    Demo(DemoArgs),
    /// Make rooms and links, look at them
    #[command(subcommand)]
    Room(RoomCommand),
    /// Go live; without LINK a room is made first and its link printed
    Publish(PublishArgs),
    /// Watch a room
    Watch(WatchArgs),
    /// Publish and watch in one (not in this version)
    Call(LaterArgs),
    /// Feed others without watching (not in this version)
    Forward(LaterArgs),
    /// Say what stands between this machine and a room (not in this version)
    Doctor(LaterArgs),
}

/// What every command accepts.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// Where keys are kept (default: the platform's data folder)
    #[arg(long, env = "ROOMMATE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Keep nothing, be nobody known
    #[arg(long, env = "ROOMMATE_EPHEMERAL", value_parser = on_or_off())]
    pub ephemeral: bool,
    /// The name shown to others (at most 64 bytes)
    #[arg(long, env = "ROOMMATE_NAME", value_name = "TEXT")]
    pub name: Option<String>,
    /// A bootstrap node, as it prints itself (repeatable)
    #[arg(long, env = "ROOMMATE_BOOTSTRAP", value_name = "ADDR", value_delimiter = ',')]
    pub bootstrap: Vec<Multiaddr>,
    /// Where to listen (repeatable; default: a port of its own on every interface, QUIC)
    #[arg(long, env = "ROOMMATE_LISTEN", value_name = "ADDR", value_delimiter = ',')]
    pub listen: Vec<Multiaddr>,
    /// Do not look for members on the local network (this version never does)
    #[arg(long, env = "ROOMMATE_NO_MDNS", value_parser = on_or_off())]
    pub no_mdns: bool,
    /// Ask the router for an open port by UPnP (not in this version)
    #[arg(long, env = "ROOMMATE_PORT_MAPPING", value_parser = on_or_off())]
    pub port_mapping: bool,
    /// Where the viewer page is served: this machine alone unless you name its address on a network
    #[arg(long, env = "ROOMMATE_VIEWER", value_name = "ADDR")]
    pub viewer: Option<SocketAddr>,
    /// More log (-vv: still more); RUST_LOG overrides
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// `roommate demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// End after this many seconds from the first access unit
    #[arg(long, env = "ROOMMATE_SECONDS", value_name = "N")]
    pub seconds: Option<f64>,
    /// How many viewers
    #[arg(long, env = "ROOMMATE_VIEWERS", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub viewers: u16,
    /// What to publish
    #[arg(long, env = "ROOMMATE_SOURCE", value_name = "S", help = SOURCE_HELP)]
    pub source: Option<String>,
    /// Write one JSON object for each access unit, one file a node
    #[arg(long, env = "ROOMMATE_TRACE", value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// One JSON object a second on standard output
    #[arg(long, env = "ROOMMATE_JSON", value_parser = on_or_off())]
    pub json: bool,
    /// Do not open the page in a browser
    #[arg(long, env = "ROOMMATE_NO_OPEN", value_parser = on_or_off())]
    pub no_open: bool,
    /// What every command accepts
    #[command(flatten)]
    pub common: Common,
}

/// `roommate room …`
#[derive(Debug, Subcommand)]
pub enum RoomCommand {
    /// Make a room and print its link
    Create(RoomCreateArgs),
    /// Say what a link holds
    Show(RoomShowArgs),
    /// Make a narrower link (not in this version)
    Invite(LaterArgs),
    /// List who is in the room (not in this version)
    Members(LaterArgs),
    /// Remove somebody (not in this version)
    Kick(LaterArgs),
    /// Close the room (not in this version)
    Close(LaterArgs),
}

/// `roommate room create`
#[derive(Debug, Args)]
pub struct RoomCreateArgs {
    /// What people call the room (at most 64 bytes; not in the link)
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// When the link, and everyone who came by it, ends: 90m, 12h, an RFC 3339 time or never
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub open_until: String,
    /// What whoever comes by the link may do (repeatable; default: view, forward, publish)
    #[arg(long, value_name = "R")]
    pub role: Vec<String>,
    /// One JSON object on standard output
    #[arg(long, env = "ROOMMATE_JSON", value_parser = on_or_off())]
    pub json: bool,
    /// What every command accepts
    #[command(flatten)]
    pub common: Common,
}

/// `roommate room show`
#[derive(Debug, Args)]
pub struct RoomShowArgs {
    /// The link
    pub link: String,
    /// One JSON object on standard output
    #[arg(long, env = "ROOMMATE_JSON", value_parser = on_or_off())]
    pub json: bool,
    /// What every command accepts
    #[command(flatten)]
    pub common: Common,
}

/// `roommate publish`
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The link of the room; without it a room is made
    pub link: Option<String>,
    /// What to publish
    #[arg(long, env = "ROOMMATE_SOURCE", value_name = "S", help = SOURCE_HELP)]
    pub source: Option<String>,
    /// Begin a file again when it ends
    #[arg(long = "loop", env = "ROOMMATE_LOOP", value_parser = on_or_off())]
    pub repeat: bool,
    /// Write one JSON object for each access unit
    #[arg(long, env = "ROOMMATE_TRACE", value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// End after this many seconds from the first access unit
    #[arg(long, env = "ROOMMATE_SECONDS", value_name = "N")]
    pub seconds: Option<f64>,
    /// One JSON object a second on standard output
    #[arg(long, env = "ROOMMATE_JSON", value_parser = on_or_off())]
    pub json: bool,
    /// What every command accepts
    #[command(flatten)]
    pub common: Common,
}

/// `roommate watch`
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The link of the room
    pub link: String,
    /// Watch this publisher only: a peer id, any end of it or a name that means nobody else (without
    /// it, --out takes whoever was announced first)
    #[arg(long, value_name = "PEER")]
    pub peer: Option<String>,
    /// Ask this member to feed us (not in this version)
    #[arg(long, value_name = "PEER")]
    pub parent: Option<String>,
    /// Record one broadcast into this file; -: write it to standard output as MPEG-TS, for a player
    /// (each implies --no-open)
    #[arg(long, env = "ROOMMATE_OUT", value_name = "FILE.mp4|-")]
    pub out: Option<PathBuf>,
    /// Record every publisher into a file of its own in this folder, which is made if it is not
    /// there (implies --no-open)
    #[arg(long, env = "ROOMMATE_RECORD", value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// How late a picture may be before a newer group replaces it, in milliseconds
    #[arg(long, env = "ROOMMATE_LATENCY", value_name = "MS", default_value_t = 300,
          value_parser = clap::value_parser!(u32).range(20..=60_000))]
    pub latency: u32,
    /// With --out: stay when the last broadcast has ended
    #[arg(long, env = "ROOMMATE_WAIT", value_parser = on_or_off())]
    pub wait: bool,
    /// Do not open the page in a browser
    #[arg(long, env = "ROOMMATE_NO_OPEN", value_parser = on_or_off())]
    pub no_open: bool,
    /// Write one JSON object for each access unit
    #[arg(long, env = "ROOMMATE_TRACE", value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// End after this many seconds from the start
    #[arg(long, env = "ROOMMATE_SECONDS", value_name = "N")]
    pub seconds: Option<f64>,
    /// One JSON object a second on standard output
    #[arg(long, env = "ROOMMATE_JSON", value_parser = on_or_off())]
    pub json: bool,
    /// What every command accepts
    #[command(flatten)]
    pub common: Common,
}

/// A command that a later version brings: whatever is typed behind it, it is refused in words.
#[derive(Debug, Args)]
pub struct LaterArgs {
    /// Whatever was typed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub rest: Vec<String>,
}

/// A flag in the environment: `1`, `true`, `yes` and `on`, or their opposites.
fn on_or_off() -> BoolishValueParser {
    BoolishValueParser::new()
}

/// `seconds` as a duration; `None` where it is not a positive number of at most ten years.
pub fn seconds(seconds: f64) -> Option<Duration> {
    (seconds > 0.0 && seconds < 3.2e8).then(|| Duration::from_secs_f64(seconds))
}
