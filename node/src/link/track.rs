//! One track's cache, shared by whoever writes to it and whoever reads from it.
//!
//! The lock is short and never held across an await: under it only handles are copied, nothing is
//! hashed or verified. Every change raises the version once a batch; a `watch`, because a plain
//! notice loses the wake-up of whoever is not waiting yet.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::track::{Append, Appended, CutWhy, Lacking, Over};
use roommate_protocol::time::Mono;
use tokio::sync::watch;

/// A track in this node.
#[derive(Debug)]
pub struct SharedTrack {
    inner: Mutex<Inner>,
    version: watch::Sender<u64>,
    verified: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    cache: TrackCache,
    /// How many streams feed a group now. At most as many as there are reader tasks.
    feeders: BTreeMap<u64, u32>,
}

/// What was read for a track, over all parents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Records whose signature, and pieces whose hash, were right.
    pub verified: u64,
    /// Streams that broke a rule.
    pub refused: u64,
}

impl Default for SharedTrack {
    fn default() -> Self {
        Self::new()
    }
}

impl SharedTrack {
    /// An empty track.
    pub fn new() -> Self {
        Self {
            inner: Mutex::default(),
            version: watch::Sender::new(0),
            verified: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Looks at the cache under its lock. Copy handles, and nothing slower.
    pub fn look<T>(&self, look: impl FnOnce(&TrackCache) -> T) -> T {
        look(&self.lock().cache)
    }

    /// Appends a batch of verified things and tells once. Gives the first that was a gap or a
    /// conflict (what follows it is then not appended), else whether anything was new.
    pub fn append(&self, appends: &[Append], now: Mono) -> Appended {
        let mut outcome = Appended::Already;
        {
            let mut inner = self.lock();
            for append in appends {
                match inner.cache.append(append, now) {
                    Appended::Added => outcome = Appended::Added,
                    Appended::Already => {}
                    refused @ (Appended::Gap | Appended::Conflict) => {
                        outcome = refused;
                        break;
                    }
                }
            }
        }
        if !appends.is_empty() && outcome != Appended::Already {
            self.tell();
        }
        outcome
    }

    /// A stream begins to feed `group`.
    pub(super) fn begin_feeding(&self, group: u64) {
        *self.lock().feeders.entry(group).or_default() += 1;
    }

    /// It feeds it no more. With a reason, and if nobody else feeds the group, it is cut.
    pub(super) fn end_feeding(&self, group: u64, cut: Option<CutWhy>, now: Mono) {
        {
            let mut inner = self.lock();
            let others = inner.feeders.get(&group).map_or(0, |feeders| feeders.saturating_sub(1));
            if others > 0 {
                inner.feeders.insert(group, others);
                return;
            }
            inner.feeders.remove(&group);
            let Some(why) = cut else { return };
            inner.cache.cut(group, why, now);
        }
        self.tell();
    }

    /// The track is over.
    pub fn close(&self, over: Over, now: Mono) {
        self.lock().cache.close(over, now);
        self.tell();
    }

    /// What is lacking first, to be named when subscribing.
    pub fn lacking(&self) -> Option<Lacking> {
        self.look(TrackCache::lacking)
    }

    /// Changes with the cache. Mark it as seen *before* looking at the cache.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// What was read.
    pub fn reads(&self) -> Reads {
        Reads { verified: self.verified.load(Relaxed), refused: self.refused.load(Relaxed) }
    }

    pub(super) fn note_verified(&self, count: u64) {
        self.verified.fetch_add(count, Relaxed);
    }

    pub(super) fn note_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    fn tell(&self) {
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked under the lock left a cache in order: every append is whole or nothing.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The planted fault of the tests: a change that nobody is told of.
    #[cfg(test)]
    pub(super) fn append_untold(&self, appends: &[Append], now: Mono) {
        let mut inner = self.lock();
        for append in appends {
            inner.cache.append(append, now);
        }
    }
}
