//! Where access units wait for pages: per broadcast the running group from its keyframe, and the
//! one before. Pages have no queue of their own, only a place in these groups; so a slow page costs
//! nothing, and one that opens late begins with the keyframe that is there already.
//!
//! A page goes on to the end of a group that it is close behind; one that is further behind goes to
//! the newest keyframe.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::wire;
use roommate_clock::Clock;
use roommate_media::ViewUnit;

/// Broadcasts at a time: a page cannot show more, and each may hold two groups.
pub const MAX_BROADCASTS: usize = 32;
/// What a group may hold, as in the node's own caches. Above, its head leaves: pages that are past
/// it go on, new ones wait for the next keyframe.
const MAX_GROUP_BYTES: usize = 8 << 20;
/// How far behind a page may be and still be given the rest of a group that is over.
const CLOSE_BEHIND_US: u64 = 500_000;

/// Takes access units from the node and keeps them for pages. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct UnitHub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    tracks: Mutex<BTreeMap<u32, Track>>,
    version: watch::Sender<u64>,
}

#[derive(Debug)]
struct Track {
    timescale: u32,
    groups_begun: u64,
    current: Group,
    previous: Group,
}

/// Access units in order, ready to be sent. Number 0 is none.
#[derive(Debug, Default)]
struct Group {
    number: u64,
    /// Units that have left at the head.
    gone: u64,
    units: VecDeque<(u64, Bytes)>,
    bytes: usize,
}

/// A page's place in all broadcasts.
#[derive(Debug, Default)]
pub(super) struct Places {
    places: BTreeMap<u32, Place>,
    /// The broadcast that was served last, so that they take turns.
    last: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    group: u64,
    next: u64,
}

impl UnitHub {
    pub(super) fn new(clock: Clock) -> Self {
        let (version, _) = watch::channel(0);
        Self { shared: Arc::new(Shared { clock, tracks: Mutex::default(), version }) }
    }

    /// Makes room for a broadcast, whose `pts` have this many units in a second. False: there are
    /// [`MAX_BROADCASTS`] already. A number must not be used again for another broadcast.
    pub fn open(&self, broadcast: u32, timescale: u32) -> bool {
        let mut tracks = self.lock();
        if tracks.len() >= MAX_BROADCASTS && !tracks.contains_key(&broadcast) {
            return false;
        }
        tracks.entry(broadcast).or_insert_with(|| Track::new(timescale));
        true
    }

    /// Forgets a broadcast and what is kept of it.
    pub fn close(&self, broadcast: u32) {
        self.lock().remove(&broadcast);
    }

    /// Takes an access unit of a broadcast at the moment at which it is ready. Never waits for a
    /// page. What no page could decode (before the first keyframe, or of a broadcast that is not
    /// open) is dropped.
    pub fn push(&self, broadcast: u32, unit: &ViewUnit) {
        let node_us = self.shared.clock.mono().as_micros();
        if let Some(track) = self.lock().get_mut(&broadcast) {
            track.push(
                node_us,
                unit.keyframe,
                wire::encode(broadcast, unit, track.timescale, node_us),
            );
        }
        self.shared.version.send_modify(|version| *version += 1);
    }

    /// Changes whenever there may be something new.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// What a page is to be sent next, if anything.
    pub(super) fn next(&self, places: &mut Places) -> Option<Bytes> {
        let tracks = self.lock();
        if places.places.len() > tracks.len() {
            places.places.retain(|broadcast, _| tracks.contains_key(broadcast));
        }
        let turns =
            tracks.range(places.last.saturating_add(1)..).chain(tracks.range(..=places.last));
        for (&broadcast, track) in turns {
            let place = places.places.entry(broadcast).or_default();
            if let Some(message) = track.next(place) {
                places.last = broadcast;
                return Some(message);
            }
        }
        None
    }

    // What a panic elsewhere may have left half done here is at worst a missing picture.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Track>> {
        self.shared.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Track {
    fn new(timescale: u32) -> Self {
        Self { timescale, groups_begun: 0, current: Group::default(), previous: Group::default() }
    }

    fn push(&mut self, node_us: u64, keyframe: bool, message: Bytes) {
        if keyframe {
            self.groups_begun += 1;
            let begun = Group { number: self.groups_begun, ..Group::default() };
            self.previous = std::mem::replace(&mut self.current, begun);
        }
        if self.current.number != 0 {
            self.current.push(node_us, message);
        }
    }

    fn next(&self, place: &mut Place) -> Option<Bytes> {
        if self.current.number == 0 {
            return None;
        }
        if place.group == self.previous.number && place.group != 0 {
            let newest = self.current.units.back().map_or(0, |(at, _)| *at);
            if let Some((at, message)) = self.previous.get(place.next)
                && newest.saturating_sub(*at) <= CLOSE_BEHIND_US
            {
                place.next += 1;
                return Some(message.clone());
            }
        }
        if place.group != self.current.number {
            *place = Place { group: self.current.number, next: 0 };
        }
        let (_, message) = self.current.get(place.next)?;
        place.next += 1;
        Some(message.clone())
    }
}

impl Group {
    fn push(&mut self, node_us: u64, message: Bytes) {
        self.bytes += message.len();
        self.units.push_back((node_us, message));
        while self.bytes > MAX_GROUP_BYTES {
            let Some((_, head)) = self.units.pop_front() else { break };
            self.bytes -= head.len();
            self.gone += 1;
        }
    }

    /// A unit by its number in the group; none when it has not come yet, or has left.
    fn get(&self, number: u64) -> Option<&(u64, Bytes)> {
        let kept = number.checked_sub(self.gone)?;
        self.units.get(usize::try_from(kept).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A track with `groups` of `count` units, one each 33 ms; a unit is its group and number.
    fn filled(groups: u8, count: u8) -> Track {
        let mut track = Track::new(90_000);
        for group in 0..groups {
            for number in 0..count {
                let at = (u64::from(group) * u64::from(count) + u64::from(number)) * 33_000;
                track.push(at, number == 0, Bytes::copy_from_slice(&[group, number]));
            }
        }
        track
    }

    fn drain(track: &Track, place: &mut Place) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| track.next(place)).map(|message| message.to_vec()).collect()
    }

    #[test]
    fn a_late_page_begins_with_the_running_groups_keyframe() {
        let track = filled(3, 4);
        let got = drain(&track, &mut Place::default());
        assert_eq!(got, [[2, 0], [2, 1], [2, 2], [2, 3]]);
    }

    #[test]
    fn a_page_that_is_close_behind_gets_the_end_of_the_last_group() {
        let track = filled(2, 4);
        let mut place = Place { group: 1, next: 2 };
        let got = drain(&track, &mut place);
        assert_eq!(got, [[0, 2], [0, 3], [1, 0], [1, 1], [1, 2], [1, 3]]);
    }

    #[test]
    fn a_slow_page_skips_to_the_newest_keyframe() {
        let track = filled(2, 40);
        let mut place = Place { group: 1, next: 2 };
        assert_eq!(drain(&track, &mut place)[0], [1, 0][..]);
        let track = filled(5, 4);
        assert_eq!(drain(&track, &mut Place { group: 2, next: 1 })[0], [4, 0][..]);
    }

    #[test]
    fn nothing_is_kept_before_a_keyframe() {
        let mut track = Track::new(1);
        track.push(0, false, Bytes::from_static(b"x"));
        assert_eq!(drain(&track, &mut Place::default()).len(), 0);
        assert!(track.current.units.is_empty());
    }

    #[test]
    fn a_group_without_end_is_bounded_and_running_pages_go_on() {
        let mut track = Track::new(1);
        let big = Bytes::from(vec![0; MAX_GROUP_BYTES / 4]);
        track.push(0, true, big.clone());
        let mut running = Place::default();
        assert_eq!(drain(&track, &mut running).len(), 1);
        for at in 1..=20 {
            track.push(at, false, big.clone());
            assert!(track.current.bytes <= MAX_GROUP_BYTES);
            assert_eq!(drain(&track, &mut running).len(), 1);
        }
        assert_eq!(drain(&track, &mut Place::default()).len(), 0, "no keyframe to begin with");
        track.push(30, true, big);
        assert_eq!(drain(&track, &mut Place::default()).len(), 1);
    }

    #[test]
    fn broadcasts_take_turns_and_leave_no_trace() {
        let hub = UnitHub::new(Clock::new());
        let unit = ViewUnit {
            seq: 0,
            group: 0,
            pts: 0,
            decode_offset: 0,
            captured_us: 0,
            ready_us: 0,
            keyframe: true,
            data: Bytes::from_static(b"k"),
        };
        for broadcast in 0..=u32::try_from(MAX_BROADCASTS).unwrap() {
            assert_eq!(hub.open(broadcast, 1_000), broadcast < 32);
        }
        hub.close(3);
        for broadcast in 0..5 {
            hub.push(broadcast, &unit);
            hub.push(broadcast, &ViewUnit { keyframe: false, ..unit.clone() });
        }
        let mut places = Places::default();
        let order: Vec<_> =
            std::iter::from_fn(|| hub.next(&mut places)).map(|message| message[7]).collect();
        assert_eq!(order, [1, 2, 4, 0, 1, 2, 4, 0]);
        for broadcast in 0..32 {
            hub.close(broadcast);
        }
        assert_eq!(hub.next(&mut places), None);
        assert!(places.places.is_empty());
    }
}
