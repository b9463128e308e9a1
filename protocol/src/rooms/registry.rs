//! The brain of a bootstrap: who registered in which room, who watches it, and who gives way.
//!
//! It answers for an exact id only, and cannot be asked which rooms exist. A client is a connection;
//! what it loses with it are its watches, never its records: those stay until their TTL, so that a
//! moment without network is no leave. Only an unregister, or the TTL, is told to those who watch; a
//! lost connection and an eviction are told to nobody. A peer that comes back renews its record, and
//! no one was disturbed.
//!
//! Bounds: records and clients in all, by peer, network and room ([`super::quota`]); bytes on their
//! way to a client and to all of them, above which whoever reads slowest is closed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::TTL;
use super::message::{ANSWER_RECORDS_MAX, Answer, Reason, Request};
use super::quota::{Budget, CLIENTS_PER_PREFIX_MAX, Crowd, Prefix, Spent, WATCHES_PER_CLIENT_MAX};
use super::record::Claim;
use super::shelf::{Kept, Shelf};
use crate::limits::CLOCK_SKEW_MAX;
use crate::time::{Deadline, Mono, Now, Why, earliest};
use crate::trust::id::PeerId;
use crate::trust::rid::Rid;
use crate::wire::frame::{self, UnknownMeter};

/// Bytes on their way to one client: two whole answers and what joins meanwhile. Who lets more
/// gather does not read.
pub const UNSENT_BYTES_PER_CLIENT_MAX: usize = 128 * 1024;

/// A client that says nothing for so long is gone: nodes ping every second.
pub const CLIENT_SILENCE_MAX: Duration = Duration::from_secs(30);

/// The totals of one bootstrap.
#[derive(Clone, Copy, Debug)]
pub struct RegistryConfig {
    /// Records in all. 16,384 of 512 bytes are 8 MiB, and as much again for the indexes.
    pub records_max: usize,
    /// Clients in all: one file descriptor each for those that come over TCP.
    pub clients_max: usize,
    /// Bytes on their way to all clients.
    pub unsent_bytes_max: usize,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self { records_max: 16_384, clients_max: 4_096, unsent_bytes_max: 64 * 1024 * 1024 }
    }
}

/// The shell's name of a connection to a client, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// What a client did that none may do: its connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame that is none.
    #[error(transparent)]
    Frame(#[from] frame::Violation),
    /// It went on asking after it was told that it asks too fast.
    #[error("requests went on long after they were refused as too fast")]
    Flood,
}

/// Why the registry closes a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// It does not read what it asked for.
    #[error("the client does not read")]
    Slow,
    /// It said nothing for [`CLIENT_SILENCE_MAX`].
    #[error("the client has been silent")]
    Silent,
    /// There is no place: its network has many, or all places are taken.
    #[error("there is no place for more clients of this network")]
    Crowded,
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this frame (length in front) to the client, then tell
    /// [`Registry::handle_sent`].
    Send {
        /// To whom.
        client: ClientId,
        /// The bytes.
        frame: Bytes,
    },
    /// Close the client's connection. The registry has forgotten it already.
    Close {
        /// Whose.
        client: ClientId,
        /// Why.
        why: CloseReason,
    },
}

/// A look at a registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records.
    pub registrations: usize,
    /// Rooms with at least one record.
    pub rooms: usize,
    /// Watches: a client that watches two rooms counts twice.
    pub watchers: usize,
    /// Clients.
    pub clients: usize,
    /// Bytes on their way to clients.
    pub unsent_bytes: usize,
    /// Requests that were refused, and clients that were closed for what they did, since the start.
    pub refused: u64,
}

#[derive(Debug)]
struct Client {
    peer: PeerId,
    prefix: Prefix,
    heard: Mono,
    budget: Budget,
    unknown: UnknownMeter,
    watches: BTreeSet<Rid>,
    unsent: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Registry {
    config: RegistryConfig,
    shelf: Shelf,
    clients: BTreeMap<ClientId, Client>,
    crowd: Crowd<ClientId>,
    watchers: BTreeMap<Rid, BTreeSet<ClientId>>,
    counts: Counts,
    rng: ChaCha8Rng,
    outputs: VecDeque<Output>,
}

impl Registry {
    /// An empty registry. The seed chooses which members of a large room an answer names.
    pub fn new(config: RegistryConfig, seed: [u8; 32], _now: Now) -> Self {
        Self {
            config,
            shelf: Shelf::new(config.records_max),
            clients: BTreeMap::new(),
            crowd: Crowd::new(),
            watchers: BTreeMap::new(),
            counts: Counts::default(),
            rng: ChaCha8Rng::from_seed(seed),
            outputs: VecDeque::new(),
        }
    }

    /// A client opened its stream. `peer` is proved by the connection, `ip` is where that comes from.
    /// Again on the same connection: its watches and unsent bytes went with the old stream.
    pub fn handle_opened(&mut self, client: ClientId, peer: PeerId, ip: IpAddr, now: Now) {
        if let Some(known) = self.clients.get_mut(&client) {
            self.counts.unsent_bytes -= std::mem::take(&mut known.unsent);
            self.unwatch_all(client);
            return;
        }
        let prefix = Prefix::of(ip);
        if !self.has_place(prefix) {
            self.counts.refused += 1;
            self.outputs.push_back(Output::Close { client, why: CloseReason::Crowded });
            return;
        }
        self.crowd.insert(prefix, now.mono, client);
        let budget = Budget::new(now.mono);
        let (unknown, watches) = (UnknownMeter::default(), BTreeSet::new());
        let heard = now.mono;
        self.clients
            .insert(client, Client { peer, prefix, heard, budget, unknown, watches, unsent: 0 });
    }

    /// A client's connection is gone. Its records stay.
    pub fn handle_closed(&mut self, client: ClientId) {
        self.unwatch_all(client);
        if let Some(gone) = self.clients.remove(&client) {
            self.crowd.remove(gone.prefix, gone.heard, client);
            self.counts.unsent_bytes -= gone.unsent;
        }
    }

    /// Bytes of [`Output::Send`] that the client's stream took.
    pub fn handle_sent(&mut self, client: ClientId, bytes: usize) {
        if let Some(client) = self.clients.get_mut(&client) {
            let bytes = bytes.min(client.unsent);
            client.unsent -= bytes;
            self.counts.unsent_bytes -= bytes;
        }
    }

    /// A frame (type and body) of a client.
    ///
    /// # Errors
    /// [`Violation`]: the shell closes the connection; the registry has forgotten it already.
    pub fn handle_frame(
        &mut self,
        client: ClientId,
        frame: &[u8],
        now: Now,
    ) -> Result<(), Violation> {
        self.hear(client, now.mono);
        let result = self.try_frame(client, frame, now);
        if result.is_err() {
            self.counts.refused += 1;
            self.handle_closed(client);
        }
        result
    }

    /// A deadline of [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((rid, peer)) = self.shelf.expire(now.mono) {
            self.tell(rid, peer, &Answer::Left { rid, peer });
        }
        while let Some((heard, client)) = self.crowd.oldest() {
            if now.mono.since(heard) < CLIENT_SILENCE_MAX {
                break;
            }
            self.close(client, CloseReason::Silent);
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let expiry = self.shelf.next_expiry().map(|at| (at, Why("a registration ends")));
        let silence = |(heard, _)| (heard + CLIENT_SILENCE_MAX, Why("a client may be silent"));
        earliest([expiry, self.crowd.oldest().map(silence)])
    }

    /// A look.
    pub fn counts(&self) -> Counts {
        Counts {
            registrations: self.shelf.records(),
            rooms: self.shelf.rooms(),
            clients: self.clients.len(),
            ..self.counts
        }
    }

    fn has_place(&mut self, prefix: Prefix) -> bool {
        let held = self.crowd.count(prefix);
        if prefix != Prefix::Here && held >= CLIENTS_PER_PREFIX_MAX {
            return false;
        }
        if self.crowd.len() < self.config.clients_max {
            return true;
        }
        // Full: the network that holds most gives one up, but not for its own newcomer.
        match self.crowd.victim() {
            Some(victim) if self.crowd.largest() > held + 1 => {
                self.close(victim, CloseReason::Crowded);
                true
            }
            _ => false,
        }
    }

    fn hear(&mut self, client: ClientId, now: Mono) {
        if let Some(known) = self.clients.get_mut(&client) {
            self.crowd.remove(known.prefix, known.heard, client);
            known.heard = now;
            self.crowd.insert(known.prefix, now, client);
        }
    }

    fn try_frame(&mut self, client: ClientId, frame: &[u8], now: Now) -> Result<(), Violation> {
        let Some(known) = self.clients.get_mut(&client) else { return Ok(()) };
        let Some(request) = Request::decode(frame)? else {
            return Ok(known.unknown.count(now.mono)?);
        };
        let cost = match &request {
            Request::Register { .. } | Request::Watch { .. } => 16,
            Request::Lookup { .. } => 8,
            Request::Unregister { .. } => 4,
            Request::Unwatch { .. } | Request::Ping { .. } => 1,
        };
        match known.budget.spend(cost, now.mono) {
            Spent::Granted => {}
            Spent::TooFast => {
                self.refuse(client, &request, Reason::TooFast);
                return Ok(());
            }
            Spent::Flood => return Err(Violation::Flood),
        }
        let peer = known.peer;
        let done = match &request {
            Request::Register { record } => self.register(client, record, now),
            Request::Watch { rid } => self.watch(client, *rid),
            Request::Lookup { rid } => {
                self.answer_records(client, *rid);
                Ok(())
            }
            Request::Unwatch { rid } => {
                self.unwatch(client, *rid);
                Ok(())
            }
            Request::Unregister { rid } => {
                if self.shelf.remove(*rid, peer) {
                    self.tell(*rid, peer, &Answer::Left { rid: *rid, peer });
                }
                Ok(())
            }
            Request::Ping { token } => {
                self.send(client, &Answer::Pong { token: *token });
                Ok(())
            }
        };
        if let Err(reason) = done {
            self.refuse(client, &request, reason);
        }
        Ok(())
    }

    /// The cheap questions first: a signature costs as much as a thousand of them.
    fn register(&mut self, client: ClientId, record: &[u8], now: Now) -> Result<(), Reason> {
        let Some((peer, prefix)) = self.clients.get(&client).map(|c| (c.peer, c.prefix)) else {
            return Ok(());
        };
        let claim = Claim::parse(record.to_vec()).map_err(|_| Reason::Malformed)?;
        if claim.peer() != peer {
            return Err(Reason::NotYours);
        }
        if claim.expires() + CLOCK_SKEW_MAX < now.wall
            || claim.expires() > now.wall + TTL + CLOCK_SKEW_MAX
        {
            return Err(Reason::Clock);
        }
        if let Some(held) = self.shelf.get(&claim) {
            if held.seq() > claim.seq() || (held.seq() == claim.seq() && **held != claim) {
                return Err(Reason::Older { newest: held.seq() });
            }
        }
        let record = claim.verify().map_err(|_| Reason::Signature)?;
        let joined = Answer::Joined { record: record.bytes().to_vec() };
        let rid = record.rid();
        let kept = self.shelf.put(record, prefix, now.mono).map_err(|_| Reason::PeerQuota)?;
        self.send(client, &Answer::Registered { rid, seconds: TTL.as_secs() as u32 });
        if kept == Kept::News {
            self.tell(rid, peer, &joined);
        }
        Ok(())
    }

    fn watch(&mut self, client: ClientId, rid: Rid) -> Result<(), Reason> {
        let Some(known) = self.clients.get_mut(&client) else { return Ok(()) };
        if !known.watches.contains(&rid) {
            if known.watches.len() >= WATCHES_PER_CLIENT_MAX {
                return Err(Reason::WatchQuota);
            }
            known.watches.insert(rid);
            self.watchers.entry(rid).or_default().insert(client);
            self.counts.watchers += 1;
        }
        self.answer_records(client, rid);
        Ok(())
    }

    fn unwatch(&mut self, client: ClientId, rid: Rid) {
        let Some(known) = self.clients.get_mut(&client) else { return };
        if known.watches.remove(&rid) {
            self.counts.watchers -= 1;
            if let Some(watchers) = self.watchers.get_mut(&rid) {
                watchers.remove(&client);
                if watchers.is_empty() {
                    self.watchers.remove(&rid);
                }
            }
        }
    }

    fn unwatch_all(&mut self, client: ClientId) {
        let watches = self.clients.get(&client).map(|known| known.watches.clone());
        for rid in watches.unwrap_or_default() {
            self.unwatch(client, rid);
        }
    }

    fn answer_records(&mut self, client: ClientId, rid: Rid) {
        let (total, records) = self.shelf.sample(rid, ANSWER_RECORDS_MAX, &mut self.rng);
        let records = records.into_iter().map(|record| record.bytes().to_vec()).collect();
        self.send(client, &Answer::Records { rid, total: total as u32, records });
    }

    fn refuse(&mut self, client: ClientId, request: &Request, reason: Reason) {
        self.counts.refused += 1;
        let rid = match request {
            Request::Register { record } => {
                Claim::parse(record.clone()).map_or(Rid([0; 32]), |claim| claim.rid())
            }
            Request::Unregister { rid }
            | Request::Lookup { rid }
            | Request::Watch { rid }
            | Request::Unwatch { rid } => *rid,
            Request::Ping { .. } => Rid([0; 32]),
        };
        self.send(client, &Answer::Refused { rid, request: request.kind(), reason });
    }

    /// Tells all who watch a room, save the peer whom it is about.
    fn tell(&mut self, rid: Rid, about: PeerId, answer: &Answer) {
        let Some(watchers) = self.watchers.get(&rid) else { return };
        let is_about =
            |client: &ClientId| self.clients.get(client).is_some_and(|c| c.peer == about);
        let watchers: Vec<_> = watchers.iter().copied().filter(|c| !is_about(c)).collect();
        let Ok(frame) = answer.encode() else { return };
        for client in watchers {
            self.send_frame(client, frame.clone());
        }
    }

    fn send(&mut self, client: ClientId, answer: &Answer) {
        // Every answer fits a frame: `message` asserts the longest one.
        if let Ok(frame) = answer.encode() {
            self.send_frame(client, frame);
        }
    }

    fn send_frame(&mut self, client: ClientId, frame: Bytes) {
        let Some(known) = self.clients.get_mut(&client) else { return };
        if known.unsent + frame.len() > UNSENT_BYTES_PER_CLIENT_MAX {
            self.counts.refused += 1;
            self.close(client, CloseReason::Slow);
            return;
        }
        known.unsent += frame.len();
        self.counts.unsent_bytes += frame.len();
        self.outputs.push_back(Output::Send { client, frame });
        if self.counts.unsent_bytes > self.config.unsent_bytes_max {
            let slowest = self.clients.iter().max_by_key(|(_, c)| c.unsent).map(|(id, _)| *id);
            if let Some(slowest) = slowest {
                self.counts.refused += 1;
                self.close(slowest, CloseReason::Slow);
            }
        }
    }

    fn close(&mut self, client: ClientId, why: CloseReason) {
        self.handle_closed(client);
        self.outputs.push_back(Output::Close { client, why });
    }
}

#[cfg(test)]
mod tests;
