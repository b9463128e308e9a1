//! A bootstrap that finds members for each other: the product's registry, and the product's watch at
//! every member, over connections that lose nothing.
//!
//! Plays what the shells of both perform: opening, carrying frames, opening again. Its own clock is
//! the world's.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use roommate_protocol::address::Address;
use roommate_protocol::rooms::message::{Answer, Request};
use roommate_protocol::rooms::registry::{self, ClientId, Registry, RegistryConfig};
use roommate_protocol::rooms::watch::{self, Watch, WatchConfig};
use roommate_protocol::time::{Mono, Now};
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::trust::rid::Rid;

use crate::member::{Skew, local};

/// One way.
const DELAY: Duration = Duration::from_millis(10);
/// Until a connection that was lost is opened again.
const REDIAL: Duration = Duration::from_millis(200);

/// What a member is told.
pub type News = (usize, PeerId, Vec<Address>);

#[derive(Debug)]
enum Letter {
    Open { seat: usize, client: ClientId },
    Request { client: ClientId, frame: Bytes },
    Answer { client: ClientId, frame: Bytes },
    Lost { client: ClientId },
}

/// A member's end.
#[derive(Debug)]
struct Seat {
    watch: Watch,
    peer: PeerId,
    skew: Skew,
    client: Option<ClientId>,
    alive: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Finding {
    registry: Registry,
    /// By the member's number.
    seats: Vec<Seat>,
    clients: BTreeMap<ClientId, usize>,
    letters: BTreeMap<(Mono, u64), Letter>,
    count: u64,
}

impl Finding {
    /// A bootstrap that knows nobody.
    #[must_use]
    pub fn new(seed: [u8; 32], world: Mono) -> Self {
        let registry = Registry::new(RegistryConfig::default(), seed, exact(world));
        let (seats, letters, clients) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { registry, seats, clients, letters, count: 0 }
    }

    /// The next member connects.
    pub fn enter(&mut self, config: WatchConfig, seed: [u8; 32], (skew, world): (Skew, Mono)) {
        let peer = config.peer;
        let watch = Watch::new(config, seed, local(skew, world));
        self.seats.push(Seat { watch, peer, skew, client: None, alive: true });
        self.open(self.seats.len() - 1, world + DELAY * 2);
    }

    /// A member says goodbye.
    pub fn leave(&mut self, seat: usize, world: Mono) {
        self.seats[seat].watch.leave();
        self.carry(seat, world);
        self.seats[seat].alive = false;
    }

    /// A member is gone without a word; its connection is lost so long from now.
    pub fn kill(&mut self, seat: usize, idle: Duration, world: Mono) {
        self.seats[seat].alive = false;
        if let Some(client) = self.seats[seat].client.take() {
            self.post(world + idle, Letter::Lost { client });
        }
    }

    /// A member's machine slept until now, and its clocks differ like this from now on.
    pub fn wake(&mut self, seat: usize, skew: Skew, world: Mono) {
        self.seats[seat].skew = skew;
        self.lose(seat, world);
    }

    /// How many registrations there are under this id.
    ///
    /// # Panics
    /// If the registry answers something else.
    pub fn registered(&mut self, rid: Rid, world: Mono) -> u32 {
        let client = self.name();
        let now = exact(world);
        self.registry.handle_opened(client, PeerId([1; 32]), [127, 0, 0, 1].into(), now);
        let frame = Request::Lookup { rid }.encode().expect("a short request");
        self.registry.handle_frame(client, &frame[4..], now).expect("an honest request");
        let mut total = 0;
        while let Some(output) = self.registry.poll_output() {
            let registry::Output::Send { client: to, frame } = output else { continue };
            match Answer::decode(&frame[4..]) {
                Ok(Some(Answer::Records { total: all, .. })) if to == client => total = all,
                _ => self.post(world + DELAY, Letter::Answer { client: to, frame }),
            }
        }
        self.registry.handle_closed(client);
        total
    }

    /// What happens up to now; whom members have found.
    pub fn advance(&mut self, world: Mono) -> Vec<News> {
        let mut news = Vec::new();
        while let Some(first) = self.letters.first_entry()
            && first.key().0 <= world
        {
            let letter = first.remove();
            self.deliver(letter, world);
        }
        if self.registry.poll_timeout().is_some_and(|(at, _)| at <= world) {
            self.registry.handle_timeout(exact(world));
        }
        self.answer(world);
        for seat in 0..self.seats.len() {
            let now = local(self.seats[seat].skew, world);
            let here = &mut self.seats[seat];
            if here.alive && here.watch.poll_timeout().is_some_and(|(at, _)| at <= now.mono) {
                here.watch.handle_timeout(now);
            }
            news.extend(self.carry(seat, world));
        }
        news
    }

    /// When something happens next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        let letters = self.letters.keys().next().map(|(at, _)| *at);
        let registry = self.registry.poll_timeout().map(|(at, _)| at);
        let seats = self
            .seats
            .iter()
            .filter(|seat| seat.alive)
            .filter_map(|seat| seat.watch.poll_timeout().map(|(at, _)| at - seat.skew.mono));
        seats.chain(letters).chain(registry).min()
    }

    fn deliver(&mut self, letter: Letter, world: Mono) {
        match letter {
            Letter::Open { seat, client } if self.seats[seat].alive => {
                let here = &mut self.seats[seat];
                here.client = Some(client);
                self.clients.insert(client, seat);
                let ip = [31, 7, 0, u8::try_from(seat).unwrap_or(u8::MAX)].into();
                self.registry.handle_opened(client, here.peer, ip, exact(world));
                here.watch.handle_opened(local(here.skew, world));
            }
            Letter::Request { client, frame } => {
                if self.registry.handle_frame(client, &frame[4..], exact(world)).is_err() {
                    self.post(world, Letter::Lost { client });
                }
            }
            Letter::Answer { client, frame } => {
                let Some(seat) = self.clients.get(&client).copied() else { return };
                let here = &mut self.seats[seat];
                let listens = here.alive && here.client == Some(client);
                let now = local(here.skew, world);
                if listens && here.watch.handle_frame(&frame[4..], now).is_err() {
                    self.lose(seat, world);
                }
            }
            Letter::Lost { client } => {
                self.registry.handle_closed(client);
                if let Some(seat) = self.clients.remove(&client)
                    && self.seats[seat].client == Some(client)
                {
                    self.lose(seat, world);
                }
            }
            Letter::Open { .. } => {}
        }
    }

    /// Sends what a member's watch wants sent; whom it has found.
    fn carry(&mut self, seat: usize, world: Mono) -> Vec<News> {
        let mut news = Vec::new();
        while self.seats[seat].alive
            && let Some(output) = self.seats[seat].watch.poll_output()
        {
            match (output, self.seats[seat].client) {
                (watch::Output::Send(frame), Some(client)) => {
                    self.post(world + DELAY, Letter::Request { client, frame });
                }
                (watch::Output::Found { peer, addresses }, _) => {
                    news.push((seat, peer, addresses));
                }
                (watch::Output::Silent, _) => self.lose(seat, world),
                _ => {}
            }
        }
        news
    }

    fn answer(&mut self, world: Mono) {
        while let Some(output) = self.registry.poll_output() {
            match output {
                registry::Output::Send { client, frame } => {
                    self.registry.handle_sent(client, frame.len());
                    self.post(world + DELAY, Letter::Answer { client, frame });
                }
                registry::Output::Close { client, .. } => {
                    self.post(world + DELAY, Letter::Lost { client });
                }
            }
        }
    }

    /// A member's connection is gone; it opens another.
    fn lose(&mut self, seat: usize, world: Mono) {
        let here = &mut self.seats[seat];
        if let Some(client) = here.client.take() {
            here.watch.handle_closed(local(here.skew, world));
            self.post(world, Letter::Lost { client });
        }
        if self.seats[seat].alive {
            self.open(seat, world + REDIAL);
        }
    }

    fn open(&mut self, seat: usize, at: Mono) {
        let client = self.name();
        self.post(at, Letter::Open { seat, client });
    }

    fn name(&mut self) -> ClientId {
        self.count += 1;
        ClientId(self.count)
    }

    fn post(&mut self, at: Mono, letter: Letter) {
        self.count += 1;
        self.letters.insert((at, self.count), letter);
    }
}

fn exact(world: Mono) -> Now {
    local(Skew::default(), world)
}
