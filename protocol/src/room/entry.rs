//! Our own roster entry: signed anew every two minutes, when our neighbours or addresses change (at
//! most every two seconds), and when somebody holds us for lost.

use std::time::Duration;

use super::Room;
use super::roster::RENEW;
use crate::address::Address;
use crate::time::{Deadline, Mono, Now, Why};
use crate::wire::message::{Roster, Signed};
use crate::wire::signed::{ENTRY_ADDRESSES_MAX, NEIGHBOURS_MAX, RosterEntry, ShortId};

/// A new version at most this often.
const CHANGE_MIN: Duration = Duration::from_secs(2);

/// Our entry and when it is due again.
#[derive(Debug, Default)]
pub(super) struct OwnEntry {
    version: u32,
    signed: Option<Signed>,
    signed_at: Mono,
    neighbours: Vec<ShortId>,
    addresses: Vec<Address>,
    changed: bool,
}

impl OwnEntry {
    pub(super) fn signed(&self) -> Option<&Signed> {
        self.signed.as_ref()
    }

    /// Somebody holds us for lost at `version`: a higher one refutes it. Claims about versions that
    /// we never signed are nobody's business.
    pub(super) fn refute(&mut self, version: u32) {
        self.changed |= version == self.version;
    }

    /// The machine slept: what we signed before may have faded everywhere.
    pub(super) fn renew(&mut self) {
        self.changed = true;
    }

    pub(super) fn set_addresses(&mut self, mut addresses: Vec<Address>) {
        addresses.truncate(ENTRY_ADDRESSES_MAX);
        self.changed |= addresses != self.addresses;
        self.addresses = addresses;
    }

    /// The first one is signed for the first neighbour, who is in it then, as are our addresses.
    fn due(&self) -> Option<Mono> {
        match self.signed {
            None if self.neighbours.is_empty() => None,
            None => Some(Mono::default()),
            Some(_) if self.changed => Some(self.signed_at + CHANGE_MIN),
            Some(_) => Some(self.signed_at + RENEW),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Deadline> {
        self.due().map(|at| (at, Why("our roster entry")))
    }
}

impl Room {
    pub(super) fn tick_own_entry(&mut self, now: Now) {
        let pairs = self.pairs.iter().take(NEIGHBOURS_MAX);
        let neighbours: Vec<ShortId> =
            pairs.map(|(peer, pair)| ShortId::of(peer, pair.incarnation)).collect();
        self.own.changed |= neighbours != self.own.neighbours;
        self.own.neighbours = neighbours;
        if self.own.due().is_none_or(|due| now.mono < due) {
            return;
        }
        self.own.version += 1;
        let entry = RosterEntry {
            incarnation: self.incarnation,
            version: self.own.version,
            wall: now.wall,
            chain: self.chain.clone(),
            name: self.name.clone(),
            addresses: self.own.addresses.clone(),
            neighbours: self.own.neighbours.clone(),
        };
        let signed = self.sign(&entry);
        self.own.signed = Some(signed.clone());
        self.own.signed_at = now.mono;
        self.own.changed = false;
        self.flood(&Roster { entries: vec![signed] }, None);
    }
}
