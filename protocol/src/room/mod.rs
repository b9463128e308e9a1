//! One room, as one member lives it: who is here, who broadcasts, who is fed, whom to dial.
//!
//! The machine only routes; each policy has a file of its own: [`proof`] who knows the secret,
//! `roster` who is here, `topology` whom to hold a stream to, `dial` and [`policy`] whom to dial,
//! `duplicate` which connection stays, [`closing`] when one that several rooms share may close, `liveness` who still answers, `broadcasts` what is on,
//! `children` whom we feed, `parents` who feeds us. It sees words only: pictures never pass it.
//!
//! Everything it keeps is bounded: [`CONNECTIONS_MAX`] connections, [`MEMBERS_MAX`] members and what
//! hangs on each of them. Hostile frames end in a [`Violation`]: that connection closes, and nobody
//! else is hurt.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::limits::{NAME_BYTES_MAX, TITLE_BYTES_MAX};
use crate::time::{Mono, Now};
use crate::trust::envelope::Envelope;
use crate::trust::id::{Incarnation, PeerId, RoomPk};
use crate::trust::ticket::{Grant, TicketError};
use crate::wire::fields::cut;
use crate::wire::message::{self, Message, Signed};
use crate::wire::signed::Payload;

mod broadcasts;
mod children;
pub mod closing;
mod conn;
mod dial;
mod duplicate;
mod entry;
mod expiry;
mod frames;
mod hello;
mod input;
mod liveness;
mod members;
mod news;
mod nouns;
mod output;
mod pairs;
mod parents;
pub mod policy;
pub mod proof;
mod publishing;
mod reasons;
mod roster;
mod settle;
mod shares;
mod topology;
mod verbs;

pub use broadcasts::BROADCASTS_PER_MEMBER_MAX;
pub use input::{ConnId, Connected, RoomConfig, Route, Source};
pub use nouns::{Child, Feeding, MemberView};
pub use output::{Broadcast, EndReason, Event, LeftWhy, Output, Refusal, RetractedWhy, Violation};
pub use parents::SUBSCRIPTIONS_MAX;
pub use reasons::{RefuseReason, UnwelcomeReason};
pub use roster::MEMBERS_MAX;

use broadcasts::Broadcasts;
use children::Children;
use conn::Conn;
use dial::Dialler;
use entry::OwnEntry;
use expiry::OwnExpiry;
use pairs::Pair;
use parents::Parents;
use publishing::Publishing;
use roster::Roster;
use topology::Shape;

/// Connections that a room machine knows: a few for each of 48 streams, and children in a crowd.
pub const CONNECTIONS_MAX: usize = 256;

/// No input for so long while connections were up: the machine slept (or its loop was blocked, which
/// comes to the same).
const SLEPT_MIN: Duration = Duration::from_secs(5);

/// The room machine.
pub struct Room {
    room: RoomPk,
    key: SigningKey,
    me: PeerId,
    chain: Vec<u8>,
    /// What our own tickets allow; `None` where they were not valid at birth.
    grant: Option<Grant>,
    name: String,
    title: Option<String>,
    incarnation: Incarnation,
    rng: ChaCha12Rng,
    lots: [u8; 32],

    conns: BTreeMap<ConnId, Conn>,
    /// Peers with at least one live control stream.
    pairs: BTreeMap<PeerId, Pair>,
    roster: Roster,
    own: OwnEntry,
    /// Neighbours whose last stream broke, and when to say so.
    losing: BTreeMap<PeerId, Mono>,
    /// After a sleep, not before this.
    awake_at: Mono,
    shape: Shape,
    dialler: Dialler,
    /// Whom to dial, as policies last saw it.
    wanted: BTreeSet<PeerId>,
    broadcasts: Broadcasts,
    publishing: Publishing,
    children: Children,
    parents: Parents,
    expiry: OwnExpiry,

    seen: Now,
    /// When policies last looked.
    settled: Mono,
    elsewhere_told: bool,
    ended: Option<EndReason>,
    outputs: VecDeque<Output>,
}

impl Room {
    /// Enters the room: members of the link are dialled at once. With tickets that are not valid
    /// (any more) the first thing that it says is [`Event::Ended`].
    pub fn new(config: RoomConfig, seed: [u8; 32], now: Now) -> Self {
        let mut rng = ChaCha12Rng::from_seed(seed);
        let mut draw = || {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        let (lots, dial_seed) = (draw(), draw());
        let parents = Parents::new(rng.next_u32());
        let me = PeerId(config.key.verifying_key().to_bytes());
        let verified = config.tickets.verify(&config.room, &me, now.wall);
        let refused = match verified {
            Ok(_) => None,
            Err(TicketError::Expired { .. }) => Some(EndReason::Expired),
            Err(_) => Some(EndReason::Ticket),
        };
        let grant = verified.ok();
        let title = config.title.map(|title| cut(&title, TITLE_BYTES_MAX).to_owned());
        let mut room = Self {
            room: config.room,
            me,
            chain: config.tickets.to_bytes(),
            name: cut(&config.name, NAME_BYTES_MAX).to_owned(),
            title,
            incarnation: config.incarnation,
            rng,
            lots,
            conns: BTreeMap::new(),
            pairs: BTreeMap::new(),
            roster: Roster::new(me, config.incarnation),
            own: OwnEntry::default(),
            losing: BTreeMap::new(),
            awake_at: now.mono,
            shape: Shape::default(),
            dialler: Dialler::new(me, config.dialling, &config.hints, dial_seed),
            wanted: BTreeSet::new(),
            broadcasts: Broadcasts::default(),
            publishing: Publishing::default(),
            children: Children::default(),
            parents,
            expiry: OwnExpiry::new(grant.as_ref(), now.wall),
            grant,
            key: config.key,
            seen: now,
            settled: now.mono,
            elsewhere_told: false,
            ended: None,
            outputs: VecDeque::new(),
        };
        if let Some(reason) = refused {
            room.end(reason, now);
        }
        room.settle(now);
        room
    }

    /// What the shell must do now; ask until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn tell(&mut self, event: Event) {
        self.emit(Output::Event(event));
    }

    /// Sends on one connection.
    fn send(&mut self, conn: ConnId, message: &impl Message) {
        match message::encode(message) {
            Ok(frame) => self.emit(Output::Send { conn, frame }),
            Err(_) => debug_assert!(false, "what we make fits a frame"),
        }
    }

    /// Sends to everybody we hold a stream to, save whoever it came from.
    fn flood(&mut self, message: &impl Message, from: Option<PeerId>) {
        let Ok(frame) = message::encode(message) else {
            debug_assert!(false, "what we make fits a frame");
            return;
        };
        for (peer, pair) in &self.pairs {
            if Some(*peer) != from {
                self.outputs.push_back(Output::Send { conn: pair.current, frame: frame.clone() });
            }
        }
    }

    /// Our signature under `payload`.
    fn sign<P: Payload>(&self, payload: &P) -> Signed {
        let envelope = Envelope::seal(&self.key, P::PURPOSE, &self.room, payload.encode());
        debug_assert!(envelope.is_ok(), "payloads are far below what an envelope holds");
        Signed(envelope.map(|envelope| envelope.to_bytes()).unwrap_or_default())
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room")
            .field("me", &self.me)
            .field("pairs", &self.pairs.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
