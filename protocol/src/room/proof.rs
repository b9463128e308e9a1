//! The proof of the room secret, before any name is told: two machines, driven by the task of the
//! stream, outside the room machine.
//!
//! Dialler: nonce. Listener: nonce. Dialler: MAC. Listener: MAC. Whoever does not know the secret
//! learns nothing: a listener never speaks of a room before the dialler's MAC was right, tries all
//! its keys whichever fits, and fails in one way. At most [`PROOF_KEYS_MAX`] keys are tried; it must
//! be over within [`PROOF_TIMEOUT`](crate::limits::PROOF_TIMEOUT), which is the caller's to keep.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::time::Mono;
use crate::trust::id::{PeerId, RoomPk};
use crate::trust::secret::RoomSecret;
use crate::wire::frame::{self, Frame};

/// Keys that a listener tries: two secret epochs of sixteen rooms. More would let a stranger make
/// the node work.
pub const PROOF_KEYS_MAX: usize = 32;
/// Failures that a peer may have in a minute before it is not listened to.
pub const FAILURES_PER_MINUTE_MAX: u32 = 3;
/// Proofs that a peer may have under way beside one for each of our rooms: it may be moving from one
/// connection to another.
const SPARE_PROOFS: u32 = 2;
/// Peers whose failures are remembered; beyond, the oldest is forgotten.
pub const METERED_PEERS_MAX: usize = 1024;
/// Longest frame of a proof, type and body: read no more than this before it has passed.
pub const PROOF_FRAME_BYTES_MAX: usize = 2 + 32;

const NONCE: u16 = 1;
const MAC: u16 = 2;
const DIALLER: u8 = 1;
const LISTENER: u8 = 2;

/// The key with which one secret epoch of one room is proven.
#[derive(Clone)]
pub struct ProofKey {
    room: RoomPk,
    epoch: u32,
    key: [u8; 32],
}

impl ProofKey {
    /// The key of this room and secret.
    pub fn new(room: RoomPk, secret: &RoomSecret) -> Self {
        let epoch = secret.epoch;
        Self { room, epoch, key: secret.derive(&[b"hello/1", &room.0, &epoch.to_be_bytes()]) }
    }

    /// The room that it proves.
    pub fn room(&self) -> RoomPk {
        self.room
    }

    fn mac(&self, role: u8, parties: &Parties) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any size");
        mac.update(&[role]);
        for part in
            [parties.dialler.0, parties.listener.0, parties.dialled_with, parties.heard_with]
        {
            mac.update(&part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofKey").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// What the MACs are over, beside the role.
#[derive(Clone, Copy)]
struct Parties {
    dialler: PeerId,
    listener: PeerId,
    dialled_with: [u8; 32],
    heard_with: [u8; 32],
}

/// The proof failed. There is only this one way, and it is told with one code
/// ([`CloseCode::Refused`](crate::wire::close::CloseCode::Refused)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side did not prove that it knows the room's secret")]
pub struct ProofFailed;

/// What to do after a frame was handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write this frame, then read the next one.
    Send(Bytes),
    /// The proof has passed: write this frame, if there is one, and hand the stream to the room.
    Passed {
        /// What remains to be written first.
        send: Option<Bytes>,
        /// Which room was proven.
        room: RoomPk,
    },
}

/// The side that opened the stream, for one room.
#[derive(Debug)]
pub struct ProofDialler {
    key: ProofKey,
    parties: Parties,
    heard: bool,
}

impl ProofDialler {
    /// Begins; the frame is the first to write. `nonce` is drawn for this proof alone.
    pub fn new(key: ProofKey, us: PeerId, them: PeerId, nonce: [u8; 32]) -> (Self, Bytes) {
        let parties =
            Parties { dialler: us, listener: them, dialled_with: nonce, heard_with: [0; 32] };
        (Self { key, parties, heard: false }, proof_frame(NONCE, &nonce))
    }

    /// A frame (type and body) came.
    ///
    /// # Errors
    /// [`ProofFailed`]; close the stream.
    pub fn handle_frame(&mut self, content: &[u8]) -> Result<Step, ProofFailed> {
        if !self.heard {
            self.parties.heard_with = body(content, NONCE)?;
            self.heard = true;
            return Ok(Step::Send(proof_frame(MAC, &self.key.mac(DIALLER, &self.parties))));
        }
        let theirs = body(content, MAC)?;
        if bool::from(self.key.mac(LISTENER, &self.parties).ct_eq(&theirs)) {
            Ok(Step::Passed { send: None, room: self.key.room })
        } else {
            Err(ProofFailed)
        }
    }
}

/// The side on which the stream was opened, for all of its rooms.
#[derive(Debug)]
pub struct ProofListener {
    keys: Vec<ProofKey>,
    parties: Parties,
    asked: bool,
}

impl fmt::Debug for Parties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} -> {:?}", self.dialler, self.listener)
    }
}

impl ProofListener {
    /// Waits for the dialler's nonce. Of `keys` the first [`PROOF_KEYS_MAX`] are tried.
    pub fn new(mut keys: Vec<ProofKey>, us: PeerId, them: PeerId, nonce: [u8; 32]) -> Self {
        keys.truncate(PROOF_KEYS_MAX);
        let parties =
            Parties { dialler: them, listener: us, dialled_with: [0; 32], heard_with: nonce };
        Self { keys, parties, asked: false }
    }

    /// A frame (type and body) came.
    ///
    /// # Errors
    /// [`ProofFailed`]; close the stream.
    pub fn handle_frame(&mut self, content: &[u8]) -> Result<Step, ProofFailed> {
        if !self.asked {
            self.parties.dialled_with = body(content, NONCE)?;
            self.asked = true;
            return Ok(Step::Send(proof_frame(NONCE, &self.parties.heard_with)));
        }
        let theirs = body(content, MAC)?;
        let key = &self.keys[self.fitting(&theirs).ok_or(ProofFailed)?];
        let send = Some(proof_frame(MAC, &key.mac(LISTENER, &self.parties)));
        Ok(Step::Passed { send, room: key.room })
    }

    /// Which key fits. All are tried, and the comparison takes as long whichever does.
    fn fitting(&self, theirs: &[u8; 32]) -> Option<usize> {
        let mut fits = Choice::from(0);
        let mut which = 0_u32;
        for (index, key) in (0_u32..).zip(&self.keys) {
            let equal = key.mac(DIALLER, &self.parties).ct_eq(theirs);
            which.conditional_assign(&index, equal & !fits);
            fits |= equal;
        }
        bool::from(fits).then_some(which as usize)
    }
}

fn proof_frame(kind: u16, value: &[u8; 32]) -> Bytes {
    frame::encode(kind, value).expect("34 bytes are far below what a frame may be")
}

fn body(content: &[u8], kind: u16) -> Result<[u8; 32], ProofFailed> {
    let (found, body) = Frame::split(content).map_err(|_| ProofFailed)?;
    if found == kind { body.try_into().map_err(|_| ProofFailed) } else { Err(ProofFailed) }
}

/// Counts failed proofs of those who open control streams: three a peer and minute, then it is not
/// listened to. What is under way counts as failed until it has passed, or many at once would all
/// be listened to.
#[derive(Debug, Default)]
pub struct FailureMeter {
    peers: BTreeMap<PeerId, Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    /// When the minute began.
    since: Mono,
    failed: u32,
    under_way: u32,
}

impl FailureMeter {
    /// Nothing has failed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a proof of `peer` for one of our `rooms` may begin; if so, it has.
    pub fn begin(&mut self, peer: PeerId, rooms: usize, now: Mono) -> bool {
        let rooms = u32::try_from(rooms.min(PROOF_KEYS_MAX)).unwrap_or(u32::MAX);
        if rooms == 0 {
            return false;
        }
        let row = self.row(peer, now);
        let at_once = FAILURES_PER_MINUTE_MAX.max(rooms + SPARE_PROOFS);
        let may = row.failed < FAILURES_PER_MINUTE_MAX && row.failed + row.under_way < at_once;
        row.under_way += u32::from(may);
        may
    }

    /// One has passed.
    pub fn handle_passed(&mut self, peer: &PeerId) {
        if let Some(row) = self.peers.get_mut(peer) {
            row.under_way = row.under_way.saturating_sub(1);
            if row.failed == 0 && row.under_way == 0 {
                self.peers.remove(peer);
            }
        }
    }

    /// One failed, or took too long.
    pub fn handle_failed(&mut self, peer: PeerId, now: Mono) {
        let row = self.row(peer, now);
        row.under_way = row.under_way.saturating_sub(1);
        row.failed = row.failed.saturating_add(1);
    }

    fn row(&mut self, peer: PeerId, now: Mono) -> &mut Failures {
        let over = |row: &Failures| now.since(row.since) >= Duration::from_secs(60);
        for row in self.peers.values_mut().filter(|row| over(row)) {
            (row.since, row.failed) = (now, 0);
        }
        self.peers.retain(|known, row| row.failed + row.under_way > 0 || *known == peer);
        if self.peers.len() >= METERED_PEERS_MAX && !self.peers.contains_key(&peer) {
            let oldest = self.peers.iter().min_by_key(|(_, row)| row.since);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.peers.remove(&oldest);
            }
        }
        self.peers.entry(peer).or_insert(Failures { since: now, failed: 0, under_way: 0 })
    }
}

#[cfg(test)]
mod tests;
