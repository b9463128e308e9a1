//! What may be set, what is fixed, and why.
//!
//! `send_fairness` stays at quinn's default: switched off, a stream once begun is finished before
//! any of *higher* priority. The send window stays at quinn's 10 MB as well: the media gate, not
//! the window, keeps senders from writing ahead of the network. Datagrams are off: libp2p may
//! give them a framing of its own.

use std::sync::Arc;
use std::time::Duration;

use quinn::{TransportConfig, VarInt};

use crate::congestion::Factory;
use crate::counters::Counters;

/// What a first packet's loss costs is three of these: with quinn's 333 ms, a hole that opens
/// late costs a second.
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// The congestion controller of every connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// quinn's BBR: keeps its rate on lossy paths.
    #[default]
    Bbr,
    /// Better beside deep shared queues and where the round trip grows; collapses under loss.
    Cubic,
}

/// Settings of the transport; `Default` is what the product ships.
#[derive(Clone, Debug)]
pub struct Config {
    /// The congestion controller.
    pub congestion: Congestion,
    /// A connection on which nothing was heard for so long is over. Default 10 s.
    pub idle_timeout: Duration,
    /// A quiet connection sends something after so long. Default 3 s: three tries before the
    /// idle timeout, and below the 30 s after which the strictest NATs forget a mapping.
    pub keep_alive: Duration,
    /// Bound on every handshake, in both directions, and on a punch. Default 5 s.
    pub handshake_timeout: Duration,
    /// How long [`Native::open_uni`](crate::Native::open_uni) waits for the peer's credit; a
    /// stock peer never gives any. Default 2 s.
    pub open_timeout: Duration,
    /// Unidirectional streams that the peer may have open at once. Default 64: a track needs two
    /// or three (newest group, an older one, its end), and a peer is fed a few tracks.
    pub uni_streams: u32,
    /// Substreams that the peer may have open at once. Default 128: a control stream for each of
    /// 32 rooms, and what identify, ping and a DHT open meanwhile.
    pub substreams: u32,
    /// Bytes that may wait unread on one stream. Default 1 MiB: 40 Mbit/s at 200 ms, while one
    /// stream that nobody reads takes only a quarter of the connection's window.
    pub stream_window: u32,
    /// Bytes that may wait unread on a connection. Default 4 MiB: four full streams, and at most
    /// 1 GiB in the hands of 256 hostile peers.
    pub connection_window: u32,
    /// With more unfinished inbound handshakes than this, newcomers first prove their address
    /// (QUIC Retry: one more round trip, no state here). Default 32.
    pub retry_above: usize,
    /// With more unfinished inbound handshakes than this, newcomers are refused. Default 256.
    pub refuse_above: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            congestion: Congestion::default(),
            idle_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(3),
            handshake_timeout: Duration::from_secs(5),
            open_timeout: Duration::from_secs(2),
            uni_streams: 64,
            substreams: 128,
            stream_window: 1 << 20,
            connection_window: 4 << 20,
            retry_above: 32,
            refuse_above: 256,
        }
    }
}

impl Config {
    /// A transport configuration for one connection, whose controllers report to `counters`.
    ///
    /// One for each connection: quinn builds a new controller when a path changes, and it must
    /// go on counting in the same place.
    pub(crate) fn for_connection(&self, counters: &Arc<Counters>) -> Arc<TransportConfig> {
        let idle = u32::try_from(self.idle_timeout.as_millis()).unwrap_or(u32::MAX);
        let mut config = TransportConfig::default();
        config
            .max_concurrent_uni_streams(VarInt::from_u32(self.uni_streams))
            .max_concurrent_bidi_streams(VarInt::from_u32(self.substreams))
            .stream_receive_window(VarInt::from_u32(self.stream_window))
            .receive_window(VarInt::from_u32(self.connection_window))
            .max_idle_timeout(Some(VarInt::from_u32(idle).into()))
            .keep_alive_interval(Some(self.keep_alive))
            .initial_rtt(INITIAL_RTT)
            .datagram_receive_buffer_size(None)
            .allow_spin(false)
            .congestion_controller_factory(Factory::new(self.congestion, counters.clone()));
        Arc::new(config)
    }
}
