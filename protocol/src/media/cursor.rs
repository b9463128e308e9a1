//! What one child is sent next of one track, and what is given up. This file is the dropping policy.
//!
//! The newest group first, and beside it the one before; a third beginning gives up the oldest. But
//! a keyframe that was begun is brought to its end before a newer group begins, or a line on which a
//! keyframe takes longer than a group would never show anything. A stream is given up for lateness
//! only when a newer group is there to be sent *and* its oldest unsent access unit is older than the
//! child's latency budget (`late`). Owned by the writer of that child; reads the cache, changes
//! nothing in it but holds the one keyframe that is under way, and never sees a clock that a peer
//! could bend: age is time in this cache.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::media::cache::{Newcomer, TrackCache};
use crate::media::group::{Group, GroupState};
use crate::media::lane::{Lane, Position};
use crate::media::pull::{CursorCounts, Feed, Medium, Offer, Pull, Rank, StreamNumber};
use crate::media::track::{Lacking, Over};
use crate::time::{Deadline, Mono};
use crate::trust::id::PeerId;
use crate::wire::code::StreamCode;
use crate::wire::header::StreamHeader;

mod late;

/// How long a cut group with no newer one waits for a repair before its streams are given up.
pub const REPAIR_TIME_MAX: Duration = Duration::from_secs(1);

/// One child's place in one track.
#[derive(Debug)]
pub struct Cursor {
    feed: Feed,
    newest: Option<Lane>,
    older: Option<Lane>,
    streams: u32,
    begun: bool,
    /// The newest group that was here when the first was begun: the child catches up to there.
    given: u64,
    /// Groups below are not sent.
    floor: u64,
    /// Groups from the floor on that are finished or given up.
    done: BTreeSet<u64>,
    timeout: Option<Deadline>,
    /// When it was last asked.
    pulled_at: Mono,
    /// First seq of the feed, and the seq behind the last one seen.
    seen: Option<(u64, u64)>,
    counts: CursorCounts,
}

impl Cursor {
    /// A cursor that has sent nothing.
    pub fn new(feed: Feed) -> Self {
        Self {
            feed,
            newest: None,
            older: None,
            streams: 0,
            begun: false,
            given: 0,
            floor: 0,
            done: BTreeSet::new(),
            timeout: None,
            pulled_at: Mono::default(),
            seen: None,
            counts: CursorCounts::default(),
        }
    }

    /// The next thing to do. Ask again after each answer but `Wait` and `Ended`.
    pub fn pull(&mut self, cache: &TrackCache, now: Mono) -> Pull {
        self.timeout = None;
        self.pulled_at = now;
        if let Some(over @ (Over::Retracted | Over::PublisherGone)) = cache.over() {
            return self.give_up_all().unwrap_or(Pull::Ended(over));
        }
        if let Some(reset) = self.give_up_evicted(cache) {
            return reset;
        }
        let reset = self.begin_groups(cache, now);
        self.look(cache);
        if let Some(reset) = reset {
            return reset;
        }
        if let Some(reset) = self.give_up_late(cache, now) {
            return reset;
        }
        if let Some(stream) = self.finish() {
            return Pull::Finish(stream);
        }
        let offers = self.offers(cache);
        match cache.over() {
            _ if !offers.is_empty() => Pull::Write(offers),
            Some(over) if self.newest.is_none() && self.older.is_none() => Pull::Ended(over),
            _ => Pull::Wait,
        }
    }

    /// `bytes` of the last offer for `stream` were written.
    pub fn wrote(&mut self, stream: StreamNumber, bytes: usize) {
        self.counts.bytes += bytes as u64;
        let lanes = [&mut self.newest, &mut self.older].into_iter().flatten();
        if let Some(lane) = lanes.into_iter().find(|lane| lane.stream == stream) {
            self.counts.sent += lane.wrote(bytes, self.pulled_at);
            lane.note_written(self.counts.bytes);
        }
    }

    /// The child stopped `stream`: it wants no more of that group.
    pub fn handle_stopped(&mut self, stream: StreamNumber) {
        for lane in [self.newest.take_if(|lane| lane.stream == stream)]
            .into_iter()
            .chain([self.older.take_if(|lane| lane.stream == stream)])
            .flatten()
        {
            self.give_up(lane, StreamCode::Cancelled);
        }
    }

    /// When to pull again though nothing happened, as of the last pull.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.timeout
    }

    /// The streams that are open or about to be, with their ranks of now. One that was opened and is
    /// no longer among them was given up before anything was written to it: reset it.
    pub fn streams(&self) -> impl Iterator<Item = (StreamNumber, Rank)> {
        let newest = self.newest.as_ref().map(|lane| (lane.stream, Rank::Newest));
        newest.into_iter().chain(self.older.as_ref().map(|lane| (lane.stream, Rank::Older)))
    }

    /// Whether the publisher should be asked for a keyframe: the child is late, or waits for a
    /// keyframe, and no newer group is there. Never while it catches up on what it was given when
    /// it was admitted.
    pub fn wants_keyframe(&self, cache: &TrackCache, now: Mono) -> bool {
        if self.feed.medium == Medium::Sound || cache.over().is_some() {
            return false;
        }
        match &self.newest {
            Some(lane) => {
                let newest = cache.newest().filter(|newest| newest.number() == lane.group);
                let oldest = newest.and_then(|group| lane.oldest_unsent_at(group));
                !lane.catching_up && oldest.is_some_and(|at| now.since(at) > self.feed.latency)
            }
            None => cache.newest().is_some_and(|newest| newest.state() == GroupState::Open),
        }
    }

    /// Says who feeds us now; for streams opened from here on.
    pub fn set_path(&mut self, path: Vec<PeerId>) {
        self.feed.path = path;
    }

    /// What this child was sent and not sent.
    pub fn counts(&self) -> CursorCounts {
        let lanes = [&self.newest, &self.older].into_iter().flatten();
        let settled = self.counts.sent + self.counts.reset;
        let pending: u64 = lanes.map(Lane::unsent_units).sum();
        let seen = self.seen.map_or(0, |(first, next)| next - first);
        CursorCounts { skipped: seen.saturating_sub(settled + pending), ..self.counts }
    }

    fn begin_groups(&mut self, cache: &TrackCache, now: Mono) -> Option<Pull> {
        self.decide_start(cache);
        if let Some(oldest) = cache.groups().next() {
            self.done = self.done.split_off(&oldest.number());
        }
        let lanes = [&self.newest, &self.older].map(|lane| lane.as_ref().map(|lane| lane.group));
        for group in cache.groups() {
            let number = group.number();
            if number < self.floor || lanes.contains(&Some(number)) || self.done.contains(&number) {
                continue;
            }
            let Some(position) = self.start_of(group) else { continue };
            if let Some(reset) = self.begin(cache, group, position, now) {
                return Some(reset);
            }
        }
        None
    }

    /// Notes how far the groups in hand have come, for counting what is left of them.
    fn look(&mut self, cache: &TrackCache) {
        for lane in [&mut self.newest, &mut self.older].into_iter().flatten() {
            if let Some(group) = cache.group(lane.group) {
                let (seq, piece) = group.next();
                lane.seen_next = lane.seen_next.max(seq.saturating_add(u64::from(piece > 0)));
            }
            let (first, next) = self.seen.unwrap_or((lane.first_seq, lane.first_seq));
            self.seen = Some((first.min(lane.first_seq), next.max(lane.seen_next)));
        }
    }

    /// Until the first group is begun: which one that is.
    fn decide_start(&mut self, cache: &TrackCache) {
        if self.begun {
            return;
        }
        if let Some(lacking) = self.feed.lacking {
            let ahead = cache.newest().is_none_or(|newest| lacking.group > newest.number());
            let resumable = cache.group(lacking.group).is_some_and(|g| self.start_of(g).is_some());
            if ahead || resumable {
                self.floor = lacking.group;
                return;
            }
            // What it lacks has left: the newest keyframe goes on.
            self.feed.lacking = None;
        }
        self.floor = match (cache.newcomer(), cache.newest()) {
            (Newcomer::Group(number), _) => number,
            (Newcomer::NextKeyframe, Some(newest)) => newest.number().saturating_add(1),
            (Newcomer::NextKeyframe, None) => 0,
        };
    }

    /// Where sending of `group` would begin; `None` if nobody can begin with it (yet).
    fn start_of(&self, group: &Group) -> Option<Position> {
        if let Some(lacking) = self.feed.lacking
            && lacking.group == group.number()
        {
            let Lacking { seq, piece, .. } = lacking;
            let there = match group.unit(seq) {
                Some(unit) => piece < unit.signed().pieces(),
                // The child may be ahead of us, but not of the signed end.
                None => {
                    seq >= group.next().0
                        && group.end().is_none_or(|end| seq == end.next_seq() && piece == 0)
                }
            };
            if there {
                return Some(Position { seq, part: 0, first_piece: piece });
            }
        }
        let first = group.units().next().filter(|unit| !unit.pieces().is_empty())?;
        group.has_head().then_some(Position {
            seq: first.signed().head().seq,
            part: 0,
            first_piece: 0,
        })
    }

    fn begin(
        &mut self,
        cache: &TrackCache,
        group: &Group,
        position: Position,
        now: Mono,
    ) -> Option<Pull> {
        let number = group.number();
        let newest = self.newest.as_ref().map(|lane| lane.group);
        if newest.is_none_or(|newest| number > newest) {
            let under_way = self.newest.as_ref().filter(|lane| lane.is_under_way());
            if under_way.is_some_and(|lane| !late::is_hopeless(lane, cache, group, now)) {
                return None;
            }
            let oldest = self.older.take();
            self.older = self.newest.take();
            let mut lane = self.lane(group, position, now);
            if !std::mem::replace(&mut self.begun, true) {
                self.given = cache.newest().map_or(number, Group::number);
            }
            lane.catching_up = number <= self.given;
            self.newest = Some(lane);
            return oldest.and_then(|lane| self.give_up(lane, StreamCode::Stale));
        }
        // It came behind a newer one. Sent while it is fresh and whole, in place of an older one.
        let fresh = group
            .units()
            .next()
            .is_some_and(|unit| now.since(unit.appended_at()) <= self.feed.latency);
        let older = self.older.as_ref().map(|lane| lane.group);
        let cut = matches!(group.state(), GroupState::Cut { .. });
        if cut || !fresh || older.is_some_and(|older| number < older) {
            self.done.insert(number);
            return None;
        }
        let oldest = self.older.take();
        self.older = Some(self.lane(group, position, now));
        oldest.and_then(|lane| self.give_up(lane, StreamCode::Stale))
    }

    fn lane(&mut self, group: &Group, position: Position, now: Mono) -> Lane {
        let header = StreamHeader {
            subscription: self.feed.subscription,
            broadcast: self.feed.track.broadcast,
            track: self.feed.track.track,
            group: group.number(),
            layer: 0,
            first_seq: position.seq,
            first_piece: position.first_piece,
            path: self.feed.path.clone(),
        };
        let stream = StreamNumber(self.streams);
        self.streams = self.streams.wrapping_add(1);
        Lane::new(stream, group, header.encode(), position, now)
    }

    fn finish(&mut self) -> Option<StreamNumber> {
        let finished = |lane: &mut Lane| lane.is_finished();
        let lane = self.older.take_if(finished).or_else(|| self.newest.take_if(finished))?;
        self.done.insert(lane.group);
        Some(lane.stream)
    }

    fn offers(&mut self, cache: &TrackCache) -> Vec<Offer> {
        let newest = self.newest.as_mut().map(|lane| (Rank::Newest, lane));
        let older = self.older.as_mut().map(|lane| (Rank::Older, lane));
        let mut offers = Vec::new();
        for (rank, lane) in newest.into_iter().chain(older) {
            let newer = cache.newest().is_some_and(|newest| newest.number() > lane.group);
            let alone = newer && lane.is_under_way();
            let chunks = lane.offer(cache.group(lane.group), alone);
            if chunks.is_empty() {
                lane.catching_up = false;
            } else {
                offers.push(Offer { stream: lane.stream, rank, chunks });
            }
        }
        offers
    }
}
