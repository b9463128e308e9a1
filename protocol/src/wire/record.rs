//! Signed records: an access unit with the hashes of its pieces, and the end of a group.
//!
//! A publisher signs each record once; every hop checks the signature before it reserves memory for
//! the pieces, and each piece as it arrives. A record's head is at most [`HEAD_BYTES_MAX`] bytes.

use bytes::Bytes;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::limits::{ACCESS_UNIT_BYTES_MAX, PIECE_BYTES};
use crate::trust::id::{PeerId, RoomPk, TrackKey};

/// Bytes of a piece's hash: SHA-256 cut to 128 bits. Nobody but the publisher chooses both sides of
/// a collision, and it could sign either anyway.
pub const HASH_BYTES: usize = 16;

/// The longest head: 512 hashes of a 2 MiB access unit.
pub const HEAD_BYTES_MAX: usize =
    UNIT_FIXED_BYTES + ACCESS_UNIT_BYTES_MAX.div_ceil(PIECE_BYTES) * HASH_BYTES + SIGNATURE_BYTES;

/// No other signature of this program begins with these bytes.
const DOMAIN: &[u8] = b"roommate record 1";

const KIND_UNIT: u8 = 1;
const KIND_END: u8 = 2;
const FLAG_KEYFRAME: u8 = 1;
const FLAG_LAST: u8 = 1;
const UNIT_FIXED_BYTES: usize = 38;
const END_FIXED_BYTES: usize = 10;
const SIGNATURE_BYTES: usize = 64;

/// What a record says of its access unit.
///
/// Bytes, big-endian: kind 1 (1), flags (1; bit 0 keyframe, others are passed on and ignored), key
/// epoch (4), seq (8), presentation time (8), decode offset (4), capture time (8), length (4), a
/// hash of 16 bytes for each piece of 4 KiB, signature (64).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitHead {
    /// Counts the track's access units, continuous over groups.
    pub seq: u64,
    /// Presentation time in the track's timescale; all tracks of a broadcast share one zero.
    pub pts: i64,
    /// Presentation time minus decode time, in the track's timescale.
    pub decode_offset: i32,
    /// Capture time in microseconds of the broadcast's clock, before encoding.
    pub captured_us: i64,
    /// Decodable alone. True for the first access unit of a group and for no other.
    pub keyframe: bool,
    /// The key that seals the payload; 0: not sealed.
    pub key_epoch: u32,
    /// Bytes of the access unit, 1 to [`ACCESS_UNIT_BYTES_MAX`].
    pub length: u32,
}

/// An access unit's head whose signature is the publisher's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedUnit {
    head: UnitHead,
    bytes: Bytes,
}

/// The end of a group, signed by the publisher.
///
/// Bytes, big-endian: kind 2 (1), flags (1; bit 0: the track ends here), next seq (8), signature
/// (64).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEnd {
    next_seq: u64,
    last: bool,
    bytes: Bytes,
}

/// A record whose signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An access unit; its pieces follow.
    Unit(SignedUnit),
    /// Nothing follows.
    End(SignedEnd),
}

/// Why bytes are no record of this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A kind that this version does not know: where it ends cannot be told.
    #[error("the record is of a kind that this version does not know")]
    Kind,
    /// An access unit of no bytes, or longer than any may be.
    #[error("the record's access unit has an impossible length")]
    Length,
    /// The head is cut short or has bytes too many.
    #[error("the record's head is not as long as it says")]
    Size,
    /// Not signed by this publisher for this room, broadcast, track, group and layer.
    #[error("the record is not signed by its publisher for this place")]
    Signature,
    /// The publisher's name is no key that could have signed anything.
    #[error("the publisher's name is not a usable key")]
    PublisherKey,
}

/// Signs the records of one track.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    room: RoomPk,
    track: TrackKey,
}

/// Checks the records of one track.
#[derive(Clone, Debug)]
pub struct Verifier {
    key: VerifyingKey,
    room: RoomPk,
    track: TrackKey,
}

impl Signer {
    /// Signs with `key` for `track`, whose publisher must be that key.
    ///
    /// # Errors
    /// [`RecordError::PublisherKey`] when the track is somebody else's.
    pub fn new(key: SigningKey, room: RoomPk, track: TrackKey) -> Result<Self, RecordError> {
        if PeerId(key.verifying_key().to_bytes()) != track.publisher {
            return Err(RecordError::PublisherKey);
        }
        Ok(Self { key, room, track })
    }

    /// Hashes the pieces of `data` and signs; `head.length` is taken from `data`.
    ///
    /// # Errors
    /// [`RecordError::Length`] when `data` is empty or too long.
    pub fn sign_unit(
        &self,
        group: u64,
        layer: u8,
        head: UnitHead,
        data: &[u8],
    ) -> Result<SignedUnit, RecordError> {
        if !(1..=ACCESS_UNIT_BYTES_MAX).contains(&data.len()) {
            return Err(RecordError::Length);
        }
        let head = UnitHead { length: data.len() as u32, ..head };
        let pieces = data.len().div_ceil(PIECE_BYTES);
        let size = UNIT_FIXED_BYTES + pieces * HASH_BYTES;
        let mut body = Vec::with_capacity(size + SIGNATURE_BYTES);
        body.push(KIND_UNIT);
        body.push(if head.keyframe { FLAG_KEYFRAME } else { 0 });
        body.extend(head.key_epoch.to_be_bytes());
        body.extend(head.seq.to_be_bytes());
        body.extend(head.pts.to_be_bytes());
        body.extend(head.decode_offset.to_be_bytes());
        body.extend(head.captured_us.to_be_bytes());
        body.extend(head.length.to_be_bytes());
        for piece in data.chunks(PIECE_BYTES) {
            body.extend(piece_hash(piece));
        }
        Ok(SignedUnit { head, bytes: self.signed(group, layer, body) })
    }

    /// Signs that `group` ends before `next_seq`, and with `last` that the track ends there.
    pub fn sign_end(&self, group: u64, layer: u8, next_seq: u64, last: bool) -> SignedEnd {
        let mut body = Vec::with_capacity(END_FIXED_BYTES + SIGNATURE_BYTES);
        body.push(KIND_END);
        body.push(if last { FLAG_LAST } else { 0 });
        body.extend(next_seq.to_be_bytes());
        SignedEnd { next_seq, last, bytes: self.signed(group, layer, body) }
    }

    fn signed(&self, group: u64, layer: u8, mut body: Vec<u8>) -> Bytes {
        let message = message(&self.room, &self.track, (group, layer), &body);
        body.extend(self.key.sign(&message).to_bytes());
        body.into()
    }
}

impl Verifier {
    /// Checks the records of `track`.
    ///
    /// # Errors
    /// [`RecordError::PublisherKey`] when the publisher's name is no key.
    pub fn new(room: RoomPk, track: TrackKey) -> Result<Self, RecordError> {
        let key =
            VerifyingKey::from_bytes(&track.publisher.0).map_err(|_| RecordError::PublisherKey)?;
        Ok(Self { key, room, track })
    }

    /// The room that records are checked for.
    pub fn room(&self) -> RoomPk {
        self.room
    }

    /// The track that records are checked for.
    pub fn track(&self) -> TrackKey {
        self.track
    }

    /// Reads a head and checks its signature for this place. `head` has exactly
    /// [`head_bytes_needed`] bytes.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn open(&self, group: u64, layer: u8, head: Bytes) -> Result<Record, RecordError> {
        if head_bytes_needed(&head)? != head.len() {
            return Err(RecordError::Size);
        }
        let (body, signature) =
            head.split_last_chunk::<SIGNATURE_BYTES>().ok_or(RecordError::Size)?;
        let message = message(&self.room, &self.track, (group, layer), body);
        self.key
            .verify_strict(&message, &Signature::from_bytes(signature))
            .map_err(|_| RecordError::Signature)?;
        read_body(body).map(|parsed| match parsed {
            Parsed::Unit(unit) => Record::Unit(SignedUnit { head: unit, bytes: head }),
            Parsed::End { next_seq, last } => {
                Record::End(SignedEnd { next_seq, last, bytes: head })
            }
        })
    }
}

/// How many bytes the head at the front of `have` needs, as far as `have` tells: grows as more is
/// known, is never above [`HEAD_BYTES_MAX`], and final once `have` is as long.
///
/// # Errors
/// [`RecordError::Kind`] or [`RecordError::Length`], as early as they show.
pub fn head_bytes_needed(have: &[u8]) -> Result<usize, RecordError> {
    match have.first() {
        None => Ok(1),
        Some(&KIND_END) => Ok(END_FIXED_BYTES + SIGNATURE_BYTES),
        Some(&KIND_UNIT) => {
            let Some((_, length)) =
                have.get(..UNIT_FIXED_BYTES).and_then(|fixed| fixed.split_last_chunk::<4>())
            else {
                return Ok(UNIT_FIXED_BYTES);
            };
            let length = u32::from_be_bytes(*length) as usize;
            if !(1..=ACCESS_UNIT_BYTES_MAX).contains(&length) {
                return Err(RecordError::Length);
            }
            Ok(UNIT_FIXED_BYTES + length.div_ceil(PIECE_BYTES) * HASH_BYTES + SIGNATURE_BYTES)
        }
        Some(_) => Err(RecordError::Kind),
    }
}

enum Parsed {
    Unit(UnitHead),
    End { next_seq: u64, last: bool },
}

fn read_body(mut body: &[u8]) -> Result<Parsed, RecordError> {
    let [kind, flags] = take(&mut body)?;
    if kind == KIND_END {
        let next_seq = u64::from_be_bytes(take(&mut body)?);
        return Ok(Parsed::End { next_seq, last: flags & FLAG_LAST != 0 });
    }
    let key_epoch = u32::from_be_bytes(take(&mut body)?);
    let seq = u64::from_be_bytes(take(&mut body)?);
    let pts = i64::from_be_bytes(take(&mut body)?);
    let decode_offset = i32::from_be_bytes(take(&mut body)?);
    let captured_us = i64::from_be_bytes(take(&mut body)?);
    let length = u32::from_be_bytes(take(&mut body)?);
    let keyframe = flags & FLAG_KEYFRAME != 0;
    Ok(Parsed::Unit(UnitHead { seq, pts, decode_offset, captured_us, keyframe, key_epoch, length }))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(RecordError::Size)?;
    *bytes = rest;
    Ok(*head)
}

/// All that a signature covers: every part has a fixed length but the last.
fn message(room: &RoomPk, track: &TrackKey, place: (u64, u8), body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(DOMAIN.len() + 90 + body.len());
    message.extend(DOMAIN);
    message.extend(room.0);
    message.extend(track.publisher.0);
    message.extend(track.broadcast.0);
    message.push(track.track.0);
    message.extend(place.0.to_be_bytes());
    message.push(place.1);
    message.extend(body);
    message
}

fn piece_hash(piece: &[u8]) -> [u8; HASH_BYTES] {
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&Sha256::digest(piece)[..HASH_BYTES]);
    hash
}

impl SignedUnit {
    /// What it says.
    pub fn head(&self) -> &UnitHead {
        &self.head
    }

    /// The head as it stands on the wire, hashes and signature included.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How many pieces follow the head, 1 to 512.
    pub fn pieces(&self) -> u16 {
        (self.head.length as usize).div_ceil(PIECE_BYTES) as u16
    }

    /// The length of piece `index`; 0 beyond the last.
    pub fn piece_bytes(&self, index: u16) -> usize {
        let before = usize::from(index) * PIECE_BYTES;
        (self.head.length as usize).saturating_sub(before).min(PIECE_BYTES)
    }

    /// Whether `data` is piece `index`: its length and its hash.
    pub fn is_piece(&self, index: u16, data: &[u8]) -> bool {
        let at = UNIT_FIXED_BYTES + usize::from(index) * HASH_BYTES;
        index < self.pieces()
            && data.len() == self.piece_bytes(index)
            && self.bytes.get(at..at + HASH_BYTES) == Some(&piece_hash(data)[..])
    }
}

impl SignedEnd {
    /// Seq of the first access unit after the group.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Whether the track ends here.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// The record as it stands on the wire.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}
