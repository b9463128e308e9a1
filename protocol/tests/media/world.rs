//! A publisher with known keys, and hands to carry its pictures about.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::cursor::Cursor;
use roommate_protocol::media::publish::TrackPublisher;
use roommate_protocol::media::pull::{Feed, Medium, Pull, StreamNumber};
use roommate_protocol::media::subscribe::StreamReader;
use roommate_protocol::media::track::{AccessUnit, Append, Appended, Lacking};
use roommate_protocol::time::Mono;
use roommate_protocol::trust::id::{BroadcastId, PeerId, RoomPk, TrackId, TrackKey};
use roommate_protocol::wire::code::StreamCode;
use roommate_protocol::wire::header::{StreamHeader, SubscriptionId};
use roommate_protocol::wire::record::{Signer, UnitHead, Verifier};

pub(crate) const ROOM: RoomPk = RoomPk([9; 32]);

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn track() -> TrackKey {
    TrackKey {
        publisher: PeerId(key().verifying_key().to_bytes()),
        broadcast: BroadcastId([3; 16]),
        track: TrackId(1),
    }
}

pub(crate) fn signer() -> Signer {
    Signer::new(key(), ROOM, track()).unwrap()
}

pub(crate) fn verifier() -> Verifier {
    Verifier::new(ROOM, track()).unwrap()
}

pub(crate) fn ms(ms: u64) -> Mono {
    Mono::from_micros(ms * 1000)
}

/// Bytes that are nowhere twice.
pub(crate) fn bytes(salt: u64, length: usize) -> Bytes {
    (0..length).map(|at| (at as u64 * 31 + at as u64 / 251 + salt * 17) as u8).collect()
}

pub(crate) fn head(seq: u64, keyframe: bool) -> UnitHead {
    UnitHead {
        seq,
        pts: seq as i64 * 3000,
        decode_offset: -2,
        captured_us: 1_700_000_000_000_000 + seq as i64 * 33_333,
        keyframe,
        key_epoch: 0,
        length: 0,
    }
}

pub(crate) fn unit(seq: u64, keyframe: bool, length: usize) -> AccessUnit {
    let head = head(seq, keyframe);
    AccessUnit {
        pts: head.pts,
        decode_offset: head.decode_offset,
        captured_us: head.captured_us,
        keyframe,
        data: bytes(seq, length),
    }
}

/// A publisher and its own cache; picture `n` is captured at `n * 33` ms unless said otherwise.
pub(crate) struct Studio {
    pub(crate) publisher: TrackPublisher,
    pub(crate) cache: TrackCache,
    pub(crate) appends: Vec<Append>,
    pub(crate) seq: u64,
}

impl Studio {
    pub(crate) fn new() -> Self {
        let publisher = TrackPublisher::new(signer());
        Self { publisher, cache: TrackCache::new(), appends: Vec::new(), seq: 0 }
    }

    /// Publishes one access unit at `at`.
    pub(crate) fn publish(&mut self, keyframe: bool, length: usize, at: Mono) {
        let appends = self.publisher.publish(&unit(self.seq, keyframe, length)).unwrap();
        self.seq += 1;
        for append in &appends {
            assert_eq!(self.cache.append(append, at), Appended::Added);
        }
        self.appends.extend(appends);
    }

    /// A keyframe of 9000 bytes and `deltas` of 5000, `gap` ms apart, from `at` ms on.
    pub(crate) fn group(&mut self, deltas: u64, at: u64, gap: u64) {
        for number in 0..=deltas {
            let length = if number == 0 { 9000 } else { 5000 };
            self.publish(number == 0, length, ms(at + number * gap));
        }
    }

    pub(crate) fn end(&mut self, at: Mono) {
        let end = self.publisher.end().unwrap();
        assert_eq!(self.cache.append(&end, at), Appended::Added);
        self.appends.push(end);
    }
}

pub(crate) fn feed(lacking: Option<Lacking>) -> Feed {
    Feed {
        subscription: SubscriptionId(5),
        track: track(),
        path: vec![PeerId([4; 32])],
        medium: Medium::Pictures,
        latency: Duration::from_millis(300),
        lacking,
    }
}

/// What a child's end of the streams saw.
#[derive(Default)]
pub(crate) struct Child {
    pub(crate) cache: TrackCache,
    streams: BTreeMap<StreamNumber, (Vec<u8>, Option<StreamReader>)>,
    pub(crate) headers: Vec<StreamHeader>,
    pub(crate) resets: Vec<(u64, StreamCode)>,
    pub(crate) finished: Vec<u64>,
    pub(crate) left: Vec<u64>,
}

impl Child {
    /// Takes bytes of one stream in.
    pub(crate) fn receive(&mut self, stream: StreamNumber, bytes: &[u8], now: Mono) {
        let (raw, reader) = self.streams.entry(stream).or_default();
        raw.extend(bytes);
        let mut rest = raw.clone();
        if reader.is_none() {
            let Some((header, length)) = StreamHeader::decode(raw).unwrap() else { return };
            *reader = Some(StreamReader::new(verifier(), &header).unwrap());
            self.headers.push(header);
            rest = raw.split_off(length);
        }
        raw.clear();
        let mut appends = Vec::new();
        reader.as_mut().unwrap().handle(&rest, &mut appends).unwrap();
        for append in &appends {
            let appended = self.cache.append(append, now);
            assert!(matches!(appended, Appended::Added | Appended::Already), "{appended:?}");
        }
    }

    fn group(&self, stream: StreamNumber) -> u64 {
        self.streams[&stream].1.as_ref().map(StreamReader::group).unwrap()
    }

    /// Performs one answer, taking at most `most` bytes of a write; false when there is nothing to
    /// do.
    pub(crate) fn perform(
        &mut self,
        cursor: &mut Cursor,
        pull: Pull,
        most: usize,
        now: Mono,
    ) -> bool {
        match pull {
            Pull::Write(offers) => {
                let offer = &offers[0];
                let all = offer.chunks.concat();
                assert!(!all.is_empty() && all.len() <= 8 * 1024, "{}", all.len());
                let taken = all.len().min(most);
                self.receive(offer.stream, &all[..taken], now);
                cursor.wrote(offer.stream, taken);
            }
            Pull::Finish(stream) => {
                assert!(self.streams[&stream].1.as_ref().unwrap().is_ended());
                self.finished.push(self.group(stream));
            }
            Pull::Leave(stream) => {
                assert!(self.streams[&stream].1.as_ref().unwrap().is_left());
                self.left.push(self.group(stream));
            }
            Pull::Reset { stream, code } => self.resets.push((self.group(stream), code)),
            Pull::Wait | Pull::Ended(_) => return false,
        }
        true
    }

    /// Performs until nothing is left to do, and gives the last answer.
    pub(crate) fn drain(&mut self, cursor: &mut Cursor, cache: &TrackCache, now: Mono) -> Pull {
        loop {
            let pull = cursor.pull(cache, now);
            if !self.perform(cursor, pull.clone(), usize::MAX, now) {
                return pull;
            }
        }
    }
}
