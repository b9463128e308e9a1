//! The rotating room id: the only name of a room that bootstraps and the DHT ever see.
//!
//! For each period of six hours, secret and secret epoch give a signing key; its public half is the
//! `rid`. Whoever does not hold the link can neither read what is sealed under it, nor add junk,
//! nor tell that two periods are of one room. It hides neither how many register nor from where.

use std::fmt;
use std::time::Duration;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};

use super::key;
use super::secret::RoomSecret;
use crate::time::Wall;

/// How long a room keeps one name.
pub const PERIOD: Duration = Duration::from_secs(6 * 3_600);

/// This near to an edge the neighbour period counts, too: clocks differ, and a registration must
/// not lapse at the edge.
pub const EDGE: Duration = Duration::from_secs(600);

/// What sealing adds: a nonce of 12 bytes before, a tag of 16 behind.
pub const SEAL_BYTES: usize = NONCE_BYTES + 16;

const NONCE_BYTES: usize = 12;

const DOMAIN: &[u8] = b"roommate/rid/1";

/// The period of a time of day, counted from the Unix epoch; 0 for any time before it.
pub fn period(time: Wall) -> u32 {
    let period = time.as_secs().max(0) as u64 / PERIOD.as_secs();
    u32::try_from(period).unwrap_or(u32::MAX)
}

/// A room's name in one period: an Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rid(pub [u8; 32]);

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0[..4]))
    }
}

/// Why something under a `rid` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RidError {
    /// Whoever wrote it does not hold the room's link, or it was altered.
    #[error("it was not signed by somebody who holds the room's link")]
    Signature,
    /// It was sealed for another room or period, or was altered.
    #[error("it cannot be opened: it is of another room or period, or was altered")]
    Sealed,
}

/// Checks a signature made under `rid`.
///
/// # Errors
/// [`RidError::Signature`].
pub fn verify(rid: &Rid, message: &[u8], signature: &[u8; 64]) -> Result<(), RidError> {
    if key::is_signed_by(&rid.0, &signed_bytes(message), signature) {
        Ok(())
    } else {
        Err(RidError::Signature)
    }
}

fn signed_bytes(message: &[u8]) -> Vec<u8> {
    [DOMAIN, message].concat()
}

/// The keys that a `rid` of one period comes from.
#[derive(Clone)]
pub struct RidKey {
    signing: SigningKey,
    rid: Rid,
    sealing: [u8; 32],
    nonces: [u8; 32],
}

impl RidKey {
    /// The keys of a room in one period.
    pub fn derive(secret: &RoomSecret, period: u32) -> Self {
        let epoch = secret.epoch.to_be_bytes();
        let seed = secret.derive(&[b"rid/1", &epoch, &period.to_be_bytes()]);
        let signing = SigningKey::from_bytes(&seed);
        let rid = Rid(signing.verifying_key().to_bytes());
        let sealing = key::derive(&seed, &[b"rid/seal/1"]);
        Self { signing, rid, sealing, nonces: key::derive(&seed, &[b"rid/nonce/1"]) }
    }

    /// The public name.
    pub fn rid(&self) -> Rid {
        self.rid
    }

    /// Signs `message` as somebody who holds the link.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(&signed_bytes(message)).to_bytes()
    }

    /// Seals `plaintext`: nonce, ciphertext, tag; [`SEAL_BYTES`] longer. The nonce depends on
    /// plaintext and seed: a seed that is used twice betrays only whether the text was the same.
    pub fn seal(&self, plaintext: &[u8], nonce_seed: &[u8; 32]) -> Vec<u8> {
        let mut out = key::derive(&self.nonces, &[nonce_seed, plaintext])[..NONCE_BYTES].to_vec();
        let payload = Payload { msg: plaintext, aad: &self.rid.0 };
        let nonce = nonce(&out);
        let sealed = self.cipher().encrypt(&nonce, payload);
        out.extend(sealed.expect("only plaintexts of 256 GiB are too long"));
        out
    }

    /// Opens what [`RidKey::seal`] of the same room and period made.
    ///
    /// # Errors
    /// [`RidError::Sealed`].
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, RidError> {
        let (head, ciphertext) = sealed.split_at_checked(NONCE_BYTES).ok_or(RidError::Sealed)?;
        let payload = Payload { msg: ciphertext, aad: &self.rid.0 };
        self.cipher().decrypt(&nonce(head), payload).map_err(|_| RidError::Sealed)
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&self.sealing.into())
    }
}

fn nonce(bytes: &[u8]) -> Nonce {
    let mut nonce = Nonce::default();
    nonce.copy_from_slice(&bytes[..NONCE_BYTES]);
    nonce
}

impl fmt::Debug for RidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RidKey").field("rid", &self.rid).finish_non_exhaustive()
    }
}

/// The keys to register and look up under at `now`: this period's first, then the neighbour's
/// where its edge is within [`EDGE`].
pub fn rids_now(secret: &RoomSecret, now: Wall) -> Vec<RidKey> {
    let this = period(now);
    let mut periods = vec![this];
    if period(now - EDGE) != this {
        periods.push(this - 1);
    }
    if period(now + EDGE) != this {
        periods.push(this + 1);
    }
    periods.into_iter().map(|period| RidKey::derive(secret, period)).collect()
}

#[cfg(test)]
mod tests;
