//! Connections as the shell reports them, and the pair that several of them may belong to: one of
//! them speaks for it, subscriptions and roster move to the one that stays.

use std::collections::BTreeSet;
use std::time::Duration;

use super::conn::{Conn, Stage, names};
use super::duplicate::{self, Rival};
use super::input::{ConnId, Connected};
use super::liveness::ANSWER_MAX;
use super::output::Output;
use super::roster::Streams;
use super::{CONNECTIONS_MAX, Room};
use crate::media::clock::OffsetMeter;
use crate::time::{Deadline, Mono, Now, Why};
use crate::trust::id::{Incarnation, PeerId};
use crate::trust::ticket::Grant;
use crate::wire::close::CloseCode;

/// The smaller PeerId closes what does not stay; the larger waits so much longer for that, and then
/// does it itself. So both never close different ones.
const LARGER_WAITS: Duration = Duration::from_secs(3);
/// A link that breaks while it was heard a moment ago may be back at once (a restart of the path, an
/// address that changed): so long nobody is told.
const BLINK: Duration = Duration::from_millis(500);
/// Heard longer ago than that, the break is no blink.
const HEARD_LATELY: Duration = Duration::from_secs(2);

/// A peer with whom we are live.
#[derive(Debug)]
pub(super) struct Pair {
    /// The connection that speaks for it.
    pub(super) current: ConnId,
    pub(super) incarnation: Incarnation,
    pub(super) grant: Grant,
    /// Its steady clock against ours.
    pub(super) meter: OffsetMeter,
    /// When the newest of several connections went live.
    pub(super) rivals_since: Option<Mono>,
    /// It was told to be silent, and another connection was asked for.
    pub(super) silent: bool,
}

impl Room {
    /// A connection is up: one that this room asked for, or one that a peer made. Where a node is in
    /// several rooms, a connection that a peer made may be told to each of them, or at the latest to
    /// the one whose secret it proves.
    pub fn handle_connected(&mut self, connected: Connected, now: Now) {
        self.notice(now);
        let conn = connected.conn;
        if self.ended.is_some() || connected.peer == self.me || self.conns.contains_key(&conn) {
            if connected.dialled && !self.conns.contains_key(&conn) {
                self.emit(Output::CloseConnection { conn, code: CloseCode::Done });
            }
            return;
        }
        self.dialler.handle_connected(connected.peer);
        if self.conns.len() >= CONNECTIONS_MAX && !self.make_way(now) {
            self.emit(Output::CloseConnection { conn, code: CloseCode::Crowded });
            return;
        }
        self.conns.insert(conn, Conn::new(&connected, now.mono));
        if connected.dialled {
            self.emit(Output::OpenControl { conn });
        }
        self.settle(now);
    }

    /// Gives up the oldest connection whose peer has not asked to be let in: strangers who do
    /// nothing must not keep members out. Whether there was one.
    fn make_way(&mut self, now: Now) -> bool {
        let idle = |(_, conn): &(&ConnId, &Conn)| matches!(conn.stage, Stage::Up { .. });
        let Some(oldest) = self.conns.iter().find(idle).map(|(name, _)| *name) else {
            return false;
        };
        self.drop_conn(oldest, CloseCode::Refused, now);
        true
    }

    /// A connection is down.
    pub fn handle_disconnected(&mut self, conn: ConnId, now: Now) {
        self.notice(now);
        self.forget(conn, true, now);
        self.settle(now);
    }

    /// Ends one connection, and says so to the shell. `broken`: the peer is no longer reached, which
    /// its other neighbours should hear.
    pub(super) fn drop_conn(&mut self, conn: ConnId, code: CloseCode, now: Now) {
        let Some(known) = self.conns.get(&conn) else { return };
        if known.has_control() {
            self.emit(Output::CloseControl { conn, code });
        }
        self.forget(conn, matches!(code, CloseCode::Silent | CloseCode::Done), now);
        self.emit(Output::CloseConnection { conn, code });
    }

    pub(super) fn drop_peer(&mut self, peer: PeerId, code: CloseCode, now: Now) {
        for conn in names(&self.conns, |conn| conn.peer == peer) {
            self.drop_conn(conn, code, now);
        }
    }

    fn forget(&mut self, name: ConnId, broken: bool, now: Now) {
        let Some(conn) = self.conns.remove(&name) else { return };
        self.stop_feeds_on(name);
        self.lose_parents_on(name, now);
        if !conn.is_live() {
            return;
        }
        let peer = conn.peer;
        let rest = self.rivals(peer, now.mono);
        let Some(pair) = self.pairs.get_mut(&peer) else { return };
        if rest.len() < 2 {
            pair.rivals_since = None;
        }
        if pair.current != name {
            return;
        }
        if let Some(next) = duplicate::best(rest) {
            self.move_pair(peer, next, now);
            return;
        }
        self.pairs.remove(&peer);
        if broken {
            let heard = conn.pulse().map_or(now.mono, |pulse| pulse.heard_at());
            let blink = now.mono.since(heard) < HEARD_LATELY;
            let at = if blink { now.mono + BLINK } else { now.mono };
            self.losing.insert(peer, at.max(self.awake_at));
            self.dialler.hurry(peer, now.mono);
        }
    }

    /// Whom we hold a stream to.
    pub(super) fn linked(&self) -> BTreeSet<PeerId> {
        self.pairs.keys().copied().collect()
    }

    /// Those of them who owe us no answer.
    fn answering(&self, now: Mono) -> BTreeSet<PeerId> {
        let pulse = |pair: &Pair| self.conns.get(&pair.current).and_then(Conn::pulse);
        let answers = |pair: &Pair| pulse(pair).is_some_and(|pulse| !pulse.is_slow(now));
        self.pairs.iter().filter(|(_, pair)| answers(pair)).map(|(peer, _)| *peer).collect()
    }

    /// Our streams, for the roster.
    pub(super) fn streams(&self, now: Mono) -> Streams {
        Streams { linked: self.linked(), answering: self.answering(now) }
    }

    /// Closes what belongs to an older start of `peer`.
    pub(super) fn supersede(&mut self, peer: PeerId, newer: Incarnation, now: Now) {
        if self.pairs.get(&peer).is_none_or(|pair| pair.incarnation >= newer) {
            return;
        }
        for conn in names(&self.conns, |conn| conn.peer == peer && conn.is_live()) {
            self.drop_conn(conn, CloseCode::Superseded, now);
        }
    }

    /// A hello was accepted.
    pub(super) fn join_pair(
        &mut self,
        name: ConnId,
        (incarnation, grant): (Incarnation, Grant),
        now: Now,
    ) {
        let Some(conn) = self.conns.get_mut(&name) else { return };
        conn.go_live(now.mono);
        let peer = conn.peer;
        self.losing.remove(&peer);
        self.dialler.handle_live(peer, now.mono);
        match self.pairs.get_mut(&peer) {
            Some(pair) => {
                pair.rivals_since = Some(now.mono);
                pair.grant = grant;
                for conn in self.conns.values_mut().filter(|conn| conn.peer == peer) {
                    if let Some(pulse) = conn.pulse_mut() {
                        pulse.hurry(now.mono);
                    }
                }
            }
            None => {
                let meter = OffsetMeter::new();
                let pair = Pair {
                    current: name,
                    incarnation,
                    grant,
                    meter,
                    rivals_since: None,
                    silent: false,
                };
                self.pairs.insert(peer, pair);
                self.broadcasts.handle_live(peer, now.mono);
            }
        }
        self.bring_up_to_date(name);
    }

    /// Settles pairs with several connections, and looks for another where one has gone silent.
    pub(super) fn tick_pairs(&mut self, now: Now) {
        let peers: Vec<PeerId> = self.pairs.keys().copied().collect();
        for peer in peers {
            self.tick_rivals(peer, now);
            let Some(pair) = self.pairs.get_mut(&peer) else { continue };
            let pulse = self.conns.get(&pair.current).and_then(Conn::pulse);
            let silent = pulse.is_some_and(|pulse| pulse.is_silent(now.mono));
            if silent && !pair.silent {
                self.dialler.hurry(peer, now.mono);
            }
            pair.silent = silent;
        }
    }

    fn tick_rivals(&mut self, peer: PeerId, now: Now) {
        let Some(pair) = self.pairs.get(&peer) else { return };
        let (Some(since), current) = (pair.rivals_since, pair.current) else { return };
        let rivals = self.rivals(peer, now.mono);
        let waited = now.mono.since(since);
        // What is known to be silent need not be waited for again.
        let answered = |rival: &Rival| rival.prompt || (pair.silent && rival.conn == current);
        let all_answered = rivals.iter().all(answered);
        let Some(best) = duplicate::best(rivals.iter().copied()) else { return };
        if !all_answered && waited < ANSWER_MAX {
            return;
        }
        if best != current {
            self.move_pair(peer, best, now);
        }
        if self.me < peer || waited >= ANSWER_MAX + LARGER_WAITS {
            for rival in rivals.into_iter().filter(|rival| rival.conn != best) {
                self.drop_conn(rival.conn, CloseCode::Duplicate, now);
            }
        }
    }

    fn rivals(&self, peer: PeerId, now: Mono) -> Vec<Rival> {
        let live = self.conns.iter().filter(|(_, conn)| conn.peer == peer);
        let live = live.filter_map(|(name, conn)| Some((name, conn, conn.pulse()?)));
        let rival = |(name, conn, pulse): (&ConnId, &Conn, &super::liveness::Liveness)| Rival {
            conn: *name,
            prompt: pulse.is_prompt(now),
            route: conn.route,
            by_smaller: conn.dialled == (self.me < peer),
            exporter: conn.exporter,
        };
        live.map(rival).collect()
    }

    /// From now on `next` speaks for the pair. What was under way on the other may be lost with it,
    /// so everything is said again; what is known already costs the peer a comparison.
    fn move_pair(&mut self, peer: PeerId, next: ConnId, now: Now) {
        let Some(pair) = self.pairs.get_mut(&peer) else { return };
        pair.current = next;
        self.bring_up_to_date(next);
        self.tick_parents(now);
    }

    /// Hellos that did not come, pings that are due, streams that are dead.
    pub(super) fn tick_conns(&mut self, now: Now) {
        for name in names(&self.conns, |conn| conn.is_late(now.mono)) {
            if self.conns.get(&name).is_some_and(|conn| conn.dialled) {
                let peer = self.conns[&name].peer;
                self.dialler.handle_failed(Some(peer), now.mono);
            }
            self.drop_conn(name, CloseCode::Refused, now);
        }
        let dead = |conn: &Conn| conn.pulse().is_some_and(|pulse| pulse.is_dead(now.mono));
        for name in names(&self.conns, dead) {
            self.drop_conn(name, CloseCode::Silent, now);
        }
        let mut due = Vec::new();
        for (name, conn) in &mut self.conns {
            if let Stage::Live { pulse, .. } = &mut conn.stage
                && let Some(seq) = pulse.poll_ping(now.mono)
            {
                due.push((*name, seq));
            }
        }
        for (name, seq) in due {
            self.send_ping(name, seq, now);
        }
    }

    pub(super) fn pairs_timeout(&self) -> Option<Deadline> {
        let settle = |pair: &Pair| Some(pair.rivals_since? + ANSWER_MAX + LARGER_WAITS);
        let soon = |pair: &Pair| Some(pair.rivals_since? + ANSWER_MAX);
        let times = self.pairs.values().flat_map(|pair| [soon(pair), settle(pair)]).flatten();
        let times = times.filter(|at| *at > self.settled);
        times.min().map(|at| (at, Why("several connections of one pair")))
    }
}
