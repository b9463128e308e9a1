//! A viewer: its cache, what it shows of it, and a record of what it has shown.

use std::time::Duration;

use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::reorder::{Ordered, ReadyUnit, Reorder};
use roommate_protocol::time::Mono;
use roommate_protocol::trust::id::PeerId;

/// One access unit that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its number.
    pub seq: u64,
    /// Its group.
    pub group: u64,
    /// When it was captured.
    pub captured: Mono,
    /// When it was ready.
    pub ready: Mono,
}

impl Shown {
    /// Capture to ready.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.ready.since(self.captured)
    }
}

/// One viewer.
#[derive(Debug)]
pub struct Viewer {
    /// Its name.
    pub peer: PeerId,
    /// What it has received, and its children are fed from.
    pub cache: TrackCache,
    /// What it has shown.
    pub shown: Vec<Shown>,
    /// Killed, by chance or on purpose.
    pub dead: bool,
    reorder: Reorder,
}

impl Viewer {
    /// A viewer that waits at most so long for a late group.
    #[must_use]
    pub fn new(number: u8, latency: Duration) -> Self {
        Self {
            peer: PeerId([number; 32]),
            cache: TrackCache::new(),
            shown: Vec::new(),
            dead: false,
            reorder: Reorder::new(latency),
        }
    }

    /// All that is ready now.
    pub fn pull(&mut self, now: Mono) -> Vec<ReadyUnit> {
        let mut ready = Vec::new();
        while !self.dead
            && let Ordered::Ready(unit) = self.reorder.pull(&self.cache, now)
        {
            ready.push(unit);
        }
        ready
    }

    /// When to pull though nothing has happened.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.reorder.poll_timeout().filter(|_| !self.dead).map(|(at, _)| at)
    }

    /// Access units missing between the first and the last shown.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.reorder.counts().gaps
    }
}
