//! A control stream spoken by hand.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use roommate_clock::Clock;
use roommate_protocol::room::proof::{ProofDialler, ProofFailed, ProofKey, ProofListener, Step};
use roommate_protocol::trust::envelope::Envelope;
use roommate_protocol::trust::id::{Incarnation, PeerId, RoomPk, TrackKey};
use roommate_protocol::wire::frame::FrameReader;
use roommate_protocol::wire::header::SubscriptionId;
use roommate_protocol::wire::message::{
    Hello, Incoming, Message, Pong, Roster, Signed, Subscribe, encode,
};
use roommate_protocol::wire::signed::{Payload, RosterEntry, ShortId};

use super::{House, STRANGER, in_time};

pub const INCARNATION: Incarnation = Incarnation { counter: 1, nonce: 7 };

pub struct Control {
    stream: Stream,
    reader: FrameReader,
    me: PeerId,
    them: PeerId,
    /// Frames read, pings not among them.
    pub heard: Vec<Incoming>,
}

impl Control {
    pub fn new(stream: Stream, (me, them): (PeerId, PeerId)) -> Self {
        Self { stream, reader: FrameReader::new(), me, them, heard: Vec::new() }
    }

    /// Type and body of the next frame; `None` at the end.
    pub async fn content(&mut self) -> Option<Bytes> {
        loop {
            if let Some(content) = self.reader.next_content().unwrap() {
                return Some(content);
            }
            let mut buffer = [0; 4096];
            match in_time("a frame", self.stream.read(&mut buffer)).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.reader.push(&buffer[..count]),
            }
        }
    }

    /// The next message; pings are answered on the way. `None` at the end.
    pub async fn next(&mut self) -> Option<Incoming> {
        loop {
            let message = Incoming::read(&self.content().await?).unwrap();
            match message {
                Some(Incoming::Ping(ping)) => {
                    let now = Clock::new().mono().as_micros();
                    let (seq, ping_sent_us) = (ping.seq, ping.sent_us);
                    self.say(&Pong { seq, ping_sent_us, read_us: now, sent_us: now }).await;
                }
                Some(message) => {
                    self.heard.push(message.clone());
                    return Some(message);
                }
                None => {}
            }
        }
    }

    /// The next message that `pick` takes.
    pub async fn until<T>(&mut self, what: &str, pick: impl Fn(&Incoming) -> Option<T>) -> T {
        let found = async {
            loop {
                let message = self.next().await;
                let message = message.unwrap_or_else(|| panic!("the stream ended before {what}"));
                if let Some(found) = pick(&message) {
                    return found;
                }
            }
        };
        in_time(what, found).await
    }

    /// Reads to the end of the stream; everything that came.
    pub async fn read_all(&mut self) -> Vec<Incoming> {
        while self.next().await.is_some() {}
        std::mem::take(&mut self.heard)
    }

    /// Reads whatever comes to the end of the stream, and makes nothing of it: it is in the log.
    pub async fn drain(&mut self) {
        let mut buffer = [0; 4096];
        let read =
            async { while self.stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {} };
        in_time("the end of a stream", read).await;
    }

    /// Bytes as they are. Whether the other side still takes them shows in what it says.
    pub async fn raw(&mut self, bytes: &[u8]) {
        let write = async {
            let _ = self.stream.write_all(bytes).await;
            let _ = self.stream.flush().await;
        };
        in_time("room in the stream", write).await;
    }

    pub async fn say(&mut self, message: &impl Message) {
        self.raw(&encode(message).unwrap()).await;
    }

    /// Proves as the side that opened the stream.
    pub async fn prove(&mut self, key: ProofKey) -> Result<(), ProofFailed> {
        let (mut proof, first) = ProofDialler::new(key, self.me, self.them, rand::random());
        self.raw(&first).await;
        self.steps(|content| proof.handle_frame(content)).await
    }

    /// Proves as the side on which it was opened.
    pub async fn prove_to(&mut self, key: ProofKey) -> Result<(), ProofFailed> {
        let mut proof = ProofListener::new(vec![key], self.me, self.them, rand::random());
        self.steps(|content| proof.handle_frame(content)).await
    }

    async fn steps(
        &mut self,
        mut handle: impl FnMut(&[u8]) -> Result<Step, ProofFailed>,
    ) -> Result<(), ProofFailed> {
        loop {
            let content = self.content().await.ok_or(ProofFailed)?;
            match handle(&content)? {
                Step::Send(frame) => self.raw(&frame).await,
                Step::Passed { send, .. } => {
                    if let Some(frame) = send {
                        self.raw(&frame).await;
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Says hello with this chain, and that we are here.
    pub async fn greet(&mut self, house: &House, key: &SigningKey, chain: &[u8]) {
        self.say(&hello(chain)).await;
        self.say(&Roster { entries: vec![entry(house, key, chain, self.them)] }).await;
    }

    /// Everything that an honest member does, as the side that opened the stream.
    pub async fn come_in(&mut self, house: &House, key: &SigningKey) {
        self.prove(house.proof()).await.unwrap();
        let chain = house.good_ticket(self.me).to_bytes();
        self.greet(house, key, &chain).await;
    }

    pub async fn subscribe(&mut self, track: TrackKey, sub: u32) {
        let sub = SubscriptionId(sub);
        self.say(&Subscribe { sub, track, lacking: None, latency_ms: 300 }).await;
    }
}

pub fn hello(chain: &[u8]) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        features: 0,
        incarnation: INCARNATION,
        chain: chain.to_vec(),
        name: STRANGER.to_owned(),
        title: Some(STRANGER.to_owned()),
    }
}

/// What whoever holds `key` signs of itself.
pub fn entry(house: &House, key: &SigningKey, chain: &[u8], neighbour: PeerId) -> Signed {
    let entry = RosterEntry {
        incarnation: INCARNATION,
        version: 1,
        wall: Clock::new().now().wall,
        chain: chain.to_vec(),
        name: STRANGER.to_owned(),
        addresses: Vec::new(),
        neighbours: vec![ShortId::of(&neighbour, INCARNATION)],
    };
    seal(house.room(), key, &entry)
}

pub fn seal<P: Payload>(room: RoomPk, key: &SigningKey, payload: &P) -> Signed {
    Signed(Envelope::seal(key, P::PURPOSE, &room, payload.encode()).unwrap().to_bytes())
}
