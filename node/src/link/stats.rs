//! What one child was sent, for the JSON lines and for tests.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use roommate_protocol::media::pull::CursorCounts;
use tokio::sync::watch;

/// Written by the writer task of one child and track, read by anybody.
#[derive(Debug, Default)]
pub struct FeedStats {
    sent: AtomicU64,
    skipped: AtomicU64,
    reset: AtomicU64,
    reset_streams: AtomicU64,
    bytes: AtomicU64,
    writes: AtomicU64,
    max_write: AtomicU64,
    max_unsent: AtomicU64,
    over: watch::Sender<bool>,
}

/// A look at a [`FeedStats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedSnapshot {
    /// Access units wholly written.
    pub sent: u64,
    /// Access units of groups that were never begun for this child.
    pub skipped: u64,
    /// Access units not wholly written when their stream was reset.
    pub reset: u64,
    /// Streams reset.
    pub reset_streams: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Vectored writes.
    pub writes: u64,
    /// Bytes of the largest write.
    pub max_write: u64,
    /// The most bytes that were unsent on the connection when a write was made.
    pub max_unsent: u64,
}

impl FeedStats {
    /// All counts, each right for itself.
    pub fn snapshot(&self) -> FeedSnapshot {
        FeedSnapshot {
            sent: self.sent.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            reset: self.reset.load(Relaxed),
            reset_streams: self.reset_streams.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            writes: self.writes.load(Relaxed),
            max_write: self.max_write.load(Relaxed),
            max_unsent: self.max_unsent.load(Relaxed),
        }
    }

    /// Whether the writer has ended.
    pub fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Completes when the writer has ended; at once where it has.
    pub async fn ended(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    pub(super) fn set_counts(&self, counts: CursorCounts) {
        self.sent.store(counts.sent, Relaxed);
        self.skipped.store(counts.skipped, Relaxed);
        self.reset.store(counts.reset, Relaxed);
        self.reset_streams.store(counts.reset_streams, Relaxed);
        self.bytes.store(counts.bytes, Relaxed);
    }

    pub(super) fn note_write(&self, bytes: u64, unsent: u64) {
        self.writes.fetch_add(1, Relaxed);
        self.max_write.fetch_max(bytes, Relaxed);
        self.max_unsent.fetch_max(unsent, Relaxed);
    }

    pub(crate) fn set_over(&self) {
        self.over.send_replace(true);
    }
}
