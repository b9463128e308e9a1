//! What we broadcast ourselves, and when our encoders are asked for a keyframe. At most
//! [`BROADCASTS_PER_MEMBER_MAX`] at a time.

use std::collections::{BTreeMap, VecDeque};

use super::Room;
use super::broadcasts::BROADCASTS_PER_MEMBER_MAX;
use super::output::{Output, Refusal};
use crate::media::clock::ClockView;
use crate::media::keyframe::KeyframePolicy;
use crate::media::pull::Medium;
use crate::time::{Deadline, Mono, Now, earliest};
use crate::trust::id::{BroadcastId, PeerId, TrackId, TrackKey};
use crate::trust::ticket::Roles;
use crate::wire::catalog::{Catalog, CatalogTrack, TrackKind};
use crate::wire::message::{Announce, Retract, Signed};
use crate::wire::signed::{Announcement, Retraction};
use rand_core::Rng;

/// Our ended broadcasts that we still tell newcomers of, against copies played back.
const ENDED_MAX: usize = 16;

/// One of our broadcasts.
#[derive(Debug)]
struct Own {
    signed: Signed,
    revision: u32,
    catalog: Catalog,
    clock: ClockView,
    keyframes: BTreeMap<TrackId, KeyframePolicy>,
}

/// The table of our broadcasts.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    own: BTreeMap<BroadcastId, Own>,
    ended: VecDeque<(BroadcastId, Signed)>,
}

impl Publishing {
    pub(super) fn clear(&mut self) {
        self.own.clear();
    }

    /// What newcomers are told: what is on, and what has ended.
    pub(super) fn signed(&self) -> (Vec<Signed>, Vec<Signed>) {
        let on = self.own.values().map(|own| own.signed.clone()).collect();
        (on, self.ended.iter().map(|(_, signed)| signed.clone()).collect())
    }

    pub(super) fn clock(&self, broadcast: BroadcastId) -> Option<ClockView> {
        self.own.get(&broadcast).map(|own| own.clock)
    }

    /// The clock of one of our tracks, and what it carries; else whether its broadcast is over.
    pub(super) fn track(&self, track: TrackKey) -> Result<(ClockView, Medium), bool> {
        let over = || self.ended.iter().any(|(ended, _)| *ended == track.broadcast);
        let own = self.own.get(&track.broadcast).ok_or_else(over)?;
        own.catalog.track(track.track).map(|found| (own.clock, medium(found))).ok_or(false)
    }

    /// A request for sound is none: every packet of it decodes alone.
    pub(super) fn want_keyframe(&mut self, track: TrackKey, child: PeerId, now: Mono) {
        if let Some(own) = self.own.get_mut(&track.broadcast)
            && own.catalog.track(track.track).is_some_and(|found| medium(found) == Medium::Pictures)
        {
            own.keyframes.entry(track.track).or_default().handle_request(child, now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Deadline> {
        let policies = self.own.values().flat_map(|own| own.keyframes.values());
        earliest(policies.map(KeyframePolicy::poll_timeout))
    }
}

fn medium(track: &CatalogTrack) -> Medium {
    match track.kind {
        TrackKind::Video { .. } => Medium::Pictures,
        TrackKind::Audio { .. } => Medium::Sound,
    }
}

impl Room {
    /// Begins a broadcast. `clock` maps our steady clock to the broadcast's
    /// ([`ClockView::at_publisher`]): every `captured_us` must be by it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn publish(
        &mut self,
        catalog: Catalog,
        clock: ClockView,
        now: Now,
    ) -> Result<BroadcastId, Refusal> {
        self.notice(now);
        self.may(Roles::PUBLISH, "publish")?;
        if catalog.tracks.is_empty() || !catalog.is_sound() {
            return Err(Refusal::Catalog);
        }
        if self.publishing.own.len() >= BROADCASTS_PER_MEMBER_MAX {
            return Err(Refusal::TooMany(BROADCASTS_PER_MEMBER_MAX));
        }
        let mut id = BroadcastId([0; 16]);
        self.rng.fill_bytes(&mut id.0);
        self.announce(id, 1, catalog, clock);
        self.settle(now);
        Ok(id)
    }

    /// Changes what a broadcast of ours offers; tracks that go on keep their ids.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn change_catalog(
        &mut self,
        id: BroadcastId,
        catalog: Catalog,
        now: Now,
    ) -> Result<(), Refusal> {
        self.notice(now);
        let own = self.publishing.own.get(&id).ok_or(Refusal::Unknown)?;
        if catalog.tracks.is_empty() || !catalog.is_sound() {
            return Err(Refusal::Catalog);
        }
        let (revision, clock) = (own.revision + 1, own.clock);
        self.announce(id, revision, catalog, clock);
        self.settle(now);
        Ok(())
    }

    fn announce(&mut self, id: BroadcastId, revision: u32, catalog: Catalog, clock: ClockView) {
        let signed = self.sign(&Announcement {
            incarnation: self.incarnation,
            broadcast: id,
            revision,
            chain: self.chain.clone(),
            catalog: catalog.clone(),
        });
        let keyframes = self.publishing.own.remove(&id).map(|own| own.keyframes);
        let mut keyframes = keyframes.unwrap_or_default();
        keyframes.retain(|track, _| catalog.track(*track).is_some());
        let own = Own { signed: signed.clone(), revision, catalog, clock, keyframes };
        self.publishing.own.insert(id, own);
        self.flood(&Announce { signed }, None);
    }

    /// Ends a broadcast of ours.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn retract(&mut self, id: BroadcastId, now: Now) -> Result<(), Refusal> {
        self.notice(now);
        self.publishing.own.remove(&id).ok_or(Refusal::Unknown)?;
        let signed = self.sign(&Retraction { incarnation: self.incarnation, broadcast: id });
        if self.publishing.ended.len() == ENDED_MAX {
            self.publishing.ended.pop_front();
        }
        self.publishing.ended.push_back((id, signed.clone()));
        self.flood(&Retract { signed }, None);
        self.stop_feeds_of(id);
        self.settle(now);
        Ok(())
    }

    /// The encoder of our own `track` gave a keyframe, asked for or not.
    pub fn handle_keyframe(&mut self, track: TrackKey, now: Now) {
        self.notice(now);
        if let Some(own) = self.publishing.own.get_mut(&track.broadcast)
            && own.catalog.track(track.track).is_some()
        {
            own.keyframes.entry(track.track).or_default().handle_keyframe(now.mono);
        }
    }

    pub(super) fn tick_keyframes(&mut self, now: Now) {
        let publisher = self.me;
        for (broadcast, own) in &mut self.publishing.own {
            for (track, policy) in &mut own.keyframes {
                if policy.poll_output(now.mono) {
                    let track = TrackKey { publisher, broadcast: *broadcast, track: *track };
                    self.outputs.push_back(Output::KeyframeWanted { track });
                }
            }
        }
    }
}
