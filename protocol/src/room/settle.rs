//! The order in which policies look at what has changed, and when they want to look again.

use std::collections::BTreeSet;
use std::time::Duration;

use super::conn::Stage;
use super::liveness::DEAD_AFTER;
use super::topology::{self, Shape};
use super::{Room, SLEPT_MIN};
use crate::time::{Deadline, Mono, Now, Why, earliest};
use crate::trust::id::PeerId;
use crate::wire::close::CloseCode;
use crate::wire::message::{CANDIDATES_MAX, Parting};

/// After a sleep, time to find everybody again.
const AWAKE: Duration = Duration::from_secs(3);

impl Room {
    /// A deadline has come.
    pub fn handle_timeout(&mut self, now: Now) {
        self.notice(now);
        self.settle(now);
    }

    /// The machine slept, or its clocks jumped: samples of clocks are worth nothing, and whoever
    /// knew us may hold us for lost. A gap between inputs says the same.
    pub fn handle_resumed(&mut self, now: Now) {
        let slept = now.mono.since(self.seen.mono);
        self.seen = now;
        self.resume(slept, now);
        self.settle(now);
    }

    /// When to call [`Self::handle_timeout`], and why.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        if self.ended.is_some() {
            return None;
        }
        let later = |deadline: &Deadline| deadline.0 > self.settled;
        let conns = self.conns.values().filter_map(|conn| conn.poll_timeout()).filter(later);
        let losing = self.losing.values().min().map(|at| (*at, Why("a member is lost")));
        let wanted = &self.wanted;
        let others = [
            losing,
            self.pairs_timeout(),
            self.roster.poll_timeout(&self.linked(), self.seen),
            self.own.poll_timeout(),
            self.broadcasts.poll_timeout(),
            self.parents.poll_timeout(|track| self.may_ask(track)),
            self.publishing.poll_timeout(),
            self.dialler.poll_timeout(self.is_alone(), |peer| wanted.contains(peer)),
            self.expiry.poll_timeout(self.seen),
        ];
        earliest(conns.map(Some).chain(others))
    }

    /// Every input passes here first.
    pub(super) fn notice(&mut self, now: Now) {
        let gap = now.mono.since(self.seen.mono);
        self.seen = now;
        if gap >= SLEPT_MIN && !self.pairs.is_empty() {
            self.resume(gap, now);
        }
    }

    /// Silence that we slept through is no sign of anybody's death: nobody is held for lost before
    /// there was time to reach them again. Streams are another matter: after a long sleep our silence
    /// has ended them at the other end, and waiting for an answer there would cost a second or two.
    fn resume(&mut self, slept: Duration, now: Now) {
        self.awake_at = now.mono + AWAKE;
        self.roster.handle_resumed();
        for pair in self.pairs.values_mut() {
            pair.meter.reset();
        }
        for conn in self.conns.values_mut() {
            if let Some(pulse) = conn.pulse_mut() {
                if slept < DEAD_AFTER {
                    pulse.excuse(now.mono);
                }
                pulse.hurry(now.mono);
            }
        }
        self.own.renew();
        self.dialler.hurry_all(now.mono);
    }

    /// Every input that may have changed something ends here.
    pub(super) fn settle(&mut self, now: Now) {
        self.settled = now.mono;
        if self.ended.is_none() {
            self.tick_expiry(now);
        }
        if self.ended.is_some() {
            return;
        }
        self.tick_conns(now);
        self.tick_pairs(now);
        self.tick_losing(now);
        self.tick_roster(now);
        self.tick_topology(now);
        self.tick_own_entry(now);
        self.tick_broadcasts(now);
        self.tick_parents(now);
        self.tick_keyframes(now);
        self.tick_dials(now);
    }

    /// Whom pictures bind us to.
    fn needed(&self) -> BTreeSet<PeerId> {
        let parents = self.parents.tracks().map(|track| track.publisher);
        parents.chain(self.children.iter().map(|(_, _, feed)| feed.peer)).collect()
    }

    /// Ends streams that are too many for a large room.
    fn tick_topology(&mut self, now: Now) {
        self.shape = self.shape.with(self.roster.len() + 1);
        if self.shape == Shape::Mesh {
            return;
        }
        let needed = self.needed();
        let mut accepted: Vec<(Mono, PeerId)> = Vec::new();
        for (peer, pair) in &self.pairs {
            let Some(conn) = self.conns.get(&pair.current).filter(|conn| !conn.dialled) else {
                continue;
            };
            if let Stage::Live { since, .. } = conn.stage {
                accepted.push((since, *peer));
            }
        }
        for peer in topology::crowded(&accepted, &needed, now.mono) {
            let others = self.roster.iter().map(|(other, _)| other).filter(|other| **other != peer);
            let hint = topology::hint(&self.lots, others, CANDIDATES_MAX);
            if let Some(current) = self.pairs.get(&peer).map(|pair| pair.current) {
                self.send(current, &Parting { hint });
            }
            self.dialler.penalise(peer, now.mono);
            self.drop_peer(peer, CloseCode::Crowded, now);
        }
    }

    fn tick_dials(&mut self, now: Now) {
        let alone = self.is_alone();
        self.wanted = self.wish();
        let (wanted, roster) = (&self.wanted, &self.roster);
        let dials = self.dialler.poll(
            now.mono,
            alone,
            |peer| wanted.contains(peer),
            |peer| roster.contains(peer),
        );
        self.outputs.extend(dials);
    }

    /// Whom to dial, if it is time.
    fn wish(&self) -> BTreeSet<PeerId> {
        let connecting: BTreeSet<PeerId> = self
            .conns
            .values()
            .filter(|conn| conn.is_connecting(self.settled))
            .map(|conn| conn.peer)
            .collect();
        let linked = |peer: &PeerId| self.pairs.get(peer).is_some_and(|pair| !pair.silent);
        let chosen = match self.shape {
            Shape::Mesh => self.dialler.known(),
            Shape::Chosen => {
                let had = |(peer, pair): (&PeerId, &super::Pair)| {
                    let conn = self.conns.get(&pair.current)?;
                    conn.dialled.then_some(*peer)
                };
                let had: BTreeSet<PeerId> = self.pairs.iter().filter_map(had).collect();
                let mut chosen = topology::choose(&self.needed(), &had, &self.dialler.hopeful());
                chosen.extend(self.dialler.unlucky());
                chosen
            }
        };
        chosen.into_iter().filter(|peer| !linked(peer) && !connecting.contains(peer)).collect()
    }

    /// Whether nobody is reached, and nobody about to be.
    fn is_alone(&self) -> bool {
        self.pairs.is_empty() && !self.conns.values().any(|conn| conn.is_connecting(self.settled))
    }
}
