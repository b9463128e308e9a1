//! Stub.

use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::track::{Append, Lacking, Over};
use roommate_protocol::time::Mono;
use std::sync::Mutex;
use tokio::sync::watch;

/// Stub.
#[derive(Debug)]
pub struct SharedTrack {
    cache: Mutex<TrackCache>,
    version: watch::Sender<u64>,
}
/// Stub.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reads {
    /// x
    pub verified: u64,
    /// x
    pub refused: u64,
}
/// Stub.
#[derive(Debug, Default)]
pub struct FeedStats;
/// Stub.
#[derive(Debug, Default)]
pub struct FeedSnapshot {
    /// x
    pub sent: u64,
    /// x
    pub skipped: u64,
    /// x
    pub reset: u64,
    /// x
    pub max_write: u64,
    /// x
    pub max_unsent: u64,
}
impl FeedStats {
    /// x
    pub fn snapshot(&self) -> FeedSnapshot {
        FeedSnapshot::default()
    }
    /// x
    pub fn is_over(&self) -> bool {
        true
    }
}
impl SharedTrack {
    /// x
    pub fn new() -> Self {
        Self { cache: Mutex::new(TrackCache::new()), version: watch::Sender::new(0) }
    }
    /// x
    pub fn look<T>(&self, f: impl FnOnce(&TrackCache) -> T) -> T {
        f(&self.cache.lock().unwrap())
    }
    /// x
    pub fn append(&self, appends: &[Append], now: Mono) {
        let mut c = self.cache.lock().unwrap();
        for a in appends {
            c.append(a, now);
        }
        drop(c);
        self.version.send_modify(|v| *v += 1);
    }
    /// x
    pub fn close(&self, over: Over, now: Mono) {
        self.cache.lock().unwrap().close(over, now);
        self.version.send_modify(|v| *v += 1);
    }
    /// x
    pub fn lacking(&self) -> Option<Lacking> {
        self.look(|c| c.lacking())
    }
    /// x
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
    /// x
    pub fn reads(&self) -> Reads {
        Reads::default()
    }
}
