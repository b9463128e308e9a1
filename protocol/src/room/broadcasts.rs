//! What is being broadcast. An announcement counts only beside a living roster entry of the
//! incarnation that it names, with a ticket to publish, and, in a full mesh, only from the
//! publisher's own mouth: else a member could play yesterday's broadcast to a newcomer.
//!
//! At most [`BROADCASTS_PER_MEMBER_MAX`] for each member, and [`ENDED_MAX`] that have ended, of which
//! whoever ended most loses the oldest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::output::{Broadcast, Event, RetractedWhy};
use super::shares;
use crate::time::{Deadline, Mono, Why};
use crate::trust::id::{BroadcastId, Incarnation, PeerId};
use crate::wire::message::Signed;
use crate::wire::signed::{Announcement, Retraction};

/// Broadcasts of one member at a time: camera, screen, and a change of either.
pub const BROADCASTS_PER_MEMBER_MAX: usize = 4;
/// Publishers whose announcements are held although they are not in the roster (yet).
const EARLY_MAX: usize = 64;
/// How long such an announcement waits for its publisher's entry.
const EARLY_HOLD: Duration = Duration::from_secs(30);
/// Ended broadcasts that are remembered, so that a late copy does not bring them back.
const ENDED_MAX: usize = 1024;
/// A publisher that is back says within this time which of its broadcasts are still on.
const CONFIRM_MAX: Duration = Duration::from_secs(5);

type Key = (PeerId, BroadcastId);

/// What the rest of the room knows of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its living incarnation.
    pub(super) incarnation: Incarnation,
    /// Its ticket lets it publish.
    pub(super) may_publish: bool,
    /// Its broadcasts count although others told of them: we do not hold a stream to everybody.
    pub(super) by_hearsay: bool,
}

#[derive(Clone, Debug)]
struct Held {
    signed: Signed,
    announcement: Announcement,
    /// The publisher said it itself, on a stream of this incarnation.
    first_hand: bool,
    confirm_by: Option<Mono>,
    shown_revision: Option<u32>,
    since: Mono,
}

/// The table of broadcasts, our own not among them.
#[derive(Debug, Default)]
pub(super) struct Broadcasts {
    held: BTreeMap<Key, Held>,
    ended: BTreeMap<Key, (Incarnation, Mono)>,
}

impl Broadcasts {
    /// Whether exactly this is held already, from whom it needs to come.
    pub(super) fn is_known(&self, peer: &PeerId, signed: &Signed, first_hand: bool) -> bool {
        let held =
            self.held.range((*peer, BroadcastId([0; 16]))..).take_while(|(key, _)| key.0 == *peer);
        held.into_iter().any(|(_, held)| {
            held.signed == *signed
                && (!first_hand || (held.first_hand && held.confirm_by.is_none()))
        })
    }

    /// An announcement whose signature and chain were checked. Whether it is news to pass on.
    pub(super) fn handle_announced(
        &mut self,
        peer: PeerId,
        announcement: Announcement,
        signed: Signed,
        (first_hand, now): (bool, Mono),
    ) -> bool {
        let key = (peer, announcement.broadcast);
        if self.ended.get(&key).is_some_and(|(ended, _)| *ended >= announcement.incarnation) {
            return false;
        }
        if let Some(held) = self.held.get_mut(&key) {
            if announcement.incarnation < held.announcement.incarnation {
                return false;
            }
            let same = announcement.incarnation == held.announcement.incarnation;
            if same && announcement.revision <= held.announcement.revision {
                if first_hand {
                    held.first_hand = true;
                    held.confirm_by = None;
                }
                return false;
            }
            held.first_hand = first_hand || (same && held.first_hand);
            held.confirm_by = held.confirm_by.filter(|_| !first_hand);
            held.signed = signed;
            held.announcement = announcement;
            return true;
        }
        if !self.make_room(&peer) {
            return false;
        }
        let (confirm_by, shown_revision) = (None, None);
        let held =
            Held { signed, announcement, first_hand, confirm_by, shown_revision, since: now };
        self.held.insert(key, held);
        true
    }

    /// A retraction whose signature was checked. Whether it is news; and the event, if it was shown.
    pub(super) fn handle_retracted(
        &mut self,
        peer: PeerId,
        retraction: Retraction,
        now: Mono,
    ) -> (bool, Option<Event>) {
        let key = (peer, retraction.broadcast);
        if self.ended.get(&key).is_some_and(|(ended, _)| *ended >= retraction.incarnation) {
            return (false, None);
        }
        self.ended.insert(key, (retraction.incarnation, now));
        if self.ended.len() > ENDED_MAX {
            let rows = self.ended.iter().map(|(key, (_, at))| (*key, key.0, *at));
            shares::gives_way(rows).and_then(|victim| self.ended.remove(&victim));
        }
        let held = self.held.get(&key);
        if held.is_some_and(|held| held.announcement.incarnation > retraction.incarnation) {
            return (false, None);
        }
        let held = self.held.remove(&key);
        let shown = held.filter(|held| held.shown_revision.is_some());
        (true, shown.map(|_| retracted(key, RetractedWhy::Ended)))
    }

    /// A new stream to this publisher: what it does not speak of soon is over.
    pub(super) fn handle_live(&mut self, peer: PeerId, now: Mono) {
        for (key, held) in &mut self.held {
            if key.0 == peer && held.first_hand {
                held.confirm_by = Some(now + CONFIRM_MAX);
            }
        }
    }

    /// Compares with the roster: what is shown from now on, and what no longer is.
    pub(super) fn poll_changes(
        &mut self,
        now: Mono,
        standing: impl Fn(&PeerId) -> Option<Standing>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        self.held.retain(|key, held| {
            let standing = standing(&key.0);
            let over = held.over(standing, now);
            if let Some(why) = over {
                if held.shown_revision.is_some() {
                    events.push(retracted(*key, why));
                }
                return false;
            }
            let counts = standing.is_some_and(|standing| held.counts(standing));
            if counts && held.shown_revision != Some(held.announcement.revision) {
                held.shown_revision = Some(held.announcement.revision);
                events.push(Event::Announced { broadcast: held.view(*key) });
            }
            true
        });
        events
    }

    pub(super) fn poll_timeout(&self) -> Option<Deadline> {
        let times = self.held.values().filter_map(|held| {
            let early = held.shown_revision.is_none().then_some(held.since + EARLY_HOLD);
            [held.confirm_by, early].into_iter().flatten().min()
        });
        times.min().map(|at| (at, Why("a broadcast is to be confirmed")))
    }

    /// What is shown.
    pub(super) fn shown(&self) -> impl Iterator<Item = Broadcast> {
        let shown = self.held.iter().filter(|(_, held)| held.shown_revision.is_some());
        shown.map(|(key, held)| held.view(*key))
    }

    /// What is shown under this name.
    pub(super) fn get(&self, publisher: PeerId, id: BroadcastId) -> Option<Broadcast> {
        let held = self.held.get(&(publisher, id)).filter(|held| held.shown_revision.is_some())?;
        Some(held.view((publisher, id)))
    }

    /// What a newcomer is told.
    pub(super) fn signed(&self) -> impl Iterator<Item = &Signed> {
        self.held.values().filter(|held| held.shown_revision.is_some()).map(|held| &held.signed)
    }

    fn make_room(&mut self, peer: &PeerId) -> bool {
        let of_peer = |key: &Key| key.0 == *peer;
        let count = self.held.keys().filter(|key| of_peer(key)).count();
        let early = self.held.values().filter(|held| held.shown_revision.is_none()).count();
        if count < BROADCASTS_PER_MEMBER_MAX && (early < EARLY_MAX || count > 0) {
            return true;
        }
        let theirs = |(key, held): &(&Key, &Held)| {
            held.shown_revision.is_none() && (of_peer(key) || count == 0)
        };
        let oldest = self.held.iter().filter(theirs).min_by_key(|(_, held)| held.since);
        let oldest = oldest.map(|(key, _)| *key);
        oldest.and_then(|oldest| self.held.remove(&oldest)).is_some()
    }
}

impl Held {
    fn counts(&self, standing: Standing) -> bool {
        standing.incarnation == self.announcement.incarnation
            && standing.may_publish
            && (self.first_hand || standing.by_hearsay || self.shown_revision.is_some())
    }

    fn over(&self, standing: Option<Standing>, now: Mono) -> Option<RetractedWhy> {
        let early = self.shown_revision.is_none();
        match standing {
            _ if self.confirm_by.is_some_and(|by| by <= now) => Some(RetractedWhy::Unconfirmed),
            Some(standing) if standing.incarnation > self.announcement.incarnation => {
                Some(RetractedWhy::PublisherLeft)
            }
            Some(standing) if !early && !standing.may_publish => Some(RetractedWhy::NotAllowed),
            None if !early => Some(RetractedWhy::PublisherLeft),
            // Nobody was shown it, so nobody is told.
            _ if early && now.since(self.since) >= EARLY_HOLD => Some(RetractedWhy::Unconfirmed),
            _ => None,
        }
    }

    fn view(&self, (publisher, id): Key) -> Broadcast {
        Broadcast { publisher, id, catalog: self.announcement.catalog.clone() }
    }
}

fn retracted((publisher, broadcast): Key, why: RetractedWhy) -> Event {
    Event::Retracted { publisher, broadcast, why }
}
