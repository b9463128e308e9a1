//! A ticket says that one peer may do these things in this room until then; the chain before it
//! says why. Whoever verifies needs the room's name, the peer that TLS proved, and the time.
//!
//! A chain has at most [`CHAIN_SIGNATURES_MAX`] signatures: the certificate of an invite, the
//! certificate of an invite made from it, the ticket. Each lies within the one before, else the
//! whole chain is refused; nothing is ever cut down to what would have been allowed.
//!
//! Nothing here asks whether a serial was revoked: that is the room state's.

use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};

use super::certificate::{Certificate, Scope, VERSION, flags_at};
use super::id::{PeerId, RoomPk};
use super::key;
use super::terms::{between, spoken};
use crate::limits::{CHAIN_SIGNATURES_MAX, CLOCK_SKEW_MAX};
use crate::time::Wall;

mod bytes;

pub use super::terms::{Expiry, Roles, Serial, UnknownRole};
pub use bytes::CHAIN_BYTES_MAX;

const DOMAIN: &[u8] = b"roommate/ticket/1";

/// Certificates that may stand before a ticket.
const CERTIFICATES_MAX: usize = CHAIN_SIGNATURES_MAX - 1;

/// Why a ticket chain admits nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// The bytes end inside the chain.
    #[error("the ticket is cut short")]
    CutShort,
    /// Bytes follow the chain, or something in it has a second spelling.
    #[error("the ticket is damaged")]
    Malformed,
    /// A version, flag or role that this program does not know.
    #[error("the ticket is from a newer version of Roommate: upgrade this one")]
    Newer,
    /// More certificates than a chain may have.
    #[error("the ticket was passed on through more links than is allowed")]
    TooLong,
    /// It is for another room.
    #[error("the ticket is for another room")]
    OtherRoom,
    /// It is for somebody else: a copied ticket is useless.
    #[error("the ticket belongs to somebody else")]
    OtherPeer,
    /// A signature is not by the key that it must be by.
    #[error("the ticket is forged or altered: a signature is wrong")]
    Forged,
    /// A ticket or certificate grants more, or for longer, than the one it comes from.
    #[error("the ticket claims more than the link it came by allows")]
    Widened,
    /// The link was made from one that does not allow it.
    #[error("the ticket came by a link that was made without the right to invite")]
    MayNotInvite,
    /// A moderator's certificate is by the room key alone.
    #[error("the ticket makes a moderator, which only the room's owner can do")]
    MayNotModerate,
    /// It is over.
    #[error("the ticket ended {} ago: ask for a new link (if that cannot be, a clock is wrong)", spoken(.ago))]
    Expired {
        /// How long ago.
        ago: Duration,
    },
    /// It has not begun.
    #[error("the ticket begins only in {}: the clock here or there is wrong", spoken(.ahead))]
    NotYet {
        /// In how long.
        ahead: Duration,
    },
}

/// What a verified chain grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What the peer may do.
    pub roles: Roles,
    /// Since when, as its issuer's clock said.
    pub not_before: Wall,
    /// Until when; `None`: no end.
    pub expires: Option<Wall>,
    /// The X25519 key that keys are sealed to.
    pub x25519: [u8; 32],
    /// The serials of all certificates and, last, the ticket: revoking any of them ends this.
    pub serials: Vec<Serial>,
}

impl Grant {
    /// Whether it is over at `now`, even for a clock that is [`CLOCK_SKEW_MAX`] fast. Expiry ends
    /// what already runs, too.
    pub fn is_over(&self, now: Wall) -> bool {
        Expiry::from(self.expires).over_since(now).is_some()
    }
}

/// What a ticket says, beside its room and its issuer, which its place in the chain tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) subject: PeerId,
    pub(super) x25519: [u8; 32],
    pub(super) roles: Roles,
    /// Seconds since the Unix epoch.
    pub(super) not_before: u32,
    pub(super) expires: Expiry,
    pub(super) serial: Serial,
    pub(super) signature: [u8; 64],
}

impl Ticket {
    fn message(&self, room: &RoomPk, issuer: &[u8; 32]) -> Vec<u8> {
        let mut message = Vec::with_capacity(DOMAIN.len() + 2 + 4 * 32 + 16);
        message.extend(DOMAIN);
        message.push(VERSION);
        message.extend(room.0);
        message.extend(self.subject.0);
        message.extend(self.x25519);
        message.push(self.roles.bits());
        message.extend(self.not_before.to_be_bytes());
        message.extend(self.expires.to_bytes());
        message.extend(self.serial.0);
        message.extend(issuer);
        message
    }

    /// This ticket, signed by `issuer`.
    pub(super) fn signed(mut self, room: &RoomPk, issuer: &SigningKey) -> Self {
        let message = self.message(room, &issuer.verifying_key().to_bytes());
        self.signature = issuer.sign(&message).to_bytes();
        self
    }
}

/// A ticket with the certificates that it comes from. Not yet verified, whoever sent it.
///
/// As a serde value it is its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct TicketChain {
    pub(super) room: RoomPk,
    /// Zero, and neither sent nor signed, where there is no certificate.
    pub(super) secret_hash: [u8; 32],
    pub(super) certificates: Vec<Certificate>,
    pub(super) ticket: Ticket,
}

impl TicketChain {
    /// The ticket of the room's creator: every role, no end, issued by the room key itself.
    pub fn for_creator(
        room_key: &SigningKey,
        subject: PeerId,
        x25519: [u8; 32],
        now: Wall,
        seed: &[u8; 32],
    ) -> Self {
        let room = RoomPk(room_key.verifying_key().to_bytes());
        let ticket = Ticket {
            subject,
            x25519,
            roles: Roles::ALL,
            not_before: seconds(now),
            expires: Expiry::NEVER,
            serial: Serial::from_seed(seed),
            signature: [0; 64],
        };
        let ticket = ticket.signed(&room, room_key);
        Self { room, secret_hash: [0; 32], certificates: Vec::new(), ticket }
    }

    /// Checks that this chain admits `subject` (whom TLS or noise proved) to `room` at `now`.
    ///
    /// # Errors
    /// The first [`TicketError`] found; what the peer may do by the rest of the chain is no answer.
    pub fn verify(&self, room: &RoomPk, subject: &PeerId, now: Wall) -> Result<Grant, TicketError> {
        if self.room != *room {
            return Err(TicketError::OtherRoom);
        }
        if self.ticket.subject != *subject {
            return Err(TicketError::OtherPeer);
        }
        let issuer = self.verify_certificates()?;
        let message = self.ticket.message(room, &issuer);
        if !key::is_signed_by(&issuer, &message, &self.ticket.signature) {
            return Err(TicketError::Forged);
        }
        self.verify_time(now)?;
        Ok(Grant {
            roles: self.ticket.roles,
            not_before: Wall::from_secs(self.ticket.not_before.into()),
            expires: self.ticket.expires.wall(),
            x25519: self.ticket.x25519,
            serials: self.serials(),
        })
    }

    /// Whom the ticket claims to be for. Proves nothing.
    pub fn claimed_subject(&self) -> PeerId {
        self.ticket.subject
    }

    fn serials(&self) -> Vec<Serial> {
        let certificates = self.certificates.iter().map(|certificate| certificate.serial);
        certificates.chain([self.ticket.serial]).collect()
    }

    /// Checks the certificates and that the ticket lies within them; gives the ticket's issuer.
    fn verify_certificates(&self) -> Result<[u8; 32], TicketError> {
        if self.certificates.len() > CERTIFICATES_MAX {
            return Err(TicketError::TooLong);
        }
        let scope = Scope { room: self.room, secret_hash: self.secret_hash };
        let (mut issuer, mut roles, mut expires) = (self.room.0, Roles::ALL, Expiry::NEVER);
        for (place, certificate) in self.certificates.iter().enumerate() {
            if place > 0 {
                may_narrow(roles, certificate.roles)?;
            }
            if !certificate.roles.is_within(roles) || !certificate.expires.is_within(expires) {
                return Err(TicketError::Widened);
            }
            if !certificate.is_issued_by(&issuer, &scope, flags_at(place)) {
                return Err(TicketError::Forged);
            }
            (issuer, roles, expires) = (certificate.holder, certificate.roles, certificate.expires);
        }
        if !self.ticket.roles.is_within(roles) || !self.ticket.expires.is_within(expires) {
            return Err(TicketError::Widened);
        }
        Ok(issuer)
    }

    /// The ticket's own times are enough: nothing before it ends earlier.
    fn verify_time(&self, now: Wall) -> Result<(), TicketError> {
        let begins = Wall::from_secs(self.ticket.not_before.into());
        if now + CLOCK_SKEW_MAX < begins {
            return Err(TicketError::NotYet { ahead: between(now, begins) });
        }
        match self.ticket.expires.over_since(now) {
            Some(ago) => Err(TicketError::Expired { ago }),
            None => Ok(()),
        }
    }
}

/// Whether an invite with the roles `parent` may make one with the roles `child`, widening apart.
pub(super) fn may_narrow(parent: Roles, child: Roles) -> Result<(), TicketError> {
    if !parent.contains(Roles::INVITE) {
        return Err(TicketError::MayNotInvite);
    }
    if child.contains(Roles::MODERATE) {
        return Err(TicketError::MayNotModerate);
    }
    Ok(())
}

/// Whole seconds since the Unix epoch, cut to what 32 bits can say.
pub(super) fn seconds(time: Wall) -> u32 {
    time.as_secs().clamp(0, u32::MAX.into()) as u32
}

#[cfg(test)]
mod tests;
