//! Members that find each other, prove, greet, gossip, broadcast and watch: the product's room
//! machine and everything below it, over [`Wire`]s, in virtual time.
//!
//! They meet at a bootstrap ([`Finding`]). Plays what the shell performs: dialling, streams, writer
//! and reader tasks. Checks after every step what [`World`](crate::world::World) checks, and that
//! every clock is within its own bound.

use std::collections::BTreeMap;
use std::time::Duration;

use roommate_protocol::media::cache::CacheCounts;
use roommate_protocol::room::proof::ProofKey;
use roommate_protocol::room::{Connected, Route, Source as LearntFrom};
use roommate_protocol::rooms::watch::WatchConfig;
use roommate_protocol::time::{Mono, Now};
use roommate_protocol::trust::id::{PeerId, TrackKey};
use roommate_protocol::trust::rid::{self, RidKey};
use roommate_protocol::wire::code::StreamCode;

use crate::dice::Dice;
use crate::feed::{Feed, Moment};
use crate::finding::Finding;
use crate::member::{Founding, Member, Skew, address, key, local};
use crate::net::Line;
use crate::pipe::Arrived;
use crate::trace::Trace;
use crate::wire::{CONTROL, Wire, Word};

mod look;
mod perform;

/// QUIC's idle timeout: so long until a dead peer's connection is down.
const IDLE: Duration = Duration::from_secs(10);
/// Rounds of words and pictures within one instant.
const ROUNDS_MAX: u32 = 200;

/// A room, and everybody in it.
#[derive(Debug)]
pub struct Town {
    /// The time.
    pub now: Mono,
    /// Every start of every node, in its order.
    pub members: Vec<Member>,
    lines: Vec<Line>,
    wires: Vec<Wire>,
    seen: BTreeMap<(usize, usize), (u64, Option<CacheCounts>)>,
    conns: u64,
    failing: Vec<(Mono, usize, Option<PeerId>)>,
    finding: Finding,
    founding: Founding,
    proof: ProofKey,
    dice: Dice,
    trace: Trace,
}

impl Town {
    /// An empty room.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let founding = Founding::new(&mut dice);
        let proof = ProofKey::new(founding.room(), &founding.secret);
        let now = Mono::from_micros(1_000_000);
        let mut seed = [0; 32];
        dice.fill(&mut seed);
        Self {
            now,
            finding: Finding::new(seed, now),
            members: Vec::new(),
            lines: Vec::new(),
            wires: Vec::new(),
            seen: BTreeMap::new(),
            conns: 0,
            failing: Vec::new(),
            founding,
            proof,
            dice,
            trace: Trace::from_env(),
        }
    }

    /// Somebody new comes, over this line, and registers at the bootstrap. Its number.
    pub fn join(&mut self, line: Line, skew: Skew) -> usize {
        let key = key(&mut self.dice);
        self.enter((key, None), 1, line, skew)
    }

    /// Somebody comes whose ticket ends so long from now.
    pub fn join_until(&mut self, line: Line, skew: Skew, ends: Duration) -> usize {
        let key = key(&mut self.dice);
        self.enter((key, Some(ends)), 1, line, skew)
    }

    /// The same node starts again, at another address.
    pub fn restart(&mut self, member: usize) -> usize {
        let (key, skew) = (self.members[member].key(), self.members[member].skew());
        let peer = self.members[member].peer;
        let starts = self.members.iter().filter(|member| member.peer == peer).count() as u64;
        self.enter((key, None), starts + 1, self.lines[member], skew)
    }

    fn enter(
        &mut self,
        ticket: (ed25519_dalek::SigningKey, Option<Duration>),
        starts: u64,
        line: Line,
        skew: Skew,
    ) -> usize {
        let number = self.members.len();
        let clocks = (skew, self.now);
        let member =
            Member::start(&self.founding, (number, starts), ticket, clocks, &mut self.dice);
        let (secret, peer) = (self.founding.secret, member.peer);
        let addresses = vec![address(number, peer)];
        let mut seed = [0; 32];
        self.dice.fill(&mut seed);
        self.finding.enter(WatchConfig { secret, peer, addresses }, seed, clocks);
        self.members.push(member);
        self.lines.push(line);
        number
    }

    /// A member begins to broadcast.
    pub fn publish(&mut self, member: usize, group: Duration) -> TrackKey {
        self.members[member].publish(group, self.now, &mut self.dice)
    }

    /// A member leaves politely.
    pub fn leave(&mut self, member: usize) {
        let now = self.members[member].now(self.now);
        self.members[member].room.leave(now);
        self.finding.leave(member, self.now);
    }

    /// A member is gone without a word.
    pub fn kill(&mut self, member: usize) {
        self.members[member].alive = false;
        self.finding.kill(member, IDLE, self.now);
        for wire in &mut self.wires {
            let Some(end) = (0..2).find(|end| wire.ends[*end].member == member) else { continue };
            wire.pipes.iter_mut().for_each(crate::pipe::Pipe::kill);
            wire.ends[end].known = false;
            wire.down_at[1 - end].get_or_insert(self.now + IDLE);
        }
    }

    /// Everybody's machine sleeps, and their connections are gone. The bootstrap's does not.
    pub fn sleep(&mut self, time: Duration) {
        self.now = self.now + time;
        for wire in &mut self.wires {
            wire.pipes.iter_mut().for_each(crate::pipe::Pipe::kill);
            wire.down_at = [Some(self.now), Some(self.now)];
        }
        for member in self.members.iter_mut().filter(|member| member.alive) {
            member.wake(time, self.now);
            self.finding.wake(member.number, member.skew(), self.now);
        }
    }

    /// How many registrations the bootstrap holds of this room, under the id of today's true period.
    pub fn registered(&mut self) -> u32 {
        let period = rid::period(local(Skew::default(), self.now).wall);
        let rid = RidKey::derive(&self.founding.secret, period).rid();
        self.finding.registered(rid, self.now)
    }

    /// Lets so much time pass.
    ///
    /// # Errors
    /// The first thing that was wrong.
    pub fn run_for(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        loop {
            self.step().map_err(|wrong| {
                format!("at {:.3} s: {wrong}", self.now.as_micros() as f64 / 1e6)
            })?;
            match self.next().filter(|next| *next <= end) {
                Some(next) => self.now = next,
                None => break,
            }
        }
        self.now = end;
        Ok(())
    }

    fn next(&self) -> Option<Mono> {
        let members = self.members.iter().filter_map(Member::poll_timeout);
        let wires = self.wires.iter().filter(|wire| !wire.is_over());
        let wires = wires.flat_map(|wire| {
            let feeds =
                wire.ends.iter().flat_map(|end| end.feeds.values().map(move |feed| (end, feed)));
            let feeds = feeds.filter_map(|(end, (_, feed))| {
                feed.poll_timeout().map(|at| self.members[end.member].world(at))
            });
            wire.poll_timeout().into_iter().chain(feeds)
        });
        let failing = self.failing.iter().map(|(at, ..)| *at);
        let tick = |at: Mono| Mono::from_micros(at.as_micros().div_ceil(1000) * 1000);
        members
            .chain(wires)
            .chain(failing)
            .chain(self.finding.poll_timeout())
            .min()
            .map(|at| tick(at).max(self.now + Duration::from_millis(1)))
    }

    fn step(&mut self) -> Result<(), String> {
        self.connections();
        for (number, peer, addresses) in self.finding.advance(self.now) {
            let member = &mut self.members[number];
            let now = member.now(self.now);
            member.room.handle_found(peer, &addresses, LearntFrom::Registration, now);
        }
        for member in self.members.iter_mut().filter(|member| member.alive) {
            let now = member.now(self.now);
            if member.room.poll_timeout().is_some_and(|(at, _)| at <= now.mono) {
                member.room.handle_timeout(now);
            }
            member.capture(self.now);
        }
        for round in 0.. {
            let performed = self.perform_all();
            let moved = self.exchange();
            if !performed && !moved {
                break;
            }
            if round > ROUNDS_MAX {
                return Err("something goes on for ever in one instant".to_owned());
            }
        }
        self.show()?;
        self.look()
    }

    /// Connections that are up or down now, and dials that failed.
    fn connections(&mut self) {
        let failed = self.failing.extract_if(.., |(at, ..)| *at <= self.now);
        for (_, member, peer) in failed {
            let member = &mut self.members[member];
            let now = member.now(self.now);
            member.room.handle_dial_failed(peer, now);
        }
        for number in 0..self.wires.len() {
            let wire = &mut self.wires[number];
            if !wire.up && wire.up_at <= self.now && !wire.is_over() {
                wire.up = true;
                let mut exporter = [0; 16];
                self.dice.fill(&mut exporter);
                for end in 0..2 {
                    let (us, them) = (wire.ends[end].member, wire.ends[1 - end].member);
                    let peer = self.members[them].peer;
                    let (conn, dialled, route) = (wire.ends[end].conn, end == 0, Route::Direct);
                    let now = self.members[us].now(self.now);
                    let connected = Connected { conn, peer, dialled, route, exporter };
                    self.members[us].room.handle_connected(connected, now);
                }
            }
            for end in 0..2 {
                if wire.down_at[end].is_some_and(|at| at <= self.now) {
                    wire.down_at[end] = None;
                    down(wire, end, &mut self.members, self.now);
                }
            }
        }
    }

    /// Moves bytes along every wire once; whether anything moved.
    fn exchange(&mut self) -> bool {
        let mut moved = false;
        for number in 0..self.wires.len() {
            if !self.wires[number].up || self.wires[number].is_over() {
                continue;
            }
            for from in 0..2 {
                for (stream, arrived) in self.wires[number].pipes[from].advance(self.now) {
                    moved = true;
                    if stream == CONTROL {
                        self.control(number, 1 - from, &arrived);
                    } else {
                        self.pictures(number, 1 - from, stream, arrived);
                    }
                }
                moved |= self.feed(number, from);
            }
        }
        moved
    }

    fn control(&mut self, number: usize, end: usize, arrived: &Arrived) {
        let wire = &mut self.wires[number];
        let peers = [0, 1].map(|end: usize| self.members[wire.ends[end].member].peer);
        let mut nonce = [0; 32];
        self.dice.fill(&mut nonce);
        let words = wire.hear(end, arrived, &self.proof, (peers, nonce));
        let (member, conn) = (&mut self.members[wire.ends[end].member], wire.ends[end].conn);
        let now = member.now(self.now);
        let read_at = Now { mono: now.mono - member.stamps_early, wall: now.wall };
        for word in words {
            match word {
                Word::Up => member.room.handle_control_up(conn, now),
                Word::Broken => member.room.handle_control_failed(conn, now),
                Word::Frame(frame) => {
                    if let Err(why) = member.room.handle_frame(conn, &frame, read_at, now) {
                        self.trace.note(self.now, || format!("member {}: {why}", member.number));
                    }
                }
            }
        }
    }

    fn pictures(
        &mut self,
        number: usize,
        end: usize,
        stream: roommate_protocol::media::pull::StreamNumber,
        arrived: Arrived,
    ) {
        let wire = &mut self.wires[number];
        let here = &mut wire.ends[end];
        let (sub, arrived) = match arrived {
            Arrived::Bytes(bytes) => match here.name(stream, bytes) {
                Some((sub, bytes)) => (sub, Arrived::Bytes(bytes)),
                None => return,
            },
            other => match here.named(stream) {
                Some(sub) => (sub, other),
                None => return,
            },
        };
        let member = &mut self.members[here.member];
        let now = member.now(self.now);
        let track = here.expected.get(&sub).copied();
        let viewer = track.and_then(|track| member.watching.get_mut(&track));
        let (Some(reading), Some(viewer)) = (here.readings.get_mut(&sub), viewer) else {
            wire.pipes[1 - end].stop(stream, self.now);
            return;
        };
        let code = reading.handle((stream, arrived), &mut viewer.cache, (now.mono, None));
        if let Some(code) = code {
            wire.pipes[1 - end].stop(stream, self.now);
            if code == StreamCode::Violation {
                member.room.handle_parent_misbehaved(here.conn, sub, now);
            }
        }
    }

    fn feed(&mut self, number: usize, end: usize) -> bool {
        let wire = &mut self.wires[number];
        let stopped = wire.pipes[end].take_stopped();
        let member = &self.members[wire.ends[end].member];
        let local = member.now(self.now).mono;
        let tracks = wire.ends[end].feeds.values().next().map(|(track, _)| *track);
        let counts = tracks.and_then(|track| member.cache(&track)).map(|cache| cache.counts());
        let sees = (wire.pipes[end].stirs() + u64::from(wire.ends[end].begun), counts);
        let due = |(_, feed): &(TrackKey, Feed)| feed.poll_timeout().is_some_and(|at| at <= local);
        let any_due = wire.ends[end].feeds.values().any(due);
        if self.seen.get(&(number, end)) == Some(&sees) && !any_due && stopped.is_empty() {
            return false;
        }
        self.seen.insert((number, end), sees);
        let mut moved = false;
        for (track, feed) in wire.ends[end].feeds.values_mut() {
            for stream in &stopped {
                feed.handle_stopped(*stream, &mut wire.pipes[end]);
            }
            let Some(cache) = member.cache(track) else { continue };
            let moment = Moment { world: self.now, local, fault: None };
            moved |= feed.run(cache, &mut wire.pipes[end], &mut self.dice, moment);
        }
        moved
    }
}

/// Tells one end that its connection is gone.
fn down(wire: &mut Wire, end: usize, members: &mut [Member], world: Mono) {
    let here = &mut wire.ends[end];
    if !std::mem::replace(&mut here.known, false) {
        return;
    }
    let member = &mut members[here.member];
    let now = member.now(world);
    here.feeds.clear();
    for (sub, mut reading) in std::mem::take(&mut here.readings) {
        let track = here.expected.get(&sub);
        if let Some(viewer) = track.and_then(|track| member.watching.get_mut(track)) {
            reading.lose(&mut viewer.cache, now.mono);
        }
    }
    here.expected.clear();
    if member.alive {
        member.room.handle_disconnected(here.conn, now);
    }
}
