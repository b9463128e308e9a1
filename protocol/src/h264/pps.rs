//! The picture parameter set (7.3.2.2), as far as a slice header needs it.
//!
//! Bound: a fixed few bytes each; everything behind `redundant_pic_cnt_present_flag` is not read.

use super::nal::{BitReader, NalType, nal_type};
use super::{PARAMETER_SET_BYTES_MAX, ParseError};

/// A picture parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pps {
    /// `pic_parameter_set_id`.
    pub id: u8,
    /// `seq_parameter_set_id`, 0 to 31: the SPS that it belongs to.
    pub sps_id: u8,
    /// `bottom_field_pic_order_in_frame_present_flag`: more order fields in the slice header.
    pub bottom_field_order: bool,
    /// `redundant_pic_cnt_present_flag`: slices may be spare copies.
    pub redundant_pictures: bool,
}

impl Pps {
    /// The id of a picture parameter set and of the SPS that it belongs to.
    pub fn ids(nal: &[u8]) -> Result<(u8, u8), ParseError> {
        let mut bits = Self::reader(nal)?;
        Self::read_ids(&mut bits)
    }

    fn reader(nal: &[u8]) -> Result<BitReader<'_>, ParseError> {
        if nal_type(nal) != NalType::Pps {
            return Err(ParseError::Type);
        }
        if nal.len() > PARAMETER_SET_BYTES_MAX {
            return Err(ParseError::Range("the length of a parameter set"));
        }
        Ok(BitReader::new(&nal[1..]))
    }

    fn read_ids(bits: &mut BitReader<'_>) -> Result<(u8, u8), ParseError> {
        let id = bits.ue_max(255, "pic_parameter_set_id")? as u8;
        let sps_id = bits.ue_max(31, "seq_parameter_set_id")? as u8;
        Ok((id, sps_id))
    }

    /// Reads the NAL unit of a picture parameter set, header byte included.
    pub fn parse(nal: &[u8]) -> Result<Self, ParseError> {
        let mut bits = Self::reader(nal)?;
        let (id, sps_id) = Self::read_ids(&mut bits)?;
        bits.flag()?; // entropy_coding_mode_flag
        let bottom_field_order = bits.flag()?;
        let slice_groups = bits.ue_max(7, "num_slice_groups_minus1")? + 1;
        if slice_groups > 1 {
            skip_slice_groups(&mut bits, slice_groups)?;
        }
        bits.ue_max(31, "num_ref_idx_l0_default_active_minus1")?;
        bits.ue_max(31, "num_ref_idx_l1_default_active_minus1")?;
        bits.bits(3)?; // weighted_pred_flag, weighted_bipred_idc
        bits.se()?; // pic_init_qp_minus26
        bits.se()?; // pic_init_qs_minus26
        bits.se()?; // chroma_qp_index_offset
        bits.bits(2)?; // deblocking_filter_control_present_flag, constrained_intra_pred_flag
        let redundant_pictures = bits.flag()?;
        Ok(Self { id, sps_id, bottom_field_order, redundant_pictures })
    }
}

fn skip_slice_groups(bits: &mut BitReader<'_>, groups: u32) -> Result<(), ParseError> {
    match bits.ue_max(6, "slice_group_map_type")? {
        0 => {
            for _ in 0..groups {
                bits.ue()?; // run_length_minus1
            }
        }
        2 => {
            for _ in 0..groups - 1 {
                bits.ue()?; // top_left
                bits.ue()?; // bottom_right
            }
        }
        3..=5 => {
            bits.flag()?; // slice_group_change_direction_flag
            bits.ue()?; // slice_group_change_rate_minus1
        }
        6 => {
            // Ceil(Log2(groups)) bits for each map unit; the set's own length bounds the loop.
            let width = u32::BITS - (groups - 1).leading_zeros();
            for _ in 0..=bits.ue()? {
                bits.bits(width)?;
            }
        }
        _ => {}
    }
    Ok(())
}
