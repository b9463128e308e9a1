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
