//! Bytes from a pipe, read on a thread of their own, with the moment at which they came.
//!
//! A read from a pipe cannot be woken, so whoever must be able to stop does not read itself. Bound:
//! [`CHUNKS_MAX`] chunks of [`CHUNK_BYTES`]; when they lie unread the pipe fills and its writer
//! waits. The thread ends at the end of the pipe, or at its first read after the feed is gone.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use roommate_clock::Clock;
use roommate_protocol::time::Mono;

use super::source::{Sleeper, SourceControl};

/// The most that is read at once: what a pipe of Linux holds.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that may lie unread.
const CHUNKS_MAX: usize = 8;

/// What a pipe brings next.
#[derive(Debug)]
pub(super) enum Fed {
    /// Bytes, at least one, and when they came.
    Bytes(Vec<u8>, Mono),
    /// Nothing came for as long as the asker had patience.
    Pause,
    /// The pipe was closed.
    End,
    /// The pipe broke.
    Failed(io::Error),
    /// The source was told to stop.
    Stopped,
}

/// A pipe that is being read.
#[derive(Debug)]
pub(super) struct Feed {
    shared: Arc<Shared>,
    known_to_control: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<(Vec<u8>, Mono)>,
    end: Option<io::Result<()>>,
    abandoned: bool,
}

impl Feed {
    /// Begins to read. `first` is what somebody has read off the pipe already, to tell its kind.
    pub(super) fn start(
        first: Vec<u8>,
        pipe: impl Read + Send + 'static,
        clock: Clock,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        if !first.is_empty() {
            shared.lock().chunks.push_back((first, clock.mono()));
        }
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("source-pipe".to_owned())
            .spawn(move || theirs.read_all(pipe, clock))?;
        Ok(Self { shared, known_to_control: false })
    }

    /// Waits for what comes next, at most for `patience` where there is one.
    pub(super) fn next(&mut self, control: &SourceControl, patience: Option<Duration>) -> Fed {
        if !self.known_to_control {
            self.known_to_control = true;
            let sleeper: Arc<dyn Sleeper> = Arc::clone(&self.shared) as _;
            control.wake_too(Arc::downgrade(&sleeper));
        }
        let until = patience.map(|patience| Instant::now() + patience);
        let mut state = self.shared.lock();
        loop {
            if control.is_stopped() {
                return Fed::Stopped;
            }
            if let Some((bytes, at)) = state.chunks.pop_front() {
                self.shared.changed.notify_all();
                return Fed::Bytes(bytes, at);
            }
            match state.end.take() {
                Some(Ok(())) => {
                    state.end = Some(Ok(()));
                    return Fed::End;
                }
                Some(Err(error)) => {
                    state.end = Some(Ok(()));
                    return Fed::Failed(error);
                }
                None => {}
            }
            state = match until {
                None => self.shared.wait(state),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Fed::Pause;
                    }
                    match self.shared.changed.wait_timeout(state, left) {
                        Ok((guard, _)) => guard,
                        Err(poisoned) => poisoned.into_inner().0,
                    }
                }
            };
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.lock().abandoned = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn read_all(&self, mut pipe: impl Read, clock: Clock) {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let end = match pipe.read(&mut buffer) {
                Ok(0) => Ok(()),
                Ok(count) => {
                    if self.hand_over((buffer[..count].to_vec(), clock.mono())) {
                        continue;
                    }
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            self.lock().end = Some(end);
            self.changed.notify_all();
            return;
        }
    }

    /// Waits for room; false when nobody wants it any more.
    fn hand_over(&self, chunk: (Vec<u8>, Mono)) -> bool {
        let mut state = self.lock();
        while state.chunks.len() >= CHUNKS_MAX && !state.abandoned {
            state = self.wait(state);
        }
        if state.abandoned {
            return false;
        }
        state.chunks.push_back(chunk);
        self.changed.notify_all();
        true
    }

    // What a panic elsewhere leaves behind is whole: each change of the state is one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sleeper for Shared {
    fn wake(&self) {
        // Whoever is between its look at the control and its sleep holds the lock.
        drop(self.lock());
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe on which nothing ever comes, until its other end is dropped.
    struct Silent(std::sync::mpsc::Receiver<()>);

    impl Read for Silent {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(0)
        }
    }

    fn silent() -> (std::sync::mpsc::Sender<()>, Feed) {
        let (end, pipe) = std::sync::mpsc::channel();
        (end, Feed::start(Vec::new(), Silent(pipe), Clock::new()).unwrap())
    }

    #[test]
    fn one_that_waits_on_a_silent_pipe_wakes_when_it_is_stopped() {
        let (_end, mut feed) = silent();
        let control = SourceControl::new();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| feed.next(&control, None));
            control.stop();
            assert!(matches!(waiting.join().unwrap(), Fed::Stopped));
        });
    }

    #[test]
    fn patience_ends_and_so_does_the_pipe() {
        let (end, mut feed) = silent();
        let control = SourceControl::new();
        assert!(matches!(feed.next(&control, Some(Duration::from_millis(1))), Fed::Pause));
        drop(end);
        assert!(matches!(feed.next(&control, None), Fed::End));
        assert!(matches!(feed.next(&control, None), Fed::End));
    }

    #[test]
    fn a_feed_that_nobody_takes_from_holds_no_more_than_its_bound() {
        struct Endless(Arc<Mutex<usize>>, std::sync::mpsc::Sender<()>);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                *self.0.lock().unwrap() += 1;
                let _ = self.1.send(());
                buffer.fill(7);
                Ok(buffer.len())
            }
        }
        let (told, reads) = std::sync::mpsc::channel();
        let count = Arc::new(Mutex::new(0));
        let endless = Endless(Arc::clone(&count), told);
        let mut feed = Feed::start(vec![1], endless, Clock::new()).unwrap();
        // `first` is one of the chunks, and one more is in the reader's hand.
        for _ in 0..CHUNKS_MAX {
            reads.recv().unwrap();
        }
        assert_eq!(*count.lock().unwrap(), CHUNKS_MAX);
        let control = SourceControl::new();
        assert!(matches!(feed.next(&control, None), Fed::Bytes(bytes, _) if bytes == [1]));
        drop(feed);
        assert!(reads.iter().count() <= 2, "the thread ends");
    }
}
