//! A connection between two members: two [`Pipe`]s that carry the control stream and pictures, the
//! proof at both ends, and what each end expects and feeds.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use roommate_protocol::media::pull::StreamNumber;
use roommate_protocol::room::ConnId;
use roommate_protocol::room::proof::{ProofDialler, ProofKey, ProofListener, Step};
use roommate_protocol::time::Mono;
use roommate_protocol::trust::id::{PeerId, TrackKey};
use roommate_protocol::wire::frame::FrameReader;
use roommate_protocol::wire::header::{StreamHeader, SubscriptionId};

use crate::dice::Dice;
use crate::feed::Feed;
use crate::net::Line;
use crate::pipe::{Arrived, Pipe};
use crate::reading::Reading;

/// The control stream's name in both pipes.
pub const CONTROL: StreamNumber = StreamNumber(u32::MAX);

#[derive(Debug)]
enum Proof {
    Dialling(ProofDialler),
    Listening(ProofListener),
    Passed,
}

/// One end of a connection.
#[derive(Debug)]
pub struct End {
    /// Whose end it is.
    pub member: usize,
    /// What that member calls the connection.
    pub conn: ConnId,
    /// Whether that member still knows it.
    pub known: bool,
    /// Children on the other side, by their subscription.
    pub feeds: BTreeMap<SubscriptionId, (TrackKey, Feed)>,
    /// Feeds that were ever begun here.
    pub begun: u32,
    /// Streams that are accepted here.
    pub expected: BTreeMap<SubscriptionId, TrackKey>,
    /// What is read of them.
    pub readings: BTreeMap<SubscriptionId, Reading>,
    proof: Option<Proof>,
    frames: FrameReader,
    unnamed: BTreeMap<StreamNumber, BytesMut>,
    names: BTreeMap<StreamNumber, SubscriptionId>,
}

/// What the control stream gave.
#[derive(Debug)]
pub enum Word {
    /// The proof has passed at this end.
    Up,
    /// A frame for the room.
    Frame(Bytes),
    /// It is broken.
    Broken,
}

impl End {
    fn new(member: usize, conn: ConnId) -> Self {
        Self {
            member,
            conn,
            known: true,
            feeds: BTreeMap::new(),
            begun: 0,
            expected: BTreeMap::new(),
            readings: BTreeMap::new(),
            proof: None,
            frames: FrameReader::new(),
            unnamed: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// The subscription of a stream from which these bytes came, and the bytes to read: all of them
    /// so far, once its header says whose it is.
    pub fn name(&mut self, stream: StreamNumber, bytes: Bytes) -> Option<(SubscriptionId, Bytes)> {
        if let Some(sub) = self.names.get(&stream) {
            return Some((*sub, bytes));
        }
        let begun = self.unnamed.entry(stream).or_default();
        begun.extend_from_slice(&bytes);
        let (header, _) = StreamHeader::decode(begun).ok()??;
        self.names.insert(stream, header.subscription);
        let all = self.unnamed.remove(&stream)?.freeze();
        Some((header.subscription, all))
    }

    /// The subscription of a stream whose header has come.
    #[must_use]
    pub fn named(&self, stream: StreamNumber) -> Option<SubscriptionId> {
        self.names.get(&stream).copied()
    }
}

/// A connection; end 0 dialled.
#[derive(Debug)]
pub struct Wire {
    /// Its ends.
    pub ends: [End; 2],
    /// From end 0 to end 1, and back.
    pub pipes: [Pipe; 2],
    /// When it is up.
    pub up_at: Mono,
    /// Whether both ends were told.
    pub up: bool,
    /// When it is down for each end.
    pub down_at: [Option<Mono>; 2],
}

impl Wire {
    /// A connection that is up after a round trip and a half.
    pub fn dial(
        (dialler, listener): ((usize, ConnId), (usize, ConnId)),
        line: Line,
        dice: &mut Dice,
        now: Mono,
    ) -> Self {
        let up_at = now + line.delay * 3;
        Self {
            ends: [End::new(dialler.0, dialler.1), End::new(listener.0, listener.1)],
            pipes: [Pipe::new(line, dice, up_at), Pipe::new(line, dice, up_at)],
            up_at,
            up: false,
            down_at: [None, None],
        }
    }

    /// Whether nothing happens on it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !self.ends[0].known && !self.ends[1].known
    }

    /// Begins the proof, at the dialling end.
    pub fn open_control(&mut self, key: &ProofKey, peers: [PeerId; 2], nonce: [u8; 32]) {
        let (proof, first) = ProofDialler::new(key.clone(), peers[0], peers[1], nonce);
        self.ends[0].proof = Some(Proof::Dialling(proof));
        self.say(0, &first);
    }

    /// Writes to the control stream from one end.
    pub fn say(&mut self, end: usize, frame: &[u8]) {
        self.pipes[end].write(CONTROL, frame);
        self.pipes[end].set_priority(CONTROL, i32::MAX);
    }

    /// What arrived on the control stream at one end.
    pub fn hear(
        &mut self,
        end: usize,
        arrived: &Arrived,
        key: &ProofKey,
        (peers, nonce): ([PeerId; 2], [u8; 32]),
    ) -> Vec<Word> {
        let Arrived::Bytes(bytes) = arrived else { return vec![Word::Broken] };
        let mut words = Vec::new();
        self.ends[end].frames.push(bytes);
        loop {
            let content = match self.ends[end].frames.next_content() {
                Ok(Some(content)) => content,
                Ok(None) => return words,
                Err(_) => {
                    words.push(Word::Broken);
                    return words;
                }
            };
            let listener = || ProofListener::new(vec![key.clone()], peers[1], peers[0], nonce);
            let proof = self.ends[end].proof.get_or_insert_with(|| Proof::Listening(listener()));
            let step = match proof {
                Proof::Passed => {
                    words.push(Word::Frame(content));
                    continue;
                }
                Proof::Dialling(proof) => proof.handle_frame(&content),
                Proof::Listening(proof) => proof.handle_frame(&content),
            };
            match step {
                Ok(Step::Send(frame)) => self.say(end, &frame),
                Ok(Step::Passed { send, .. }) => {
                    self.ends[end].proof = Some(Proof::Passed);
                    if let Some(frame) = send {
                        self.say(end, &frame);
                    }
                    words.push(Word::Up);
                }
                Err(_) => words.push(Word::Broken),
            }
        }
    }

    /// When something happens next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        if !self.up {
            return (!self.is_over()).then_some(self.up_at);
        }
        let pipes = self.pipes.iter().filter_map(Pipe::poll_timeout);
        pipes.chain(self.down_at.iter().flatten().copied()).min()
    }
}
