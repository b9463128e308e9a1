//! Cuts a stream of bytes into control frames, and makes frames.
//!
//! `frame := u32 length BE | u16 type BE | body`; length counts type and body. It never looks into a
//! body. A reader holds at most one unfinished frame, and no more of it than has arrived: a length is
//! only compared, never reserved.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::codec::{self, EncodeError};
use crate::limits::{FRAME_BYTES_MAX, UNKNOWN_FRAMES_PER_S_MAX};
use crate::time::Mono;

/// Bytes of the length in front of a frame.
const LENGTH_BYTES: usize = 4;
/// Bytes of the type.
const KIND_BYTES: usize = 2;
/// A drained reader gives a larger buffer back: thousands of idle peers must not each keep the
/// memory of their longest frame.
const IDLE_BUFFER_BYTES_MAX: usize = 4 * 1024;

/// One control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u16,
    /// Its body, coded by [`codec`].
    pub body: Bytes,
}

/// What a peer did that no peer may do on a stream of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame says that it is longer than the reader's bound.
    #[error("a frame of {length} bytes was announced, more than the {bound} that are allowed")]
    TooLong {
        /// What it says.
        length: u32,
        /// What was allowed.
        bound: usize,
    },
    /// A frame is too short to have a type.
    #[error("a frame ended before its type")]
    NoType,
    /// The body does not have the form of its type.
    #[error("a frame of type {kind} could not be read: {error}")]
    Body {
        /// The frame's type.
        kind: u16,
        /// What was wrong.
        error: codec::DecodeError,
    },
    /// More frames of unknown types in one second than a newer version would send.
    #[error("more than {UNKNOWN_FRAMES_PER_S_MAX} frames of unknown types came in one second")]
    UnknownFlood,
}

/// The bytes of a frame, its length in front, ready to be written.
///
/// # Errors
/// [`EncodeError`] where the value is too long or has no form.
pub fn encode(kind: u16, value: &impl Serialize) -> Result<Bytes, EncodeError> {
    let mut out = vec![0; LENGTH_BYTES];
    out.extend(kind.to_be_bytes());
    codec::encode_into(value, &mut out)?;
    // Cannot be cut: the codec's bound is far below 4 GiB.
    let length = (out.len() - LENGTH_BYTES) as u32;
    out[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(out.into())
}

impl Frame {
    /// Type and body of a frame whose length was taken off already.
    ///
    /// # Errors
    /// [`Violation::NoType`], [`Violation::TooLong`].
    pub fn split(content: &[u8]) -> Result<(u16, &[u8]), Violation> {
        if content.len() > FRAME_BYTES_MAX {
            let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
            return Err(Violation::TooLong { length, bound: FRAME_BYTES_MAX });
        }
        let (kind, body) = content.split_first_chunk::<KIND_BYTES>().ok_or(Violation::NoType)?;
        Ok((u16::from_be_bytes(*kind), body))
    }

    /// The body as a value of its type.
    ///
    /// # Errors
    /// [`Violation::Body`].
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T, Violation> {
        codec::decode(&self.body).map_err(|error| Violation::Body { kind: self.kind, error })
    }
}

/// Cuts what arrives into frames.
///
/// After each [`push`](Self::push) take frames until there is none: then it holds less than one
/// frame. After a violation it holds nothing and gives that violation for ever.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were given out already.
    taken: usize,
    bound: usize,
    violated: Option<Violation>,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameReader {
    /// Reads frames up to [`FRAME_BYTES_MAX`].
    pub fn new() -> Self {
        Self::bounded(FRAME_BYTES_MAX)
    }

    /// Reads frames up to `bound` bytes (type and body), for protocols that need less.
    pub fn bounded(bound: usize) -> Self {
        let bound = bound.min(FRAME_BYTES_MAX);
        Self { buffer: Vec::new(), taken: 0, bound, violated: None }
    }

    /// Changes the bound for the frames that come from now on: after a proof of a few bytes any
    /// frame may come.
    pub fn set_bound(&mut self, bound: usize) {
        self.bound = bound.min(FRAME_BYTES_MAX);
    }

    /// Adds what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.violated.is_none() {
            self.buffer.drain(..self.taken);
            self.taken = 0;
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// [`Violation`]; the stream is then beyond repair.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot end in a violation")]
    pub fn next(&mut self) -> Result<Option<Frame>, Violation> {
        let Some(content) = self.next_content()? else { return Ok(None) };
        let kind = u16::from_be_bytes([content[0], content[1]]);
        Ok(Some(Frame { kind, body: content.slice(KIND_BYTES..) }))
    }

    /// The next whole frame as the machines take it: type and body in one piece.
    ///
    /// # Errors
    /// [`Violation`]; the stream is then beyond repair.
    pub fn next_content(&mut self) -> Result<Option<Bytes>, Violation> {
        if let Some(violation) = self.violated {
            return Err(violation);
        }
        let waiting = &self.buffer[self.taken..];
        let Some((length, rest)) = waiting.split_first_chunk::<LENGTH_BYTES>() else {
            self.give_back();
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length);
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if bytes > self.bound {
            return Err(self.violate(Violation::TooLong { length, bound: self.bound }));
        }
        if bytes < KIND_BYTES {
            return Err(self.violate(Violation::NoType));
        }
        let Some(content) = rest.get(..bytes) else { return Ok(None) };
        let content = Bytes::copy_from_slice(content);
        self.taken += LENGTH_BYTES + bytes;
        Ok(Some(content))
    }

    /// Bytes that wait for the rest of their frame.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.taken
    }

    fn violate(&mut self, violation: Violation) -> Violation {
        self.violated = Some(violation);
        self.buffer = Vec::new();
        self.taken = 0;
        violation
    }

    fn give_back(&mut self) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.capacity() > IDLE_BUFFER_BYTES_MAX {
            self.buffer.shrink_to(IDLE_BUFFER_BYTES_MAX);
        }
    }
}

/// Counts frames of unknown types: a newer version speaks, an attacker shouts.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnknownMeter {
    since: Option<Mono>,
    in_this_second: u32,
    total: u64,
}

impl UnknownMeter {
    /// Counts one, which the caller then skips.
    ///
    /// # Errors
    /// [`Violation::UnknownFlood`] beyond [`UNKNOWN_FRAMES_PER_S_MAX`] in a second.
    pub fn count(&mut self, now: Mono) -> Result<(), Violation> {
        let start = *self.since.get_or_insert(now);
        if now.since(start) >= Duration::from_secs(1) {
            self.since = Some(now);
            self.in_this_second = 0;
        }
        self.total += 1;
        self.in_this_second += 1;
        if self.in_this_second > UNKNOWN_FRAMES_PER_S_MAX {
            return Err(Violation::UnknownFlood);
        }
        Ok(())
    }

    /// All that were counted.
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests;
