//! H.264 as it lies in streams and files: NAL units, parameter sets, access units, and the two ways
//! to frame them (Annex-B with start codes, AVCC with lengths).
//!
//! It decides where a picture begins, whether it is a keyframe, and what a sequence parameter set
//! says. It never decodes a picture and never changes a slice. Section numbers are those of
//! Recommendation ITU-T H.264 unless another standard is named.
//!
//! Every byte here may be hostile: no input panics, and nothing is kept beyond the bounds below.
//! Inside the house pictures travel as Annex-B with four-byte start codes and the parameter sets
//! before every keyframe ([`sets::ParameterSets`]), because that is what a late joiner, a browser
//! and a phone can start from.

pub mod access_unit;
pub mod annexb;
pub mod avcc;
pub mod nal;
pub mod pps;
pub mod sets;
mod slice;
pub mod sps;
mod vui;

/// Longest parameter set that is kept. Encoders write 10 to 60 bytes; with every scaling list it is
/// under 1 KiB; only a map of slice groups, which nobody uses, is longer.
pub const PARAMETER_SET_BYTES_MAX: usize = 4 * 1024;

/// NAL units that one access unit may hold. A picture of 4K cut into slices of one row of
/// macroblocks has 136, with parameter sets and SEI less than 200; more is made to burn our time.
pub const NALS_PER_UNIT_MAX: usize = 512;

/// Why a parameter set or a slice header could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The bits ended before the last field.
    #[error("the H.264 header is cut short")]
    Short,
    /// A field has a value that the standard forbids.
    #[error("the H.264 header is broken: {0} is out of range")]
    Range(&'static str),
    /// The NAL unit is of another type.
    #[error("the NAL unit is not of the expected type")]
    Type,
    /// Larger than any picture we carry.
    #[error("pictures of {width}x{height} are larger than 3840x2160, the most that is carried")]
    TooLarge {
        /// Coded width in pixels.
        width: u32,
        /// Coded height in pixels.
        height: u32,
    },
}

/// True if an Annex-B access unit holds an IDR picture (7.4.1.2.4: `nal_unit_type` 5), the only
/// picture from which a decoder can start with nothing before it.
pub fn is_keyframe(access_unit: &[u8]) -> bool {
    annexb::nals(access_unit).any(|nal| nal::nal_type(nal) == nal::NalType::Idr)
}
