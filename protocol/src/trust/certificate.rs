//! A certificate lets the holder of one key issue tickets of a room: the room key gives one to the
//! key of every invite, and an invite with the role `invite` gives one to a narrower invite.
//!
//! Signed: domain ‖ version ‖ flags ‖ RoomPk ‖ holder ‖ H(secret ‖ secret epoch) ‖ roles ‖ expiry ‖
//! limits ‖ serial. Limits are a field of zero length in version 1. Nothing here knows the time.

use ed25519_dalek::{Signer, SigningKey};

use super::id::RoomPk;
use super::key;
use super::terms::{Expiry, Roles, Serial};

/// The version that this program writes, and the only one that it reads.
pub(super) const VERSION: u8 = 1;

/// The flag of an invite that was made from another, and of the certificate that made it.
pub(super) const NARROWED: u8 = 1;

const DOMAIN: &[u8] = b"roommate/certificate/1";

/// What a link will grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateTerms {
    /// What everybody who comes by this link may do.
    pub roles: Roles,
    /// When the link, and everybody who came by it, ends.
    pub expires: Expiry,
}

/// What all certificates of a chain have in common, and each signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) room: RoomPk,
    pub(super) secret_hash: [u8; 32],
}

/// One certificate. Its version is [`VERSION`]; whether it is the narrowed one is told by its
/// place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) holder: [u8; 32],
    pub(super) roles: Roles,
    pub(super) expires: Expiry,
    pub(super) serial: Serial,
    pub(super) signature: [u8; 64],
}

impl Certificate {
    /// Signs a certificate for the key `holder`.
    pub(super) fn issue(
        issuer: &SigningKey,
        scope: &Scope,
        flags: u8,
        (holder, serial): ([u8; 32], Serial),
        terms: CertificateTerms,
    ) -> Self {
        let CertificateTerms { roles, expires } = terms;
        let mut certificate = Self { holder, roles, expires, serial, signature: [0; 64] };
        certificate.signature = issuer.sign(&certificate.message(scope, flags)).to_bytes();
        certificate
    }

    /// Whether the key `issuer` signed this certificate.
    pub(super) fn is_issued_by(&self, issuer: &[u8; 32], scope: &Scope, flags: u8) -> bool {
        key::is_signed_by(issuer, &self.message(scope, flags), &self.signature)
    }

    fn message(&self, scope: &Scope, flags: u8) -> Vec<u8> {
        let mut message = Vec::with_capacity(DOMAIN.len() + 2 + 3 * 32 + 13);
        message.extend(DOMAIN);
        message.extend([VERSION, flags]);
        message.extend(scope.room.0);
        message.extend(self.holder);
        message.extend(scope.secret_hash);
        message.push(self.roles.bits());
        message.extend(self.expires.to_bytes());
        message.extend(self.serial.0);
        message
    }
}

/// The flags that the certificate at `place` of a chain is signed with.
pub(super) const fn flags_at(place: usize) -> u8 {
    if place == 0 { 0 } else { NARROWED }
}
