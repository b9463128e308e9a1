//! What is said once, signed, and passed on by everybody: the payloads of envelopes.
//!
//! Fixed big-endian layouts, since what is signed is never bincode. Bytes that a newer version
//! appends are skipped. Reading proves nothing but the form: the envelope says who, and the ticket
//! chain inside says what they may.

use sha2::{Digest, Sha256};

use super::catalog::Catalog;
use super::fields::{Fields, cut, put_text};
use crate::address::Address;
use crate::limits::NAME_BYTES_MAX;
use crate::time::Wall;
use crate::trust::id::{BroadcastId, Incarnation, PeerId};
use crate::trust::ticket::CHAIN_BYTES_MAX;

/// Neighbours that an entry names: everybody else, in the largest full mesh.
pub const NEIGHBOURS_MAX: usize = 16;
/// Addresses that an entry names: IPv4 and IPv6, at home and outside, over QUIC and TCP.
pub const ENTRY_ADDRESSES_MAX: usize = 8;

/// One start of one member, in eight bytes: enough to tell those of one room apart. It names the
/// start and not the key alone, so that nobody takes a neighbour who came again for the one who held
/// the stream.
///
/// Bytes: the first eight of SHA-256(`"neighbour/1"` ‖ PeerId 32 ‖ incarnation 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortId(pub [u8; 8]);

impl ShortId {
    /// The short name of this start of `peer`.
    pub fn of(peer: &PeerId, incarnation: Incarnation) -> Self {
        let mut start = Vec::with_capacity(16);
        put_incarnation(incarnation, &mut start);
        let hash = Sha256::new().chain_update(b"neighbour/1").chain_update(peer.0);
        let hash: [u8; 32] = hash.chain_update(start).finalize().into();
        let mut short = [0; 8];
        short.copy_from_slice(&hash[..8]);
        Self(short)
    }
}

/// A payload with its purpose.
pub trait Payload: Sized {
    /// The purpose that the signature names.
    const PURPOSE: &'static str;
    /// Its bytes.
    fn encode(&self) -> Vec<u8>;
    /// Reads it; `None` if it does not have its form.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// A member says that it is here.
///
/// Bytes: incarnation 16, version u32, wall time i64, chain (u16 length), name (u8 length), a count
/// and addresses, a count and neighbours of 8 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterEntry {
    /// Which start of the member.
    pub incarnation: Incarnation,
    /// Counts the entries of this incarnation.
    pub version: u32,
    /// When it was signed, by the member's clock.
    pub wall: Wall,
    /// Its ticket chain.
    pub chain: Vec<u8>,
    /// The name to show.
    pub name: String,
    /// Where it may be reached; at most [`ENTRY_ADDRESSES_MAX`].
    pub addresses: Vec<Address>,
    /// Members to which it holds a control stream; at most [`NEIGHBOURS_MAX`].
    pub neighbours: Vec<ShortId>,
}

/// A member no longer reaches another.
///
/// Bytes: subject 32, incarnation 16, version u32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostNote {
    /// Whom.
    pub subject: PeerId,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// The newest entry of it that the signer knew: any later one refutes this.
    pub version: u32,
}

/// A member leaves.
///
/// Bytes: incarnation 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Which start of it.
    pub incarnation: Incarnation,
}

/// A member broadcasts.
///
/// Bytes: incarnation 16, broadcast 16, revision u32, chain (u16 length), catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Which start of the publisher.
    pub incarnation: Incarnation,
    /// Which broadcast.
    pub broadcast: BroadcastId,
    /// Counts the catalogs of this broadcast; the highest counts.
    pub revision: u32,
    /// The publisher's ticket chain: whoever is fed by others sees for himself that it may publish.
    pub chain: Vec<u8>,
    /// What it offers.
    pub catalog: Catalog,
}

/// A broadcast is over.
///
/// Bytes: incarnation 16, broadcast 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retraction {
    /// Which start of the publisher.
    pub incarnation: Incarnation,
    /// Which broadcast.
    pub broadcast: BroadcastId,
}

impl Payload for RosterEntry {
    const PURPOSE: &'static str = "roster/1";

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_incarnation(self.incarnation, &mut out);
        out.extend(self.version.to_be_bytes());
        out.extend(self.wall.as_micros().to_be_bytes());
        put_chain(&self.chain, &mut out);
        put_text(cut(&self.name, NAME_BYTES_MAX), &mut out);
        let addresses = &self.addresses[..self.addresses.len().min(ENTRY_ADDRESSES_MAX)];
        out.push(addresses.len() as u8);
        for address in addresses {
            address.encode(&mut out);
        }
        let neighbours = &self.neighbours[..self.neighbours.len().min(NEIGHBOURS_MAX)];
        out.push(neighbours.len() as u8);
        out.extend(neighbours.iter().flat_map(|short| short.0));
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let incarnation = incarnation(&mut fields)?;
        let version = fields.u32()?;
        let wall = Wall::from_micros(fields.i64()?);
        let chain = chain(&mut fields)?;
        let name = fields.text(NAME_BYTES_MAX)?;
        let count = usize::from(fields.u8()?);
        if count > ENTRY_ADDRESSES_MAX {
            return None;
        }
        let mut addresses = Vec::new();
        for _ in 0..count {
            addresses.push(Address::decode(&mut fields.0).ok()?);
        }
        let count = usize::from(fields.u8()?);
        if count > NEIGHBOURS_MAX {
            return None;
        }
        let neighbours =
            (0..count).map(|_| fields.array().map(ShortId)).collect::<Option<Vec<_>>>()?;
        Some(Self { incarnation, version, wall, chain, name, addresses, neighbours })
    }
}

impl Payload for LostNote {
    const PURPOSE: &'static str = "lost/1";

    fn encode(&self) -> Vec<u8> {
        let mut out = self.subject.0.to_vec();
        put_incarnation(self.incarnation, &mut out);
        out.extend(self.version.to_be_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            subject: PeerId(fields.array()?),
            incarnation: incarnation(&mut fields)?,
            version: fields.u32()?,
        })
    }
}

impl Payload for Leave {
    const PURPOSE: &'static str = "leave/1";

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_incarnation(self.incarnation, &mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self { incarnation: incarnation(&mut Fields(bytes))? })
    }
}

impl Payload for Announcement {
    const PURPOSE: &'static str = "announce/1";

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_incarnation(self.incarnation, &mut out);
        out.extend(self.broadcast.0);
        out.extend(self.revision.to_be_bytes());
        put_chain(&self.chain, &mut out);
        self.catalog.encode(&mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            incarnation: incarnation(&mut fields)?,
            broadcast: BroadcastId(fields.array()?),
            revision: fields.u32()?,
            chain: chain(&mut fields)?,
            catalog: Catalog::decode(&mut fields)?,
        })
    }
}

impl Payload for Retraction {
    const PURPOSE: &'static str = "retract/1";

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_incarnation(self.incarnation, &mut out);
        out.extend(self.broadcast.0);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            incarnation: incarnation(&mut fields)?,
            broadcast: BroadcastId(fields.array()?),
        })
    }
}

fn put_incarnation(incarnation: Incarnation, out: &mut Vec<u8>) {
    out.extend(incarnation.counter.to_be_bytes());
    out.extend(incarnation.nonce.to_be_bytes());
}

fn incarnation(fields: &mut Fields<'_>) -> Option<Incarnation> {
    Some(Incarnation { counter: fields.u64()?, nonce: fields.u64()? })
}

fn put_chain(chain: &[u8], out: &mut Vec<u8>) {
    out.extend((chain.len() as u16).to_be_bytes());
    out.extend(chain);
}

fn chain(fields: &mut Fields<'_>) -> Option<Vec<u8>> {
    let length = usize::from(fields.u16()?);
    let chain = fields.bytes(length)?;
    (length <= CHAIN_BYTES_MAX).then(|| chain.to_vec())
}

#[cfg(test)]
mod tests;
