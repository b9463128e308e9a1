//! Why a bootstrap could not start, in sentences.

use std::io;
use std::path::PathBuf;

use libp2p::Multiaddr;

/// Why a bootstrap could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else has the port.
    #[error("another program already listens on {0}: stop it, or name another port with --listen")]
    PortTaken(Multiaddr),
    /// The system refused for another reason.
    #[error("cannot listen on {address}: {why}; name another address with --listen")]
    Listen {
        /// Where.
        address: Multiaddr,
        /// What the system said.
        why: String,
    },
    /// No address of this kind can be listened on.
    #[error(
        "{0} is no address to listen on: write /ip4/A/udp/PORT/quic-v1 or /ip4/A/tcp/PORT (or ip6)"
    )]
    Address(Multiaddr),
    /// Nothing is reachable: no interface has an address.
    #[error("no network interface has an address to listen on")]
    NoInterface,
    /// The key cannot be kept.
    #[error(
        "the identity cannot be kept in {path} ({source}): name a directory that can be written \
         with --data-dir"
    )]
    DataDir {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key file holds something else.
    #[error("the file {0} is damaged: put its backup there, or move it away to get a new identity")]
    Damaged(PathBuf),
    /// TLS or noise could not use the key, or the system gave no randomness.
    #[error("the bootstrap's key cannot be used: {0}")]
    Key(String),
}
