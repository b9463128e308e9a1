//! Video usability information (E.1.1), as far as it says how long pictures last and how many wait
//! for others. Allocates nothing.

use super::ParseError;
use super::nal::BitReader;

/// VUI timing (E.2.1): a picture lasts two ticks of `num_units_in_tick / time_scale` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// `num_units_in_tick`, never 0.
    pub units_in_tick: u32,
    /// `time_scale`, never 0.
    pub time_scale: u32,
    /// `fixed_frame_rate_flag`.
    pub fixed: bool,
}

/// VUI bitstream restriction (E.2.1), the part about the picture buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reordering {
    /// `max_num_reorder_frames`, at most 16.
    pub num_reorder_frames: u8,
    /// `max_dec_frame_buffering`, at most 16.
    pub max_dec_frame_buffering: u8,
}

pub(super) type Vui = (Option<Timing>, Option<Reordering>);

pub(super) fn read_vui(bits: &mut BitReader<'_>) -> Result<Vui, ParseError> {
    if bits.flag()? && bits.bits(8)? == 255 {
        bits.bits(32)?; // sar_width, sar_height
    }
    if bits.flag()? {
        bits.flag()?; // overscan_appropriate_flag
    }
    if bits.flag()? {
        bits.bits(4)?; // video_format, video_full_range_flag
        if bits.flag()? {
            bits.bits(24)?; // colour description
        }
    }
    if bits.flag()? {
        bits.ue()?; // chroma_sample_loc_type_top_field
        bits.ue()?; // chroma_sample_loc_type_bottom_field
    }
    let mut timing = None;
    if bits.flag()? {
        let (units_in_tick, time_scale, fixed) = (bits.bits(32)?, bits.bits(32)?, bits.flag()?);
        if units_in_tick > 0 && time_scale > 0 {
            timing = Some(Timing { units_in_tick, time_scale, fixed });
        }
    }
    Ok((timing, read_restriction(bits).unwrap_or_default()))
}

fn read_restriction(bits: &mut BitReader<'_>) -> Result<Option<Reordering>, ParseError> {
    let nal_hrd = bits.flag()?;
    if nal_hrd {
        skip_hrd(bits)?;
    }
    let vcl_hrd = bits.flag()?;
    if vcl_hrd {
        skip_hrd(bits)?;
    }
    if nal_hrd || vcl_hrd {
        bits.flag()?; // low_delay_hrd_flag
    }
    bits.flag()?; // pic_struct_present_flag
    if !bits.flag()? {
        return Ok(None);
    }
    bits.flag()?; // motion_vectors_over_pic_boundaries_flag
    for _ in 0..4 {
        bits.ue()?; // max bytes, max bits, lengths of motion vectors
    }
    let num_reorder_frames = bits.ue_max(16, "max_num_reorder_frames")? as u8;
    let max_dec_frame_buffering = bits.ue_max(16, "max_dec_frame_buffering")? as u8;
    Ok(Some(Reordering { num_reorder_frames, max_dec_frame_buffering }))
}

/// E.1.2.
fn skip_hrd(bits: &mut BitReader<'_>) -> Result<(), ParseError> {
    let schedules = bits.ue_max(31, "cpb_cnt_minus1")? + 1;
    bits.bits(8)?; // bit_rate_scale, cpb_size_scale
    for _ in 0..schedules {
        bits.ue()?; // bit_rate_value_minus1
        bits.ue()?; // cpb_size_value_minus1
        bits.flag()?; // cbr_flag
    }
    bits.bits(20)?; // lengths of delays and of the time offset
    Ok(())
}
