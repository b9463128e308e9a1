//! What our own side wants.

use std::time::Duration;

use super::Room;
use super::input::Source;
use super::output::{EndReason, Refusal};
use super::policy::DialPolicy;
use crate::address::Address;
use crate::time::Now;
use crate::trust::id::{PeerId, TrackKey};
use crate::trust::ticket::Roles;
use crate::wire::message::KeyframeWanted;

impl Room {
    /// Watches a track, whenever and as soon as its publisher can be reached, until
    /// [`Self::unsubscribe`] or its end. Calling it again changes the latency budget of the next
    /// connection.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn subscribe(
        &mut self,
        track: TrackKey,
        latency: Duration,
        now: Now,
    ) -> Result<(), Refusal> {
        self.notice(now);
        self.may(Roles::VIEW, "view")?;
        if track.publisher == self.me {
            return Err(Refusal::Own);
        }
        let broadcast = self.broadcasts.get(track.publisher, track.broadcast);
        if broadcast.is_none_or(|broadcast| broadcast.catalog.track(track.track).is_none()) {
            return Err(Refusal::Unknown);
        }
        if self.parents.len() >= super::SUBSCRIPTIONS_MAX && !self.parents.contains(&track) {
            return Err(Refusal::TooMany(super::SUBSCRIPTIONS_MAX));
        }
        self.parents.add(track, latency, now.mono);
        self.settle(now);
        Ok(())
    }

    /// Watches a track no longer.
    pub fn unsubscribe(&mut self, track: TrackKey, now: Now) {
        self.notice(now);
        self.end_sub(track);
        self.settle(now);
    }

    /// The viewer of `track` cannot show anything before the next keyframe. How often that counts is
    /// the publisher's decision.
    pub fn want_keyframe(&mut self, track: TrackKey, now: Now) {
        self.notice(now);
        if let Some((conn, sub, Some(_))) = self.parents.open(&track) {
            self.send(conn, &KeyframeWanted { sub });
        }
    }

    /// Where we may be reached: told to members in our roster entry.
    pub fn set_addresses(&mut self, addresses: Vec<Address>, now: Now) {
        self.notice(now);
        self.own.set_addresses(addresses);
        self.settle(now);
    }

    /// A member may be reached there.
    pub fn handle_found(&mut self, peer: PeerId, addresses: &[Address], source: Source, now: Now) {
        self.notice(now);
        self.dialler.handle_found(peer, addresses, source, now.mono);
        self.settle(now);
    }

    /// No bootstrap holds a registration of `peer` any more (call it on
    /// [`crate::rooms::watch::Output::Gone`], where no other watch of this room still has it). Only a
    /// hint: a peer that is in the roster, or reached, or known from the LAN or the user stays; any
    /// other is forgotten when a dial fails.
    pub fn handle_unregistered(&mut self, peer: PeerId, now: Now) {
        self.notice(now);
        self.dialler.handle_unregistered(peer);
        self.settle(now);
    }

    /// The network has changed, and with it what may be dialled. Addresses learnt before are judged
    /// anew, also those that could not be dialled from where we were.
    pub fn set_dialling(&mut self, dialling: DialPolicy, now: Now) {
        self.notice(now);
        self.dialler.set_policy(dialling, now.mono);
        self.settle(now);
    }

    /// None of the addresses of an [`super::Output::Dial`] answered.
    pub fn handle_dial_failed(&mut self, peer: Option<PeerId>, now: Now) {
        self.notice(now);
        self.dialler.handle_failed(peer, now.mono);
        self.settle(now);
    }

    /// Leaves the room politely. What is queued for sending should still be written.
    pub fn leave(&mut self, now: Now) {
        self.notice(now);
        self.end(EndReason::Left, now);
    }

    pub(super) fn may(&self, role: Roles, name: &'static str) -> Result<(), Refusal> {
        let Some(grant) = self.grant.as_ref().filter(|_| self.ended.is_none()) else {
            return Err(Refusal::Ended);
        };
        if grant.roles.contains(role) { Ok(()) } else { Err(Refusal::Role(name)) }
    }
}
