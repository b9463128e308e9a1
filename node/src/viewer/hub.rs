//! Where access units wait for pages: per broadcast the running group from its keyframe, and the
//! one before. Pages have no queue of their own, only a place in these groups; so a slow page costs
//! nothing, and one that opens late begins with the keyframe that is there already.
//!
//! A page goes on to the end of a group that it is close behind; one that is further behind goes to
//! the newest keyframe.
//!
//! Sound waits beside them, about a second of it, and goes first: see [`sound`].
//!
//! What waits is the access unit itself, shared with whoever made it. It is copied into a message
//! when the first page comes to it, once for all pages: where no page is open, nothing is copied.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use self::sound::Sound;
use super::wire::{self, Kind};
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
    tracks: Mutex<Tracks>,
    copies: AtomicU64,
    version: watch::Sender<u64>,
}

/// What is kept, by the broadcasts' numbers.
#[derive(Debug, Default)]
struct Tracks {
    pictures: BTreeMap<u32, Track>,
    sounds: BTreeMap<u32, Sound>,
}

#[derive(Debug)]
struct Track {
    timescale: u32,
    groups_begun: u64,
    current: Group,
    previous: Group,
}

/// Access units in order. Number 0 is none.
#[derive(Debug, Default)]
struct Group {
    number: u64,
    /// Units that have left at the head.
    gone: u64,
    units: VecDeque<Kept>,
    bytes: usize,
}

/// An access unit that waits for pages.
#[derive(Debug)]
struct Kept {
    /// When it was ready, by the node's steady clock.
    node_us: u64,
    /// As it came; its bytes are the message's once there is one.
    unit: ViewUnit,
    /// As every page gets it; none until one has asked for it.
    message: Option<Bytes>,
}

/// A page's place in all broadcasts.
#[derive(Debug, Default)]
pub(super) struct Places {
    places: BTreeMap<u32, Place>,
    /// By broadcast, the number of the packet of sound that comes next.
    sounds: BTreeMap<u32, u64>,
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
        let (tracks, copies) = (Mutex::default(), AtomicU64::new(0));
        Self { shared: Arc::new(Shared { clock, tracks, copies, version }) }
    }

    /// Makes room for a broadcast's pictures, whose `pts` have this many units in a second. False:
    /// there are [`MAX_BROADCASTS`] already. A number must not be used again for another broadcast.
    pub fn open(&self, broadcast: u32, timescale: u32) -> bool {
        let tracks = &mut self.lock().pictures;
        if tracks.len() >= MAX_BROADCASTS && !tracks.contains_key(&broadcast) {
            return false;
        }
        tracks.entry(broadcast).or_insert_with(|| Track::new(timescale));
        true
    }

    /// Makes room for the sound of a broadcast, before or after [`UnitHub::open`]. The number is
    /// that of the broadcast; `timescale` and the answer are as there.
    pub fn open_sound(&self, broadcast: u32, timescale: u32) -> bool {
        let sounds = &mut self.lock().sounds;
        if sounds.len() >= MAX_BROADCASTS && !sounds.contains_key(&broadcast) {
            return false;
        }
        sounds.entry(broadcast).or_insert_with(|| Sound::new(timescale));
        true
    }

    /// Forgets a broadcast and what is kept of it, sound included.
    pub fn close(&self, broadcast: u32) {
        let mut tracks = self.lock();
        tracks.pictures.remove(&broadcast);
        tracks.sounds.remove(&broadcast);
    }

    /// Takes an access unit of a broadcast at the moment at which it is ready. Never waits for a
    /// page, and copies nothing. What no page could decode (before the first keyframe, or of a
    /// broadcast that is not open) is dropped.
    pub fn push(&self, broadcast: u32, unit: &ViewUnit) {
        let node_us = self.shared.clock.mono().as_micros();
        if let Some(track) = self.lock().pictures.get_mut(&broadcast) {
            track.push(node_us, unit.clone());
        }
        self.shared.version.send_modify(|version| *version += 1);
    }

    /// Takes a packet of a broadcast's sound (an Opus packet, a raw AAC frame) at the moment at
    /// which it is ready, as [`UnitHub::push`] takes pictures.
    pub fn push_sound(&self, broadcast: u32, packet: &ViewUnit) {
        let node_us = self.shared.clock.mono().as_micros();
        if let Some(sound) = self.lock().sounds.get_mut(&broadcast) {
            sound.push(node_us, packet.clone());
        }
        self.shared.version.send_modify(|version| *version += 1);
    }

    /// What a reader of one broadcast is given next, as it came: sound first, then pictures from the
    /// newest keyframe on.
    pub(super) fn next_unit(
        &self,
        broadcast: u32,
        places: &mut Places,
    ) -> Option<(Kind, ViewUnit)> {
        let Tracks { pictures, sounds } = &mut *self.lock();
        if let Some(sound) = sounds.get_mut(&broadcast)
            && let Some(kept) = sound.next(places.sounds.entry(broadcast).or_default())
        {
            return Some((Kind::Sound, kept.unit.clone()));
        }
        let kept =
            pictures.get_mut(&broadcast)?.next(places.places.entry(broadcast).or_default())?;
        Some((Kind::Video, kept.unit.clone()))
    }

    /// Ticks a second of a broadcast's pictures and of its sound, where they are open.
    pub(super) fn timescales(&self, broadcast: u32) -> (Option<u32>, Option<u32>) {
        let tracks = self.lock();
        let pictures = tracks.pictures.get(&broadcast).map(|track| track.timescale);
        (pictures, tracks.sounds.get(&broadcast).map(|sound| sound.timescale))
    }

    /// How many access units were copied into messages, because a page had come to them.
    pub fn copies(&self) -> u64 {
        self.shared.copies.load(Relaxed)
    }

    /// Changes whenever there may be something new.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// What a page is to be sent next, if anything: sound before any picture.
    pub(super) fn next(&self, places: &mut Places) -> Option<Bytes> {
        let Tracks { pictures: tracks, sounds } = &mut *self.lock();
        if places.sounds.len() > sounds.len() {
            places.sounds.retain(|broadcast, _| sounds.contains_key(broadcast));
        }
        for (&broadcast, sound) in sounds {
            let place = places.sounds.entry(broadcast).or_default();
            let head = (Kind::Sound, broadcast, sound.timescale);
            if let Some(kept) = sound.next(place) {
                return Some(kept.message(head, &self.shared.copies));
            }
        }
        if places.places.len() > tracks.len() {
            places.places.retain(|broadcast, _| tracks.contains_key(broadcast));
        }
        let last = places.last;
        for turn in [(Excluded(last), Unbounded), (Unbounded, Included(last))] {
            for (&broadcast, track) in tracks.range_mut(turn) {
                let place = places.places.entry(broadcast).or_default();
                let head = (Kind::Video, broadcast, track.timescale);
                if let Some(kept) = track.next(place) {
                    places.last = broadcast;
                    return Some(kept.message(head, &self.shared.copies));
                }
            }
        }
        None
    }

    // What a panic elsewhere may have left half done here is at worst a missing picture.
    fn lock(&self) -> MutexGuard<'_, Tracks> {
        self.shared.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Track {
    fn new(timescale: u32) -> Self {
        Self { timescale, groups_begun: 0, current: Group::default(), previous: Group::default() }
    }

    fn push(&mut self, node_us: u64, unit: ViewUnit) {
        if unit.keyframe {
            self.groups_begun += 1;
            let begun = Group { number: self.groups_begun, ..Group::default() };
            self.previous = std::mem::replace(&mut self.current, begun);
        }
        if self.current.number != 0 {
            self.current.push(Kept { node_us, unit, message: None });
        }
    }

    fn next(&mut self, place: &mut Place) -> Option<&mut Kept> {
        if self.current.number == 0 {
            return None;
        }
        if place.group == self.previous.number && place.group != 0 {
            let newest = self.current.units.back().map_or(0, |kept| kept.node_us);
            if let Some(kept) = self.previous.get(place.next)
                && newest.saturating_sub(kept.node_us) <= CLOSE_BEHIND_US
            {
                place.next += 1;
                return Some(kept);
            }
        }
        if place.group != self.current.number {
            *place = Place { group: self.current.number, next: 0 };
        }
        let kept = self.current.get(place.next)?;
        place.next += 1;
        Some(kept)
    }
}

impl Group {
    fn push(&mut self, kept: Kept) {
        self.bytes += kept.bytes();
        self.units.push_back(kept);
        while self.bytes > MAX_GROUP_BYTES {
            let Some(head) = self.units.pop_front() else { break };
            self.bytes -= head.bytes();
            self.gone += 1;
        }
    }

    /// A unit by its number in the group; none when it has not come yet, or has left.
    fn get(&mut self, number: u64) -> Option<&mut Kept> {
        let kept = number.checked_sub(self.gone)?;
        self.units.get_mut(usize::try_from(kept).ok()?)
    }
}

impl Kept {
    /// The same with a message and without.
    fn bytes(&self) -> usize {
        wire::length(&self.unit)
    }

    /// Made at the first call; what the unit came in is let go then.
    fn message(
        &mut self,
        (kind, broadcast, timescale): (Kind, u32, u32),
        copies: &AtomicU64,
    ) -> Bytes {
        let (unit, node_us) = (&mut self.unit, self.node_us);
        self.message
            .get_or_insert_with(|| {
                copies.fetch_add(1, Relaxed);
                let message = wire::encode(kind, broadcast, unit, timescale, node_us);
                unit.data = message.slice(wire::data_at()..);
                message
            })
            .clone()
    }
}

mod sound;
#[cfg(test)]
mod tests;
