//! A pipe read on a thread of its own, so that whoever waits for bytes can be told to stop.
//!
//! The thread blocks in `read` and cannot be woken from there: it ends with the pipe, with the
//! process, or when what it read is not wanted any more. Bound: [`BYTES_MAX`] in at most
//! [`CHUNKS_MAX`] chunks; when they are full the pipe fills, and its writer waits.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use roommate_clock::Clock;
use roommate_protocol::time::Mono;

use super::source::SourceControl;

/// Most that is read at once.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// Most that is held.
const BYTES_MAX: usize = 8 * CHUNK_BYTES;

/// Chunks of few bytes cost more than they hold.
const CHUNKS_MAX: usize = 1_024;

/// What came next.
#[derive(Debug)]
pub(super) enum Read1 {
    /// Bytes, and when they came.
    Bytes(Vec<u8>, Mono),
    /// Nothing within the time that was given.
    Pause,
    /// The pipe has ended.
    End,
    /// The source was told to stop.
    Stopped,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<(Vec<u8>, Mono)>,
    bytes: usize,
    ended: bool,
    error: Option<io::Error>,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The reading end of a pipe.
#[derive(Debug)]
pub(super) struct PipeReader {
    shared: Arc<Shared>,
    /// The control that ends a wait knows of us.
    hooked: bool,
}

impl PipeReader {
    /// Begins to read; `first` has been read before.
    pub(super) fn start(
        mut from: Box<dyn Read + Send>,
        first: Vec<u8>,
        clock: Clock,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.add(first, clock.mono());
        let filled = Arc::clone(&shared);
        std::thread::Builder::new().name("pipe-reader".to_owned()).spawn(move || {
            let mut buffer = vec![0; CHUNK_BYTES];
            let error = loop {
                match from.read(&mut buffer) {
                    Ok(0) => break None,
                    Ok(length) => {
                        if !filled.add(buffer[..length].to_vec(), clock.mono()) {
                            return;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => break Some(error),
                }
            };
            let mut state = filled.lock();
            state.ended = true;
            state.error = error;
            filled.changed.notify_all();
        })?;
        Ok(Self { shared, hooked: false })
    }

    /// Waits for the next bytes; with `patience`, no longer than that. `control` is the source's own
    /// and always the same: when it is stopped, every wait ends, for good.
    pub(super) fn next(
        &mut self,
        control: &SourceControl,
        patience: Option<Duration>,
    ) -> io::Result<Read1> {
        if !std::mem::replace(&mut self.hooked, true) {
            let shared = Arc::clone(&self.shared);
            control.on_stop(move || shared.stop());
        }
        let until = patience.map(|patience| Instant::now() + patience);
        let mut state = self.shared.lock();
        loop {
            if state.stopped {
                return Ok(Read1::Stopped);
            }
            if let Some((bytes, at)) = state.chunks.pop_front() {
                state.bytes -= bytes.len();
                self.shared.changed.notify_all();
                return Ok(Read1::Bytes(bytes, at));
            }
            if state.ended {
                return state.error.take().map_or(Ok(Read1::End), Err);
            }
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Ok(Read1::Pause),
                Some(left) => match self.shared.changed.wait_timeout(state, left) {
                    Ok((state, _)) => state,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    // What is held is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Adds bytes as soon as there is room; false if nobody wants them.
    fn add(&self, bytes: Vec<u8>, at: Mono) -> bool {
        let mut state = self.lock();
        while !state.stopped
            && (state.chunks.len() >= CHUNKS_MAX || state.bytes + bytes.len() > BYTES_MAX)
            && !state.chunks.is_empty()
        {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes += bytes.len();
        if !bytes.is_empty() {
            state.chunks.push_back((bytes, at));
        }
        self.changed.notify_all();
        !state.stopped
    }
}
