//! The QUIC connection under a libp2p connection, for whoever writes or reads native streams.
//!
//! A clone of the handle does not keep the connection open: it ends with its muxer, that is with
//! the libp2p connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{ConnectionError, ConnectionStats, RecvStream, SendStream, VarInt};

use crate::counters::Counters;

/// Why a native stream was not to be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NativeError {
    /// The peer grants no (more) unidirectional streams.
    #[error("the peer granted no unidirectional stream in time; it may not be a Roommate node")]
    NoCredit,
    /// The connection is over.
    #[error("the connection ended: {0}")]
    Closed(#[from] ConnectionError),
    /// TLS gave no keying material.
    #[error("the TLS session exports no keying material")]
    Exporter,
}

/// A handle on one QUIC connection. Cheap to clone.
#[derive(Clone)]
pub struct Native {
    connection: quinn::Connection,
    counters: Arc<Counters>,
    open_timeout: Duration,
}

impl Native {
    pub(crate) fn new(
        connection: quinn::Connection,
        counters: Arc<Counters>,
        open_timeout: Duration,
    ) -> Self {
        Self { connection, counters, open_timeout }
    }

    pub(crate) fn connection(&self) -> &quinn::Connection {
        &self.connection
    }

    /// Opens a unidirectional stream, waiting at most [`Config::open_timeout`] for the peer's
    /// credit. Set its priority before the first write (zero or below), and tell
    /// [`Counters::add_written`] of every write.
    ///
    /// [`Config::open_timeout`]: crate::Config::open_timeout
    pub async fn open_uni(&self) -> Result<SendStream, NativeError> {
        match tokio::time::timeout(self.open_timeout, self.connection.open_uni()).await {
            Ok(opened) => Ok(opened?),
            Err(_) => Err(NativeError::NoCredit),
        }
    }

    /// The next unidirectional stream of the peer. Its data counts against a window that it
    /// shares with libp2p's substreams: read it or stop it.
    pub async fn accept_uni(&self) -> Result<RecvStream, NativeError> {
        Ok(self.connection.accept_uni().await?)
    }

    /// Sixteen bytes of keying material: equal on both sides, different for each connection and
    /// `label`, known to nobody else (RFC 5705).
    pub fn exporter(&self, label: &[u8]) -> Result<[u8; 16], NativeError> {
        let mut out = [0; 16];
        self.connection
            .export_keying_material(&mut out, label, b"")
            .map_err(|_| NativeError::Exporter)?;
        Ok(out)
    }

    /// quinn's statistics of the connection and its path.
    pub fn stats(&self) -> ConnectionStats {
        self.connection.stats()
    }

    /// Where the peer is now; it may move.
    pub fn remote_address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// Closes the connection at once; the peer sees `code` and `reason`.
    pub fn close(&self, code: u32, reason: &[u8]) {
        self.connection.close(VarInt::from_u32(code), reason);
    }

    /// Completes when the connection is over, with the reason.
    pub async fn closed(&self) -> ConnectionError {
        self.connection.closed().await
    }

    /// The counters that the media gate asks.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").field("remote", &self.remote_address()).finish_non_exhaustive()
    }
}
