//! quinn's congestion controllers, watched.
//!
//! Decides nothing: every call goes to the controller inside, and what it tells goes to
//! [`Counters`]. No call into quinn from here, ever: these run under the connection's lock.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{BbrConfig, Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

use crate::config::Congestion;
use crate::counters::Counters;

/// Builds the controllers of one connection: one at first, one more for each change of path.
pub(crate) struct Factory {
    congestion: Congestion,
    counters: Arc<Counters>,
}

impl Factory {
    pub(crate) fn new(congestion: Congestion, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self { congestion, counters })
    }
}

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let inner = match self.congestion {
            Congestion::Bbr => Arc::new(BbrConfig::default()).build(now, current_mtu),
            Congestion::Cubic => Arc::new(CubicConfig::default()).build(now, current_mtu),
        };
        Box::new(Watched { inner, counters: self.counters.clone() })
    }
}

struct Watched {
    inner: Box<dyn Controller>,
    counters: Arc<Counters>,
}

impl Controller for Watched {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.inner.on_sent(now, bytes, last_packet_number);
        self.counters.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
        self.counters.on_acked(now, in_flight, app_limited);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.inner.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
        self.counters.on_lost(lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.inner.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { inner: self.inner.clone_box(), counters: self.counters.clone() })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self.inner.into_any()
    }
}
