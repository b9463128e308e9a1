//! A track into its sinks: access units in order, counted, traced, recorded and shown.
//!
//! One task a track; it holds no picture longer than it takes to hand it on. No sink is waited for:
//! the page skips, and the recorder's queue is bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roommate_protocol::media::clock::ClockView;
use roommate_protocol::media::reorder::{Ordered, ReadyUnit, Reorder};
use roommate_protocol::media::track::Over;
use roommate_protocol::time::Mono;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::percentile::Percentiles;
use crate::trace::{Place, Trace};
use crate::track::Subscription;
use roommate_clock::Clock;
use roommate_media::ViewUnit;

/// Takes access units without waiting.
pub trait Sink: Send {
    /// The next one, in order.
    fn take(&mut self, unit: &ViewUnit);
}

/// Access units that wait to be counted: the open group of a late joiner, and then some. The clock is
/// known within a round trip; without one the oldest are never counted.
const UNCOUNTED_MAX: usize = 4096;

/// An error of the broadcast's clock that no latency would show.
const SETTLED_US: u64 = 2_000;

/// How long a clock that is worse is waited for; on a path of long round trips it stays so.
const SETTLE_WAIT: Duration = Duration::from_millis(1_500);

/// What was received so far.
#[derive(Debug, Default)]
pub struct WatchStats {
    /// Access units complete, verified and in order.
    pub received: u64,
    /// Those captured before the subscription was accepted.
    pub caught_up: u64,
    /// Access units missing between the first and the last.
    pub gaps: u64,
    /// Times that no next picture was ready for more than 250 ms beyond its time.
    pub stalls: u64,
    /// For how long in all.
    pub stalled: Duration,
    /// Bytes received.
    pub bytes: u64,
    /// When the first picture was ready.
    pub first_picture: Option<Mono>,
    /// When the first one was ready within the latency budget.
    pub live: Option<Mono>,
    /// Capture to ready, in milliseconds, by the broadcast's clock; without those caught up.
    pub latency_ms: Percentiles,
    /// The broadcast's clock, with the largest error with which a latency was measured.
    pub clock: Option<ClockView>,
    /// Why nothing more comes.
    pub over: Option<Over>,
}

/// A track being played. Dropped, it stops.
pub struct Player {
    stats: Arc<Mutex<WatchStats>>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// What a player is made of.
pub struct PlayerConfig {
    /// What is played.
    pub subscription: Subscription,
    /// How late a picture may be before a newer group replaces it.
    pub latency: Duration,
    /// The node's clock.
    pub clock: Clock,
    /// One line an access unit.
    pub trace: Option<Arc<Mutex<Trace>>>,
    /// Where the access units go.
    pub sinks: Vec<Box<dyn Sink>>,
}

impl Player {
    /// Starts to play.
    pub fn start(config: PlayerConfig) -> Self {
        let stats = Arc::new(Mutex::new(WatchStats::default()));
        let stop = CancellationToken::new();
        let reorder = Reorder::new(config.latency);
        let uncounted = VecDeque::new();
        let work = Work { reorder, uncounted, clock_since: None, config, stats: stats.clone() };
        let task = Some(tokio::spawn(work.run(stop.clone())));
        Self { stats, stop, task }
    }

    /// What was received so far.
    pub fn stats(&self) -> MutexGuard<'_, WatchStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.stats().over.is_some()
    }

    /// Takes what is there, and ends.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Work {
    reorder: Reorder,
    uncounted: VecDeque<Uncounted>,
    /// Since when the broadcast's clock is known.
    clock_since: Option<Mono>,
    config: PlayerConfig,
    stats: Arc<Mutex<WatchStats>>,
}

impl Work {
    async fn run(mut self, stop: CancellationToken) {
        let track = self.config.subscription.track.clone();
        let mut changes = track.changes();
        loop {
            changes.mark_unchanged();
            let last = stop.is_cancelled();
            let over = self.take_ready(last);
            if over.is_some() || last {
                break;
            }
            let wait = self
                .reorder
                .poll_timeout()
                .map_or(Duration::from_millis(500), |(at, _)| at.since(self.config.clock.mono()));
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
        if let Some(trace) = &self.config.trace {
            trace.lock().unwrap_or_else(PoisonError::into_inner).flush();
        }
    }

    /// Everything that is ready, to every sink; `Some` once nothing more will come.
    fn take_ready(&mut self, last: bool) -> Option<Over> {
        let track = self.config.subscription.track.clone();
        let over = loop {
            let now = self.config.clock.mono();
            // One access unit a turn: the cache is not locked while sinks work.
            match track.look(|cache| self.reorder.pull(cache, now)) {
                Ordered::Ready(unit) => self.take(&unit),
                Ordered::Wait => break None,
                Ordered::Ended(over) => break Some(over),
            }
        };
        let now = self.config.clock.mono();
        let (counts, stalls) = (self.reorder.counts(), self.reorder.stalls(now));
        let stats = self.stats.clone();
        let mut stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
        self.count(&mut stats, last || over.is_some());
        stats.received = counts.received;
        stats.gaps = counts.gaps;
        if stats.over.is_none() {
            stats.stalls = stalls.count;
            stats.stalled = stalls.time;
        }
        stats.over = over;
        over
    }

    /// Hands an access unit to the sinks, and keeps what is to be counted of it.
    fn take(&mut self, ready: &ReadyUnit) {
        let unit = ready.access_unit();
        let ready_us = self.config.subscription.clock.view().map_or(0, |v| v.at(ready.ready_at));
        if self.uncounted.len() == UNCOUNTED_MAX {
            self.uncounted.pop_front();
        }
        self.uncounted.push_back(Uncounted {
            place: Place {
                track: self.config.subscription.key.track.0,
                group: ready.group,
                seq: ready.seq,
            },
            captured_us: unit.captured_us,
            bytes: unit.data.len(),
            ready_at: ready.ready_at,
        });
        let unit = ViewUnit {
            seq: ready.seq,
            group: ready.group,
            pts: unit.pts,
            decode_offset: unit.decode_offset,
            captured_us: unit.captured_us,
            ready_us,
            keyframe: unit.keyframe,
            data: unit.data,
        };
        for sink in &mut self.config.sinks {
            sink.take(&unit);
        }
    }

    /// Counts what was taken, as soon as our admission is known and the broadcast's clock has
    /// settled: the first pictures may overtake both, and the first look at that clock falls into
    /// the busiest moment. `last`: nothing more will come, and it is now or never.
    fn count(&mut self, stats: &mut WatchStats, last: bool) {
        let clock = &self.config.subscription.clock;
        let (Some(view), Some(admitted)) = (clock.view(), clock.admitted_at()) else { return };
        let now = self.config.clock.mono();
        let waited = now.since(*self.clock_since.get_or_insert(now));
        if view.error_us > SETTLED_US && waited < SETTLE_WAIT && !last {
            return;
        }
        // Beside the latencies stands the largest error with which any of them was measured.
        let worst = stats.clock.map_or(0, |told| told.error_us);
        stats.clock = Some(ClockView { error_us: view.error_us.max(worst), ..view });
        for unit in self.uncounted.drain(..) {
            let ready_us = view.at(unit.ready_at);
            let latency_us = ready_us.saturating_sub(unit.captured_us);
            stats.bytes += unit.bytes as u64;
            stats.first_picture.get_or_insert(unit.ready_at);
            if unit.captured_us < view.at(admitted) {
                stats.caught_up += 1;
            } else {
                stats.latency_ms.add(latency_us as f64 / 1000.0);
            }
            if u128::try_from(latency_us).unwrap_or(0) <= self.config.latency.as_micros() {
                stats.live.get_or_insert(unit.ready_at);
            }
            if let Some(trace) = &self.config.trace {
                let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
                trace.received(unit.place, unit.captured_us, unit.bytes, ready_us);
            }
        }
    }
}

/// What is counted of an access unit once the clock is known.
struct Uncounted {
    place: Place,
    captured_us: i64,
    bytes: usize,
    ready_at: Mono,
}
