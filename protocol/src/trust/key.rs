//! The few steps that every credential is made of: stretching, strict checking, taking bytes.
//!
//! Every signature of this folder is checked here, strictly: a key of small order or a second
//! spelling of a signature is refused, which the plain check of Ed25519 lets pass.

use ed25519_dalek::{Signature, VerifyingKey};
use hkdf::Hkdf;
use sha2::Sha256;

/// HKDF-SHA256 of `secret` without salt; the parts of `info` are joined, so every part but the
/// last must have a fixed length.
pub(super) fn derive(secret: &[u8], info: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    Hkdf::<Sha256>::new(None, secret)
        .expand_multi_info(info, &mut out)
        .expect("32 bytes are far below what HKDF-SHA256 can give");
    out
}

/// Whether `signature` over `message` is by the holder of `key`.
pub(super) fn is_signed_by(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// Takes `N` bytes from the front of `bytes`; `None` where there are fewer.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    /// The order of Ed25519's group, little-endian (RFC 8032, section 5.1).
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        use ed25519_dalek::Verifier;
        // The neutral point as key and as R, and s = 0: the plain check calls it a signature of
        // everything.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let key = VerifyingKey::from_bytes(&neutral).unwrap();
        assert!(key.verify(b"anything", &Signature::from_bytes(&signature)).is_ok());
        assert!(!is_signed_by(&neutral, b"anything", &signature));
    }

    #[test]
    fn a_signature_has_one_spelling() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let public = key.verifying_key().to_bytes();
        let mut signature = key.sign(b"words").to_bytes();
        assert!(is_signed_by(&public, b"words", &signature));
        let mut carry = 0;
        for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        assert!(!is_signed_by(&public, b"words", &signature));
    }
}
