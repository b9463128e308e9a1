//! The sequence parameter set (7.3.2.1.1) and its VUI (E.1.1): size, profile, level, frame rate,
//! reordering, and what a slice header needs to be read.
//!
//! It reads and reports; whether a picture may be shown is decided by [`Sps::check_playable`] and
//! by the caller. Bound: a size above 3840x2160 is refused here, before anybody reserves a picture.

use super::nal::{BitReader, NalType, nal_type};
use super::vui::read_vui;
pub use super::vui::{Reordering, Timing};
use super::{PARAMETER_SET_BYTES_MAX, ParseError};

/// Longer side of the largest picture: 4K, the most that our encoder and common hardware take.
pub const LONG_SIDE_MAX: u32 = 3840;

/// Shorter side of the largest picture, in whole macroblocks: 2160 is 135 of them.
pub const SHORT_SIDE_MAX: u32 = 2160;

/// Highest `level_idc`: 5.2 is 4K at 60 pictures a second; above are no devices to play it.
pub const LEVEL_MAX: u8 = 52;

/// How picture order is coded (8.2.1); a slice header has other fields for each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureOrder {
    /// Type 0: the low bits of the order stand in each slice header.
    Lsb {
        /// `log2_max_pic_order_cnt_lsb`, 4 to 16.
        bits: u32,
    },
    /// Type 1: differences to an expected order.
    Delta {
        /// `delta_pic_order_always_zero_flag`: the slice header has none either.
        always_zero: bool,
    },
    /// Type 2: decoding order is output order.
    Decoding,
}

/// A sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `seq_parameter_set_id`, 0 to 31.
    pub id: u8,
    /// `profile_idc`: 66 baseline, 77 main, 100 high.
    pub profile: u8,
    /// The byte of constraint flags.
    pub constraints: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
    /// `chroma_format_idc`: 1 is 4:2:0.
    pub chroma_format: u8,
    /// Bits of a luma sample.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample.
    pub bit_depth_chroma: u8,
    /// The three colour planes are coded as if monochrome, each in slices of its own.
    pub separate_colour_planes: bool,
    /// `log2_max_frame_num`, 4 to 16.
    pub frame_num_bits: u32,
    /// How picture order is coded.
    pub order: PictureOrder,
    /// `max_num_ref_frames`, at most 16.
    pub max_ref_frames: u8,
    /// Width in pixels after cropping.
    pub width: u32,
    /// Height in pixels after cropping.
    pub height: u32,
    /// Width in whole macroblocks of 16 pixels.
    pub coded_width: u32,
    /// Height in whole macroblocks of 16 pixels.
    pub coded_height: u32,
    /// `frame_mbs_only_flag`: false means that fields may occur, the picture may be interlaced.
    pub frames_only: bool,
    /// VUI timing, where it is present and not zero.
    pub timing: Option<Timing>,
    /// VUI bitstream restriction, where it is present.
    pub reordering: Option<Reordering>,
}

/// Why pictures that H.264 allows are not carried: no common browser, phone or our own decoder
/// would show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPlayable {
    /// Fields may occur.
    #[error("it may be interlaced, which phones and the bundled decoder do not play")]
    Interlaced,
    /// Not 4:2:0.
    #[error("its colours are not sampled as 4:2:0, which browsers do not play")]
    Chroma,
    /// More than 8 bits a sample.
    #[error("it has more than 8 bits a sample, which browsers do not play")]
    Depth,
    /// A level above [`LEVEL_MAX`].
    #[error("its level is above 5.2, which no common device plays")]
    Level,
}

impl Sps {
    /// Reads the NAL unit of a sequence parameter set, header byte included.
    ///
    /// A VUI that is cut short counts as absent, as in every decoder: some encoders write such.
    pub fn parse(nal: &[u8]) -> Result<Self, ParseError> {
        if nal_type(nal) != NalType::Sps {
            return Err(ParseError::Type);
        }
        if nal.len() > PARAMETER_SET_BYTES_MAX {
            return Err(ParseError::Range("the length of a parameter set"));
        }
        let mut bits = BitReader::new(&nal[1..]);
        let profile = bits.bits(8)? as u8;
        let constraints = bits.bits(8)? as u8;
        let level = bits.bits(8)? as u8;
        let id = bits.ue_max(31, "seq_parameter_set_id")? as u8;
        let format = SampleFormat::read(&mut bits, profile)?;
        let frame_num_bits = bits.ue_max(12, "log2_max_frame_num_minus4")? + 4;
        let order = read_order(&mut bits)?;
        let max_ref_frames = bits.ue_max(16, "max_num_ref_frames")? as u8;
        bits.flag()?; // gaps_in_frame_num_value_allowed_flag
        let size = Size::read(&mut bits, &format)?;
        let (timing, reordering) =
            if bits.flag()? { read_vui(&mut bits).unwrap_or_default() } else { Default::default() };
        Ok(Self {
            id,
            profile,
            constraints,
            level,
            chroma_format: format.chroma,
            bit_depth_luma: format.luma_bits,
            bit_depth_chroma: format.chroma_bits,
            separate_colour_planes: format.separate_planes,
            frame_num_bits,
            order,
            max_ref_frames,
            width: size.width,
            height: size.height,
            coded_width: size.coded_width,
            coded_height: size.coded_height,
            frames_only: size.frames_only,
            timing,
            reordering,
        })
    }

    /// The codec string of RFC 6381 that browsers and phones ask for: `avc1.PPCCLL`.
    pub fn codec(&self) -> String {
        format!("avc1.{:02x}{:02x}{:02x}", self.profile, self.constraints, self.level)
    }

    /// Pictures a second as a fraction, where the VUI says it.
    pub fn frame_rate(&self) -> Option<(u32, u32)> {
        let timing = self.timing?;
        let (num, den) = (u64::from(timing.time_scale), 2 * u64::from(timing.units_in_tick));
        let common = gcd(num, den);
        Some((u32::try_from(num / common).ok()?, u32::try_from(den / common).ok()?))
    }

    /// Most pictures that may come before one in decoding order and after it in output order: from
    /// the VUI, else as E.2.1 infers it.
    pub fn reorder_frames(&self) -> u8 {
        if let Some(reordering) = self.reordering {
            return reordering.num_reorder_frames;
        }
        // Intra-only profiles (constraint_set3) and baseline, which has no B slices: none.
        let intra_only =
            matches!(self.profile, 44 | 86 | 100 | 110 | 122 | 244) && self.constraints & 0x10 != 0;
        if intra_only || self.order == PictureOrder::Decoding || self.profile == 66 {
            0
        } else {
            self.max_dpb_frames()
        }
    }

    /// `MaxDpbFrames` (A.3.1 item h, table A-1).
    fn max_dpb_frames(&self) -> u8 {
        let max_dpb_mbs: u32 = match self.level {
            0..=10 => 396,
            11 if self.constraints & 0x10 != 0 && self.profile < 100 => 396, // level 1b
            11 => 900,
            12 | 13 | 20 => 2_376,
            21 => 4_752,
            22 | 30 => 8_100,
            31 => 18_000,
            32 => 20_480,
            40 | 41 => 32_768,
            42 => 34_816,
            50 => 110_400,
            _ => 184_320,
        };
        let picture = (self.coded_width / 16) * (self.coded_height / 16);
        (max_dpb_mbs / picture.max(1)).min(16) as u8
    }

    /// Refuses what common devices do not show, in words for a person.
    pub fn check_playable(&self) -> Result<(), NotPlayable> {
        if !self.frames_only {
            return Err(NotPlayable::Interlaced);
        }
        // Monochrome (0) belongs to the high profile, and decoders show it.
        if self.chroma_format > 1 {
            return Err(NotPlayable::Chroma);
        }
        if self.bit_depth_luma > 8 || self.bit_depth_chroma > 8 {
            return Err(NotPlayable::Depth);
        }
        if self.level > LEVEL_MAX {
            return Err(NotPlayable::Level);
        }
        Ok(())
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

struct SampleFormat {
    chroma: u8,
    luma_bits: u8,
    chroma_bits: u8,
    separate_planes: bool,
}

impl SampleFormat {
    fn read(bits: &mut BitReader<'_>, profile: u8) -> Result<Self, ParseError> {
        let mut format = Self { chroma: 1, luma_bits: 8, chroma_bits: 8, separate_planes: false };
        if !matches!(
            profile,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        ) {
            return Ok(format);
        }
        format.chroma = bits.ue_max(3, "chroma_format_idc")? as u8;
        if format.chroma == 3 {
            format.separate_planes = bits.flag()?;
        }
        format.luma_bits = bits.ue_max(6, "bit_depth_luma_minus8")? as u8 + 8;
        format.chroma_bits = bits.ue_max(6, "bit_depth_chroma_minus8")? as u8 + 8;
        bits.flag()?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            let lists = if format.chroma == 3 { 12 } else { 8 };
            for list in 0..lists {
                if bits.flag()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Ok(format)
    }
}

/// 7.3.2.1.1.1: a list ends early when its next scale is 0.
fn skip_scaling_list(bits: &mut BitReader<'_>, size: u32) -> Result<(), ParseError> {
    let mut last = 8i32;
    for _ in 0..size {
        let delta = bits.se()?;
        if !(-128..=127).contains(&delta) {
            return Err(ParseError::Range("delta_scale"));
        }
        last = (last + delta).rem_euclid(256);
        if last == 0 {
            break;
        }
    }
    Ok(())
}

fn read_order(bits: &mut BitReader<'_>) -> Result<PictureOrder, ParseError> {
    Ok(match bits.ue_max(2, "pic_order_cnt_type")? {
        0 => PictureOrder::Lsb { bits: bits.ue_max(12, "log2_max_pic_order_cnt_lsb_minus4")? + 4 },
        1 => {
            let always_zero = bits.flag()?;
            bits.se()?; // offset_for_non_ref_pic
            bits.se()?; // offset_for_top_to_bottom_field
            for _ in 0..bits.ue_max(255, "num_ref_frames_in_pic_order_cnt_cycle")? {
                bits.se()?;
            }
            PictureOrder::Delta { always_zero }
        }
        _ => PictureOrder::Decoding,
    })
}

struct Size {
    width: u32,
    height: u32,
    coded_width: u32,
    coded_height: u32,
    frames_only: bool,
}

impl Size {
    fn read(bits: &mut BitReader<'_>, format: &SampleFormat) -> Result<Self, ParseError> {
        // The standard's own limit (level 6.2) is 1055 macroblocks a side: above is nonsense.
        let width_mbs = bits.ue_max(1_054, "pic_width_in_mbs_minus1")? + 1;
        let height_units = bits.ue_max(1_054, "pic_height_in_map_units_minus1")? + 1;
        let frames_only = bits.flag()?;
        if !frames_only {
            bits.flag()?; // mb_adaptive_frame_field_flag
        }
        bits.flag()?; // direct_8x8_inference_flag
        let coded_width = width_mbs * 16;
        let coded_height = height_units * 16 * if frames_only { 1 } else { 2 };
        let (long, short) = (coded_width.max(coded_height), coded_width.min(coded_height));
        // Interlaced 2160 lines are rounded up to whole pairs of macroblocks.
        if long > LONG_SIDE_MAX || short > SHORT_SIDE_MAX.next_multiple_of(32) {
            return Err(ParseError::TooLarge { width: coded_width, height: coded_height });
        }
        let (mut width, mut height) = (coded_width, coded_height);
        if bits.flag()? {
            // 7.4.2.1.1, equations 7-19 to 7-22: one unit is a chroma sample, of a field if any.
            let chroma = if format.separate_planes { 0 } else { format.chroma };
            let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
            let unit_y = if chroma == 1 { 2 } else { 1 } * if frames_only { 1 } else { 2 };
            let mut cut = |side: u32, unit: u32| -> Result<u32, ParseError> {
                let before = bits.ue_max(side, "frame_cropping")?;
                let after = bits.ue_max(side, "frame_cropping")?;
                side.checked_sub((before + after) * unit)
                    .filter(|&rest| rest > 0)
                    .ok_or(ParseError::Range("frame_cropping"))
            };
            width = cut(coded_width, unit_x)?;
            height = cut(coded_height, unit_y)?;
        }
        Ok(Self { width, height, coded_width, coded_height, frames_only })
    }
}
