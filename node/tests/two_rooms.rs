//! One node in two rooms: each room's members see that room and nothing of the other.

#![allow(clippy::unwrap_used, reason = "in a test, a panic with its place is the report")]

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use roommate::node::{JoinConfig, Node, NodeConfig, Room};
use roommate::play::player::{Player, PlayerConfig};
use roommate::play::publisher::{Publisher, PublisherConfig};
use roommate_clock::Clock;
use roommate_media::source::{Source, SourceControl};
use roommate_media::spec::TestSpec;
use roommate_media::test_source::TestSource;
use roommate_protocol::address::{Address, Carrier, Host, Kind};
use roommate_protocol::media::clock::ClockView;
use roommate_protocol::trust::id::{Incarnation, PeerId, RoomPk, TrackId};
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::trust::ticket::TicketChain;
use roommate_protocol::wire::catalog::{Catalog, CatalogTrack, TrackKind};
use tokio::time::Instant;

/// Within this everybody must see what they should, after the last event.
const SEEN: Duration = Duration::from_secs(3);
/// Pictures that prove that it goes on, which take their time to be made.
const LONG: Duration = Duration::from_secs(30);

struct Rooms {
    clock: Clock,
}

struct Place {
    key: SigningKey,
    secret: RoomSecret,
}

impl Rooms {
    fn place(number: u8) -> Place {
        Place {
            key: SigningKey::from_bytes(&[number; 32]),
            secret: RoomSecret { bytes: [number; 16], epoch: 0 },
        }
    }

    async fn node(&self, key: &SigningKey, name: &str) -> Node {
        let config = NodeConfig {
            key: key.clone(),
            incarnation: Incarnation { counter: 1, nonce: 1 },
            name: name.to_owned(),
            listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()],
            bootstraps: Vec::new(),
            congestion: Default::default(),
            clock: self.clock,
            stumble: None,
        };
        Node::start(config).await.unwrap()
    }

    /// Joins by a ticket from the room key; `hint` is where another member listens.
    async fn join(&self, node: &Node, place: &Place, hint: Option<&Node>) -> Room {
        let now = self.clock.now();
        let seed = [7; 32];
        let config = JoinConfig {
            room: RoomPk(place.key.verifying_key().to_bytes()),
            secret: place.secret,
            tickets: TicketChain::for_creator(&place.key, node.peer(), [1; 32], now.wall, &seed),
            title: None,
            addresses: hint.map(address).into_iter().collect(),
        };
        let (room, mut events) = node.join(config).await.unwrap();
        tokio::spawn(async move { while events.next().await.is_some() {} });
        room
    }

    async fn publish(&self, room: &Room, key: &SigningKey) -> Publisher {
        let spec = TestSpec { width: 320, height: 180, fps: 15, kbits: 300, ..TestSpec::default() };
        let start = self.clock.now();
        let source = TestSource::open(spec, self.clock, start).unwrap();
        let format = source.video().expect("pictures").clone();
        let catalog = Catalog {
            tracks: vec![CatalogTrack {
                id: TrackId(0),
                codec: format.codec,
                timescale: format.timescale,
                rendition_of: None,
                kind: TrackKind::Video {
                    width: format.width,
                    height: format.height,
                    fps: format.fps,
                },
            }],
        };
        let control = Arc::new(SourceControl::new());
        let view = ClockView::at_publisher(start.wall, start.mono);
        let publications = room.publish(catalog, view, Some(control.clone())).await.unwrap();
        let config = PublisherConfig {
            key: key.clone(),
            room: room.clone(),
            publications,
            clock: self.clock,
            trace: None,
        };
        Publisher::start(config, Box::new(source), control).unwrap()
    }

    /// Plays the one broadcast of the room: the first picture is there in time after `event`, and
    /// twenty come.
    async fn play(&self, room: &Room, event: Instant) -> PeerId {
        let mut status = room.watch();
        let found = status.wait_for(|status| !status.broadcasts.is_empty());
        let broadcasts = tokio::time::timeout_at(event + SEEN, found)
            .await
            .expect("a broadcast")
            .unwrap()
            .broadcasts
            .clone();
        assert_eq!(broadcasts.len(), 1, "the other room's broadcast is here as well");
        let key = roommate_protocol::trust::id::TrackKey {
            publisher: broadcasts[0].publisher,
            broadcast: broadcasts[0].id,
            track: TrackId(0),
        };
        let latency = Duration::from_millis(300);
        let subscription = room.subscribe(key, latency).await.unwrap();
        let mut changes = subscription.track.changes();
        let player = Player::start(PlayerConfig {
            subscription,
            latency,
            clock: self.clock,
            trace: None,
            sinks: Vec::new(),
        });
        let mut come = async |pictures| {
            while player.stats().received < pictures {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout_at(event + SEEN, come(1)).await.expect("a picture in time");
        tokio::time::timeout(LONG, come(20)).await.expect("twenty pictures");
        key.publisher
    }
}

fn address(node: &Node) -> Address {
    let port = node.listen()[0]
        .iter()
        .find_map(|part| match part {
            libp2p::multiaddr::Protocol::Udp(port) => Some(port),
            _ => None,
        })
        .unwrap();
    Address {
        kind: Kind::Member,
        host: Host::V4([127, 0, 0, 1].into()),
        carrier: Carrier::Quic,
        port,
        peer: Some(node.peer()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_rooms_on_one_node_keep_apart() {
    let rooms = Rooms { clock: Clock::new() };
    let (kitchen, attic) = (Rooms::place(1), Rooms::place(2));
    let keys = [11, 12, 13].map(|byte| SigningKey::from_bytes(&[byte; 32]));
    let both = rooms.node(&keys[0], "both").await;
    let in_kitchen = rooms.join(&both, &kitchen, None).await;
    let in_attic = rooms.join(&both, &attic, None).await;
    let mut publishers =
        [rooms.publish(&in_kitchen, &keys[0]).await, rooms.publish(&in_attic, &keys[0]).await];

    let cook = rooms.node(&keys[1], "cook").await;
    let ghost = rooms.node(&keys[2], "ghost").await;
    let event = Instant::now();
    let cooks_room = rooms.join(&cook, &kitchen, Some(&both)).await;
    let ghosts_room = rooms.join(&ghost, &attic, Some(&both)).await;
    let seen = tokio::join!(rooms.play(&cooks_room, event), rooms.play(&ghosts_room, event));
    assert_eq!(seen, (both.peer(), both.peer()));

    let names = |room: &Room| -> Vec<String> {
        room.status().members.into_iter().map(|member| member.name).collect()
    };
    assert_eq!(names(&cooks_room), ["both"]);
    assert_eq!(names(&ghosts_room), ["both"]);
    assert_eq!(names(&in_kitchen), ["cook"]);
    assert_eq!(names(&in_attic), ["ghost"]);

    // Leaving one room leaves the other as it is.
    publishers[0].stop().await;
    in_kitchen.leave().await;
    let mut status = cooks_room.watch();
    let alone = status.wait_for(|status| status.members.is_empty());
    tokio::time::timeout(SEEN, alone).await.expect("both has left the kitchen").unwrap();
    assert_eq!(names(&ghosts_room), ["both"]);
    assert_eq!(rooms.play(&ghosts_room, Instant::now()).await, both.peer());

    publishers[1].stop().await;
    for node in [both, cook, ghost] {
        node.shutdown().await;
    }
}
