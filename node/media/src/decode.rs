//! Access units back into luma, for tests and tools that read the stamp off a stream.
//!
//! The library behind it is not safe against hostile streams: only what this machine made, or a
//! test did, may come here. The node decodes nothing; viewers' browsers do.

use openh264::decoder::Decoder;
use openh264::formats::YUVSource;

use super::stamp::{Stamp, read_stamp};

/// A decoder that keeps only what the stamp is in.
pub struct LumaDecoder {
    decoder: Decoder,
}

/// The luma plane of a decoded picture, `width` bytes a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Luma {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Rows from the top, without padding.
    pub data: Vec<u8>,
}

impl Luma {
    /// The stamp in this picture, if it is a test picture.
    pub fn stamp(&self) -> Option<Stamp> {
        read_stamp(&self.data, self.width, self.height)
    }
}

/// The stream cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[error("the H.264 stream cannot be decoded: {0}")]
pub struct DecodeError(#[from] openh264::Error);

impl LumaDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new() -> Result<Self, DecodeError> {
        Ok(Self { decoder: Decoder::new()? })
    }

    /// Decodes one access unit in Annex-B; `None` while the decoder holds the picture back.
    pub fn decode(&mut self, access_unit: &[u8]) -> Result<Option<Luma>, DecodeError> {
        let Some(picture) = self.decoder.decode(access_unit)? else { return Ok(None) };
        let (width, height) = picture.dimensions();
        let (stride, _, _) = picture.strides();
        let mut data = Vec::with_capacity(width * height);
        for row in picture.y().chunks(stride).take(height) {
            data.extend_from_slice(&row[..width]);
        }
        Ok(Some(Luma { width, height, data }))
    }
}
