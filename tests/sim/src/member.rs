//! A member of a room: the product's room machine, and around it what the shell would hold: caches,
//! a source, writers, and a clock of its own that agrees with nobody's.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use roommate_protocol::address::{Address, Carrier, Host, Kind};
use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::clock::ClockView;
use roommate_protocol::room::policy::DialPolicy;
use roommate_protocol::room::{Event, Room, RoomConfig};
use roommate_protocol::time::{Mono, Now, Wall};
use roommate_protocol::trust::id::{Incarnation, PeerId, RoomPk, TrackId, TrackKey};
use roommate_protocol::trust::invite::{CertificateTerms, Invite};
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::trust::ticket::{Expiry, Roles, TicketChain};
use roommate_protocol::wire::catalog::{Catalog, CatalogTrack, TrackKind};

use crate::dice::Dice;
use crate::source::Source;
use crate::viewer::Viewer;

/// The world's clock begins here, by the time of day.
const BEGIN: Wall = Wall::from_secs(1_800_000_000);
/// A viewer's latency budget.
pub const LATENCY: Duration = Duration::from_millis(300);

/// How a member's clocks differ from the world's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skew {
    /// Its steady clock began so much earlier. More than any sleep in which it stands still.
    pub mono: Duration,
    /// Its time of day is so many microseconds ahead.
    pub wall_us: i64,
}

/// What a member's clocks do while its machine sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asleep {
    /// Both go on.
    #[default]
    GoOn,
    /// The steady clock stands still, as on systems that have no other; the time of day is right
    /// again when it wakes.
    SteadyStops,
    /// Planted: both stand still, and nobody tells the room.
    BothStop,
}

/// One start of one node.
#[derive(Debug)]
pub struct Member {
    /// Its place: nobody else ever listens there.
    pub number: usize,
    /// Its name.
    pub peer: PeerId,
    /// What decides.
    pub room: Room,
    /// What it publishes.
    pub source: Option<Source>,
    /// What it watches, by track.
    pub watching: BTreeMap<TrackKey, Viewer>,
    /// What happened to it, and when by the world's clock.
    pub events: Vec<(Mono, Event)>,
    /// Whether it runs.
    pub alive: bool,
    /// It watches all that is announced.
    pub curious: bool,
    /// What its clocks do in a sleep.
    pub asleep: Asleep,
    /// Planted: it stamps what it reads so much too early.
    pub stamps_early: Duration,
    key: SigningKey,
    room_pk: RoomPk,
    skew: Skew,
}

/// The room of all stories.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Its key.
    pub key: SigningKey,
    /// What its link holds.
    pub secret: RoomSecret,
}

impl Founding {
    /// A new room.
    #[must_use]
    pub fn new(dice: &mut Dice) -> Self {
        Self { key: key(dice), secret: RoomSecret { bytes: [3; 16], epoch: 1 } }
    }

    /// A ticket that ends so long after `now`, or never.
    fn ticket(
        &self,
        peer: PeerId,
        ends: Option<Duration>,
        now: Wall,
        seed: &[u8; 32],
    ) -> TicketChain {
        let Some(ends) = ends else {
            return TicketChain::for_creator(&self.key, peer, [1; 32], now, seed);
        };
        let terms =
            CertificateTerms { roles: Roles::USUAL, expires: Expiry::from(Some(now + ends)) };
        let addresses = vec![address(0, peer)];
        let invite = Invite::create(&self.key, &self.secret, terms, addresses, seed);
        let ticket = invite.and_then(|invite| invite.mint(peer, [1; 32], now, seed));
        ticket.expect("a link that has not ended")
    }

    /// Its true name.
    #[must_use]
    pub fn room(&self) -> RoomPk {
        RoomPk(self.key.verifying_key().to_bytes())
    }
}

/// A fresh key.
pub fn key(dice: &mut Dice) -> SigningKey {
    let mut bytes = [0; 32];
    dice.fill(&mut bytes);
    SigningKey::from_bytes(&bytes)
}

impl Member {
    /// Starts a node with this key, for the `starts`th time, at a place of its own, with a ticket that
    /// ends so long from now, or never.
    #[must_use]
    pub fn start(
        founding: &Founding,
        (number, starts): (usize, u64),
        (key, ends): (SigningKey, Option<Duration>),
        (skew, world): (Skew, Mono),
        dice: &mut Dice,
    ) -> Self {
        let peer = PeerId(key.verifying_key().to_bytes());
        let now = local(skew, world);
        let mut seed = [0; 32];
        dice.fill(&mut seed);
        let tickets = founding.ticket(peer, ends, now.wall, &seed);
        let config = RoomConfig {
            room: founding.room(),
            key: key.clone(),
            tickets,
            name: format!("member {number}"),
            title: None,
            incarnation: Incarnation { counter: starts, nonce: dice.below(u64::MAX) },
            hints: Vec::new(),
            dialling: DialPolicy::default(),
        };
        dice.fill(&mut seed);
        let mut room = Room::new(config, seed, now);
        room.set_addresses(vec![address(number, peer)], now);
        Self {
            number,
            peer,
            room,
            source: None,
            watching: BTreeMap::new(),
            events: Vec::new(),
            alive: true,
            curious: true,
            asleep: Asleep::default(),
            stamps_early: Duration::ZERO,
            key,
            room_pk: founding.room(),
            skew,
        }
    }

    /// Now, by its own clocks.
    #[must_use]
    pub fn now(&self, world: Mono) -> Now {
        local(self.skew, world)
    }

    /// A point of its steady clock by the world's.
    #[must_use]
    pub fn world(&self, local: Mono) -> Mono {
        local - self.skew.mono
    }

    /// Its key, to start it again.
    #[must_use]
    pub fn key(&self) -> SigningKey {
        self.key.clone()
    }

    /// Its clocks.
    #[must_use]
    pub fn skew(&self) -> Skew {
        self.skew
    }

    /// Its machine slept for so long until now.
    pub(crate) fn wake(&mut self, slept: Duration, world: Mono) {
        let slept_us = i64::try_from(slept.as_micros()).unwrap_or(i64::MAX);
        match self.asleep {
            Asleep::GoOn => self.room.handle_resumed(local(self.skew, world)),
            Asleep::SteadyStops => self.skew.mono -= slept,
            Asleep::BothStop => {
                self.skew.mono -= slept;
                self.skew.wall_us -= slept_us;
            }
        }
    }

    /// Begins a broadcast with a keyframe every `group`.
    ///
    /// # Panics
    /// If the room refuses.
    pub fn publish(&mut self, group: Duration, world: Mono, dice: &mut Dice) -> TrackKey {
        let now = self.now(world);
        let kind = TrackKind::Video { width: 1280, height: 720, fps: (30, 1) };
        let codec = "avc1.42c01f".to_owned();
        let id = TrackId(0);
        let track = CatalogTrack { id, codec, timescale: 90_000, rendition_of: None, kind };
        let clock = ClockView::at_publisher(now.wall, now.mono);
        let catalog = Catalog { tracks: vec![track] };
        let broadcast = self.room.publish(catalog, clock, now).expect("every member may publish");
        let track = TrackKey { publisher: self.peer, broadcast, track: id };
        let owned = (self.key.clone(), self.room_pk, track);
        self.source = Some(Source::of(owned, dice.split(), group, now.mono));
        track
    }

    /// Encodes what is due.
    pub fn capture(&mut self, world: Mono) {
        let now = self.now(world);
        let Some(source) = &mut self.source else { return };
        let track = source.track();
        let Some(clock) = self.room.clock(track.publisher, track.broadcast) else { return };
        if source.advance(now.mono, clock.at(now.mono)) == Some(true) {
            self.room.handle_keyframe(track, now);
        }
    }

    /// Its cache of a track, published or watched.
    #[must_use]
    pub fn cache(&self, track: &TrackKey) -> Option<&TrackCache> {
        match &self.source {
            Some(source) if source.track() == *track => Some(&source.cache),
            _ => self.watching.get(track).map(|viewer| &viewer.cache),
        }
    }

    /// Takes note of an event, and watches what is announced.
    pub fn hear(&mut self, event: Event, world: Mono) {
        let now = self.now(world);
        match &event {
            Event::Announced { broadcast } if self.curious => {
                for track in &broadcast.catalog.tracks {
                    let publisher = broadcast.publisher;
                    let track = TrackKey { publisher, broadcast: broadcast.id, track: track.id };
                    if self.room.subscribe(track, LATENCY, now).is_ok() {
                        let number = u8::try_from(self.number).unwrap_or(u8::MAX);
                        self.watching.entry(track).or_insert_with(|| Viewer::new(number, LATENCY));
                    }
                }
            }
            _ => {}
        }
        self.events.push((world, event));
    }

    /// When it wants to be woken, by the world's clock.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        let room = self.room.poll_timeout().map(|(at, _)| at);
        let source = self.source.as_ref().and_then(Source::poll_timeout);
        let viewers = self.watching.values().filter_map(Viewer::poll_timeout);
        let first = viewers.chain(room).chain(source).min()?;
        self.alive.then(|| self.world(first))
    }
}

/// Where the member of this number listens.
#[must_use]
pub fn address(number: usize, peer: PeerId) -> Address {
    let host = Ipv4Addr::new(31, 7, 0, u8::try_from(number).unwrap_or(u8::MAX));
    Address {
        kind: Kind::Member,
        host: Host::V4(host),
        carrier: Carrier::Quic,
        port: 4001,
        peer: Some(peer),
    }
}

/// Clocks that differ like this from the world's, now.
pub(crate) fn local(skew: Skew, world: Mono) -> Now {
    let since = world.since(Mono::default());
    let wall = BEGIN + since;
    let wall = Wall::from_micros(wall.as_micros().saturating_add(skew.wall_us));
    Now { mono: world + skew.mono, wall }
}
