//! The brain of a bootstrap: who registered in which room, and who is told of it.
//!
//! It answers for an exact id only, and cannot be asked which rooms exist. A client is a connection;
//! what it loses with it are its watches, never its records: those stay until their TTL, so that a
//! moment without network is no leave. Only an unregister and the TTL are told to those who watch; a
//! lost connection and an eviction are told to nobody. A peer that comes back renews its record, and
//! no one was disturbed.
//!
//! Bounds: records in all and by peer, network and room (`quota`); clients and what is on its way to
//! them (`clients`).

use std::net::IpAddr;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

pub use super::clients::{
    CLIENT_SILENCE_MAX, ClientId, CloseReason, Output, UNSENT_BYTES_PER_CLIENT_MAX,
};

use super::TTL;
use super::clients::Clients;
use super::message::{ANSWER_RECORDS_MAX, Answer, Reason, Request};
use super::quota::{Prefix, Spent};
use super::record::Claim;
use super::shelf::{Kept, Shelf};
use crate::limits::CLOCK_SKEW_MAX;
use crate::time::{Deadline, Now, Why, earliest};
use crate::trust::id::PeerId;
use crate::trust::rid::Rid;
use crate::wire::frame;

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
    /// Requests that were refused, and clients that were closed for what they did or for want of a
    /// place, since the start.
    pub refused: u64,
    /// Bytes of frames of unknown types, since the start: what came here and is not of this protocol.
    pub foreign_bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Registry {
    shelf: Shelf,
    clients: Clients,
    refused: u64,
    foreign_bytes: u64,
    rng: ChaCha8Rng,
}

impl Registry {
    /// An empty registry. The seed chooses which members of a large room an answer names.
    pub fn new(config: RegistryConfig, seed: [u8; 32], _now: Now) -> Self {
        Self {
            shelf: Shelf::new(config.records_max),
            clients: Clients::new(config),
            refused: 0,
            foreign_bytes: 0,
            rng: ChaCha8Rng::from_seed(seed),
        }
    }

    /// A client's connection is up: `peer` is proved by it, `ip` is where it comes from. Or, told
    /// again, it opened its stream: watches and unsent bytes of an older stream went with that.
    ///
    /// A connection without a stream is a client that has said nothing yet, and ends like one.
    pub fn handle_opened(&mut self, client: ClientId, peer: PeerId, ip: IpAddr, now: Now) {
        self.clients.open(client, peer, ip, now.mono);
    }

    /// A client's connection is gone. Its records stay.
    pub fn handle_closed(&mut self, client: ClientId) {
        self.clients.forget(client);
    }

    /// Bytes of [`Output::Send`] that the client's stream took.
    pub fn handle_sent(&mut self, client: ClientId, bytes: usize) {
        self.clients.sent(client, bytes);
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
        let Some(from) = self.clients.hear(client, now.mono) else { return Ok(()) };
        let result = self.try_frame(client, from, frame, now);
        if result.is_err() {
            self.handle_broken(client);
        }
        result
    }

    /// The bytes of a client's stream are no frames: its connection is to be closed.
    pub fn handle_broken(&mut self, client: ClientId) {
        self.refused += 1;
        self.clients.forget(client);
    }

    /// A deadline of [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((rid, peer)) = self.shelf.expire(now.mono) {
            self.clients.tell(rid, peer, &Answer::Left { rid, peer });
        }
        self.clients.close_silent(now.mono);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.clients.poll_output()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let expiry = self.shelf.next_expiry().map(|at| (at, Why("a registration ends")));
        let silence = self.clients.next_silence().map(|at| (at, Why("a client may be silent")));
        earliest([expiry, silence])
    }

    /// A look.
    pub fn counts(&self) -> Counts {
        Counts {
            registrations: self.shelf.records(),
            rooms: self.shelf.rooms(),
            watchers: self.clients.watches(),
            clients: self.clients.len(),
            unsent_bytes: self.clients.unsent(),
            refused: self.refused + self.clients.closed(),
            foreign_bytes: self.foreign_bytes,
        }
    }

    fn try_frame(
        &mut self,
        client: ClientId,
        from: (PeerId, Prefix),
        frame: &[u8],
        now: Now,
    ) -> Result<(), Violation> {
        let Some(request) = Request::decode(frame)? else {
            self.foreign_bytes += frame.len() as u64;
            return Ok(self.clients.unknown(client, now.mono)?);
        };
        let done = match self.clients.spend(client, cost(&request), now.mono) {
            Spent::Granted => self.carry_out(client, from, &request, now),
            Spent::TooFast => Err(Reason::TooFast),
            Spent::Flood => return Err(Violation::Flood),
        };
        if let Err(reason) = done {
            self.refused += 1;
            let (rid, request) = (named_by(&request), request.kind());
            self.clients.send(client, &Answer::Refused { rid, request, reason });
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        client: ClientId,
        from: (PeerId, Prefix),
        request: &Request,
        now: Now,
    ) -> Result<(), Reason> {
        match request {
            Request::Register { record } => return self.register(client, from, record, now),
            Request::Watch { rid } => {
                self.clients.watch(client, *rid)?;
                self.answer_records(client, *rid);
            }
            Request::Lookup { rid } => self.answer_records(client, *rid),
            Request::Unwatch { rid } => self.clients.unwatch(client, *rid),
            Request::Unregister { rid } => {
                let (rid, peer) = (*rid, from.0);
                if self.shelf.remove(rid, peer) {
                    self.clients.tell(rid, peer, &Answer::Left { rid, peer });
                }
            }
            Request::Ping { token } => self.clients.send(client, &Answer::Pong { token: *token }),
        }
        Ok(())
    }

    /// The cheap questions first: a signature costs as much as a thousand of them.
    fn register(
        &mut self,
        client: ClientId,
        (peer, prefix): (PeerId, Prefix),
        record: &[u8],
        now: Now,
    ) -> Result<(), Reason> {
        let claim = Claim::parse(record.to_vec()).map_err(|_| Reason::Malformed)?;
        if claim.peer() != peer {
            return Err(Reason::NotYours);
        }
        let expires = claim.expires();
        if expires + CLOCK_SKEW_MAX < now.wall || expires > now.wall + TTL + CLOCK_SKEW_MAX {
            return Err(Reason::Clock);
        }
        let held = self.shelf.get(&claim);
        if let Some(held) = held.filter(|h| h.seq() >= claim.seq() && ***h != claim) {
            return Err(Reason::Older { newest: held.seq() });
        }
        let record = claim.verify().map_err(|_| Reason::Signature)?;
        let joined = Answer::Joined { record: record.bytes().to_vec() };
        let rid = record.rid();
        let kept = self.shelf.put(record, prefix, now.mono).map_err(|_| Reason::PeerQuota)?;
        self.clients.send(client, &Answer::Registered { rid, seconds: TTL.as_secs() as u32 });
        if kept == Kept::News {
            self.clients.tell(rid, peer, &joined);
        }
        Ok(())
    }

    fn answer_records(&mut self, client: ClientId, rid: Rid) {
        let (total, records) = self.shelf.sample(rid, ANSWER_RECORDS_MAX, &mut self.rng);
        let records = records.into_iter().map(|record| record.bytes().to_vec()).collect();
        self.clients.send(client, &Answer::Records { rid, total: total as u32, records });
    }
}

/// What a request takes from its client's budget: a signature, an answer of many records or news to
/// many watchers are dear.
fn cost(request: &Request) -> i64 {
    match request {
        Request::Register { .. } | Request::Watch { .. } => 16,
        Request::Lookup { .. } => 8,
        Request::Unregister { .. } => 4,
        Request::Unwatch { .. } | Request::Ping { .. } => 1,
    }
}

fn named_by(request: &Request) -> Rid {
    match request {
        Request::Register { record } => {
            Claim::parse(record.clone()).map_or(Rid([0; 32]), |claim| claim.rid())
        }
        Request::Unregister { rid }
        | Request::Lookup { rid }
        | Request::Watch { rid }
        | Request::Unwatch { rid } => *rid,
        Request::Ping { .. } => Rid([0; 32]),
    }
}

#[cfg(test)]
mod tests;
