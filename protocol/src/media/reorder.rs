//! The local viewer's view of a cache: access units complete, verified and in order.
//!
//! When a newer group is ready and the one before is not complete, the older is waited for until the
//! latency budget is over, then skipped and counted as gaps. Of a group cut short, all that is
//! complete is delivered. Holds a position and counts; the pictures stay in the cache.

use std::time::Duration;

use crate::media::cache::{Newcomer, TrackCache};
use crate::media::group::{Group, GroupState, Unit};
use crate::media::stall::{StallMeter, Stalls};
use crate::media::track::{AccessUnit, CutWhy, Over};
use crate::time::{Deadline, Mono, Why};

/// One access unit for the decoder, in decode order. Handles only: bytes are copied by
/// [`Self::access_unit`], which is for outside the cache's lock.
#[derive(Clone, Debug)]
pub struct ReadyUnit {
    /// Its seq.
    pub seq: u64,
    /// Its group.
    pub group: u64,
    /// When it was complete, verified and in order, whenever it is asked for.
    pub ready_at: Mono,
    unit: Unit,
}

impl ReadyUnit {
    /// The access unit in one run of bytes.
    pub fn access_unit(&self) -> AccessUnit {
        self.unit.access_unit()
    }
}

/// What is there.
#[derive(Clone, Debug)]
pub enum Ordered {
    /// The next access unit.
    Ready(ReadyUnit),
    /// Nothing yet: until the cache changes, or [`Reorder::poll_timeout`].
    Wait,
    /// Nothing will come any more.
    Ended(Over),
}

/// Counts of one viewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReorderCounts {
    /// Access units delivered.
    pub received: u64,
    /// Access units missing between the first and the last delivered.
    pub gaps: u64,
    /// Groups given up before their end.
    pub skipped_groups: u64,
    /// Seq of the first delivered.
    pub first_seq: Option<u64>,
    /// Seq of the last delivered.
    pub last_seq: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    group: u64,
    seq: u64,
}

/// One viewer's place in one track.
#[derive(Debug)]
pub struct Reorder {
    latency: Duration,
    place: Option<Place>,
    /// Nothing is in order before this.
    in_order_at: Mono,
    timeout: Option<Deadline>,
    counts: ReorderCounts,
    stalls: StallMeter,
}

impl Reorder {
    /// Begins with the newest keyframe; waits at most `latency` for a late group.
    pub fn new(latency: Duration) -> Self {
        Self {
            latency,
            place: None,
            in_order_at: Mono::default(),
            timeout: None,
            counts: ReorderCounts::default(),
            stalls: StallMeter::new(),
        }
    }

    /// The next access unit in order, if it is there. Ask again after each.
    pub fn pull(&mut self, cache: &TrackCache, now: Mono) -> Ordered {
        self.timeout = None;
        if self.place.is_none() {
            self.place = begin(cache);
        }
        while let Some(place) = self.place {
            let unit = cache.group(place.group).and_then(|group| group.unit(place.seq));
            // Never the same again, whatever the cache holds.
            let rises = self.counts.last_seq.is_none_or(|last| place.seq > last);
            if let Some(unit) = unit.filter(|_| rises)
                && let Some(completed_at) = unit.completed_at()
            {
                return Ordered::Ready(self.deliver(place, unit.clone(), completed_at));
            }
            let Some(next) = self.leave_group(cache, place, now) else { break };
            self.place = Some(next);
        }
        match cache.over() {
            Some(over) if self.timeout.is_none() && self.is_exhausted(cache, over) => {
                Ordered::Ended(over)
            }
            _ => Ordered::Wait,
        }
    }

    fn deliver(&mut self, place: Place, unit: Unit, completed_at: Mono) -> ReadyUnit {
        let ready_at = completed_at.max(self.in_order_at);
        self.in_order_at = ready_at;
        if let Some(last) = self.counts.last_seq {
            // A publisher's seqs are its own word: they may leap.
            let missing = place.seq.saturating_sub(last).saturating_sub(1);
            self.counts.gaps = self.counts.gaps.saturating_add(missing);
        }
        self.counts.received += 1;
        self.counts.first_seq.get_or_insert(place.seq);
        self.counts.last_seq = Some(place.seq);
        self.stalls.handle_ready(place.seq, unit.signed().head().captured_us, ready_at);
        self.place = Some(Place { group: place.group, seq: place.seq.saturating_add(1) });
        ReadyUnit { seq: place.seq, group: place.group, ready_at, unit }
    }

    /// The place in the next group, once nothing of this one is missing or waited for any longer.
    fn leave_group(&mut self, cache: &TrackCache, place: Place, now: Mono) -> Option<Place> {
        let next = cache.groups().find(|group| group.number() > place.group && group.has_head())?;
        let head_at = next.units().next().and_then(Unit::completed_at)?;
        let begin = Place { group: next.number(), seq: next.first_seq() };
        if next.first_seq() <= place.seq {
            return Some(begin);
        }
        // Something is missing. It may still come, unless it has left or was given up.
        let hopeless_at = match cache.group(place.group) {
            None => Some(head_at),
            Some(group) if group.first_seq() > place.seq => Some(head_at),
            Some(group) => match group.state() {
                GroupState::Cut { why: CutWhy::GivenUp, at } => Some(at.max(head_at)),
                _ => None,
            },
        };
        let skip_at = hopeless_at.unwrap_or(head_at + self.latency);
        if now < skip_at {
            self.timeout = Some((skip_at, Why("late group is skipped")));
            return None;
        }
        self.counts.skipped_groups += 1;
        self.in_order_at = self.in_order_at.max(skip_at);
        Some(begin)
    }

    /// Whether nothing can come any more, the track being over: after a signed end, groups that are
    /// still open may be completed.
    fn is_exhausted(&self, cache: &TrackCache, over: Over) -> bool {
        let at_or_behind = |group: &Group| self.place.is_none_or(|at| group.number() >= at.group);
        over != Over::Finished
            || !cache.groups().any(|group| at_or_behind(group) && group.state() == GroupState::Open)
    }

    /// When to pull again though nothing happened, as of the last pull.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.timeout
    }

    /// What was delivered.
    pub fn counts(&self) -> ReorderCounts {
        self.counts
    }

    /// Stalls until `now`.
    pub fn stalls(&self, now: Mono) -> Stalls {
        self.stalls.until(now)
    }
}

fn begin(cache: &TrackCache) -> Option<Place> {
    let Newcomer::Group(number) = cache.newcomer() else { return None };
    cache.group(number).map(|group| Place { group: number, seq: group.first_seq() })
}
