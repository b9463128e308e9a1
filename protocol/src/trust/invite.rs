//! An invite (people say *link*) lets somebody find a room and mint a ticket of their own, offline.
//!
//! It is text: `roommate:` and base64url of a fixed layout (see [`bytes`]). It has one spelling:
//! any altered character is refused before a packet leaves, by its checksum where somebody mistyped
//! and by its signatures where somebody meant it. Only the addresses are unsigned: they are hints,
//! and whoever answers there must prove themselves.
//!
//! `Display` writes the whole link, secret included; `Debug` shows no secret.

use std::fmt;

use ed25519_dalek::SigningKey;

use super::certificate::{Certificate, NARROWED, Scope, flags_at};
use super::id::{PeerId, RoomPk};
use super::key;
use super::secret::RoomSecret;
use super::terms::{Roles, Serial};
use super::ticket::{Ticket, TicketChain, may_narrow, seconds};
use crate::address::{Address, AddressError, Host, dns_name_is_sound};
use crate::limits::INVITE_ADDRESSES_MAX;
use crate::time::Wall;

pub mod bytes;
mod error;

pub use super::certificate::CertificateTerms;
pub use bytes::PREFIX;
pub use error::InviteError;

/// No clock is right that says an earlier time: this program did not exist (1 January 2025).
pub const CLOCK_EARLIEST: Wall = Wall::from_secs(1_735_689_600);

/// 16 random bytes that the invite's own signing key is stretched from.
#[derive(Clone, Copy, PartialEq, Eq)]
struct InviteSeed([u8; 16]);

impl InviteSeed {
    fn from_seed(seed: &[u8; 32]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&key::derive(seed, &[b"invite-seed/1"])[..16]);
        Self(bytes)
    }

    fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&key::derive(&self.0, &[b"invite/1"]))
    }

    fn public_key(&self) -> [u8; 32] {
        self.signing_key().verifying_key().to_bytes()
    }
}

/// A link: always one whose signatures were checked, whether made here or read.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    room: RoomPk,
    secret: RoomSecret,
    seed: InviteSeed,
    /// The certificate by the room key, where this invite was made from another.
    parent: Option<Certificate>,
    /// The certificate of this invite's own key.
    own: Certificate,
    addresses: Vec<Address>,
}

impl Invite {
    /// Makes the link of a room, by whoever holds the room key. `seed` is random and used once.
    ///
    /// # Errors
    /// [`InviteError::TooManyAddresses`] or [`InviteError::Address`].
    pub fn create(
        room_key: &SigningKey,
        secret: &RoomSecret,
        terms: CertificateTerms,
        addresses: Vec<Address>,
        seed: &[u8; 32],
    ) -> Result<Self, InviteError> {
        let room = RoomPk(room_key.verifying_key().to_bytes());
        let scope = Scope { room, secret_hash: secret.hash() };
        let own_seed = InviteSeed::from_seed(seed);
        let holder = (own_seed.public_key(), Serial::from_seed(seed));
        let own = Certificate::issue(room_key, &scope, flags_at(0), holder, terms);
        let invite = Self {
            room,
            secret: *secret,
            seed: own_seed,
            parent: None,
            own,
            addresses: Vec::new(),
        };
        invite.with_addresses(addresses)
    }

    /// Makes a narrower link from this one, without the room key. It keeps, in their order, those
    /// addresses that fit its bound.
    ///
    /// # Errors
    /// [`InviteError::MayNotInvite`], [`InviteError::MayNotModerate`], [`InviteError::Widened`],
    /// [`InviteError::TooDeep`], or [`InviteError::TooManyAddresses`] where none fits.
    pub fn narrow(&self, terms: CertificateTerms, seed: &[u8; 32]) -> Result<Self, InviteError> {
        if self.parent.is_some() {
            return Err(InviteError::TooDeep);
        }
        may_narrow(self.own.roles, terms.roles)?;
        if !terms.roles.is_within(self.own.roles) || !terms.expires.is_within(self.own.expires) {
            return Err(InviteError::Widened);
        }
        let own_seed = InviteSeed::from_seed(seed);
        let holder = (own_seed.public_key(), Serial::from_seed(seed));
        let issuer = self.seed.signing_key();
        let own = Certificate::issue(&issuer, &self.scope(), NARROWED, holder, terms);
        let parent = Some(self.own.clone());
        let narrowed = Self { seed: own_seed, parent, own, addresses: Vec::new(), ..self.clone() };
        let narrowed = narrowed.with_addresses_that_fit(&self.addresses)?;
        if narrowed.addresses.is_empty() && !self.addresses.is_empty() {
            return Err(InviteError::TooManyAddresses);
        }
        Ok(narrowed)
    }

    /// This link with these addresses in place of its own.
    ///
    /// # Errors
    /// [`InviteError::TooManyAddresses`] or [`InviteError::Address`].
    pub fn with_addresses(mut self, addresses: Vec<Address>) -> Result<Self, InviteError> {
        for address in &addresses {
            check_address(address)?;
        }
        self.addresses = addresses;
        if self.fits() { Ok(self) } else { Err(InviteError::TooManyAddresses) }
    }

    /// This link with, in their order, those of these addresses that fit its bound.
    ///
    /// # Errors
    /// [`InviteError::Address`].
    pub fn with_addresses_that_fit(mut self, addresses: &[Address]) -> Result<Self, InviteError> {
        self.addresses.clear();
        for address in addresses {
            check_address(address)?;
            self.addresses.push(address.clone());
            if !self.fits() {
                self.addresses.pop();
            }
        }
        Ok(self)
    }

    /// The room.
    pub fn room(&self) -> RoomPk {
        self.room
    }

    /// The room secret.
    pub fn secret(&self) -> &RoomSecret {
        &self.secret
    }

    /// What everybody who comes by this link may do.
    pub fn roles(&self) -> Roles {
        self.own.roles
    }

    /// When this link, and everybody who came by it, ends; `None`: never.
    pub fn expires(&self) -> Option<Wall> {
        self.own.expires.wall()
    }

    /// Where to look first. Hints: nobody vouches for them.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The serials that end this link when they are revoked: its parent's, then its own.
    pub fn serials(&self) -> Vec<Serial> {
        self.parent.iter().chain([&self.own]).map(|certificate| certificate.serial).collect()
    }

    /// Whether this link can be used at `now`.
    ///
    /// # Errors
    /// [`InviteError::Expired`], or [`InviteError::Clock`] where `now` cannot be.
    pub fn check(&self, now: Wall) -> Result<(), InviteError> {
        if now < CLOCK_EARLIEST || now.as_secs() >= u32::MAX.into() {
            return Err(InviteError::Clock);
        }
        match self.own.expires.over_since(now) {
            Some(ago) => Err(InviteError::Expired { ago }),
            None => Ok(()),
        }
    }

    /// Mints the ticket of `subject`, with all that this link grants. `seed` is random and used
    /// once.
    ///
    /// # Errors
    /// As [`Invite::check`].
    pub fn mint(
        &self,
        subject: PeerId,
        x25519: [u8; 32],
        now: Wall,
        seed: &[u8; 32],
    ) -> Result<TicketChain, InviteError> {
        self.check(now)?;
        // In the two minutes that the skew forgives, a ticket must not begin after its own end.
        let begins = self.expires().map_or(now, |end| now.min(end));
        let ticket = Ticket {
            subject,
            x25519,
            roles: self.own.roles,
            not_before: seconds(begins),
            expires: self.own.expires,
            serial: Serial::from_seed(seed),
            signature: [0; 64],
        };
        Ok(TicketChain {
            room: self.room,
            secret_hash: self.secret.hash(),
            certificates: self.parent.iter().chain([&self.own]).cloned().collect(),
            ticket: ticket.signed(&self.room, &self.seed.signing_key()),
        })
    }

    fn scope(&self) -> Scope {
        Scope { room: self.room, secret_hash: self.secret.hash() }
    }

    /// Whether certificates and seed belong together, and all of it to the room.
    fn check_signatures(&self) -> Result<(), InviteError> {
        let scope = self.scope();
        let mut issuer = self.room.0;
        if let Some(parent) = &self.parent {
            may_narrow(parent.roles, self.own.roles)?;
            let roles_are_within = self.own.roles.is_within(parent.roles);
            if !roles_are_within || !self.own.expires.is_within(parent.expires) {
                return Err(InviteError::Widened);
            }
            if !parent.is_issued_by(&issuer, &scope, flags_at(0)) {
                return Err(InviteError::Altered);
            }
            issuer = parent.holder;
        }
        let flags = flags_at(self.parent.iter().count());
        if self.own.is_issued_by(&issuer, &scope, flags) {
            Ok(())
        } else {
            Err(InviteError::Altered)
        }
    }

    fn fits(&self) -> bool {
        self.addresses.len() <= INVITE_ADDRESSES_MAX
            && bytes::chars(self.to_bytes().len()) <= bytes::chars_max(self.parent.is_some())
    }
}

/// Refuses an address that has no bytes, whoever made it.
fn check_address(address: &Address) -> Result<(), InviteError> {
    if address.port == 0 {
        return Err(AddressError::PortZero.into());
    }
    match &address.host {
        Host::Dns(name) if !dns_name_is_sound(name.as_bytes()) => Err(AddressError::DnsName.into()),
        _ => Ok(()),
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite")
            .field("room", &self.room)
            .field("roles", &self.own.roles)
            .field("expires", &self.own.expires)
            .field("narrowed", &self.parent.is_some())
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
