//! When a stream is given up, and how.
//!
//! For lateness an older group beside a newer one; for good what left the cache, what was cut, and
//! everything when the track is over. A keyframe that is under way is given up only where it is
//! hopeless.

use std::time::Duration;

use super::{Cursor, REPAIR_TIME_MAX};
use crate::media::cache::TrackCache;
use crate::media::group::{Group, GroupState};
use crate::media::lane::Lane;
use crate::media::pull::Pull;
use crate::time::{Mono, Why, earliest};
use crate::wire::code::StreamCode;

/// Nothing of a keyframe could be written for so long: its child stood still, and when it goes on it
/// wants the newest. On a line that brings 25 kbit/s something is written more often than that.
const STUCK_MAX: Duration = Duration::from_secs(3);

impl Cursor {
    pub(super) fn give_up_all(&mut self) -> Option<Pull> {
        while let Some(lane) = self.older.take().or_else(|| self.newest.take()) {
            if let Some(reset) = self.give_up(lane, StreamCode::Lost) {
                return Some(reset);
            }
        }
        None
    }

    pub(super) fn give_up_evicted(&mut self, cache: &TrackCache) -> Option<Pull> {
        let evicted = |lane: &mut Lane| lane.is_evicted(cache.group(lane.group));
        while let Some(lane) = self.older.take_if(evicted).or_else(|| self.newest.take_if(evicted))
        {
            if let Some(reset) = self.give_up(lane, StreamCode::Evicted) {
                return Some(reset);
            }
        }
        None
    }

    pub(super) fn give_up_late(&mut self, cache: &TrackCache, now: Mono) -> Option<Pull> {
        if let Some(lane) = &self.older
            && let Some(group) = cache.group(lane.group)
            && !lane.is_finished()
        {
            // A newer group is there to be sent: `newest` is begun only then.
            let cut = matches!(group.state(), GroupState::Cut { .. });
            let oldest = lane.oldest_unsent_at(group);
            let late = oldest.is_some_and(|at| now.since(at) > self.feed.latency);
            if (cut || late)
                && let Some(lane) = self.older.take()
            {
                if let Some(reset) = self.give_up(lane, StreamCode::Stale) {
                    return Some(reset);
                }
            } else if let Some(at) = oldest {
                // Late is *older than* the budget: the first instant after it.
                let at = at + self.feed.latency + Duration::from_micros(1);
                self.timeout = Some((at, Why("older group becomes stale")));
            }
        }
        if let Some(lane) = &self.newest
            && let Some(GroupState::Cut { at, .. }) = cache.group(lane.group).map(Group::state)
        {
            let lost_at = at.max(lane.begun_at) + REPAIR_TIME_MAX;
            if now < lost_at {
                self.timeout = earliest([self.timeout, Some((lost_at, Why("repair failed")))]);
            } else if let Some(lane) = self.newest.take() {
                return self.give_up(lane, StreamCode::Lost);
            }
        }
        None
    }

    /// Counts what is lost with `lane`. A stream that nothing was written to needs no reset: the
    /// child never hears of it. One whose keyframe may not have been sent yet is left to bring it.
    pub(super) fn give_up(&mut self, lane: Lane, code: StreamCode) -> Option<Pull> {
        self.done.insert(lane.group);
        if !lane.written {
            return None;
        }
        if lane.is_finished() {
            return Some(Pull::Finish(lane.stream));
        }
        self.counts.reset += lane.unsent_units();
        self.counts.reset_streams += 1;
        let replaced = matches!(code, StreamCode::Stale | StreamCode::Evicted);
        if replaced && lane.is_just_whole(self.counts.bytes) {
            return Some(Pull::Leave(lane.stream));
        }
        Some(Pull::Reset { stream: lane.stream, code })
    }
}

/// Whether there is no use in waiting for the keyframe of `lane`, which is under way: `newer` brings
/// one that is through sooner, or this one does not move, or may never be whole.
pub(super) fn is_hopeless(lane: &Lane, cache: &TrackCache, newer: &Group, now: Mono) -> bool {
    let own = cache.group(lane.group);
    let newest = newer.units().next().filter(|unit| unit.completed_at().is_some());
    match (lane.keyframe_left(own), newest) {
        (Some(left), Some(newest)) => {
            newest.bytes() < left || now.since(lane.wrote_at) >= STUCK_MAX
        }
        // Not all of it is here. Whoever brings a newer one first does not bring this one next.
        (None, Some(_)) => true,
        (None, None) => own.is_none_or(|own| matches!(own.state(), GroupState::Cut { .. })),
        (Some(_), None) => false,
    }
}
