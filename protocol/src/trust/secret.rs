//! The room secret: it lets somebody find the room and prove that they were told of it. It admits
//! nobody (that is what tickets do), and `Debug` never shows it.

use std::fmt;

use sha2::{Digest, Sha256};

use super::key;

/// What everybody who holds a link of the room knows: 16 random bytes, and how often they have
/// been replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RoomSecret {
    /// The secret itself.
    pub bytes: [u8; 16],
    /// The secret epoch: raised each time the secret is replaced.
    pub epoch: u32,
}

impl RoomSecret {
    /// SHA-256 of secret and secret epoch: what certificates sign in place of the secret.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.bytes)
            .chain_update(self.epoch.to_be_bytes())
            .finalize()
            .into()
    }

    /// A key for one purpose: HKDF-SHA256 of the secret. `info` begins with the name of the purpose
    /// and says everything that the key must depend on, the secret epoch included.
    pub fn derive(&self, info: &[&[u8]]) -> [u8; 32] {
        key::derive(&self.bytes, info)
    }
}

impl fmt::Debug for RoomSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomSecret").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_byte_of_the_secret() {
        let secret = RoomSecret { bytes: [0xAB; 16], epoch: 7 };
        for text in [format!("{secret:?}"), format!("{secret:#?}"), format!("{:?}", Some(secret))] {
            assert!(text.contains("epoch: 7"), "{text}");
            assert!(!text.contains("171") && !text.to_lowercase().contains("ab"), "{text}");
        }
    }

    #[test]
    fn the_hash_depends_on_the_epoch() {
        let first = RoomSecret { bytes: [1; 16], epoch: 0 };
        assert_ne!(first.hash(), RoomSecret { epoch: 1, ..first }.hash());
    }
}
