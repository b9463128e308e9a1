//! A flood of identities against the registry: 2,000 honest members beside 2,000 hostile ones that
//! come from four networks and do all that they can. Honest lookups succeed, memory stays bounded.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use roommate_protocol::rooms::message::{Answer, Request};
use roommate_protocol::rooms::record::Record;
use roommate_protocol::rooms::registry::{ClientId, Output, Registry, RegistryConfig};
use roommate_protocol::rooms::{CLIENTS_PER_PREFIX_MAX, TTL};
use roommate_protocol::time::{Mono, Now, Wall};
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::trust::rid::{Rid, RidKey};
use roommate_protocol::trust::secret::RoomSecret;

const HONEST: u64 = 2_000;
const HOSTILE: u64 = 2_000;
const ROOMS: u64 = 20;
const NETWORKS: u64 = 4;

struct World {
    registry: Registry,
    now: Now,
    rng: ChaCha8Rng,
}

impl World {
    fn new(config: RegistryConfig) -> Self {
        let now = Now { mono: Mono::from_micros(1), wall: Wall::from_secs(1_800_000_000) };
        let registry = Registry::new(config, [1; 32], now);
        Self { registry, now, rng: ChaCha8Rng::from_seed([2; 32]) }
    }

    fn pass(&mut self, by: Duration) {
        self.now = Now { mono: self.now.mono + by, wall: self.now.wall + by };
        self.registry.handle_timeout(self.now);
    }

    /// What the client is answered. Hostile ones are sent to and never read.
    fn say(&mut self, client: u64, request: &Request) -> Option<Answer> {
        let frame = request.encode().unwrap();
        // A violation ends the client, which goes on all the same.
        let _ = self.registry.handle_frame(ClientId(client), &frame[4..], self.now);
        let mut answer = None;
        while let Some(output) = self.registry.poll_output() {
            if let Output::Send { client: to, frame } = output {
                if to.0 < HONEST {
                    self.registry.handle_sent(to, frame.len());
                }
                if to.0 == client {
                    answer = Answer::decode(&frame[4..]).unwrap();
                }
            }
        }
        answer
    }

    fn register(&mut self, client: u64, key: &RidKey, seq: u64) -> Option<Answer> {
        let term = (seq, self.now.wall + TTL);
        let record = Record::sign(key, peer(client), term, &[], &[0; 32]).unwrap();
        self.say(client, &Request::Register { record: record.bytes().to_vec() })
    }

    fn open(&mut self, client: u64, ip: [u8; 4]) {
        self.registry.handle_opened(ClientId(client), peer(client), IpAddr::from(ip), self.now);
        while self.registry.poll_output().is_some() {}
    }

    /// A hostile client asks as fast as it can: registers in rooms of its own, watches guesses.
    fn attack(&mut self, client: u64, keys: &[RidKey]) {
        let n = client - HONEST;
        self.open(client, [203, 0, (n % NETWORKS) as u8, (n / NETWORKS) as u8]);
        for seq in 0..2 {
            let pick = self.rng.next_u32() as usize % keys.len();
            self.register(client, &keys[pick], seq);
            let mut guess = [0; 32];
            self.rng.fill_bytes(&mut guess);
            if let Some(Answer::Records { total, .. }) =
                self.say(client, &Request::Watch { rid: Rid(guess) })
            {
                assert_eq!(total, 0, "a guess was an id");
            }
        }
    }
}

fn peer(n: u64) -> PeerId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    PeerId(bytes)
}

fn room(n: u64) -> RidKey {
    RidKey::derive(&RoomSecret { bytes: [n as u8; 16], epoch: 0 }, 1)
}

#[test]
fn a_flood_from_four_networks_costs_the_honest_nothing() {
    // Fewer places than there are identities, so that somebody has to give way.
    let config = RegistryConfig { records_max: 2_100, clients_max: 2_200, ..Default::default() };
    let mut world = World::new(config);
    let rooms: Vec<_> = (0..ROOMS).map(room).collect();
    for n in 0..HONEST {
        // Ten to a network: the flood is what any network holds most of.
        world.open(n, [10, 0, (n / 10) as u8, 1]);
        let answer = world.register(n, &rooms[(n % ROOMS) as usize], 1);
        assert!(matches!(answer, Some(Answer::Registered { .. })), "{answer:?}");
    }
    let hostile_rooms: Vec<_> = (100..200).map(room).collect();
    let (mut lookups, mut found) = (0u64, 0u64);
    for n in 0..HOSTILE {
        world.attack(HONEST + n, &hostile_rooms);
        world.pass(Duration::from_millis(10));
        let rid = rooms[(n % ROOMS) as usize].rid();
        lookups += 1;
        if let Some(Answer::Records { total, .. }) = world.say(n, &Request::Lookup { rid }) {
            found += u64::from(u64::from(total) == HONEST / ROOMS);
        }
        let counts = world.registry.counts();
        assert!(counts.registrations <= config.records_max);
        assert!(counts.clients <= config.clients_max);
        assert!(counts.unsent_bytes <= config.unsent_bytes_max);
        assert!(counts.watchers <= 8 * NETWORKS as usize * CLIENTS_PER_PREFIX_MAX);
    }
    assert!(found * 1_000 >= lookups * 999, "{found} of {lookups} lookups");
    let held = world.registry.counts().registrations as u64 - HONEST;
    assert!(held > 0, "the flood never came in: nothing was tested");
    assert!(world.registry.counts().refused >= 1_000, "nobody of the flood was refused");
}

#[test]
fn one_room_cannot_fill_a_bootstrap() {
    let mut world = World::new(RegistryConfig::default());
    let key = room(1);
    for n in 0..1_000 {
        world.open(n, [172, (n >> 8) as u8, n as u8, 1]);
        world.register(n, &key, 1);
    }
    let counts = world.registry.counts();
    assert_eq!((counts.registrations, counts.rooms), (256, 1));
}
