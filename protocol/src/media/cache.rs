//! The cache in the middle of a track: writers append on one side, cursors read on the other.
//!
//! Holds at most [`CACHE_GROUPS_MAX`] groups and about [`CACHE_BYTES_MAX`] bytes; the oldest group
//! leaves whole, the open one keeps its newest [`OPEN_GROUP_BYTES_MAX`]. Checks order and
//! contradiction only: whatever is appended was verified before, outside any lock.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits::{CACHE_GROUPS_MAX, OPEN_GROUP_BYTES_MAX};
use crate::media::group::{Group, GroupState};
use crate::media::track::{Append, Appended, CutWhy, Lacking, Over};
use crate::time::Mono;

/// Bytes of a whole track, heads included: the longest open group, and as much for older ones.
pub const CACHE_BYTES_MAX: usize = 2 * OPEN_GROUP_BYTES_MAX;

/// A group that is not the newest leaves when nothing came to it for this long: the most patient
/// viewer has given it up long before.
pub const OLDER_GROUP_AGE_MAX: Duration = Duration::from_secs(10);

/// Where a newcomer can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newcomer {
    /// With this group's keyframe, at once.
    Group(u64),
    /// With the next keyframe: the newest one is gone, or nothing is here.
    NextKeyframe,
}

/// Counts for people and tests; none of them decides anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Access units whose head was added.
    pub units: u64,
    /// Bytes added, heads included.
    pub bytes: u64,
    /// Groups that began.
    pub groups: u64,
    /// Groups that were cut.
    pub cut: u64,
    /// Appends that were here before.
    pub already: u64,
    /// Appends refused for something missing before them.
    pub gaps: u64,
    /// Appends refused because they contradict what is here.
    pub conflicts: u64,
}

/// One track's groups.
#[derive(Clone, Debug, Default)]
pub struct TrackCache {
    groups: BTreeMap<u64, Group>,
    /// Groups below this have left and do not come back.
    floor: u64,
    /// The seq behind the last access unit of the groups that have left.
    seq_floor: u64,
    over: Option<Over>,
    counts: CacheCounts,
}

impl TrackCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one verified thing.
    pub fn append(&mut self, append: &Append, now: Mono) -> Appended {
        let before = self.bytes();
        let appended = self.apply(append, now);
        match appended {
            Appended::Added => {
                self.counts.bytes += self.bytes().saturating_sub(before) as u64;
                self.make_room(now);
            }
            Appended::Already => self.counts.already += 1,
            Appended::Gap => self.counts.gaps += 1,
            Appended::Conflict => self.counts.conflicts += 1,
        }
        appended
    }

    fn apply(&mut self, append: &Append, now: Mono) -> Appended {
        if matches!(self.over, Some(Over::Retracted | Over::PublisherGone)) {
            return Appended::Gap;
        }
        let number = append.group();
        if let Append::Unit { unit, .. } = append
            && number >= self.floor
            && self.contradicts_neighbours(number, unit.head().seq)
        {
            return Appended::Conflict;
        }
        if let Some(group) = self.groups.get_mut(&number) {
            let appended = match append {
                Append::Unit { unit, .. } => group.append_unit(unit, now),
                Append::Piece { seq, index, data, .. } => {
                    group.append_piece(*seq, *index, data, now)
                }
                Append::End { end, .. } => group.append_end(end),
            };
            if appended == Appended::Added {
                self.counts.units += u64::from(matches!(append, Append::Unit { .. }));
                if group.end().is_some_and(|end| end.is_last()) {
                    self.over.get_or_insert(Over::Finished);
                }
            }
            return appended;
        }
        match append {
            Append::Unit { unit, .. } if unit.head().keyframe && number >= self.floor => {
                self.groups.insert(number, Group::begin(number, unit.clone(), now));
                self.counts.units += 1;
                self.counts.groups += 1;
                Appended::Added
            }
            _ => Appended::Gap,
        }
    }

    /// Whether seqs would not rise from group to group with an access unit `seq` in group `number`:
    /// its publisher signed something else before. The largest seq is refused too, for nothing can
    /// follow it.
    fn contradicts_neighbours(&self, number: u64, seq: u64) -> bool {
        let below = self.groups.range(..number).next_back();
        let below = below.map_or(self.seq_floor, |(_, group)| behind(group));
        let above = self.groups.range(number..).find(|(other, _)| **other > number);
        seq < below || seq >= above.map_or(u64::MAX, |(_, group)| group.first_seq())
    }

    fn make_room(&mut self, now: Mono) {
        if let Some(mut newest) = self.groups.last_entry() {
            newest.get_mut().shorten(OPEN_GROUP_BYTES_MAX);
        }
        while self.groups.len() > 1
            && (self.groups.len() > CACHE_GROUPS_MAX
                || self.bytes() > CACHE_BYTES_MAX
                || self
                    .oldest()
                    .is_some_and(|group| now.since(group.appended_at()) > OLDER_GROUP_AGE_MAX))
        {
            let Some((number, group)) = self.groups.pop_first() else { return };
            self.floor = number.saturating_add(1);
            self.seq_floor = behind(&group);
        }
    }

    /// Says that `group` will not go on as it did. Nothing if it is not open.
    pub fn cut(&mut self, group: u64, why: CutWhy, now: Mono) {
        if let Some(group) = self.groups.get_mut(&group)
            && group.state() == GroupState::Open
        {
            group.cut(why, now);
            self.counts.cut += 1;
        }
    }

    /// Cuts every open group: their link is lost.
    pub fn cut_all(&mut self, why: CutWhy, now: Mono) {
        let numbers: Vec<u64> = self.groups.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.cut(number, why, now));
    }

    /// Says that the track is over; open groups are cut. The first reason stays.
    pub fn close(&mut self, over: Over, now: Mono) {
        self.cut_all(CutWhy::GivenUp, now);
        self.over.get_or_insert(over);
    }

    /// Why the track is over, if it is.
    pub fn over(&self) -> Option<Over> {
        self.over
    }

    /// A group that is here.
    pub fn group(&self, number: u64) -> Option<&Group> {
        self.groups.get(&number)
    }

    /// The groups that are here, oldest first.
    pub fn groups(&self) -> impl DoubleEndedIterator<Item = &Group> {
        self.groups.values()
    }

    /// The newest group.
    pub fn newest(&self) -> Option<&Group> {
        self.groups.values().next_back()
    }

    fn oldest(&self) -> Option<&Group> {
        self.groups.values().next()
    }

    /// What is lacking first, to be named when subscribing: the earliest of the newest two groups
    /// that may still be completed, else the group after the newest. `None` in an empty cache.
    pub fn lacking(&self) -> Option<Lacking> {
        let newest = self.newest()?;
        let earliest = self.groups.values().rev().take(2).filter(|group| may_go_on(group)).last();
        Some(match earliest {
            Some(group) => {
                let (seq, piece) = group.next();
                Lacking { group: group.number(), seq, piece }
            }
            None => {
                Lacking { group: newest.number().saturating_add(1), seq: newest.next().0, piece: 0 }
            }
        })
    }

    /// Where a newcomer begins. Cut groups are not offered once the broadcast is over.
    pub fn newcomer(&self) -> Newcomer {
        match self.newest() {
            Some(group) if group.has_head() && !self.is_dead(group) => {
                Newcomer::Group(group.number())
            }
            _ => Newcomer::NextKeyframe,
        }
    }

    fn is_dead(&self, group: &Group) -> bool {
        self.over.is_some() && matches!(group.state(), GroupState::Cut { .. })
    }

    /// Bytes held, heads included.
    pub fn bytes(&self) -> usize {
        self.groups.values().map(Group::bytes).sum()
    }

    /// What has happened here.
    pub fn counts(&self) -> CacheCounts {
        self.counts
    }
}

/// The seq behind the last access unit of which anything is here.
fn behind(group: &Group) -> u64 {
    let (seq, piece) = group.next();
    seq.saturating_add(u64::from(piece > 0))
}

fn may_go_on(group: &Group) -> bool {
    match group.state() {
        GroupState::Open => true,
        GroupState::Ended => false,
        GroupState::Cut { why, .. } => why == CutWhy::Broken,
    }
}
