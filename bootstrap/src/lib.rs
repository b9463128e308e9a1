//! The rendezvous point of Roommate: it introduces peers to each other and carries no media.
//!
//! Library, so that a demonstration can embed it, and one binary. What it decides stands in
//! [`roommate_protocol::rooms::registry`]; here are sockets, streams and the key on disk. Whoever
//! runs one learns who (PeerId and IP address) is in which rotating room id, and nothing of what
//! the ids or the records mean.

mod config;
mod driver;
mod error;
mod identity;
mod listen;
mod stream;
mod swarm;

pub use config::{Config, Identity, default_listen};
pub use driver::{Running, Status, run};
pub use error::Error;
