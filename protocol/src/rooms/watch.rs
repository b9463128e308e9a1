//! A node's view of one room at one bootstrap: keeps the node registered, and says who was found.
//!
//! It registers and watches under the id of this period, and of the neighbour's near an edge. A lost
//! bootstrap is no leave: what was found stays found, and is compared when the bootstrap is back. It
//! dials nobody. Two rooms at one bootstrap are two machines on one stream: each is given every frame
//! and lets pass what is not its own.
//!
//! Bounds: [`FOUND_PEERS_MAX`] peers, later ones are not told; at most [`ANSWER_RECORDS_MAX`] records
//! of an answer are looked at.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

pub use super::found::FOUND_PEERS_MAX;

use super::found::{Found, Worth};
use super::message::{ANSWER_RECORDS_MAX, Answer, Reason, Request, kind};
use super::pings::{Due, Pings};
use super::record::{Claim, RECORD_ADDRESSES_MAX, Record};
use super::{REFRESH, TTL};
use crate::address::Address;
use crate::time::{Deadline, Mono, Now, Wall, Why, earliest};
use crate::trust::id::PeerId;
use crate::trust::rid::{self, Rid, RidKey};
use crate::trust::secret::RoomSecret;
use crate::wire::frame::{UnknownMeter, Violation};

/// Addresses may flap; a registration follows them no faster.
const REGISTER_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Until a bootstrap that asked for patience is asked again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Until a refusal that time may cure (a clock set right, a room left) is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// Who looks for which room.
#[derive(Clone, Debug)]
pub struct WatchConfig {
    /// The room's secret: whoever holds it finds the room.
    pub secret: RoomSecret,
    /// This node.
    pub peer: PeerId,
    /// Where this node can be reached; with none it watches and does not register. The first
    /// [`RECORD_ADDRESSES_MAX`] are told, fewer where they are long.
    pub addresses: Vec<Address>,
}

/// What the shell must do, or tell the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this frame (length in front) to the bootstrap.
    Send(Bytes),
    /// A member is there, or has other addresses. They are hints: the dial policy decides.
    Found {
        /// Who.
        peer: PeerId,
        /// Where.
        addresses: Vec<Address>,
    },
    /// The bootstrap no longer holds this member's record. Only a hint: an open connection to it
    /// knows better. Where no other [`Watch`] of the room [knows](Watch::knows) the member, the room
    /// is told ([`crate::room::Room::handle_unregistered`]).
    Gone {
        /// Who.
        peer: PeerId,
    },
    /// The node is registered; told once after each opening and after each refusal.
    Registered,
    /// The bootstrap refused; told once for each reason.
    Refused(Reason),
    /// Two pings are unanswered: close the connection and dial again.
    Silent,
}

#[derive(Debug)]
struct Place {
    period: u32,
    key: RidKey,
    /// When the last registration was sent.
    sent: Option<Mono>,
    register_at: Option<Mono>,
    watch_at: Option<Mono>,
}

/// See the module.
#[derive(Debug)]
pub struct Watch {
    config: WatchConfig,
    nonce_seed: [u8; 32],
    rng: ChaCha8Rng,
    open: bool,
    left: bool,
    places: Vec<Place>,
    found: Found,
    seq: u64,
    pings: Pings,
    unknown: UnknownMeter,
    registered_told: bool,
    refused_told: Option<Reason>,
    outputs: VecDeque<Output>,
}

impl Watch {
    /// A view of a bootstrap that is not connected yet.
    pub fn new(config: WatchConfig, seed: [u8; 32], now: Now) -> Self {
        let mut rng = ChaCha8Rng::from_seed(seed);
        let mut nonce_seed = [0; 32];
        rng.fill_bytes(&mut nonce_seed);
        let pings = Pings::new(rng.next_u64(), now.mono);
        Self {
            config,
            nonce_seed,
            rng,
            open: false,
            left: false,
            places: Vec::new(),
            found: Found::default(),
            seq: 0,
            pings,
            unknown: UnknownMeter::default(),
            registered_told: false,
            refused_told: None,
            outputs: VecDeque::new(),
        }
    }

    /// The stream to the bootstrap is open.
    pub fn handle_opened(&mut self, now: Now) {
        self.open = true;
        self.pings.restart(now.mono);
        self.registered_told = false;
        for place in &mut self.places {
            (place.sent, place.register_at) = (None, Some(now.mono));
            place.watch_at = Some(now.mono);
        }
        self.handle_timeout(now);
    }

    /// The stream is gone. Nobody left because of that.
    pub fn handle_closed(&mut self, _now: Now) {
        self.open = false;
    }

    /// A frame (type and body) of the bootstrap.
    ///
    /// # Errors
    /// [`Violation`]: the connection is to be closed.
    pub fn handle_frame(&mut self, frame: &[u8], now: Now) -> Result<(), Violation> {
        match Answer::decode(frame)? {
            None => self.unknown.count(now.mono)?,
            Some(Answer::Registered { rid, .. }) => self.note_registered(rid),
            Some(Answer::Refused { rid, request, reason }) => {
                self.note_refused(rid, request, reason, now.mono);
            }
            Some(Answer::Records { rid, total, records }) => {
                self.note_records(rid, total, records, now.wall);
            }
            Some(Answer::Joined { record }) => {
                self.note_record(record, now.wall);
            }
            Some(Answer::Left { rid, peer }) => self.forget(rid, peer),
            Some(Answer::Pong { token }) => self.pings.answered(token, now.mono),
        }
        Ok(())
    }

    /// A deadline of [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        if !self.open || self.left {
            return;
        }
        self.follow_periods(now);
        for at in 0..self.places.len() {
            if self.places[at].watch_at.is_some_and(|due| due <= now.mono) {
                self.places[at].watch_at = None;
                let rid = self.places[at].key.rid();
                self.send(&Request::Watch { rid });
            }
            if self.places[at].register_at.is_some_and(|due| due <= now.mono) {
                self.register(at, now);
            }
        }
        match self.pings.due(now.mono) {
            Some(Due::Ping(token)) => self.send(&Request::Ping { token }),
            Some(Due::Silent) => self.outputs.push_back(Output::Silent),
            None => {}
        }
    }

    /// This node can be reached elsewhere now.
    pub fn set_addresses(&mut self, addresses: Vec<Address>, now: Now) {
        if addresses == self.config.addresses {
            return;
        }
        let none = addresses.is_empty();
        self.config.addresses = addresses;
        for at in 0..self.places.len() {
            let place = &mut self.places[at];
            let earliest = place.sent.map_or(now.mono, |last| last + REGISTER_INTERVAL_MIN);
            place.register_at = Some(earliest.max(now.mono));
            if none {
                place.register_at = None;
                let rid = place.key.rid();
                self.send(&Request::Unregister { rid });
            }
        }
        self.handle_timeout(now);
    }

    /// Says goodbye. Nothing is sent or told afterwards.
    pub fn leave(&mut self) {
        for place in std::mem::take(&mut self.places) {
            self.give_up(&place);
        }
        self.left = true;
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Deadline> {
        if !self.open || self.left {
            return None;
        }
        let ping = self.pings.next().map(|at| (at, Why("ping a bootstrap")));
        let places = self.places.iter().flat_map(|place| {
            let register = place.register_at.map(|at| (at, Why("register at a bootstrap")));
            [register, place.watch_at.map(|at| (at, Why("watch a room")))]
        });
        earliest(std::iter::once(ping).chain(places))
    }

    /// How long the bootstrap took to answer the last ping.
    pub fn rtt(&self) -> Option<Duration> {
        self.pings.rtt()
    }

    /// Whether this bootstrap has told of `peer`, and not of its end. It goes on knowing while it is not
    /// connected.
    pub fn knows(&self, peer: &PeerId) -> bool {
        self.found.contains(peer)
    }

    /// How many members this bootstrap has told of.
    pub fn found(&self) -> usize {
        self.found.len()
    }

    /// Comes and goes with the ids of the room. The time of day may jump: every ping looks anew.
    fn follow_periods(&mut self, now: Now) {
        let around = [now.wall, now.wall - rid::EDGE, now.wall + rid::EDGE];
        let wanted = around.map(rid::period);
        for at in (0..self.places.len()).rev() {
            if !wanted.contains(&self.places[at].period) {
                let place = self.places.remove(at);
                self.give_up(&place);
                let rid = place.key.rid();
                self.found.peers().into_iter().for_each(|peer| self.forget(rid, peer));
            }
        }
        for period in wanted {
            if self.places.iter().all(|place| place.period != period) {
                let key = RidKey::derive(&self.config.secret, period);
                let (register_at, watch_at) = (Some(now.mono), Some(now.mono));
                self.places.push(Place { period, key, sent: None, register_at, watch_at });
            }
        }
    }

    fn give_up(&mut self, place: &Place) {
        let rid = place.key.rid();
        self.send(&Request::Unregister { rid });
        self.send(&Request::Unwatch { rid });
    }

    fn register(&mut self, at: usize, now: Now) {
        let place = &mut self.places[at];
        place.register_at = None;
        if self.config.addresses.is_empty() {
            return;
        }
        // The time of day, so that a restarted node is newer than its ghost.
        self.seq = (self.seq.saturating_add(1)).max(now.wall.as_micros().max(0) as u64);
        let term = (self.seq, now.wall + TTL);
        let addresses = &self.config.addresses;
        // Not all may fit: then the first ones, which the node likes best.
        let record = (0..=addresses.len().min(RECORD_ADDRESSES_MAX)).rev().find_map(|count| {
            let (key, peer) = (&place.key, self.config.peer);
            Record::sign(key, peer, term, &addresses[..count], &self.nonce_seed).ok()
        });
        let Some(record) = record else { return };
        // Not all at once: the nodes of a restarted bootstrap would come back in step for ever.
        let early = Duration::from_millis(u64::from(self.rng.next_u32() % 12_000));
        place.sent = Some(now.mono);
        place.register_at = Some(now.mono + REFRESH - early);
        self.send(&Request::Register { record: record.bytes().to_vec() });
    }

    fn note_registered(&mut self, rid: Rid) {
        if self.place(rid).is_some() && !self.registered_told {
            self.registered_told = true;
            self.refused_told = None;
            self.outputs.push_back(Output::Registered);
        }
    }

    fn note_refused(&mut self, rid: Rid, request: u16, reason: Reason, now: Mono) {
        let Some(place) = self.places.iter_mut().find(|place| place.key.rid() == rid) else {
            return;
        };
        let again = match reason {
            Reason::Older { newest } => {
                self.seq = self.seq.max(newest);
                now.max(place.sent.unwrap_or(now) + REGISTER_INTERVAL_MIN)
            }
            Reason::TooFast => now + PATIENCE,
            _ => now + RETRY,
        };
        match request {
            kind::REGISTER => place.register_at = Some(again),
            kind::WATCH => place.watch_at = Some(again),
            _ => {}
        }
        let cured_soon = matches!(reason, Reason::Older { .. } | Reason::TooFast);
        if !cured_soon && self.refused_told != Some(reason) {
            self.refused_told = Some(reason);
            self.registered_told = false;
            self.outputs.push_back(Output::Refused(reason));
        }
    }

    fn note_records(&mut self, rid: Rid, total: u32, records: Vec<Vec<u8>>, now: Wall) {
        if self.place(rid).is_none() {
            return;
        }
        let complete = usize::try_from(total).is_ok_and(|total| total <= records.len());
        let mut there = BTreeSet::new();
        for record in records.into_iter().take(ANSWER_RECORDS_MAX) {
            there.extend(self.note_record(record, now));
        }
        if complete {
            let peers = self.found.peers().into_iter();
            peers.filter(|p| !there.contains(p)).for_each(|peer| self.forget(rid, peer));
        }
    }

    /// Whose record it is, if it is one of this room that counts.
    fn note_record(&mut self, record: Vec<u8>, now: Wall) -> Option<PeerId> {
        let claim = Claim::parse(record).ok()?;
        let (rid, peer) = (claim.rid(), claim.peer());
        if peer == self.config.peer {
            return None;
        }
        let place = self.places.iter().find(|place| place.key.rid() == rid)?;
        match self.found.take(&place.key, claim, now) {
            Worth::Nothing => return None,
            Worth::Known => {}
            Worth::News(addresses) => self.outputs.push_back(Output::Found { peer, addresses }),
        }
        Some(peer)
    }

    fn forget(&mut self, rid: Rid, peer: PeerId) {
        if self.found.forget(rid, peer) {
            self.outputs.push_back(Output::Gone { peer });
        }
    }

    fn place(&self, rid: Rid) -> Option<&Place> {
        self.places.iter().find(|place| place.key.rid() == rid)
    }

    fn send(&mut self, request: &Request) {
        // Every request fits a frame: the longest is a record.
        if let (true, Ok(frame)) = (self.open, request.encode()) {
            self.outputs.push_back(Output::Send(frame));
        }
    }
}

#[cfg(test)]
mod tests;
