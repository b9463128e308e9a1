//! The names of peers, rooms and broadcasts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A node's name: its Ed25519 public key. Verifying needs no look-up.
///
/// Shown as libp2p shows it (`12D3KooW…`: base58 of the identity multihash of the key's protobuf).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerId(pub [u8; 32]);

/// What libp2p puts before the 32 bytes of an Ed25519 key: identity multihash of 36 bytes, then the
/// protobuf fields key type 1 and 32 bytes of data (libp2p specification, peer-ids).
const LIBP2P_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

impl PeerId {
    /// The bytes that libp2p calls a PeerId (38 of them).
    pub fn to_libp2p_bytes(self) -> [u8; 38] {
        let mut bytes = [0; 38];
        bytes[..6].copy_from_slice(&LIBP2P_PREFIX);
        bytes[6..].copy_from_slice(&self.0);
        bytes
    }

    /// The name in libp2p's bytes; `None` for any key that is not Ed25519.
    pub fn from_libp2p_bytes(bytes: &[u8]) -> Option<Self> {
        let key = bytes.strip_prefix(&LIBP2P_PREFIX[..])?;
        key.try_into().ok().map(Self)
    }

    /// The name in its text form; `None` if it is no base58 or no Ed25519 PeerId.
    pub fn parse(text: &str) -> Option<Self> {
        // A PeerId is 52 characters: without a bound, decoding long text would take quadratic time.
        if text.len() > 64 {
            return None;
        }
        Self::from_libp2p_bytes(&bs58::decode(text).into_vec().ok()?)
    }

    /// The last eight characters, for logs and lists where the whole would be noise.
    pub fn short(&self) -> String {
        let text = self.to_string();
        text[text.len() - 8..].to_owned()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.to_libp2p_bytes()).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// A room's true name: the Ed25519 public key of whoever created it. Told to members only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoomPk(pub [u8; 32]);

impl fmt::Display for RoomPk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for RoomPk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0[..4]))
    }
}

/// One start of one broadcast, drawn at random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BroadcastId(pub [u8; 16]);

impl fmt::Debug for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0[..4]))
    }
}

/// One start of one process: tells a restarted peer from its ghost.
///
/// Ordered by the counter that is kept on disk, then by the random part, so that two processes
/// which read the same counter still differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation {
    /// Counts the starts of this data directory.
    pub counter: u64,
    /// Random, drawn at start.
    pub nonce: u64,
}

/// One continuous medium of one broadcast, by its place in the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrackId(pub u8);

/// Names a track in the whole room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrackKey {
    /// Who publishes it.
    pub publisher: PeerId,
    /// In which of their broadcasts.
    pub broadcast: BroadcastId,
    /// Which track of it.
    pub track: TrackId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_id_is_written_as_libp2p_writes_it() {
        let peer = PeerId([7; 32]);
        let text = peer.to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(PeerId::parse(&text), Some(peer));
    }

    #[test]
    fn other_text_is_no_peer_id() {
        for text in ["", "12D3KooW", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "l0OI"] {
            assert_eq!(PeerId::parse(text), None, "{text}");
        }
        assert_eq!(PeerId::parse(&"1".repeat(1_000_000)), None);
    }
}
