//! A signed envelope: bytes that one peer says in one room for one purpose, and that others may
//! pass on. Announcements, catalogs and roster entries travel in it.
//!
//! It says who spoke, not whether they may, nor when: that is for what is inside.

use std::fmt;

use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};

use super::id::{PeerId, RoomPk};
use super::key;
use super::key::take;
use crate::limits::FRAME_BYTES_MAX;

/// The longest payload: with its envelope and 1 KiB around it, it fits one frame.
pub const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - HEAD_BYTES - 1_024;

const HEAD_BYTES: usize = 1 + 32 + 64;
const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"roommate/envelope/1";

/// Why an envelope is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The bytes end inside the envelope's head.
    #[error("the signed message is cut short")]
    CutShort,
    /// A version that this program does not know.
    #[error("the signed message is from a newer version of Roommate: upgrade this one")]
    Newer,
    /// More than [`PAYLOAD_BYTES_MAX`] of payload.
    #[error("the signed message is longer than {PAYLOAD_BYTES_MAX} bytes")]
    TooLong,
    /// It was altered, or is of another room, purpose or peer than it is passed off as.
    #[error("the signed message is forged or altered: its signature is wrong")]
    Forged,
}

/// A payload, who claims to have signed it, and the signature.
///
/// Bytes: version 1, signer 32, signature 64, then the payload to the end. Signed: domain ‖ length
/// of the purpose (u16) ‖ purpose ‖ RoomPk ‖ signer ‖ payload. As a serde value it is its bytes.
///
/// Equal envelopes are equal byte for byte: what was opened once need not be opened again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Envelope {
    signer: PeerId,
    signature: [u8; 64],
    payload: Bytes,
}

impl Envelope {
    /// Signs `payload` for one purpose (`domain`, such as `"roster/1"`) in one room.
    ///
    /// # Errors
    /// [`EnvelopeError::TooLong`].
    pub fn seal(
        key: &SigningKey,
        domain: &'static str,
        room: &RoomPk,
        payload: impl Into<Bytes>,
    ) -> Result<Self, EnvelopeError> {
        let payload = payload.into();
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(EnvelopeError::TooLong);
        }
        let signer = PeerId(key.verifying_key().to_bytes());
        let signature = key.sign(&message(domain, room, &signer, &payload)).to_bytes();
        Ok(Self { signer, signature, payload })
    }

    /// Checks the signature, and gives who signed and what.
    ///
    /// # Errors
    /// [`EnvelopeError::Forged`].
    pub fn open(
        &self,
        domain: &'static str,
        room: &RoomPk,
    ) -> Result<(&PeerId, &[u8]), EnvelopeError> {
        let message = message(domain, room, &self.signer, &self.payload);
        if key::is_signed_by(&self.signer.0, &message, &self.signature) {
            Ok((&self.signer, &self.payload))
        } else {
            Err(EnvelopeError::Forged)
        }
    }

    /// The bytes of this envelope.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.payload.len());
        out.push(VERSION);
        out.extend(self.signer.0);
        out.extend(self.signature);
        out.extend(&self.payload);
        out
    }

    /// Reads an envelope. That it can be read proves nothing: see [`Envelope::open`].
    ///
    /// # Errors
    /// [`EnvelopeError::CutShort`], [`EnvelopeError::Newer`] or [`EnvelopeError::TooLong`].
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let [version] = take(&mut bytes).ok_or(EnvelopeError::CutShort)?;
        if version != VERSION {
            return Err(EnvelopeError::Newer);
        }
        let signer = PeerId(take(&mut bytes).ok_or(EnvelopeError::CutShort)?);
        let signature = take(&mut bytes).ok_or(EnvelopeError::CutShort)?;
        if bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(EnvelopeError::TooLong);
        }
        Ok(Self { signer, signature, payload: Bytes::copy_from_slice(bytes) })
    }
}

fn message(domain: &'static str, room: &RoomPk, signer: &PeerId, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(domain.len()).expect("a purpose is a few words of this program");
    let mut message = Vec::with_capacity(DOMAIN.len() + 2 + domain.len() + 64 + payload.len());
    message.extend(DOMAIN);
    message.extend(length.to_be_bytes());
    message.extend(domain.as_bytes());
    message.extend(room.0);
    message.extend(signer.0);
    message.extend(payload);
    message
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({} bytes by {:?})", self.payload.len(), self.signer)
    }
}

impl From<Envelope> for Vec<u8> {
    fn from(envelope: Envelope) -> Self {
        envelope.to_bytes()
    }
}

impl TryFrom<Vec<u8>> for Envelope {
    type Error = EnvelopeError;
    fn try_from(bytes: Vec<u8>) -> Result<Self, EnvelopeError> {
        Self::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests;
