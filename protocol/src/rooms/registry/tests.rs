//! The bootstrap's registry over the real frames: what is stored, told and refused.

use std::time::Duration;

use super::*;
use crate::address::{Address, Carrier, Host, Kind};
use crate::rooms::record::Record;
use crate::time::{Mono, Wall};
use crate::trust::rid::RidKey;
use crate::trust::secret::RoomSecret;
use crate::wire::frame::encode;

mod bounds;

fn room(n: u32) -> RidKey {
    RidKey::derive(&RoomSecret { bytes: [7; 16], epoch: n }, 1)
}

fn peer(n: u32) -> PeerId {
    let mut bytes = [1; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    PeerId(bytes)
}

fn address(port: u16) -> Address {
    let host = Host::V4([192, 0, 2, 1].into());
    Address { kind: Kind::Member, host, carrier: Carrier::Quic, port, peer: None }
}

/// A registry and a clock.
struct World {
    registry: Registry,
    now: Now,
    outputs: Vec<Output>,
}

impl World {
    fn new() -> Self {
        Self::with(RegistryConfig::default())
    }

    fn with(config: RegistryConfig) -> Self {
        let now = Now { mono: Mono::from_micros(1), wall: Wall::from_secs(1_800_000_000) };
        Self { registry: Registry::new(config, [9; 32], now), now, outputs: Vec::new() }
    }

    /// A client of its own number from an address of its own.
    fn open(&mut self, n: u32) -> ClientId {
        self.open_from(n, &format!("10.{}.{}.1", n >> 8, n & 255))
    }

    fn open_from(&mut self, n: u32, ip: &str) -> ClientId {
        let client = ClientId(n.into());
        self.registry.handle_opened(client, peer(n), ip.parse().unwrap(), self.now);
        self.drain();
        client
    }

    fn pass(&mut self, seconds: u64) {
        let passed = Duration::from_secs(seconds);
        self.now = Now { mono: self.now.mono + passed, wall: self.now.wall + passed };
        self.registry.handle_timeout(self.now);
        self.drain();
    }

    /// Sends a request; everything that was said to whom because of it.
    fn say(&mut self, client: ClientId, request: &Request) -> Vec<(ClientId, Answer)> {
        let frame = request.encode().unwrap();
        self.registry.handle_frame(client, &frame[4..], self.now).unwrap();
        self.drain();
        self.answers()
    }

    fn answers(&mut self) -> Vec<(ClientId, Answer)> {
        let sent = self.outputs.drain(..).filter_map(|output| match output {
            Output::Send { client, frame } => {
                Some((client, Answer::decode(&frame[4..]).unwrap().unwrap()))
            }
            Output::Close { .. } => None,
        });
        sent.collect()
    }

    fn drain(&mut self) {
        while let Some(output) = self.registry.poll_output() {
            if let Output::Send { client, frame } = &output {
                self.registry.handle_sent(*client, frame.len());
            }
            self.outputs.push(output);
        }
    }

    fn record(&self, key: &RidKey, n: u32, seq: u64, port: u16) -> Record {
        let term = (seq, self.now.wall + TTL);
        Record::sign(key, peer(n), term, &[address(port)], &[3; 32]).unwrap()
    }

    fn register(&mut self, client: ClientId, key: &RidKey, seq: u64) -> Vec<(ClientId, Answer)> {
        let record = self.record(key, client.0 as u32, seq, 9);
        self.say(client, &Request::Register { record: record.bytes().to_vec() })
    }

    fn look(&mut self, client: ClientId, key: &RidKey) -> (u32, Vec<Vec<u8>>) {
        match &self.say(client, &Request::Lookup { rid: key.rid() })[..] {
            [(to, Answer::Records { rid, total, records })] => {
                assert_eq!((*to, *rid), (client, key.rid()));
                (*total, records.clone())
            }
            other => panic!("{other:?}"),
        }
    }
}

fn refusal(answers: &[(ClientId, Answer)]) -> Option<Reason> {
    match answers {
        [(_, Answer::Refused { reason, .. })] => Some(*reason),
        _ => None,
    }
}

#[test]
fn a_record_is_found_by_its_exact_id_until_its_ttl() {
    let mut world = World::new();
    let (ann, bob) = (world.open(1), world.open(2));
    let answers = world.register(ann, &room(0), 1);
    assert_eq!(answers, [(ann, Answer::Registered { rid: room(0).rid(), seconds: 300 })]);
    let record = world.record(&room(0), 1, 1, 9);
    assert_eq!(world.look(bob, &room(0)), (1, vec![record.bytes().to_vec()]));
    assert_eq!(world.look(bob, &room(1)), (0, vec![]), "another room's id found it");
    for _ in 0..11 {
        world.pass(25);
        world.say(bob, &Request::Ping { token: 1 });
    }
    assert_eq!(world.look(bob, &room(0)).0, 1);
    world.pass(25);
    assert_eq!(world.look(bob, &room(0)), (0, vec![]));
    assert_eq!(world.registry.counts().registrations, 0);
}

#[test]
fn whoever_watches_is_told_of_joins_leaves_and_new_addresses_and_of_no_renewal() {
    let mut world = World::new();
    let (ann, bob) = (world.open(1), world.open(2));
    let rid = room(0).rid();
    let answers = world.say(bob, &Request::Watch { rid });
    assert_eq!(answers, [(bob, Answer::Records { rid, total: 0, records: vec![] })]);
    // Watching needs no registration.
    assert_eq!(world.registry.counts().watchers, 1);

    let joined = |record: &Record| (bob, Answer::Joined { record: record.bytes().to_vec() });
    let record = world.record(&room(0), 1, 1, 9);
    assert!(world.register(ann, &room(0), 1).contains(&joined(&record)));
    world.pass(20);
    assert_eq!(world.register(ann, &room(0), 2).len(), 1, "a renewal woke somebody");

    let moved = world.record(&room(0), 1, 3, 10);
    let answers = world.say(ann, &Request::Register { record: moved.bytes().to_vec() });
    assert!(answers.contains(&joined(&moved)));

    let left = (bob, Answer::Left { rid, peer: peer(1) });
    assert_eq!(world.say(ann, &Request::Unregister { rid }), std::slice::from_ref(&left));
    assert_eq!(world.say(ann, &Request::Unregister { rid }), [], "told twice");
    world.register(ann, &room(0), 4);
    for _ in 0..12 {
        world.say(bob, &Request::Ping { token: 1 });
        world.pass(25);
    }
    assert_eq!(world.answers().last(), Some(&left), "the TTL passed in silence");
}

#[test]
fn a_lost_connection_is_told_to_nobody_and_a_return_disturbs_nobody() {
    let mut world = World::new();
    let (ann, bob) = (world.open(1), world.open(2));
    world.say(bob, &Request::Watch { rid: room(0).rid() });
    world.register(ann, &room(0), 1);
    world.registry.handle_closed(ann);
    world.drain();
    assert_eq!(world.answers(), []);
    assert_eq!(world.look(bob, &room(0)).0, 1);
    let again = ClientId(77);
    world.registry.handle_opened(again, peer(1), "10.9.9.9".parse().unwrap(), world.now);
    let record = world.record(&room(0), 1, 2, 9);
    let answers = world.say(again, &Request::Register { record: record.bytes().to_vec() });
    assert_eq!(answers.len(), 1, "the watcher was woken: {answers:?}");
    assert_eq!(world.look(bob, &room(0)).1, [record.bytes()]);
}

#[test]
fn what_is_not_the_clients_own_and_newest_is_refused() {
    let mut world = World::new();
    let (ann, bob) = (world.open(1), world.open(2));
    let say = |world: &mut World, client, record: Vec<u8>| {
        refusal(&world.say(client, &Request::Register { record }))
    };
    let good = world.record(&room(0), 1, 5, 9).bytes().to_vec();
    assert_eq!(say(&mut world, bob, good.clone()), Some(Reason::NotYours));
    assert_eq!(say(&mut world, ann, good[..100].to_vec()), Some(Reason::Malformed));
    let mut forged = good.clone();
    forged[0] ^= 1;
    assert_eq!(say(&mut world, ann, forged), Some(Reason::Signature));
    world.pass(10);
    assert_eq!(say(&mut world, ann, good.clone()), None);
    // The same once more is a renewal that was sent twice.
    assert_eq!(say(&mut world, ann, good), None);
    let older = world.record(&room(0), 1, 4, 9).bytes().to_vec();
    assert_eq!(say(&mut world, ann, older), Some(Reason::Older { newest: 5 }));
    let other = world.record(&room(0), 1, 5, 10).bytes().to_vec();
    assert_eq!(say(&mut world, ann, other), Some(Reason::Older { newest: 5 }));
    world.pass(10);
    for off in [-TTL.as_secs_f64() as i64 - 121, 121 + 1] {
        let wall = Wall::from_secs(world.now.wall.as_secs() + off);
        let record = Record::sign(&room(0), peer(1), (9, wall + TTL), &[], &[3; 32]).unwrap();
        assert_eq!(say(&mut world, ann, record.bytes().to_vec()), Some(Reason::Clock), "{off}");
    }
    assert_eq!(world.registry.counts().refused, 7);
    assert_eq!(world.registry.counts().registrations, 1);
}

#[test]
fn a_second_stream_keeps_the_budget_and_loses_the_watches() {
    let mut world = World::new();
    let ann = world.open(1);
    for n in 0..8 {
        world.say(ann, &Request::Watch { rid: room(n).rid() });
    }
    world.open(1);
    assert_eq!(world.registry.counts().watchers, 0);
    let refused = (0..8).filter(|n| {
        refusal(&world.say(ann, &Request::Watch { rid: room(*n).rid() })) == Some(Reason::TooFast)
    });
    assert_eq!(refused.count(), 4, "a new stream gave a new budget");
}

#[test]
fn hostile_frames_are_violations_and_unknown_ones_are_not() {
    let mut world = World::new();
    let ann = world.open(1);
    for _ in 0..20 {
        let unknown = encode(999, &[7u8; 30]).unwrap();
        world.registry.handle_frame(ann, &unknown[4..], world.now).unwrap();
    }
    assert_eq!(world.registry.counts().foreign_bytes, 20 * 32);
    let error = world.registry.handle_frame(ann, &[3, 231, 0], world.now).unwrap_err();
    assert_eq!(error, Violation::Frame(frame::Violation::UnknownFlood));
    assert_eq!(world.registry.counts().clients, 0);

    let bob = world.open(2);
    assert!(world.registry.handle_frame(bob, &[0, 3, 1], world.now).is_err());
    let eve = world.open(3);
    let lookup = Request::Lookup { rid: room(0).rid() }.encode().unwrap();
    let flood = (0..1_000).find_map(|n| {
        world.registry.handle_frame(eve, &lookup[4..], world.now).err().map(|e| (n, e))
    });
    let (after, error) = flood.unwrap();
    assert_eq!(error, Violation::Flood);
    assert!((24 + 128..24 + 140).contains(&after), "cut off after {after}");
    assert_eq!(world.registry.handle_frame(eve, &lookup[4..], world.now), Ok(()), "it is unknown");
}
