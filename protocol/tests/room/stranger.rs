//! A peer played by hand: it says whatever a test wants, and keeps what it hears.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use roommate_protocol::room::{ConnId, Connected, Route, Violation};
use roommate_protocol::trust::envelope::Envelope;
use roommate_protocol::trust::id::{BroadcastId, Incarnation, PeerId, TrackKey};
use roommate_protocol::trust::ticket::{Roles, TicketChain};
use roommate_protocol::wire::catalog::Catalog;
use roommate_protocol::wire::header::SubscriptionId;
use roommate_protocol::wire::message::{self, Hello, Incoming, Message, Signed};
use roommate_protocol::wire::signed::{Announcement, Payload, RosterEntry, ShortId};

use crate::world::{Who, World};

pub(crate) struct Stranger {
    pub(crate) key: SigningKey,
    pub(crate) peer: PeerId,
    pub(crate) chain: Vec<u8>,
    pub(crate) incarnation: Incarnation,
    pub(crate) version: u32,
    pub(crate) conns: Vec<(Who, ConnId)>,
}

impl Stranger {
    /// Somebody with a valid ticket for these roles.
    pub(crate) fn member(world: &mut World, roles: Roles) -> Self {
        Self::with(world, |world, peer| world.ticket(peer, roles, None))
    }

    pub(crate) fn with(
        world: &mut World,
        tickets: impl FnOnce(&World, PeerId) -> TicketChain,
    ) -> Self {
        let key = SigningKey::from_bytes(&world.next_stranger());
        let peer = PeerId(key.verifying_key().to_bytes());
        let chain = tickets(world, peer).to_bytes();
        let incarnation = Incarnation { counter: 1, nonce: 7 };
        Self { key, peer, chain, incarnation, version: 0, conns: Vec::new() }
    }

    /// A connection whose proof has passed.
    pub(crate) fn prove(&mut self, world: &mut World, to: Who) -> ConnId {
        let conn = world.stranger_wire(to);
        let connected = Connected {
            conn,
            peer: self.peer,
            dialled: false,
            route: Route::Direct,
            exporter: [conn.0 as u8; 16],
        };
        world.act(to, |room, now| room.handle_connected(connected, now));
        world.act(to, |room, now| room.handle_control_up(conn, now));
        self.conns.push((to, conn));
        conn
    }

    /// A connection with proof, hello and our entry.
    pub(crate) fn come_in(&mut self, world: &mut World, to: Who) {
        self.prove(world, to);
        let hello = self.hello();
        self.tell(world, to, &hello).unwrap();
        let entry = self.entry(world);
        self.tell(world, to, &message::Roster { entries: vec![entry] }).unwrap();
    }

    pub(crate) fn hello(&self) -> Hello {
        Hello {
            version_min: 1,
            version_max: 1,
            features: 0,
            incarnation: self.incarnation,
            chain: self.chain.clone(),
            name: "stranger".to_owned(),
            title: None,
        }
    }

    /// Our entry, signed now, one version higher each time.
    pub(crate) fn entry(&mut self, world: &World) -> Signed {
        self.version += 1;
        let neighbours = self.conns.iter().map(|(who, _)| {
            let node = &world.nodes[*who];
            ShortId::of(&node.peer, node.incarnation())
        });
        self.seal(
            world,
            &RosterEntry {
                incarnation: self.incarnation,
                version: self.version,
                wall: world.now_of(0).wall,
                chain: self.chain.clone(),
                name: "stranger".to_owned(),
                addresses: vec![],
                neighbours: neighbours.collect(),
            },
        )
    }

    pub(crate) fn seal<P: Payload>(&self, world: &World, payload: &P) -> Signed {
        let room = world.room();
        Signed(Envelope::seal(&self.key, P::PURPOSE, &room, payload.encode()).unwrap().to_bytes())
    }

    pub(crate) fn announce(&mut self, world: &mut World, to: Who, catalog: Catalog) {
        let announcement = Announcement {
            incarnation: self.incarnation,
            broadcast: BroadcastId([6; 16]),
            revision: 1,
            chain: self.chain.clone(),
            catalog,
        };
        let signed = self.seal(world, &announcement);
        self.tell(world, to, &message::Announce { signed }).unwrap();
    }

    pub(crate) fn subscribe(&mut self, world: &mut World, to: Who, track: TrackKey, sub: u32) {
        let sub = SubscriptionId(sub);
        let subscribe = message::Subscribe { sub, track, lacking: None, latency_ms: 300 };
        self.tell(world, to, &subscribe).unwrap();
    }

    pub(crate) fn tell(
        &self,
        world: &mut World,
        to: Who,
        message: &impl Message,
    ) -> Result<(), Violation> {
        let frame = message::encode(message).unwrap();
        self.say(world, to, &frame[4..])
    }

    /// Says a frame (type and body) on the newest connection.
    pub(crate) fn say(&self, world: &mut World, to: Who, content: &[u8]) -> Result<(), Violation> {
        world.inject(to, self.conn(to), content)
    }

    pub(crate) fn conn(&self, to: Who) -> ConnId {
        self.conns.iter().rev().find(|(who, _)| *who == to).expect("we are connected").1
    }

    /// Everything that was said to us, type and body of each frame.
    pub(crate) fn heard(&self, world: &mut World) -> Vec<Bytes> {
        let ours = |conn: &ConnId| self.conns.iter().any(|(_, own)| own == conn);
        world
            .stranger_heard
            .iter()
            .filter(|(conn, _)| ours(conn))
            .map(|(_, f)| f.slice(4..))
            .collect()
    }

    pub(crate) fn heard_messages(&self, world: &mut World) -> Vec<Incoming> {
        let frames = self.heard(world);
        frames.iter().map(|frame| Incoming::read(frame).unwrap().unwrap()).collect()
    }

    /// Answers what was asked since the last time, so that we count as alive.
    pub(crate) fn answer_pings(&self, world: &mut World) {
        for (to, conn) in self.conns.clone() {
            let heard: Vec<Bytes> = world
                .stranger_heard
                .extract_if(.., |(on, frame)| *on == conn && frame[4..6] == [0, 48])
                .map(|(_, frame)| frame)
                .collect();
            for frame in heard {
                let Ok(Some(Incoming::Ping(ping))) = Incoming::read(&frame[4..]) else { continue };
                let pong = message::Pong {
                    seq: ping.seq,
                    ping_sent_us: ping.sent_us,
                    read_us: 1,
                    sent_us: 1,
                };
                let pong = message::encode(&pong).unwrap();
                let _ = world.inject(to, conn, &pong[4..]);
            }
        }
    }

    pub(crate) fn refusals(&self, world: &mut World) -> Vec<u16> {
        let refusal = |message: Incoming| match message {
            Incoming::Refuse(refuse) => Some(refuse.reason),
            _ => None,
        };
        self.heard_messages(world).into_iter().filter_map(refusal).collect()
    }
}
