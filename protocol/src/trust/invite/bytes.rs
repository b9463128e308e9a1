//! The layout of an invite and its text: fixed, big-endian, one spelling; see `docs/wire.md`.
//!
//! | bytes | field |
//! |---|---|
//! | 1, 1 | version, flags (bit 0: narrowed) |
//! | 4 | secret epoch |
//! | 32 | RoomPk |
//! | 16 | secret |
//! | 16 | invite seed |
//! | 109 | only narrowed: the parent's public key 32, then its certificate |
//! | 77 | certificate: roles, expiry 4, serial 8, signature 64 |
//! | 1 | number of addresses, at most 4 |
//! | … | addresses |
//! | 4 | checksum: the first bytes of SHA-256 over everything before |
//!
//! Every version ends with this checksum, so that an older program can tell a newer link from a
//! mistyped one. An IPv4 bootstrap with its key makes 264 characters; narrowed there is room for
//! one address, an IPv6 address with its key at most.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use super::{Invite, InviteError, InviteSeed};
use crate::address::{Address, AddressError};
use crate::limits::{INVITE_ADDRESSES_MAX, INVITE_CHARS_MAX, NARROWED_INVITE_CHARS_MAX};
use crate::trust::certificate::{Certificate, NARROWED, VERSION};
use crate::trust::id::RoomPk;
use crate::trust::key::take;
use crate::trust::secret::RoomSecret;

/// What every link begins with.
pub const PREFIX: &str = "roommate:";

/// Bytes of the checksum: four let one slip of the finger in four thousand million through, and
/// the signatures refuse that one.
const CHECKSUM_BYTES: usize = 4;

/// The most characters of a link.
pub(super) const fn chars_max(narrowed: bool) -> usize {
    if narrowed { NARROWED_INVITE_CHARS_MAX } else { INVITE_CHARS_MAX }
}

/// The characters of a link of this many bytes.
pub(super) fn chars(bytes: usize) -> usize {
    PREFIX.len() + BASE64URL_NOPAD.encode_len(bytes)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&Sha256::digest(bytes)[..CHECKSUM_BYTES]);
    sum
}

impl Invite {
    /// Reads a link and checks all its signatures. It has one spelling: white space around it is
    /// the caller's to cut off.
    ///
    /// # Errors
    /// Any [`InviteError`] but those of making and of time; see [`Invite::check`].
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InviteError::NotALink)?;
        if text.len() > NARROWED_INVITE_CHARS_MAX {
            return Err(InviteError::TooLong);
        }
        let bytes = decode_text(encoded)?;
        let Some((body, sum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
            return Err(InviteError::CutShort);
        };
        if checksum(body) != *sum {
            // Only to say it well: does the layout want more bytes than there are?
            return Err(match decode_body(body) {
                Err(InviteError::CutShort) => InviteError::CutShort,
                _ => InviteError::Mistyped,
            });
        }
        let invite = decode_body(body)?;
        if text.len() > chars_max(invite.parent.is_some()) {
            return Err(InviteError::TooLong);
        }
        invite.check_signatures()?;
        Ok(invite)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let flags = if self.parent.is_some() { NARROWED } else { 0 };
        let mut out = vec![VERSION, flags];
        out.extend(self.secret.epoch.to_be_bytes());
        out.extend(self.room.0);
        out.extend(self.secret.bytes);
        out.extend(self.seed.0);
        if let Some(parent) = &self.parent {
            out.extend(parent.holder);
            parent.encode_grant(&mut out);
        }
        self.own.encode_grant(&mut out);
        out.push(self.addresses.len() as u8);
        for address in &self.addresses {
            address.encode(&mut out);
        }
        let sum = checksum(&out);
        out.extend(sum);
        out
    }
}

fn decode_text(encoded: &str) -> Result<Vec<u8>, InviteError> {
    use data_encoding::DecodeKind::{Length, Trailing};
    BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|error| match error.kind {
        Length => cut_or_else(encoded, "", InviteError::Character),
        Trailing => cut_or_else(encoded, "A", InviteError::Character),
        _ => InviteError::Character,
    })
}

/// What to say of text whose last character cannot be the last: read with `last` in its place,
/// does the layout want more bytes than there are?
fn cut_or_else(encoded: &str, last: &str, otherwise: InviteError) -> InviteError {
    let kept = encoded.get(..encoded.len() - 1).unwrap_or_default();
    let Ok(bytes) = BASE64URL_NOPAD.decode([kept, last].concat().as_bytes()) else {
        return otherwise;
    };
    match decode_body(&bytes[..bytes.len().saturating_sub(CHECKSUM_BYTES)]) {
        Err(InviteError::CutShort) => InviteError::CutShort,
        _ => otherwise,
    }
}

fn next<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], InviteError> {
    take(bytes).ok_or(InviteError::CutShort)
}

/// Reads everything before the checksum, which must be all of `bytes`. Checks no signature.
fn decode_body(mut bytes: &[u8]) -> Result<Invite, InviteError> {
    let bytes = &mut bytes;
    let [version, flags] = next(bytes)?;
    if version != VERSION || flags & !NARROWED != 0 {
        return Err(InviteError::Newer);
    }
    let epoch = u32::from_be_bytes(next(bytes)?);
    let room = RoomPk(next(bytes)?);
    let secret = RoomSecret { bytes: next(bytes)?, epoch };
    let seed = InviteSeed(next(bytes)?);
    let parent = if flags & NARROWED != 0 {
        let holder = next(bytes)?;
        Some(Certificate::decode_grant(bytes, holder)?)
    } else {
        None
    };
    let own = Certificate::decode_grant(bytes, seed.public_key())?;
    let addresses = decode_addresses(bytes)?;
    if !bytes.is_empty() {
        return Err(InviteError::Malformed);
    }
    Ok(Invite { room, secret, seed, parent, own, addresses })
}

fn decode_addresses(bytes: &mut &[u8]) -> Result<Vec<Address>, InviteError> {
    let [count] = next(bytes)?;
    if usize::from(count) > INVITE_ADDRESSES_MAX {
        return Err(InviteError::Malformed);
    }
    let mut addresses = Vec::with_capacity(count.into());
    for _ in 0..count {
        addresses.push(Address::decode(bytes).map_err(|error| match error {
            AddressError::CutShort => InviteError::CutShort,
            other => InviteError::Address(other),
        })?);
    }
    Ok(addresses)
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        f.write_str(&BASE64URL_NOPAD.encode(&self.to_bytes()))
    }
}

impl FromStr for Invite {
    type Err = InviteError;
    fn from_str(text: &str) -> Result<Self, InviteError> {
        Self::parse(text)
    }
}
