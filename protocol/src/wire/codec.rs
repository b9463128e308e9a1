//! Turns the body of a control frame into bytes and back. The only file that names bincode.
//!
//! Signed objects never come here: what is signed has a fixed layout of its own. Reading reserves
//! no more than [`RESERVED_BYTES_MAX`], whatever lengths the bytes claim, and refuses what is left
//! over, so that a body means one thing only.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::enc::write::Writer;
use bincode::error::{DecodeError as BincodeDecode, EncodeError as BincodeEncode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::FRAME_BYTES_MAX;

/// Longest body: a whole frame less its type.
pub const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX - 2;

/// What a body may claim in memory while it is read. bincode counts eight bytes for an integer that
/// took one on the wire, so a full body of those claims eight times its length and no more.
const CLAIMED_BYTES_MAX: usize = 8 * FRAME_BYTES_MAX;

/// The most that is reserved while a body is read, whatever lengths it claims: serde reserves up to
/// 1 MiB for a sequence whose elements are still to come, and our messages nest two. Measured in
/// `tests/lengths.rs`.
pub const RESERVED_BYTES_MAX: usize = 2 * 1024 * 1024 + CLAIMED_BYTES_MAX;

type Coding = Configuration<LittleEndian, Varint, Limit<CLAIMED_BYTES_MAX>>;
const CODING: Coding = bincode::config::standard().with_limit::<CLAIMED_BYTES_MAX>();

/// Why a value cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// It is larger than a frame may be: news of that size is cut by its own type.
    #[error("the message is longer than a frame may be ({FRAME_BYTES_MAX} bytes)")]
    TooLong,
    /// The value has no form in this coding (a sequence of unknown length, say).
    #[error("the message has no form on the wire")]
    NoForm,
}

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than any body may have.
    #[error("the message is longer than a frame may be ({FRAME_BYTES_MAX} bytes)")]
    TooLong,
    /// The bytes end early, claim an impossible length or name an unknown variant.
    #[error("the message does not have the form of its type")]
    Malformed,
    /// Bytes are left over after the value.
    #[error("the message has bytes after its end")]
    LeftOver,
}

/// Appends `value` to `out`.
///
/// # Errors
/// [`EncodeError`]; `out` is then unspecified.
pub fn encode_into(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let bound = out.len() + BODY_BYTES_MAX;
    bincode::serde::encode_into_writer(value, Bounded { out, bound }, CODING).map_err(|error| {
        match error {
            BincodeEncode::UnexpectedEnd => EncodeError::TooLong,
            _ => EncodeError::NoForm,
        }
    })
}

/// The bytes of `value`.
///
/// # Errors
/// [`EncodeError`].
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    encode_into(value, &mut out)?;
    Ok(out)
}

/// The value that `body` is, all of it.
///
/// # Errors
/// [`DecodeError`].
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(DecodeError::TooLong);
    }
    let (value, read) = bincode::serde::decode_from_slice(body, CODING)
        .map_err(|_: BincodeDecode| DecodeError::Malformed)?;
    if read < body.len() {
        return Err(DecodeError::LeftOver);
    }
    Ok(value)
}

/// Ends the encoding where a frame ends, so that a huge value costs no more than a frame.
struct Bounded<'a> {
    out: &'a mut Vec<u8>,
    bound: usize,
}

impl Writer for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BincodeEncode> {
        if self.out.len() + bytes.len() > self.bound {
            return Err(BincodeEncode::UnexpectedEnd);
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Word {
        Nothing,
        Number(u64),
        Text { name: String, list: Vec<(u16, Option<[u8; 4]>)> },
    }

    fn any_word() -> impl Strategy<Value = Word> {
        let list = proptest::collection::vec(any::<(u16, Option<[u8; 4]>)>(), 0..20);
        prop_oneof![
            Just(Word::Nothing),
            any::<u64>().prop_map(Word::Number),
            (".{0,40}", list).prop_map(|(name, list)| Word::Text { name, list }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(word in any_word()) {
            let bytes = encode(&word).unwrap();
            prop_assert_eq!(decode::<Word>(&bytes), Ok(word));
        }

        #[test]
        fn a_byte_too_many_or_too_few_is_refused(word in any_word(), extra in any::<u8>()) {
            let mut bytes = encode(&word).unwrap();
            bytes.push(extra);
            prop_assert_eq!(decode::<Word>(&bytes), Err(DecodeError::LeftOver));
            bytes.truncate(bytes.len() - 2);
            prop_assert_eq!(decode::<Word>(&bytes), Err(DecodeError::Malformed));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            let _ = decode::<Word>(&bytes);
            let _ = decode::<Vec<String>>(&bytes);
        }
    }

    #[test]
    fn a_claimed_length_reserves_nothing_beyond_the_bound() {
        // Varint 253 announces a u64 length.
        let mut bytes = vec![253];
        bytes.extend(u64::MAX.to_le_bytes());
        assert_eq!(decode::<Vec<u64>>(&bytes), Err(DecodeError::Malformed));
        assert_eq!(decode::<String>(&bytes), Err(DecodeError::Malformed));
    }

    #[test]
    fn the_longest_body_passes_and_one_byte_more_does_not() {
        let head = 3; // how a length of that size is written
        let longest = vec![7u8; BODY_BYTES_MAX - head];
        let bytes = encode(&longest).unwrap();
        assert_eq!(bytes.len(), BODY_BYTES_MAX);
        assert!(decode::<Vec<u8>>(&bytes) == Ok(longest));
        let small_integers = vec![7u64; BODY_BYTES_MAX - head];
        assert!(decode(&encode(&small_integers).unwrap()) == Ok(small_integers));
        assert_eq!(encode(&vec![7u8; BODY_BYTES_MAX - head + 1]), Err(EncodeError::TooLong));
        assert_eq!(decode::<Vec<u8>>(&vec![0; BODY_BYTES_MAX + 1]), Err(DecodeError::TooLong));
    }
}
