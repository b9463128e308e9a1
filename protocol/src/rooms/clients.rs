//! The clients of a bootstrap: what they watch, and what is on its way to them.
//!
//! It decides who may come and who must go. Bounds: clients in all and by network, watches by client,
//! bytes on their way to a client and to all of them, above which whoever reads slowest is closed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use super::message::{Answer, Reason};
use super::quota::{Budget, CLIENTS_PER_PREFIX_MAX, Crowd, Prefix, Spent, WATCHES_PER_CLIENT_MAX};
use super::registry::RegistryConfig;
use crate::time::Mono;
use crate::trust::id::PeerId;
use crate::trust::rid::Rid;
use crate::wire::frame::{self, UnknownMeter};

/// Bytes on their way to one client: three whole answers and what joins meanwhile. Who lets more
/// gather does not read.
pub const UNSENT_BYTES_PER_CLIENT_MAX: usize = 128 * 1024;

/// A client that says nothing for so long is gone: nodes ping every second.
pub const CLIENT_SILENCE_MAX: Duration = Duration::from_secs(30);

/// The shell's name of a connection to a client, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

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
    /// [`super::registry::Registry::handle_sent`].
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
pub(super) struct Clients {
    config: RegistryConfig,
    clients: BTreeMap<ClientId, Client>,
    crowd: Crowd<ClientId>,
    watchers: BTreeMap<Rid, BTreeSet<ClientId>>,
    watches: usize,
    unsent: usize,
    closed: u64,
    outputs: VecDeque<Output>,
}

impl Clients {
    pub(super) fn new(config: RegistryConfig) -> Self {
        Self {
            config,
            clients: BTreeMap::new(),
            crowd: Crowd::new(),
            watchers: BTreeMap::new(),
            watches: 0,
            unsent: 0,
            closed: 0,
            outputs: VecDeque::new(),
        }
    }

    pub(super) fn open(&mut self, client: ClientId, peer: PeerId, ip: IpAddr, now: Mono) {
        if let Some(known) = self.clients.get_mut(&client) {
            self.unsent -= std::mem::take(&mut known.unsent);
            self.unwatch_all(client);
            return;
        }
        let prefix = Prefix::of(ip);
        if !self.has_place(prefix) {
            self.close(client, CloseReason::Crowded);
            return;
        }
        self.crowd.insert(prefix, now, client);
        let (budget, unknown) = (Budget::new(now), UnknownMeter::default());
        let watches = BTreeSet::new();
        let known = Client { peer, prefix, heard: now, budget, unknown, watches, unsent: 0 };
        self.clients.insert(client, known);
    }

    /// Forgets a client; nothing is said to it.
    pub(super) fn forget(&mut self, client: ClientId) {
        self.unwatch_all(client);
        if let Some(gone) = self.clients.remove(&client) {
            self.crowd.remove(gone.prefix, gone.heard, client);
            self.unsent -= gone.unsent;
        }
    }

    /// Notes that a client spoke; who it is and where from, if it is one.
    pub(super) fn hear(&mut self, client: ClientId, now: Mono) -> Option<(PeerId, Prefix)> {
        let known = self.clients.get_mut(&client)?;
        self.crowd.remove(known.prefix, known.heard, client);
        known.heard = now;
        self.crowd.insert(known.prefix, now, client);
        Some((known.peer, known.prefix))
    }

    /// Counts a frame of an unknown type.
    pub(super) fn unknown(&mut self, client: ClientId, now: Mono) -> Result<(), frame::Violation> {
        self.clients.get_mut(&client).map_or(Ok(()), |known| known.unknown.count(now))
    }

    /// Whether a client may ask something of this cost now.
    pub(super) fn spend(&mut self, client: ClientId, cost: i64, now: Mono) -> Spent {
        let known = self.clients.get_mut(&client);
        known.map_or(Spent::TooFast, |known| known.budget.spend(cost, now))
    }

    /// Closes those that have been silent.
    pub(super) fn close_silent(&mut self, now: Mono) {
        while let Some((heard, client)) = self.crowd.oldest() {
            if now.since(heard) < CLIENT_SILENCE_MAX {
                break;
            }
            self.close(client, CloseReason::Silent);
        }
    }

    /// When somebody has been silent.
    pub(super) fn next_silence(&self) -> Option<Mono> {
        self.crowd.oldest().map(|(heard, _)| heard + CLIENT_SILENCE_MAX)
    }

    pub(super) fn watch(&mut self, client: ClientId, rid: Rid) -> Result<(), Reason> {
        let Some(known) = self.clients.get_mut(&client) else { return Ok(()) };
        if known.watches.contains(&rid) {
            return Ok(());
        }
        if known.watches.len() >= WATCHES_PER_CLIENT_MAX {
            return Err(Reason::WatchQuota);
        }
        known.watches.insert(rid);
        self.watchers.entry(rid).or_default().insert(client);
        self.watches += 1;
        Ok(())
    }

    pub(super) fn unwatch(&mut self, client: ClientId, rid: Rid) {
        let Some(known) = self.clients.get_mut(&client) else { return };
        if known.watches.remove(&rid) {
            self.watches -= 1;
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

    /// Tells all who watch a room, save the peer whom it is about.
    pub(super) fn tell(&mut self, rid: Rid, about: PeerId, answer: &Answer) {
        let Some(watchers) = self.watchers.get(&rid) else { return };
        let is_about =
            |client: &ClientId| self.clients.get(client).is_some_and(|c| c.peer == about);
        let watchers: Vec<_> = watchers.iter().copied().filter(|c| !is_about(c)).collect();
        let Ok(frame) = answer.encode() else { return };
        for client in watchers {
            self.send_frame(client, frame.clone());
        }
    }

    pub(super) fn send(&mut self, client: ClientId, answer: &Answer) {
        // Every answer fits a frame: `message` asserts the longest one.
        if let Ok(frame) = answer.encode() {
            self.send_frame(client, frame);
        }
    }

    pub(super) fn sent(&mut self, client: ClientId, bytes: usize) {
        if let Some(client) = self.clients.get_mut(&client) {
            let bytes = bytes.min(client.unsent);
            client.unsent -= bytes;
            self.unsent -= bytes;
        }
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn watches(&self) -> usize {
        self.watches
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent
    }

    /// Those that were closed for what they did, or for want of a place.
    pub(super) fn closed(&self) -> u64 {
        self.closed
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

    fn send_frame(&mut self, client: ClientId, frame: Bytes) {
        let Some(known) = self.clients.get_mut(&client) else { return };
        if known.unsent + frame.len() > UNSENT_BYTES_PER_CLIENT_MAX {
            self.close(client, CloseReason::Slow);
            return;
        }
        known.unsent += frame.len();
        self.unsent += frame.len();
        self.outputs.push_back(Output::Send { client, frame });
        if self.unsent > self.config.unsent_bytes_max {
            let slowest = self.clients.iter().max_by_key(|(_, c)| c.unsent).map(|(id, _)| *id);
            if let Some(slowest) = slowest {
                self.close(slowest, CloseReason::Slow);
            }
        }
    }

    fn close(&mut self, client: ClientId, why: CloseReason) {
        if why != CloseReason::Silent {
            self.closed += 1;
        }
        self.forget(client);
        self.outputs.push_back(Output::Close { client, why });
    }
}
