//! What can go wrong below libp2p, in sentences.

use std::io;

/// Why a listener, a dial or a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node key cannot be used for TLS.
    #[error("no TLS certificate could be made for the node key: {0}")]
    Certificate(String),
    /// Only key kinds that libp2p can derive secrets from are usable.
    #[error("the node key is of a kind that no reset key can be derived from; use an Ed25519 key")]
    KeyKind,
    /// The socket could not be bound, or the list of interfaces could not be read.
    #[error("the UDP socket or the list of network interfaces failed: {0}")]
    Io(#[from] io::Error),
    /// quinn refused to begin the connection.
    #[error("the dial could not begin: {0}")]
    Connect(#[from] quinn::ConnectError),
    /// The handshake took too long.
    #[error("the QUIC handshake did not finish in time; is the peer's UDP port reachable?")]
    HandshakeTimeout,
    /// The connection ended.
    #[error("the QUIC connection ended: {0}")]
    Connection(#[from] quinn::ConnectionError),
    /// The peer did not prove a libp2p identity.
    #[error("the peer's certificate does not carry a libp2p identity: {0}")]
    Identity(String),
    /// Hole punching sends from a listen socket.
    #[error("hole punching needs a QUIC listener of the same address family; listen first")]
    PunchWithoutListener,
    /// One attempt per remote address.
    #[error("a hole is being punched to this address already")]
    PunchInProgress,
    /// The number of parallel attempts is bounded.
    #[error("too many holes are being punched at once; try again in a few seconds")]
    TooManyPunches,
    /// Nobody came through the hole.
    #[error("no connection came through the punched hole in time")]
    PunchTimeout,
}
