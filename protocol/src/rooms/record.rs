//! A registration: who is in a room and where, readable only with the room's link.
//!
//! ```text
//! record := rid 32 | PeerId 32 | seq u64 BE | expires i64 BE | sealed | signature 64     ≤ 512 bytes
//! sealed := seal(count u8 | addresses)                                  with the key of the rid
//! expires: seconds since the Unix epoch; signature: by sk(rid) over DOMAIN | all before it
//! ```
//!
//! The signature says "somebody who holds the link wrote this", not "this peer": the peer is proved
//! by the connection over which it registers. It decides nothing about dialling.

use crate::address::{Address, Kind};
use crate::time::Wall;
use crate::trust::id::PeerId;
use crate::trust::rid::{self, Rid, RidKey};

/// Longest record: two of them fit a datagram.
pub const RECORD_BYTES_MAX: usize = 512;

/// Addresses in a record: v4, v6 and LAN, each as QUIC and TCP, and two to spare. More would be a
/// list of targets.
pub const RECORD_ADDRESSES_MAX: usize = 8;

const DOMAIN: &[u8] = b"roommate/registration/1";
const HEAD_BYTES: usize = 32 + 32 + 8 + 8;
const SIGNATURE_BYTES: usize = 64;

/// Why bytes are no record, or addresses fit in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Too few or too many bytes.
    #[error("a registration has between {} and {RECORD_BYTES_MAX} bytes", HEAD_BYTES + SIGNATURE_BYTES)]
    Length,
    /// The signature is not by the key of the room id.
    #[error("a registration is not signed by the room that it names")]
    Signature,
    /// The sealed part cannot be opened with this key, or holds no addresses.
    #[error("the addresses in a registration cannot be read")]
    Sealed,
    /// More addresses than a record holds, or too long ones.
    #[error(
        "a registration holds {RECORD_ADDRESSES_MAX} addresses in {RECORD_BYTES_MAX} bytes, no more"
    )]
    TooManyAddresses,
}

/// A record whose signature was not looked at yet: checking it is the dearest step, and comes last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    bytes: Vec<u8>,
}

/// A record whose signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(Claim);

impl Claim {
    /// Reads the layout.
    ///
    /// # Errors
    /// [`RecordError::Length`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, RecordError> {
        if (HEAD_BYTES + SIGNATURE_BYTES..=RECORD_BYTES_MAX).contains(&bytes.len()) {
            Ok(Self { bytes })
        } else {
            Err(RecordError::Length)
        }
    }

    /// The room.
    pub fn rid(&self) -> Rid {
        Rid(self.field(0))
    }

    /// Whom it is about.
    pub fn peer(&self) -> PeerId {
        PeerId(self.field(32))
    }

    /// Rises with every record of this peer.
    pub fn seq(&self) -> u64 {
        u64::from_be_bytes(self.field(64))
    }

    /// After this it means nothing.
    pub fn expires(&self) -> Wall {
        Wall::from_secs(i64::from_be_bytes(self.field(72)))
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The part that only members can read. Equal parts mean equal addresses: a node seals the
    /// same addresses to the same bytes.
    pub fn sealed(&self) -> &[u8] {
        &self.bytes[HEAD_BYTES..self.bytes.len() - SIGNATURE_BYTES]
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`RecordError::Signature`].
    pub fn verify(self) -> Result<Record, RecordError> {
        let (signed, signature) = self.bytes.split_at(self.bytes.len() - SIGNATURE_BYTES);
        let signature = signature.try_into().map_err(|_| RecordError::Length)?;
        rid::verify(&self.rid(), &in_domain(signed), signature)
            .map_err(|_| RecordError::Signature)?;
        Ok(Record(self))
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        // The head is whole: `parse` saw to it.
        self.bytes[at..].first_chunk().copied().unwrap_or([0; N])
    }
}

impl Record {
    /// Makes the record of `peer`.
    ///
    /// A node keeps one `nonce_seed`: then the same addresses are sealed to the same bytes, a renewal
    /// looks like one, and the bootstrap wakes nobody for it.
    ///
    /// # Errors
    /// [`RecordError::TooManyAddresses`].
    pub fn sign(
        key: &RidKey,
        peer: PeerId,
        (seq, expires): (u64, Wall),
        addresses: &[Address],
        nonce_seed: &[u8; 32],
    ) -> Result<Self, RecordError> {
        if addresses.len() > RECORD_ADDRESSES_MAX {
            return Err(RecordError::TooManyAddresses);
        }
        let mut plain = vec![addresses.len() as u8];
        for address in addresses {
            // The record says who answers there: 32 bytes saved an address.
            Address { peer: None, kind: Kind::Member, ..address.clone() }.encode(&mut plain);
        }
        let mut bytes = Vec::with_capacity(RECORD_BYTES_MAX);
        bytes.extend(key.rid().0);
        bytes.extend(peer.0);
        bytes.extend(seq.to_be_bytes());
        bytes.extend(expires.as_secs().to_be_bytes());
        bytes.extend(key.seal(&plain, nonce_seed));
        let signature = key.sign(&in_domain(&bytes));
        bytes.extend(signature);
        Claim::parse(bytes).map(Self).map_err(|_| RecordError::TooManyAddresses)
    }

    /// The addresses, each naming the peer.
    ///
    /// # Errors
    /// [`RecordError::Sealed`].
    pub fn addresses(&self, key: &RidKey) -> Result<Vec<Address>, RecordError> {
        let plain = key.open(self.0.sealed()).map_err(|_| RecordError::Sealed)?;
        let (&count, mut rest) = plain.split_first().ok_or(RecordError::Sealed)?;
        if usize::from(count) > RECORD_ADDRESSES_MAX {
            return Err(RecordError::Sealed);
        }
        let mut addresses = Vec::with_capacity(count.into());
        for _ in 0..count {
            let address = Address::decode(&mut rest).map_err(|_| RecordError::Sealed)?;
            addresses.push(Address { peer: Some(self.peer()), kind: Kind::Member, ..address });
        }
        if rest.is_empty() { Ok(addresses) } else { Err(RecordError::Sealed) }
    }
}

impl std::ops::Deref for Record {
    type Target = Claim;
    fn deref(&self) -> &Claim {
        &self.0
    }
}

fn in_domain(signed: &[u8]) -> Vec<u8> {
    [DOMAIN, signed].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Carrier, Host};
    use crate::trust::secret::RoomSecret;
    use proptest::prelude::*;

    fn key(byte: u8) -> RidKey {
        RidKey::derive(&RoomSecret { bytes: [byte; 16], epoch: 0 }, 7)
    }

    fn address(port: u16) -> Address {
        let host = Host::V6([9; 16].into());
        Address { kind: Kind::Member, host, carrier: Carrier::Quic, port, peer: Some(PEER) }
    }

    const PEER: PeerId = PeerId([3; 32]);

    fn record(addresses: &[Address]) -> Record {
        let at = Wall::from_secs(1_000_000);
        Record::sign(&key(1), PEER, (5, at), addresses, &[4; 32]).unwrap()
    }

    #[test]
    fn a_member_reads_it_and_nobody_else() {
        let addresses: Vec<_> = (1..=8).map(address).collect();
        let record = record(&addresses);
        assert!(record.bytes().len() <= RECORD_BYTES_MAX);
        let read = Claim::parse(record.bytes().to_vec()).unwrap();
        assert_eq!((read.rid(), read.peer(), read.seq()), (key(1).rid(), PEER, 5));
        assert_eq!(read.expires(), Wall::from_secs(1_000_000));
        let read = read.verify().unwrap();
        assert_eq!(read.addresses(&key(1)).unwrap(), addresses);
        assert_eq!(read.addresses(&key(2)), Err(RecordError::Sealed));
    }

    #[test]
    fn more_than_fits_is_refused() {
        let nine: Vec<_> = (1..=9).map(address).collect();
        let at = (5, Wall::default());
        let error = Record::sign(&key(1), PEER, at, &nine, &[4; 32]).unwrap_err();
        assert_eq!(error, RecordError::TooManyAddresses);
        let long = Address { host: Host::Dns("a".repeat(64)), ..address(1) };
        let error = Record::sign(&key(1), PEER, at, &vec![long; 8], &[4; 32]).unwrap_err();
        assert_eq!(error, RecordError::TooManyAddresses);
    }

    #[test]
    fn a_renewal_seals_the_same_addresses_to_the_same_bytes() {
        let later = (6, Wall::from_secs(2_000_000));
        let renewed = Record::sign(&key(1), PEER, later, &[address(1)], &[4; 32]).unwrap();
        assert_eq!(record(&[address(1)]).sealed(), renewed.sealed());
        assert_ne!(record(&[address(2)]).sealed(), renewed.sealed());
    }

    #[test]
    fn every_altered_byte_is_refused() {
        let record = record(&[address(1)]);
        for at in 0..record.bytes().len() {
            let mut bytes = record.bytes().to_vec();
            bytes[at] ^= 1;
            let error = Claim::parse(bytes).unwrap().verify().unwrap_err();
            assert_eq!(error, RecordError::Signature, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(Claim::parse(bytes).and_then(Claim::verify).is_err());
        }
    }
}
