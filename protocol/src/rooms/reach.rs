//! Decides which bootstraps are kept, and when each is dialled. Keeps no connection itself; holds at
//! most [`BOOTSTRAPS_MAX`] bootstraps.
//!
//! A bootstrap that is gone costs one dial every two seconds: it is back within the three that
//! people are promised, and a dead one is no flood.

use std::collections::VecDeque;
use std::time::Duration;

use crate::address::Address;
use crate::time::{Deadline, Mono, Now, Why, earliest};

/// Bootstraps that one node keeps: three operators and a spare each are plenty.
pub const BOOTSTRAPS_MAX: usize = 8;

const WAIT_MIN: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(2);

#[derive(Debug)]
enum State {
    Waiting { until: Mono },
    Dialling,
    Up,
}

#[derive(Debug)]
struct Entry {
    address: Address,
    state: State,
    answered: bool,
    wait: Duration,
}

/// What a change of wishes came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Kept from now on, and dialled at once.
    pub added: Vec<Address>,
    /// Wanted no longer, and forgotten.
    pub removed: Vec<Address>,
    /// Wanted, and one too many: the user is to be told.
    pub left_out: Vec<Address>,
}

/// When to dial each bootstrap.
#[derive(Debug, Default)]
pub struct Reach {
    entries: Vec<Entry>,
    dials: VecDeque<Address>,
}

impl Reach {
    /// Keeps these bootstraps and no others: those that are kept already stay, then come the first of
    /// `wishes` for which there is a place.
    pub fn want(&mut self, wishes: &[Address], now: Now) -> Kept {
        let mut kept = Kept::default();
        for entry in self.entries.extract_if(.., |entry| !wishes.contains(&entry.address)) {
            kept.removed.push(entry.address);
        }
        self.dials.retain(|address| wishes.contains(address));
        for address in wishes {
            if self.position(address).is_some() || kept.left_out.contains(address) {
                continue;
            }
            if self.entries.len() >= BOOTSTRAPS_MAX {
                kept.left_out.push(address.clone());
                continue;
            }
            let (address, state) = (address.clone(), State::Waiting { until: now.mono });
            kept.added.push(address.clone());
            self.entries.push(Entry { address, state, answered: false, wait: WAIT_MIN });
        }
        self.handle_timeout(now);
        kept
    }

    /// The dial of `address` ended in a connection.
    pub fn handle_up(&mut self, address: &Address) {
        if let Some(at) = self.position(address) {
            self.entries[at].state = State::Up;
        }
    }

    /// `address` has answered as a bootstrap does. Only now is it one again: one that is full, or no
    /// bootstrap at all, takes the connection and closes it, and must not be dialled four times a
    /// second for that.
    pub fn handle_answered(&mut self, address: &Address) {
        if let Some(at) = self.position(address) {
            self.entries[at].wait = WAIT_MIN;
            self.entries[at].answered = true;
        }
    }

    /// The dial of `address` failed, or its connection ended.
    pub fn handle_down(&mut self, address: &Address, now: Now) {
        if let Some(at) = self.position(address) {
            let entry = &mut self.entries[at];
            entry.answered = false;
            entry.state = State::Waiting { until: now.mono + entry.wait };
            entry.wait = (entry.wait * 2).min(WAIT_MAX);
        }
    }

    /// Dials what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        for entry in &mut self.entries {
            if matches!(entry.state, State::Waiting { until } if until <= now.mono) {
                entry.state = State::Dialling;
                self.dials.push_back(entry.address.clone());
            }
        }
    }

    /// The next address to dial.
    pub fn poll_output(&mut self) -> Option<Address> {
        self.dials.pop_front()
    }

    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        earliest(self.entries.iter().map(|entry| match entry.state {
            State::Waiting { until } => Some((until, Why("dial a bootstrap again"))),
            State::Dialling | State::Up => None,
        }))
    }

    /// The bootstraps and whether each answers.
    pub fn bootstraps(&self) -> impl Iterator<Item = (&Address, bool)> {
        self.entries.iter().map(|entry| (&entry.address, entry.answered))
    }

    fn position(&self, address: &Address) -> Option<usize> {
        self.entries.iter().position(|entry| &entry.address == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Carrier, Host, Kind};

    fn address(port: u16) -> Address {
        let host = Host::V4([127, 0, 0, 1].into());
        Address { kind: Kind::Bootstrap, host, carrier: Carrier::Quic, port, peer: None }
    }

    fn at(ms: u64) -> Now {
        Now { mono: Mono::from_micros(ms * 1000), ..Now::default() }
    }

    #[test]
    fn a_bootstrap_is_dialled_at_once_and_once() {
        let mut reach = Reach::default();
        let once = [address(1), address(1)];
        assert_eq!(reach.want(&once, at(0)).added, [address(1)]);
        assert_eq!(reach.want(&once, at(0)), Kept::default());
        assert_eq!(reach.poll_output(), Some(address(1)));
        reach.handle_timeout(at(10_000));
        assert_eq!(reach.poll_output(), None, "it is being dialled");
    }

    #[test]
    fn a_dead_one_is_tried_every_two_seconds_and_a_live_one_begins_anew() {
        let mut reach = Reach::default();
        reach.want(&[address(1)], at(0));
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..6 {
            assert!(reach.poll_output().is_some());
            reach.handle_down(&address(1), at(now));
            let (due, _) = reach.poll_timeout().unwrap();
            waits.push(due.as_micros() / 1000 - now);
            now = due.as_micros() / 1000;
            reach.handle_timeout(at(now));
        }
        assert_eq!(waits, [250, 500, 1000, 2000, 2000, 2000]);
        // One that takes the connection and says nothing is no live one.
        reach.handle_up(&address(1));
        assert_eq!(reach.poll_timeout(), None);
        assert!(reach.bootstraps().all(|(_, up)| !up));
        reach.handle_down(&address(1), at(now));
        assert_eq!(reach.poll_timeout().unwrap().0, at(now + 2000).mono);
        reach.handle_up(&address(1));
        reach.handle_answered(&address(1));
        assert!(reach.bootstraps().all(|(_, up)| up));
        reach.handle_down(&address(1), at(now));
        assert_eq!(reach.poll_timeout().unwrap().0, at(now + 250).mono);
    }

    #[test]
    fn one_too_many_is_left_out_until_there_is_a_place() {
        let mut reach = Reach::default();
        let first: Vec<_> = (1..=10).map(address).collect();
        let kept = reach.want(&first, at(0));
        assert_eq!((kept.added.len(), kept.left_out), (BOOTSTRAPS_MAX, first[8..].to_vec()));
        // Those that are kept stay, whatever comes first in the wishes.
        let turned: Vec<_> = (1..=10).rev().map(address).collect();
        let kept = reach.want(&turned, at(1));
        assert_eq!((kept.added, kept.removed), (vec![], vec![]));
        let kept = reach.want(&first[1..], at(2));
        assert_eq!((kept.removed, kept.added), (vec![address(1)], vec![address(9)]));
        assert_eq!(kept.left_out, [address(10)]);
        assert_eq!(reach.bootstraps().count(), BOOTSTRAPS_MAX);
        let dials: Vec<_> = std::iter::from_fn(|| reach.poll_output()).collect();
        assert_eq!(dials, first[1..9], "whoever is not wanted is not dialled any more");
        assert_eq!(reach.want(&[], at(3)).removed.len(), BOOTSTRAPS_MAX);
        assert_eq!((reach.poll_output(), reach.poll_timeout()), (None, None));
    }
}
