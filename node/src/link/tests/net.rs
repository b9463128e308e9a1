//! A fake connection: streams with priorities, a rate, stalls drawn from a seed, and the counters
//! that the gate looks at. Watches what a writer must never do.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use roommate_protocol::limits::{UNSENT_BYTES_MAX, WRITE_BYTES_MAX};
use roommate_protocol::media::gate::Sending;
use roommate_protocol::time::{Mono, Now, Wall};
use roommate_protocol::wire::code::StreamCode;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};
use tokio::time::Instant;

use super::hand::{Arrival, FakeRecv};
use crate::link::sink::{GateView, MediaSink, MediaSource, RecvError, SendHalf, SinkError, Time};

/// Faults that a test plants to see itself fail.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// The network never tells that it has sent something.
    pub(super) no_gate_notice: bool,
    /// A stream that takes bytes again does not wake its writer.
    pub(super) no_writable: bool,
    /// The counters always say that nothing is unsent.
    pub(super) gate_lies: bool,
    /// A write that says `Pending` has taken some bytes.
    pub(super) takes_and_waits: bool,
}

/// How good the network is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quality {
    pub(super) bytes_per_ms: usize,
    /// Of 100 looks at a stream, how often it takes nothing for a while.
    pub(super) stalls_percent: u64,
    pub(super) faults: Faults,
}

#[derive(Debug)]
struct Stream {
    priority: i32,
    buffer: Vec<u8>,
    finished: bool,
    stalled_until: Instant,
    waker: Option<Waker>,
    stopped: Option<u64>,
    out: mpsc::UnboundedSender<Arrival>,
}

#[derive(Debug)]
struct State {
    seed: u64,
    streams: BTreeMap<u64, Stream>,
    opened: u64,
    written: u64,
    sent: u64,
    frozen: bool,
    last_ack: Instant,
    /// What a writer did that it must not.
    offences: Vec<String>,
    resets: Vec<(u64, StreamCode)>,
    finished: Vec<u64>,
    /// The streams whose bytes left, in order, and whether a newer one's were waiting then.
    left: Vec<(u64, bool)>,
    /// The most by which the counters said too much unsent, and too little.
    misjudged: (u64, u64),
}

#[derive(Clone, Debug)]
pub(super) struct Net {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    start: Instant,
    quality: Quality,
    incoming: mpsc::UnboundedSender<FakeRecv>,
    accepting: Arc<AsyncMutex<mpsc::UnboundedReceiver<FakeRecv>>>,
}

impl Net {
    pub(super) fn new(seed: u64, quality: Quality) -> Self {
        let now = Instant::now();
        let (incoming, accepting) = mpsc::unbounded_channel();
        let state = State {
            seed: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            streams: BTreeMap::new(),
            opened: 0,
            written: 0,
            sent: 0,
            frozen: false,
            last_ack: now,
            offences: Vec::new(),
            resets: Vec::new(),
            finished: Vec::new(),
            left: Vec::new(),
            misjudged: (0, 0),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            changed: Arc::default(),
            start: now,
            quality,
            incoming,
            accepting: Arc::new(AsyncMutex::new(accepting)),
        }
    }

    /// Carries bytes for ever, a millisecond at a time.
    pub(super) async fn run(self) {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.step();
        }
    }

    fn step(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        if state.frozen {
            return;
        }
        let held: u64 = state.streams.values().map(|stream| stream.buffer.len() as u64).sum();
        let unsent = state.written.saturating_sub(state.sent);
        state.misjudged.0 = state.misjudged.0.max(unsent.saturating_sub(held));
        state.misjudged.1 = state.misjudged.1.max(held.saturating_sub(unsent));
        let mut budget = self.quality.bytes_per_ms;
        while budget > 0 {
            let urgent = |(number, stream): &(&u64, &mut Stream)| {
                (stream.priority, std::cmp::Reverse(**number))
            };
            let waiting = state.streams.iter_mut().filter(|(_, s)| !s.buffer.is_empty());
            let Some((number, stream)) = waiting.max_by_key(urgent) else { break };
            let taken = stream.buffer.len().min(budget).min(1200);
            let data: Vec<u8> = stream.buffer.drain(..taken).collect();
            let _ = stream.out.send(Arrival::Data(data.into()));
            let number = *number;
            let mut newer = state.streams.range(number + 1..);
            let overtook = newer.any(|(_, newer)| !newer.buffer.is_empty());
            budget -= taken;
            state.sent += taken as u64;
            state.left.push((number, overtook));
        }
        if budget > 0 {
            // It has run dry: everything that was not reset has been sent.
            state.sent = state.written;
        }
        state.last_ack = now;
        let no_writable = self.quality.faults.no_writable;
        state.streams.retain(|_, stream| {
            if now >= stream.stalled_until
                && let Some(waker) = stream.waker.take()
                && !no_writable
            {
                waker.wake();
            }
            let over = stream.finished && stream.buffer.is_empty();
            if over {
                let _ = stream.out.send(Arrival::Fin);
            }
            !over
        });
        drop(state);
        if !self.quality.faults.no_gate_notice {
            self.changed.notify_waiters();
        }
    }

    /// The far side stops: nothing is taken, nothing acknowledged.
    pub(super) fn freeze(&self, frozen: bool) {
        self.lock().frozen = frozen;
    }

    /// The far side stops every open stream.
    pub(super) fn stop_all(&self, code: StreamCode) {
        for stream in self.lock().streams.values_mut() {
            stream.stopped = Some(code.code().into());
            if let Some(waker) = stream.waker.take() {
                waker.wake();
            }
        }
    }

    pub(super) fn offences(&self) -> Vec<String> {
        self.lock().offences.clone()
    }

    pub(super) fn resets(&self) -> Vec<(u64, StreamCode)> {
        self.lock().resets.clone()
    }

    pub(super) fn finished(&self) -> Vec<u64> {
        self.lock().finished.clone()
    }

    pub(super) fn left(&self) -> Vec<(u64, bool)> {
        self.lock().left.clone()
    }

    pub(super) fn misjudged(&self) -> (u64, u64) {
        self.lock().misjudged
    }

    pub(super) fn written(&self) -> u64 {
        self.lock().written
    }

    pub(super) fn opened(&self) -> u64 {
        self.lock().opened
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// A number below `below`, from the seed.
    fn draw(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }
}

impl MediaSink for Net {
    type Half = FakeSend;

    fn open(&self) -> impl Future<Output = Result<FakeSend, SinkError>> + Send + 'static {
        let net = self.clone();
        async move {
            let wait = net.lock().draw(4);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let mut state = net.lock();
            let number = state.opened;
            state.opened += 1;
            let (out, arrivals) = mpsc::unbounded_channel();
            let stream = Stream {
                priority: 0,
                buffer: Vec::new(),
                finished: false,
                stalled_until: Instant::now(),
                waker: None,
                stopped: None,
                out,
            };
            state.streams.insert(number, stream);
            let _ = net.incoming.send(FakeRecv { arrivals });
            drop(state);
            Ok(FakeSend { net, number, over: false })
        }
    }
}

#[derive(Debug)]
pub(super) struct FakeSend {
    net: Net,
    number: u64,
    over: bool,
}

impl SendHalf for FakeSend {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<usize, SinkError>> {
        let Quality { stalls_percent, faults, .. } = self.net.quality;
        let now = Instant::now();
        let mut state = self.net.lock();
        let all: Vec<u8> = chunks.concat();
        if all.len() > WRITE_BYTES_MAX || all.is_empty() {
            state.offences.push(format!("a write of {} bytes", all.len()));
        }
        let unsent = state.written.saturating_sub(state.sent);
        if unsent >= UNSENT_BYTES_MAX as u64 {
            state.offences.push(format!("a write while {unsent} bytes were unsent"));
        }
        let (stalls, pause) = (state.draw(100) < stalls_percent, 1 + state.draw(8));
        let portion = 1 + state.draw(all.len() as u64) as usize;
        let Some(stream) = state.streams.get_mut(&self.number) else {
            return Poll::Ready(Err(SinkError::Closed));
        };
        if let Some(code) = stream.stopped {
            return Poll::Ready(Err(SinkError::Stopped(code)));
        }
        if stalls && now >= stream.stalled_until {
            stream.stalled_until = now + Duration::from_millis(pause);
        }
        if now < stream.stalled_until {
            stream.waker = Some(cx.waker().clone());
            if faults.takes_and_waits {
                stream.buffer.extend(&all[..portion]);
                state.written += portion as u64;
            }
            return Poll::Pending;
        }
        stream.buffer.extend(&all[..portion]);
        state.written += portion as u64;
        Poll::Ready(Ok(portion))
    }

    fn set_priority(&mut self, priority: i32) {
        if let Some(stream) = self.net.lock().streams.get_mut(&self.number) {
            stream.priority = priority;
        }
    }

    fn reset(&mut self, code: StreamCode) {
        self.over = true;
        let mut state = self.net.lock();
        if let Some(stream) = state.streams.remove(&self.number) {
            let _ = stream.out.send(Arrival::Reset(code));
            state.resets.push((self.number, code));
        }
    }

    fn finish(&mut self) {
        self.over = true;
        let mut state = self.net.lock();
        state.finished.push(self.number);
        if let Some(stream) = state.streams.get_mut(&self.number) {
            stream.finished = true;
        }
    }
}

impl Drop for FakeSend {
    fn drop(&mut self) {
        if !self.over {
            self.reset(StreamCode::Cancelled);
        }
    }
}

impl GateView for Net {
    fn sending(&self) -> Sending {
        let state = self.lock();
        let sent = if self.quality.faults.gate_lies { state.written } else { state.sent };
        Sending {
            written: state.written,
            sent,
            in_flight: if state.frozen { 1 } else { 0 },
            last_ack_age: state.last_ack.elapsed(),
        }
    }

    fn notified(&self) -> impl Future<Output = ()> + Send {
        self.changed.notified()
    }

    fn take_back(&self, bytes: u64) {
        let mut state = self.lock();
        state.written = state.written.saturating_sub(bytes).max(state.sent);
    }
}

impl Time for Net {
    fn now(&self) -> Now {
        let micros = self.start.elapsed().as_micros() as u64;
        Now { mono: Mono::from_micros(micros), wall: Wall::from_micros(micros as i64) }
    }
}

impl MediaSource for Net {
    type Half = FakeRecv;

    async fn accept(&self) -> Result<FakeRecv, RecvError> {
        self.accepting.lock().await.recv().await.ok_or(RecvError::Closed)
    }
}
