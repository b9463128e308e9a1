//! The layout of a ticket chain: fixed, big-endian, one spelling; see `docs/wire.md`.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | version of the chain |
//! | 1 | number of certificates, at most 2 |
//! | 32 | RoomPk |
//! | 32 | H(secret ‖ secret epoch), only where there is a certificate |
//! | 111 each | certificate: version, flags, holder 32, roles, expiry 4, serial 8, signature 64 |
//! | 146 | ticket: version, subject 32, X25519 32, roles, not-before 4, expiry 4, serial 8, signature 64 |
//!
//! The issuer key of the ticket is signed but not sent: it is the last certificate's holder, or
//! else the room key.

use super::{CERTIFICATES_MAX, Ticket, TicketChain, TicketError};
use crate::trust::certificate::{Certificate, NARROWED, VERSION, flags_at};
use crate::trust::id::{PeerId, RoomPk};
use crate::trust::key::take;
use crate::trust::terms::{Expiry, Roles, Serial};

const CERTIFICATE_BYTES: usize = 2 + 32 + 1 + 4 + 8 + 64;
const TICKET_BYTES: usize = 1 + 32 + 32 + 1 + 4 + 4 + 8 + 64;

/// The longest chain. It stands in every hello and announcement.
pub const CHAIN_BYTES_MAX: usize =
    2 + 32 + 32 + CERTIFICATES_MAX * CERTIFICATE_BYTES + TICKET_BYTES;

impl TicketChain {
    /// The bytes of this chain, at most [`CHAIN_BYTES_MAX`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CHAIN_BYTES_MAX);
        out.extend([VERSION, self.certificates.len() as u8]);
        out.extend(self.room.0);
        if !self.certificates.is_empty() {
            out.extend(self.secret_hash);
        }
        for (place, certificate) in self.certificates.iter().enumerate() {
            out.extend([VERSION, flags_at(place)]);
            out.extend(certificate.holder);
            certificate.encode_grant(&mut out);
        }
        self.ticket.encode(&mut out);
        out
    }

    /// Reads a chain. That it can be read proves nothing: see [`TicketChain::verify`].
    ///
    /// # Errors
    /// [`TicketError::CutShort`], [`TicketError::Malformed`], [`TicketError::Newer`] or
    /// [`TicketError::TooLong`].
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, TicketError> {
        let bytes = &mut bytes;
        let [version, count] = next(bytes)?;
        if version != VERSION {
            return Err(TicketError::Newer);
        }
        let count = usize::from(count);
        if count > CERTIFICATES_MAX {
            return Err(TicketError::TooLong);
        }
        let room = RoomPk(next(bytes)?);
        let secret_hash = if count > 0 { next(bytes)? } else { [0; 32] };
        let mut certificates = Vec::with_capacity(count);
        for place in 0..count {
            certificates.push(next_certificate(bytes, flags_at(place))?);
        }
        let ticket = Ticket::decode(bytes)?;
        if !bytes.is_empty() {
            return Err(TicketError::Malformed);
        }
        Ok(Self { room, secret_hash, certificates, ticket })
    }
}

impl From<TicketChain> for Vec<u8> {
    fn from(chain: TicketChain) -> Self {
        chain.to_bytes()
    }
}

impl TryFrom<Vec<u8>> for TicketChain {
    type Error = TicketError;
    fn try_from(bytes: Vec<u8>) -> Result<Self, TicketError> {
        Self::from_bytes(&bytes)
    }
}

fn next<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], TicketError> {
    take(bytes).ok_or(TicketError::CutShort)
}

fn next_roles(bytes: &mut &[u8]) -> Result<Roles, TicketError> {
    let [bits] = next(bytes)?;
    Roles::from_bits(bits).ok_or(TicketError::Newer)
}

fn next_certificate(bytes: &mut &[u8], expected: u8) -> Result<Certificate, TicketError> {
    let [version, flags] = next(bytes)?;
    if version != VERSION || flags & !NARROWED != 0 {
        return Err(TicketError::Newer);
    }
    if flags != expected {
        return Err(TicketError::Malformed);
    }
    let holder = next(bytes)?;
    Certificate::decode_grant(bytes, holder)
}

impl Certificate {
    /// Appends roles, expiry, serial and signature.
    pub(in crate::trust) fn encode_grant(&self, out: &mut Vec<u8>) {
        out.push(self.roles.bits());
        out.extend(self.expires.to_bytes());
        out.extend(self.serial.0);
        out.extend(self.signature);
    }

    /// Reads what [`Self::encode_grant`] wrote.
    pub(in crate::trust) fn decode_grant(
        bytes: &mut &[u8],
        holder: [u8; 32],
    ) -> Result<Self, TicketError> {
        Ok(Self {
            holder,
            roles: next_roles(bytes)?,
            expires: Expiry::from_bytes(next(bytes)?),
            serial: Serial(next(bytes)?),
            signature: next(bytes)?,
        })
    }
}

impl Ticket {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend(self.subject.0);
        out.extend(self.x25519);
        out.push(self.roles.bits());
        out.extend(self.not_before.to_be_bytes());
        out.extend(self.expires.to_bytes());
        out.extend(self.serial.0);
        out.extend(self.signature);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, TicketError> {
        let [version] = next(bytes)?;
        if version != VERSION {
            return Err(TicketError::Newer);
        }
        Ok(Self {
            subject: PeerId(next(bytes)?),
            x25519: next(bytes)?,
            roles: next_roles(bytes)?,
            not_before: u32::from_be_bytes(next(bytes)?),
            expires: Expiry::from_bytes(next(bytes)?),
            serial: Serial(next(bytes)?),
            signature: next(bytes)?,
        })
    }
}
