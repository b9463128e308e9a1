//! What one child is sent next of one track, and what is given up. This file is the dropping policy.
//!
//! The newest group first, and beside it the one before; a third beginning gives up the oldest. A
//! stream is given up for lateness only when a newer group is there to be sent *and* its oldest
//! unsent access unit is older than the child's latency budget. Owned by the writer of that child;
//! reads the cache, changes nothing in it, and never sees a clock that a peer could bend: age is
//! time in this cache.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::media::cache::{Newcomer, TrackCache};
use crate::media::group::{Group, GroupState};
use crate::media::lane::{Lane, Position};
use crate::media::track::{Lacking, Over};
use crate::time::{Deadline, Mono, Why, earliest};
use crate::trust::id::{PeerId, TrackKey};
use crate::wire::code::StreamCode;
use crate::wire::header::{StreamHeader, SubscriptionId};

/// How long a cut group with no newer one waits for a repair before its streams are given up.
pub const REPAIR_TIME_MAX: Duration = Duration::from_secs(1);

/// The shell's name for one stream of one cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamNumber(pub u32);

/// Which of the two streams; the order is the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// The newest group.
    Newest,
    /// The group before it.
    Older,
}

/// One subscription, as the child asked for it.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The child's name for it.
    pub subscription: SubscriptionId,
    /// The track.
    pub track: TrackKey,
    /// Who feeds us, nearest first, the publisher last; empty at the publisher.
    pub path: Vec<PeerId>,
    /// How late a picture may be before a newer group replaces it.
    pub latency: Duration,
    /// What the child lacks first; `None`: from the newest group's keyframe.
    pub lacking: Option<Lacking>,
}

/// Bytes for one vectored write on one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The stream. One that was never offered before is to be opened; its header is in `chunks`.
    pub stream: StreamNumber,
    /// Its rank.
    pub rank: Rank,
    /// At most [`crate::limits::WRITE_BYTES_MAX`] bytes in all. Only a look: nothing moves on until
    /// [`Cursor::wrote`] says how much was taken.
    pub chunks: Vec<Bytes>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pull {
    /// Write one of these, the first one if it takes any; then say so with [`Cursor::wrote`]. Only
    /// while the gate is open: if it is closed, wait for it, and pull again.
    Write(Vec<Offer>),
    /// All of this stream was written: finish it. The cursor has forgotten it.
    Finish(StreamNumber),
    /// Reset this stream. The cursor has forgotten it and goes on with the newest keyframe.
    Reset {
        /// The stream.
        stream: StreamNumber,
        /// Why, for the child.
        code: StreamCode,
    },
    /// Nothing to send: until the cache changes, or [`Cursor::poll_timeout`].
    Wait,
    /// Nothing will ever be sent again.
    Ended(Over),
}

/// Counts of one child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CursorCounts {
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
}

/// One child's place in one track.
#[derive(Debug)]
pub struct Cursor {
    feed: Feed,
    newest: Option<Lane>,
    older: Option<Lane>,
    streams: u32,
    begun: bool,
    /// Groups below are not sent.
    floor: u64,
    /// Groups from the floor on that are finished or given up.
    done: BTreeSet<u64>,
    timeout: Option<Deadline>,
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
            floor: 0,
            done: BTreeSet::new(),
            timeout: None,
            counts: CursorCounts::default(),
        }
    }

    /// The next thing to do. Ask again after each answer but `Wait` and `Ended`.
    pub fn pull(&mut self, cache: &TrackCache, now: Mono) -> Pull {
        self.timeout = None;
        if let Some(over @ (Over::Retracted | Over::PublisherGone)) = cache.over() {
            return self.give_up_all().unwrap_or(Pull::Ended(over));
        }
        if let Some(reset) = self.give_up_evicted(cache) {
            return reset;
        }
        if let Some(reset) = self.begin_groups(cache, now) {
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
            let units = lane.wrote(bytes);
            self.counts.sent += units;
            if lane.counted_skipped {
                self.counts.skipped = self.counts.skipped.saturating_sub(units);
            }
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

    /// The streams that are open or about to be, with their ranks of now.
    pub fn streams(&self) -> impl Iterator<Item = (StreamNumber, Rank)> {
        let newest = self.newest.as_ref().map(|lane| (lane.stream, Rank::Newest));
        newest.into_iter().chain(self.older.as_ref().map(|lane| (lane.stream, Rank::Older)))
    }

    /// Whether the publisher should be asked for a keyframe: the child is late, or waits for a
    /// keyframe, and no newer group is there. Never while it catches up on what it was given when
    /// it was admitted.
    pub fn wants_keyframe(&self, cache: &TrackCache, now: Mono) -> bool {
        if cache.over().is_some() {
            return false;
        }
        match &self.newest {
            Some(lane) => {
                let oldest = cache.group(lane.group).and_then(|group| lane.oldest_unsent_at(group));
                !lane.catching_up && oldest.is_some_and(|at| now.since(at) > self.feed.latency)
            }
            None => cache.newest().is_some(),
        }
    }

    /// Says who feeds us now; for streams opened from here on.
    pub fn set_path(&mut self, path: Vec<PeerId>) {
        self.feed.path = path;
    }

    /// What this child was sent and not sent.
    pub fn counts(&self) -> CursorCounts {
        self.counts
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
            if let Some(reset) = self.begin(group, position, now) {
                return Some(reset);
            }
        }
        for lane in [&mut self.newest, &mut self.older].into_iter().flatten() {
            let next = cache.group(lane.group).map(|group| {
                let (seq, piece) = group.next();
                seq + u64::from(piece > 0)
            });
            lane.seen_next = lane.seen_next.max(next.unwrap_or_default());
        }
        None
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

    fn begin(&mut self, group: &Group, position: Position, now: Mono) -> Option<Pull> {
        let number = group.number();
        let newest = self.newest.as_ref().map(|lane| lane.group);
        if newest.is_none_or(|newest| number > newest) {
            let oldest = self.older.take();
            self.older = self.newest.take();
            let seen = self.older.as_ref().map_or(position.seq, |lane| lane.seen_next);
            self.counts.skipped += position.seq.saturating_sub(seen);
            let mut lane = self.lane(number, position, now);
            lane.catching_up = !self.begun;
            self.begun = true;
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
        let mut lane = self.lane(number, position, now);
        lane.counted_skipped = true;
        self.older = Some(lane);
        oldest.and_then(|lane| self.give_up(lane, StreamCode::Stale))
    }

    fn lane(&mut self, group: u64, position: Position, now: Mono) -> Lane {
        let header = StreamHeader {
            subscription: self.feed.subscription,
            broadcast: self.feed.track.broadcast,
            track: self.feed.track.track,
            group,
            layer: 0,
            first_seq: position.seq,
            first_piece: position.first_piece,
            path: self.feed.path.clone(),
        };
        let stream = StreamNumber(self.streams);
        self.streams = self.streams.wrapping_add(1);
        Lane::new(stream, group, header.encode(), position, now)
    }

    fn give_up_all(&mut self) -> Option<Pull> {
        while let Some(lane) = self.older.take().or_else(|| self.newest.take()) {
            if let Some(reset) = self.give_up(lane, StreamCode::Lost) {
                return Some(reset);
            }
        }
        None
    }

    fn give_up_evicted(&mut self, cache: &TrackCache) -> Option<Pull> {
        let evicted = |lane: &mut Lane| {
            cache.group(lane.group).map_or(!lane.is_finished(), |group| lane.is_evicted(group))
        };
        while let Some(lane) = self.older.take_if(evicted).or_else(|| self.newest.take_if(evicted))
        {
            if let Some(reset) = self.give_up(lane, StreamCode::Evicted) {
                return Some(reset);
            }
        }
        None
    }

    fn give_up_late(&mut self, cache: &TrackCache, now: Mono) -> Option<Pull> {
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

    /// Counts what is lost with `lane`. A stream that was never opened needs no reset.
    fn give_up(&mut self, lane: Lane, code: StreamCode) -> Option<Pull> {
        self.done.insert(lane.group);
        let units = if lane.counted_skipped { 0 } else { lane.unsent_units() };
        if !lane.offered {
            self.counts.skipped += units;
            return None;
        }
        self.counts.reset += units;
        self.counts.reset_streams += 1;
        Some(Pull::Reset { stream: lane.stream, code })
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
            let chunks = cache.group(lane.group).map(|group| lane.offer(group)).unwrap_or_default();
            if chunks.is_empty() {
                lane.catching_up = false;
            } else {
                offers.push(Offer { stream: lane.stream, rank, chunks });
            }
        }
        offers
    }
}
