//! The queue of frames to one peer, bounded by bytes: a newcomer's first news are many small frames,
//! and a peer that does not read must not hold more than [`WAITING_BYTES_MAX`].

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Bytes that wait to be written to one peer. The news of a full room are less; a peer that is this
/// far behind does not read.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// Frames that wait: a full room's goodbyes and announcements, each a frame of its own.
const WAITING_FRAMES_MAX: usize = 4096;

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The peer does not read.
    Full,
    /// The stream has ended.
    Closed,
}

/// Where frames for one stream are put. Dropped, the stream ends once they are written.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    frames: mpsc::Sender<Bytes>,
    bytes: Arc<AtomicUsize>,
}

/// Where the stream's task takes them from.
#[derive(Debug)]
pub(crate) struct Waiting {
    frames: mpsc::Receiver<Bytes>,
    bytes: Arc<AtomicUsize>,
}

/// An empty queue.
pub(crate) fn queue() -> (Outgoing, Waiting) {
    let (sender, receiver) = mpsc::channel(WAITING_FRAMES_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Outgoing { frames: sender, bytes: bytes.clone() }, Waiting { frames: receiver, bytes })
}

impl Outgoing {
    /// Puts a frame behind those that wait.
    pub(crate) fn put(&self, frame: Bytes) -> Result<(), NotTaken> {
        let length = frame.len();
        // Counted first: the task may have written it before we come back.
        if self.bytes.fetch_add(length, Relaxed) + length > WAITING_BYTES_MAX {
            self.bytes.fetch_sub(length, Relaxed);
            return Err(NotTaken::Full);
        }
        self.frames.try_send(frame).map_err(|error| {
            self.bytes.fetch_sub(length, Relaxed);
            match error {
                TrySendError::Full(_) => NotTaken::Full,
                TrySendError::Closed(_) => NotTaken::Closed,
            }
        })
    }
}

impl Waiting {
    /// The next frame; `None` when there will be no more. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let frame = self.frames.recv().await?;
        self.bytes.fetch_sub(frame.len(), Relaxed);
        Some(frame)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_small_frames_fit_and_too_many_bytes_do_not() {
        let (out, mut waiting) = queue();
        for _ in 0..2_000 {
            assert_eq!(out.put(Bytes::from_static(&[0; 200])), Ok(()));
        }
        let large = Bytes::from(vec![0; 64 * 1024]);
        let taken = (0..100).take_while(|_| out.put(large.clone()).is_ok()).count();
        assert!((8..16).contains(&taken), "{taken}");
        assert_eq!(out.put(large.clone()), Err(NotTaken::Full));
        while !waiting.is_empty() {
            assert!(waiting.next().await.is_some());
        }
        assert_eq!(out.put(large.clone()), Ok(()), "what was written no longer counts");
        drop(waiting);
        assert_eq!(out.put(large), Err(NotTaken::Closed));
    }
}
