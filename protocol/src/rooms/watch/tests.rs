//! Members and a bootstrap that find each other: joins, leaves, losses, sleeps, wrong clocks.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::address::{Carrier, Host, Kind};
use crate::rooms::registry::{self, ClientId, Registry, RegistryConfig};

mod foreign;

const SECRET: RoomSecret = RoomSecret { bytes: [7; 16], epoch: 0 };
/// One hour into a period, far from its edges.
const NOON: i64 = 6 * 3_600 * 80_000 + 3_600;

fn peer(n: u8) -> PeerId {
    PeerId([n; 32])
}

fn address(n: u8, port: u16) -> Address {
    let host = Host::V4([192, 0, 2, n].into());
    Address { kind: Kind::Member, host, carrier: Carrier::Quic, port, peer: Some(peer(n)) }
}

/// Nodes at one bootstrap; nothing is ever lost between them unless a link is cut.
struct World {
    now: Now,
    registry: Registry,
    nodes: Vec<Watch>,
    /// The client that a node is at the bootstrap while it is connected.
    links: Vec<Option<ClientId>>,
    clients: u64,
    told: Vec<(usize, Output)>,
}

impl World {
    fn new(at: i64, nodes: u8) -> Self {
        let now = Now { mono: Mono::from_micros(1), wall: Wall::from_secs(at) };
        let registry = Registry::new(RegistryConfig::default(), [1; 32], now);
        let nodes: Vec<_> = (1..=nodes)
            .map(|n| {
                let addresses = vec![address(n, 1)];
                let config = WatchConfig { secret: SECRET, peer: peer(n), addresses };
                Watch::new(config, [n; 32], now)
            })
            .collect();
        let links = vec![None; nodes.len()];
        Self { now, registry, nodes, links, clients: 0, told: Vec::new() }
    }

    fn connect(&mut self, n: usize) {
        self.clients += 1;
        let client = ClientId(self.clients);
        self.links[n] = Some(client);
        let ip = [10, 0, n as u8, 1].into();
        self.registry.handle_opened(client, peer(n as u8 + 1), ip, self.now);
        self.nodes[n].handle_opened(self.now);
        self.settle();
    }

    fn cut(&mut self, n: usize) {
        if let Some(client) = self.links[n].take() {
            self.registry.handle_closed(client);
            self.nodes[n].handle_closed(self.now);
        }
    }

    /// Carries frames until all are quiet.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for n in 0..self.nodes.len() {
                while let Some(output) = self.nodes[n].poll_output() {
                    quiet = false;
                    match (output, self.links[n]) {
                        (Output::Send(frame), Some(client)) => {
                            self.registry.handle_frame(client, &frame[4..], self.now).unwrap();
                        }
                        (Output::Send(_), None) => panic!("sent without a link"),
                        (output, _) => self.told.push((n, output)),
                    }
                }
            }
            while let Some(output) = self.registry.poll_output() {
                quiet = false;
                let registry::Output::Send { client, frame } = output else { continue };
                self.registry.handle_sent(client, frame.len());
                if let Some(n) = self.links.iter().position(|link| *link == Some(client)) {
                    self.nodes[n].handle_frame(&frame[4..], self.now).unwrap();
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// Lives through every deadline up to `seconds` from now.
    fn pass(&mut self, seconds: u64) {
        let end = self.now.mono + Duration::from_secs(seconds);
        loop {
            let deadlines = self.nodes.iter().map(Watch::poll_timeout);
            let next = earliest(deadlines.chain([self.registry.poll_timeout()]));
            let at = next.map_or(end, |(at, _)| at).min(end);
            let passed = at.since(self.now.mono);
            self.now = Now { mono: self.now.mono + passed, wall: self.now.wall + passed };
            if at == end {
                return;
            }
            self.registry.handle_timeout(self.now);
            for node in &mut self.nodes {
                node.handle_timeout(self.now);
            }
            self.settle();
        }
    }

    fn take(&mut self) -> Vec<(usize, Output)> {
        std::mem::take(&mut self.told)
    }
}

fn found(at: usize, n: u8) -> (usize, Output) {
    (at, Output::Found { peer: peer(n), addresses: vec![address(n, 1)] })
}

fn gone(at: usize, n: u8) -> (usize, Output) {
    (at, Output::Gone { peer: peer(n) })
}

#[test]
fn two_members_find_each_other_and_a_leave_is_told() {
    let mut world = World::new(NOON, 2);
    world.connect(0);
    assert_eq!(world.take(), [(0, Output::Registered)]);
    world.connect(1);
    let told = world.take();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.contains(&found(0, 2)) && told.contains(&found(1, 1)));
    // A quarter of an hour of renewals is news to nobody.
    world.pass(900);
    assert_eq!(world.take(), []);
    assert_eq!(world.registry.counts().registrations, 2);
    world.cut(0);
    assert!(world.nodes[0].knows(&peer(2)), "a lost bootstrap takes nothing back");
    world.connect(0);
    assert_eq!(world.take(), [(0, Output::Registered)]);
    world.nodes[1].leave();
    world.settle();
    assert_eq!(world.take(), [gone(0, 2)]);
    assert!(!world.nodes[0].knows(&peer(2)));
    assert_eq!(world.nodes[1].poll_timeout(), None);
}

#[test]
fn new_addresses_are_told_at_once_and_flapping_ones_once_a_second() {
    let mut world = World::new(NOON, 2);
    world.connect(0);
    world.connect(1);
    world.take();
    world.pass(2);
    world.nodes[1].set_addresses(vec![address(2, 7)], world.now);
    world.settle();
    let moved = |port| {
        let addresses = vec![address(2, port)];
        (0, Output::Found { peer: peer(2), addresses })
    };
    assert_eq!(world.take(), [moved(7)]);
    for port in 100..150 {
        world.nodes[1].set_addresses(vec![address(2, port)], world.now);
        world.settle();
    }
    assert_eq!(world.take(), []);
    world.pass(2);
    assert_eq!(world.take(), [moved(149)]);
    world.nodes[1].set_addresses(vec![], world.now);
    world.settle();
    assert_eq!(world.take(), [gone(0, 2)]);
    world.pass(300);
    assert_eq!(world.registry.counts().registrations, 1, "registered without an address");
}

#[test]
fn a_lost_bootstrap_is_no_leave_and_its_return_corrects_what_was_missed() {
    let mut world = World::new(NOON, 3);
    for n in 0..3 {
        world.connect(n);
    }
    world.take();
    world.cut(0);
    world.nodes[1].leave();
    world.settle();
    assert_eq!(world.take(), [gone(2, 2)]);
    world.connect(0);
    assert_eq!(world.take(), [gone(0, 2), (0, Output::Registered)]);
    // A restarted bootstrap knows nobody: those who come back are not gone either.
    world.registry = Registry::new(RegistryConfig::default(), [2; 32], world.now);
    world.cut(0);
    world.cut(2);
    world.connect(2);
    world.connect(0);
    let told = world.take();
    assert!(told.contains(&(0, Output::Registered)) && told.contains(&(2, Output::Registered)));
    assert!(!told.contains(&gone(0, 3)), "{told:?}");
    assert_eq!(world.registry.counts().registrations, 2);
}

#[test]
fn a_member_that_vanishes_is_gone_after_the_ttl() {
    let mut world = World::new(NOON, 2);
    world.connect(0);
    world.connect(1);
    world.cut(1);
    world.take();
    world.pass(299);
    assert_eq!(world.take(), []);
    world.pass(2);
    assert_eq!(world.take(), [gone(0, 2)]);
}

#[test]
fn the_edge_of_a_period_is_crossed_unseen() {
    let edge = 6 * 3_600 * 80_001;
    let mut world = World::new(edge - 900, 2);
    world.connect(0);
    world.connect(1);
    world.take();
    assert_eq!(world.registry.counts().registrations, 2);
    world.pass(600);
    assert_eq!(world.registry.counts().registrations, 4, "not under the neighbour period");
    world.pass(600 + 600);
    let counts = world.registry.counts();
    assert_eq!((counts.registrations, counts.watchers), (2, 2), "the old period was kept");
    assert_eq!(world.take(), []);
    let old = RidKey::derive(&SECRET, 80_000).rid();
    assert!(world.nodes[0].places.iter().all(|place| place.key.rid() != old));
}

#[test]
fn a_machine_that_slept_for_eight_hours_registers_anew() {
    let mut world = World::new(NOON, 2);
    world.connect(0);
    world.connect(1);
    world.take();
    let slept = Duration::from_secs(8 * 3_600);
    world.now = Now { mono: world.now.mono + slept, wall: world.now.wall + slept };
    // The bootstrap has closed both meanwhile; they come back.
    world.cut(0);
    world.cut(1);
    world.registry.handle_timeout(world.now);
    world.connect(0);
    world.connect(1);
    let told = world.take();
    assert!(told.contains(&(0, Output::Registered)) && told.contains(&found(0, 2)), "{told:?}");
    assert!(told.contains(&(1, Output::Registered)) && told.contains(&found(1, 1)), "{told:?}");
    assert_eq!(world.registry.counts().registrations, 2);
}

#[test]
fn a_restarted_node_is_newer_than_its_ghost_even_with_its_clock_set_back() {
    let mut world = World::new(NOON, 2);
    world.connect(0);
    world.connect(1);
    world.cut(1);
    world.take();
    let earlier = Now { wall: world.now.wall - Duration::from_secs(60), ..world.now };
    let addresses = vec![address(2, 9)];
    let config = WatchConfig { secret: SECRET, peer: peer(2), addresses: addresses.clone() };
    world.nodes[1] = Watch::new(config, [99; 32], earlier);
    let right = std::mem::replace(&mut world.now, earlier);
    world.connect(1);
    world.now = right;
    world.pass(2);
    let told = world.take();
    let moved = (0, Output::Found { peer: peer(2), addresses });
    assert!(told.contains(&moved) && told.contains(&(1, Output::Registered)), "{told:?}");
}

#[test]
fn a_wrong_clock_is_told_once_and_tried_again() {
    let mut world = World::new(NOON, 1);
    let wrong = Now { wall: world.now.wall + Duration::from_secs(1_000), ..world.now };
    let right = std::mem::replace(&mut world.now, wrong);
    world.nodes[0].handle_opened(world.now);
    world.links[0] = Some(ClientId(1));
    world.now = right;
    world.registry.handle_opened(ClientId(1), peer(1), [10, 0, 0, 1].into(), world.now);
    world.settle();
    assert_eq!(world.take(), [(0, Output::Refused(Reason::Clock))]);
    world.pass(31);
    assert_eq!(world.take(), [(0, Output::Registered)]);
}

#[test]
fn two_unanswered_pings_are_silence() {
    let mut world = World::new(NOON, 1);
    world.connect(0);
    world.pass(10);
    assert_eq!(world.nodes[0].rtt(), Some(Duration::ZERO));
    assert!(!world.take().contains(&(0, Output::Silent)));
    // The bootstrap forgets the client, so nothing is answered any more.
    world.registry.handle_closed(ClientId(1));
    world.pass(4);
    assert_eq!(world.take(), [(0, Output::Silent)]);
    let later = world.now.mono + Duration::from_secs(2);
    assert!(world.nodes[0].poll_timeout().is_none_or(|(at, _)| at > later), "it wakes for nothing");
    world.connect(0);
    world.pass(5);
    assert_eq!(world.take(), [(0, Output::Registered)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However links are cut and made, in the end all who are there are found, and nobody else.
    #[test]
    fn all_find_all_in_the_end(moves in prop::collection::vec((0usize..4, 0u8..4, 0u64..200), 1..30)) {
        let mut world = World::new(NOON, 4);
        let mut left = [false; 4];
        for (n, what, seconds) in moves {
            match what {
                0 => world.cut(n),
                1 if !left[n] => {
                    world.cut(n);
                    world.connect(n);
                }
                2 if seconds < 20 && world.links[n].is_some() => {
                    world.nodes[n].leave();
                    world.settle();
                    left[n] = true;
                }
                _ => {}
            }
            world.pass(seconds);
        }
        let there: Vec<_> = (0..4).filter(|n| !left[*n]).collect();
        for n in &there {
            world.cut(*n);
            world.connect(*n);
        }
        world.pass(301);
        for n in &there {
            prop_assert_eq!(world.nodes[*n].found(), there.len() - 1);
        }
        prop_assert_eq!(world.registry.counts().registrations, there.len());
    }

    #[test]
    fn any_frame_is_taken_or_refused(kind in 125u16..140, body in any::<Vec<u8>>()) {
        let mut world = World::new(NOON, 1);
        world.connect(0);
        let content = [&kind.to_be_bytes(), &body[..]].concat();
        let _ = world.nodes[0].handle_frame(&content, world.now);
    }
}
