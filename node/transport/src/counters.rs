//! How much of what was written to a connection has left it.
//!
//! quinn does not tell, but a congestion controller sees every packet leave, arrive or vanish.
//! The controllers of one connection (there is a new one after each change of path) report here.
//! They run under the connection's lock: this file only touches atomics and one [`Notify`].

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What a packet carries beside stream data: header, connection id, frame headers, AEAD tag.
const PACKET_OVERHEAD: u64 = 40;
/// The size that lost bytes are divided by to guess how many packets they were.
const FULL_PACKET: u64 = 1452;
/// No packet number yet.
const NONE: u64 = u64::MAX;

/// The counters of one connection, in bytes of stream data where nothing else is said;
/// `written() - sent()` is the data that quinn holds and has not sent. An estimate, made exact each
/// time the connection runs dry.
#[derive(Debug)]
pub struct Counters {
    written: AtomicU64,
    sent: AtomicU64,
    /// `written` when the last packet left.
    noted: AtomicU64,
    in_flight: AtomicU64,
    lost: AtomicU64,
    last_packet: AtomicU64,
    /// Microseconds after `start`: the last acknowledgement, or the moment when data was put in
    /// flight with none there before, whichever is later.
    heard: AtomicU64,
    start: Instant,
    waiting: AtomicBool,
    changed: Notify,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            written: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            noted: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            last_packet: AtomicU64::new(NONE),
            heard: AtomicU64::new(0),
            start: Instant::now(),
            waiting: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// Tells that `bytes` are about to be written to a stream of this connection.
    ///
    /// Whoever writes to a stream from [`Native::open_uni`](crate::Native::open_uni) calls this
    /// before the write, and [`take_back`](Self::take_back) for what the write did not take. A
    /// substream tells it by itself, after the write and of what was taken: what leaves in between is
    /// counted as sent when the connection runs dry.
    pub fn add_written(&self, bytes: u64) {
        self.written.fetch_add(bytes, SeqCst);
    }

    /// Takes back what [`add_written`](Self::add_written) announced and nobody will send: the
    /// part of a write that was not accepted, or of a stream that was reset.
    pub fn take_back(&self, bytes: u64) {
        let _ = self.written.fetch_update(SeqCst, SeqCst, |w| Some(w.saturating_sub(bytes)));
        // Nothing else may come after it that would wake whoever waits in `dry`.
        if self.is_dry() {
            self.poke();
        }
    }

    /// Bytes written to all streams so far, without those that were taken back.
    pub fn written(&self) -> u64 {
        self.written.load(SeqCst)
    }

    /// Of the bytes written, those that have left; bytes to be sent again count as not sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(SeqCst).min(self.written())
    }

    /// Bytes sent and neither acknowledged nor given up; packet headers are included as of the last
    /// acknowledgement, and not in what was sent since.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// Bytes lost on the way so far, packet headers included.
    pub fn lost_bytes(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// How long the peer has been silent: the time since its last acknowledgement, or since data
    /// was sent into an idle connection, or since the beginning, whichever is least.
    pub fn last_ack_age(&self) -> Duration {
        let at = Duration::from_micros(self.heard.load(Relaxed));
        self.start.elapsed().saturating_sub(at)
    }

    /// Whether everything that was written has left and arrived.
    pub fn is_dry(&self) -> bool {
        self.sent() >= self.written() && self.in_flight() == 0
    }

    /// Completes when everything that was written has left and arrived; at once where that is so.
    /// On a connection that is lost it may never complete.
    pub async fn dry(&self) {
        loop {
            let changed = self.notified();
            if self.is_dry() {
                return;
            }
            changed.await;
        }
    }

    /// Completes at the next packet that leaves, at the next acknowledgement, and when
    /// [`take_back`](Self::take_back) leaves nothing to be sent: whatever may let more be written. A
    /// loss lets nothing be written, and completes nothing.
    ///
    /// Take it *before* looking at the counters, then look, then await it: no change is missed,
    /// and any number of tasks may wait.
    pub fn notified(&self) -> Notified<'_> {
        let notified = self.changed.notified();
        self.waiting.store(true, SeqCst);
        notified
    }

    fn stamp(&self, now: Instant) -> u64 {
        let micros = now.saturating_duration_since(self.start).as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX)
    }

    fn poke(&self) {
        if self.waiting.swap(false, SeqCst) {
            self.changed.notify_waiters();
        }
    }

    /// Packets up to number `last_packet` left, `bytes` in all.
    pub(crate) fn on_sent(&self, now: Instant, bytes: u64, last_packet: u64) {
        self.noted.store(self.written(), SeqCst);
        let before = self.last_packet.swap(last_packet, Relaxed);
        // Each packet number space starts again at 0: then all that is known is "at least one".
        let packets = if before == NONE { 1 } else { last_packet.saturating_sub(before).max(1) };
        let data = bytes.saturating_sub(packets.saturating_mul(PACKET_OVERHEAD));
        let sent = self.sent.load(SeqCst);
        let after = sent.saturating_add(data).min(self.written()).max(sent);
        self.sent.store(after, SeqCst);
        // Acknowledgements alone are not in flight, and they never make `sent` pass `written`:
        // what it gained is what the peer will acknowledge.
        let gained = after - sent;
        if gained > 0 && self.in_flight.fetch_add(gained, Relaxed) == 0 {
            self.heard.store(self.stamp(now), Relaxed);
        }
        self.poke();
    }

    /// Packets were found lost: their data has to be sent again.
    pub(crate) fn on_lost(&self, bytes: u64) {
        if bytes == 0 {
            return; // only a congestion mark
        }
        self.lost.fetch_add(bytes, Relaxed);
        let data = bytes.saturating_sub(bytes.div_ceil(FULL_PACKET) * PACKET_OVERHEAD);
        self.sent.store(self.sent.load(SeqCst).saturating_sub(data), SeqCst);
        self.in_flight.store(self.in_flight().saturating_sub(bytes), Relaxed);
    }

    /// A batch of acknowledgements is done. `dry`: quinn had nothing more to send when it last looked,
    /// which is when the last packet left. What was written after that is still to be sent.
    pub(crate) fn on_acked(&self, now: Instant, in_flight: u64, dry: bool) {
        self.in_flight.store(in_flight, Relaxed);
        self.heard.store(self.stamp(now), Relaxed);
        if dry {
            self.sent.store(self.noted.load(SeqCst).min(self.written()), SeqCst);
        }
        self.poke();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};

    use super::*;

    fn at(counters: &Counters, millis: u64) -> Instant {
        counters.start + Duration::from_millis(millis)
    }

    #[test]
    fn what_leaves_counts_as_sent_and_never_more_than_was_written() {
        let c = Counters::new();
        c.on_sent(at(&c, 0), 1200, 0); // handshake: nothing was written
        assert_eq!((c.sent(), c.in_flight()), (0, 0));
        c.add_written(10_000);
        c.on_sent(at(&c, 1), 5 * 1200, 5);
        assert_eq!(c.sent(), 5 * (1200 - PACKET_OVERHEAD));
        c.on_sent(at(&c, 2), 20 * 1200, 25);
        assert_eq!(c.sent(), 10_000);
    }

    #[test]
    fn losses_become_unsent_and_running_dry_makes_it_exact() {
        let c = Counters::new();
        c.add_written(4000);
        c.on_sent(at(&c, 0), 3 * 1200, 2);
        let sent = c.sent();
        c.on_lost(1200);
        assert_eq!(c.sent(), sent - (1200 - PACKET_OVERHEAD));
        assert_eq!(c.lost_bytes(), 1200);
        c.on_lost(0);
        assert_eq!(c.lost_bytes(), 1200);
        c.on_acked(at(&c, 3), 0, true);
        assert_eq!((c.sent(), c.in_flight()), (4000, 0));
    }

    #[test]
    fn what_was_written_since_the_last_packet_is_not_taken_for_sent() {
        let c = Counters::new();
        c.add_written(4000);
        c.on_sent(at(&c, 0), 4 * 1200, 3);
        c.add_written(8192);
        // quinn had nothing more when it last looked, before the second write.
        c.on_acked(at(&c, 1), 0, true);
        assert_eq!((c.written(), c.sent()), (12_192, 4000));
        c.on_sent(at(&c, 2), 8 * 1200, 11);
        c.on_acked(at(&c, 3), 0, true);
        assert!(c.is_dry());
    }

    #[test]
    fn a_peer_that_only_receives_owes_nothing() {
        let c = Counters::new();
        for n in 0..1000 {
            c.on_sent(at(&c, n), 60, n); // acknowledgements of ours
        }
        assert_eq!((c.in_flight(), c.heard.load(Relaxed)), (0, 0));
    }

    #[test]
    fn the_wait_for_an_acknowledgement_starts_with_the_first_data_after_silence() {
        let c = Counters::new();
        c.add_written(100);
        c.on_sent(at(&c, 0), 140, 0);
        c.on_acked(at(&c, 50), 0, true);
        c.add_written(100);
        c.on_sent(at(&c, 9000), 140, 1);
        assert_eq!(c.heard.load(Relaxed), 9_000_000);
        c.add_written(100);
        c.on_sent(at(&c, 9500), 140, 2);
        assert_eq!(c.heard.load(Relaxed), 9_000_000);
    }

    #[test]
    fn what_was_taken_back_is_not_waited_for() {
        let c = Counters::new();
        c.add_written(500);
        c.take_back(400);
        assert_eq!(c.written(), 100);
        c.take_back(400);
        assert_eq!((c.written(), c.sent()), (0, 0));
    }

    #[test]
    fn dry_is_told_when_the_last_byte_has_arrived_and_not_before() {
        #[derive(Default)]
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, SeqCst);
            }
        }
        let c = Counters::new();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(pin!(c.dry()).poll(&mut cx).is_ready(), "nothing was written");

        c.add_written(2000);
        let mut dry = pin!(c.dry());
        // Polled only when it was woken, as a runtime does it.
        let mut look = |first: bool| {
            (first || woken.0.swap(false, SeqCst)) && dry.as_mut().poll(&mut cx).is_ready()
        };
        assert!(!look(true));
        c.on_sent(at(&c, 1), 1200, 0);
        assert!(!look(false), "a part has not left");
        c.take_back(2000 - c.sent());
        assert!(!look(false), "what has left is on its way");
        c.on_acked(at(&c, 2), 0, true);
        assert!(look(false));

        c.add_written(100);
        let mut dry = pin!(c.dry());
        assert!(dry.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        c.take_back(100);
        assert!(woken.0.load(SeqCst), "nobody else would wake it");
        assert!(dry.poll(&mut Context::from_waker(&waker)).is_ready());
    }

    #[tokio::test]
    async fn every_waiter_hears_of_a_change_after_it_began_to_wait() {
        let c = Counters::new();
        let (first, second) = (c.notified(), c.notified());
        c.add_written(1);
        c.on_sent(at(&c, 0), 41, 0);
        first.await;
        second.await;
    }
}
