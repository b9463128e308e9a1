//! The world: nodes, connections with a delay, and one clock that jumps from event to event.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use roommate_protocol::address::{Address, Carrier, Host, Kind};
use roommate_protocol::room::policy::DialPolicy;
use roommate_protocol::room::{
    ConnId, Connected, Event, Output, Room, RoomConfig, Route, Source, Violation,
};
use roommate_protocol::time::{Mono, Now, Wall};
use roommate_protocol::trust::id::{Incarnation, PeerId, RoomPk};
use roommate_protocol::trust::invite::{CertificateTerms, Invite};
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::trust::ticket::{Expiry, Roles, TicketChain};

mod trouble;
mod wiring;

/// One way, everywhere.
pub(crate) const DELAY: u64 = 20 * MS;
pub(crate) const MS: u64 = 1_000;
pub(crate) const S: u64 = 1_000_000;
/// When the world begins, as people say it.
pub(crate) const EPOCH: i64 = 1_780_000_000 * S as i64;

/// One node, by its place in the world.
pub(crate) type Who = usize;

pub(crate) struct Node {
    pub(crate) room: Option<Room>,
    pub(crate) key: SigningKey,
    pub(crate) peer: PeerId,
    pub(crate) tickets: TicketChain,
    pub(crate) secret: RoomSecret,
    pub(crate) hints: Vec<Address>,
    pub(crate) port: u16,
    pub(crate) starts: u64,
    /// How wrong its wall clock is, and where its steady clock began.
    pub(crate) wall_error: i64,
    pub(crate) mono_start: u64,
    pub(crate) asleep: bool,
    /// Its loop is blocked: what comes is read, stamped and queued.
    backlog: Option<Vec<(Happening, Now)>>,
    pub(crate) events: Vec<(u64, Event)>,
    pub(crate) outputs: Vec<(u64, Output)>,
    pub(crate) violations: Vec<Violation>,
    frames: usize,
    expected: BTreeSet<(ConnId, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Wire {
    dialler: Who,
    listener: Who,
    route: Route,
    up: bool,
}

#[derive(Debug)]
enum Happening {
    Frame { conn: ConnId, to: Who, life: u64, frame: Bytes },
    Up { conn: ConnId },
    Connected { connected: Connected, to: Who },
    Control { conn: ConnId, to: Who, passed: bool },
    Down { conn: ConnId, to: Who, life: u64 },
    DialFailed { to: Who, life: u64, peer: Option<PeerId> },
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) room_key: SigningKey,
    pub(crate) secret: RoomSecret,
    pub(crate) route: Route,
    /// Frames between these two are lost, whatever connection they take.
    pub(crate) cut: BTreeSet<(Who, Who)>,
    /// What was said on connections to strangers.
    pub(crate) stranger_heard: Vec<(ConnId, Bytes)>,
    /// Connections that look up and carry nothing.
    muted: BTreeSet<ConnId>,
    strangers: u16,
    /// When each room wants to be woken, and whose wish may have changed.
    deadlines: BTreeSet<(u64, Who)>,
    touched: BTreeSet<Who>,
    wires: BTreeMap<ConnId, Wire>,
    queue: BTreeMap<(u64, u64), Happening>,
    counter: u64,
}

impl Node {
    /// Which start this is.
    pub(crate) fn incarnation(&self) -> Incarnation {
        Incarnation { counter: self.starts, nonce: self.starts * 77 }
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            now: 0,
            nodes: Vec::new(),
            room_key: SigningKey::from_bytes(&[0xAA; 32]),
            secret: RoomSecret { bytes: [0x5E; 16], epoch: 0 },
            route: Route::Direct,
            cut: BTreeSet::new(),
            stranger_heard: Vec::new(),
            muted: BTreeSet::new(),
            strangers: 0,
            deadlines: BTreeSet::new(),
            touched: BTreeSet::new(),
            wires: BTreeMap::new(),
            queue: BTreeMap::new(),
            counter: 0,
        }
    }

    /// A world with `count` members who all know the first one's address, settled.
    pub(crate) fn with_members(count: usize) -> Self {
        let mut world = Self::new();
        for _ in 0..count {
            world.add_member();
        }
        world.run(3 * S);
        world.forget_logs();
        world
    }

    pub(crate) fn room(&self) -> RoomPk {
        RoomPk(self.room_key.verifying_key().to_bytes())
    }

    /// An invite with these roles that ends so many seconds after the world's beginning.
    pub(crate) fn invite(&self, roles: Roles, ends_s: Option<i64>) -> Invite {
        let end = ends_s.map(|s| Wall::from_micros(EPOCH) + Duration::from_secs(s as u64));
        let terms = CertificateTerms { roles, expires: Expiry::from(end) };
        let address = address(1, None);
        Invite::create(&self.room_key, &self.secret, terms, vec![address], &[3; 32]).unwrap()
    }

    /// A node with these tickets that is not started yet.
    pub(crate) fn add(&mut self, tickets: impl FnOnce(&Self, PeerId) -> TicketChain) -> Who {
        let who = self.nodes.len();
        let key = SigningKey::from_bytes(&[who as u8 + 1; 32]);
        let peer = PeerId(key.verifying_key().to_bytes());
        let tickets = tickets(self, peer);
        let hints = if who == 0 { vec![] } else { vec![address(1, Some(self.nodes[0].peer))] };
        self.nodes.push(Node {
            room: None,
            key,
            peer,
            tickets,
            secret: self.secret,
            hints,
            port: who as u16 + 1,
            starts: 0,
            wall_error: 0,
            mono_start: 1_000 * S * (who as u64 + 1),
            asleep: false,
            backlog: None,
            events: Vec::new(),
            outputs: Vec::new(),
            violations: Vec::new(),
            frames: 0,
            expected: BTreeSet::new(),
        });
        who
    }

    /// A started node with the usual roles.
    pub(crate) fn add_member(&mut self) -> Who {
        let who = self.add(|world, peer| world.ticket(peer, Roles::USUAL, None));
        self.start(who);
        who
    }

    pub(crate) fn ticket(&self, peer: PeerId, roles: Roles, ends_s: Option<i64>) -> TicketChain {
        let now = Wall::from_micros(EPOCH + self.now as i64);
        self.invite(roles, ends_s).mint(peer, [9; 32], now, &[4; 32]).unwrap()
    }

    /// Starts a node's process, the same key anew if it ran before.
    pub(crate) fn start(&mut self, who: Who) {
        let room = self.room();
        let now = self.now_of(who);
        let node = &mut self.nodes[who];
        node.starts += 1;
        node.expected.clear();
        let config = RoomConfig {
            room,
            key: node.key.clone(),
            tickets: node.tickets.clone(),
            name: format!("node {who}"),
            title: (who == 0).then(|| "the den".to_owned()),
            incarnation: node.incarnation(),
            hints: node.hints.clone(),
            dialling: DialPolicy { loopback: true, subnets: vec![] },
        };
        let mut seed = [who as u8; 32];
        seed[0] = node.starts as u8;
        let own = address(node.port, None);
        let mut machine = Room::new(config, seed, now);
        machine.set_addresses(vec![own], now);
        node.room = Some(machine);
        self.touched.insert(who);
        self.drain(who);
    }

    /// The seed of the next stranger's key.
    pub(crate) fn next_stranger(&mut self) -> [u8; 32] {
        self.strangers += 1;
        let mut seed = [0xEE; 32];
        seed[..2].copy_from_slice(&self.strangers.to_be_bytes());
        seed
    }

    /// A name for a connection whose other end is played by hand.
    pub(crate) fn stranger_wire(&mut self, _to: Who) -> ConnId {
        self.counter += 1;
        ConnId(self.counter)
    }

    /// Both learn the other's address from a bootstrap.
    pub(crate) fn introduce(&mut self, a: Who, b: Who) {
        for (who, other) in [(a, b), (b, a)] {
            let (peer, port) = (self.nodes[other].peer, self.nodes[other].port);
            let found = [address(port, None)];
            self.act(who, |room, now| room.handle_found(peer, &found, Source::Registration, now));
        }
    }

    /// Lets a node's room do something, and performs what it wants.
    pub(crate) fn act<T>(&mut self, who: Who, act: impl FnOnce(&mut Room, Now) -> T) -> T {
        let now = self.now_of(who);
        self.touched.insert(who);
        let result = act(self.nodes[who].room.as_mut().expect("the node runs"), now);
        self.drain(who);
        result
    }

    pub(crate) fn see(&self, who: Who) -> &Room {
        self.nodes[who].room.as_ref().expect("the node runs")
    }

    pub(crate) fn now_of(&self, who: Who) -> Now {
        let node = &self.nodes[who];
        Now {
            mono: Mono::from_micros(node.mono_start + self.now),
            wall: Wall::from_micros(EPOCH + self.now as i64 + node.wall_error),
        }
    }

    pub(crate) fn forget_logs(&mut self) {
        for node in &mut self.nodes {
            node.events.clear();
            node.outputs.clear();
        }
    }

    /// Whom `who` sees, as places in the world.
    pub(crate) fn seen_by(&self, who: Who) -> BTreeSet<Who> {
        let peers: Vec<PeerId> = self.see(who).members().iter().map(|m| m.peer).collect();
        (0..self.nodes.len()).filter(|other| peers.contains(&self.nodes[*other].peer)).collect()
    }

    /// Live connections between two nodes.
    pub(crate) fn wires_between(&self, a: Who, b: Who) -> Vec<ConnId> {
        let both = |wire: &Wire| wire.up && wire.has(a) && wire.has(b);
        self.wires.iter().filter(|(_, wire)| both(wire)).map(|(conn, _)| *conn).collect()
    }

    /// When an event happened at `who` since the logs were forgotten.
    pub(crate) fn when(&self, who: Who, is: impl Fn(&Event) -> bool) -> Option<u64> {
        self.nodes[who].events.iter().find(|(_, event)| is(event)).map(|(at, _)| *at)
    }

    /// Delivers a frame as if the other end of `conn` had sent it, at once.
    pub(crate) fn inject(
        &mut self,
        to: Who,
        conn: ConnId,
        content: &[u8],
    ) -> Result<(), Violation> {
        self.act(to, |room, now| room.handle_frame(conn, content, now, now))
    }

    pub(crate) fn connect(&mut self, dialler: Who, listener: Who) -> ConnId {
        self.counter += 1;
        let conn = ConnId(self.counter);
        self.wires.insert(conn, Wire { dialler, listener, route: self.route, up: false });
        self.later(2 * DELAY, |_| Happening::Up { conn });
        conn
    }

    pub(crate) fn run(&mut self, micros: u64) {
        let end = self.now + micros;
        let mut steps_here = 0;
        loop {
            let queued = self.queue.keys().next().map(|(at, _)| *at);
            for who in std::mem::take(&mut self.touched) {
                let due = self.due(who);
                self.deadlines.retain(|(_, other)| *other != who);
                self.deadlines.extend(due.map(|due| (due, who)));
            }
            let due = self.deadlines.first().copied();
            let next = queued.into_iter().chain(due.map(|(at, _)| at.max(self.now))).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            steps_here = if next > self.now { 0 } else { steps_here + 1 };
            assert!(steps_here < 50_000, "the world stands still: {:?}", self.reasons());
            self.now = self.now.max(next);
            if queued == Some(next) {
                let (_, happening) = self.queue.pop_first().unwrap();
                self.arrive(happening);
            } else if let Some((_, who)) = due {
                self.act(who, |room, now| room.handle_timeout(now));
            }
        }
        self.now = end;
    }

    pub(crate) fn now_of_new(&self) -> Wall {
        Wall::from_micros(EPOCH + self.now as i64)
    }

    /// A world whose room is another.
    pub(crate) fn other_room() -> Self {
        Self { room_key: SigningKey::from_bytes(&[0xBB; 32]), ..Self::new() }
    }

    /// Frames that were delivered to a node.
    pub(crate) fn frames_to(&self, who: Who) -> usize {
        self.nodes[who].frames
    }

    fn reasons(&self) -> Vec<Option<String>> {
        let why = |room: &Room| room.poll_timeout().map(|(_, why)| why.to_string());
        self.nodes.iter().map(|node| node.room.as_ref().and_then(why)).collect()
    }

    fn due(&self, who: Who) -> Option<u64> {
        let node = self.nodes.get(who).filter(|node| !node.asleep && node.backlog.is_none())?;
        let (at, _) = node.room.as_ref()?.poll_timeout()?;
        Some(at.as_micros().saturating_sub(node.mono_start))
    }

    fn life(&self, who: Who) -> u64 {
        self.nodes[who].starts
    }

    fn later(&mut self, micros: u64, what: impl FnOnce(&Self) -> Happening) {
        self.counter += 1;
        let happening = what(self);
        self.queue.insert((self.now + micros, self.counter), happening);
    }
}

/// The address of the node that listens on `port`.
pub(crate) fn address(port: u16, peer: Option<PeerId>) -> Address {
    let host = Host::V4(Ipv4Addr::LOCALHOST);
    Address { kind: Kind::Member, host, carrier: Carrier::Quic, port: port + 5_000, peer }
}
