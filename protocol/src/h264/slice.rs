//! The first fields of a slice header (7.3.3), and whether two slices belong to the same picture.
//!
//! Reads no further than `redundant_pic_cnt`; allocates nothing.

use super::ParseError;
use super::nal::{BitReader, NalType, nal_type, ref_idc};
use super::pps::Pps;
use super::sps::{PictureOrder, Sps};

/// What of a sequence parameter set a slice header needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct SliceFormat {
    frame_num_bits: u32,
    order: PictureOrder,
    frames_only: bool,
    separate_colour_planes: bool,
}

impl From<&Sps> for SliceFormat {
    fn from(sps: &Sps) -> Self {
        Self {
            frame_num_bits: sps.frame_num_bits,
            order: sps.order,
            frames_only: sps.frames_only,
            separate_colour_planes: sps.separate_colour_planes,
        }
    }
}

/// `first_mb_in_slice` and `pic_parameter_set_id`, which need no parameter set to be read.
pub(super) fn read_start(nal: &[u8]) -> Result<(u32, u8), ParseError> {
    let mut bits = BitReader::new(nal.get(1..).unwrap_or_default());
    let first_mb = bits.ue()?;
    bits.ue_max(9, "slice_type")?;
    let pps_id = bits.ue_max(255, "pic_parameter_set_id")? as u8;
    Ok((first_mb, pps_id))
}

/// `first_mb_in_slice`, 0 where even that cannot be read.
pub(super) fn first_mb(nal: &[u8]) -> u32 {
    BitReader::new(nal.get(1..).unwrap_or_default()).ue().unwrap_or(0)
}

/// The fields that tell one primary coded picture from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SliceHeader {
    pub(super) first_mb: u32,
    pub(super) colour_plane: u32,
    /// A spare copy of a part of the picture before it.
    pub(super) redundant: bool,
    is_reference: bool,
    /// `Some` in an IDR picture.
    idr_pic_id: Option<u32>,
    frame_num: u32,
    pps_id: u8,
    field: Option<bool>,
    /// `pic_order_cnt_lsb` and `delta_pic_order_cnt_bottom`, or both `delta_pic_order_cnt`.
    order: (i64, i64),
    order_type: u8,
}

impl SliceHeader {
    pub(super) fn parse(nal: &[u8], pps: &Pps, sps: &SliceFormat) -> Result<Self, ParseError> {
        let mut bits = BitReader::new(nal.get(1..).unwrap_or_default());
        let first_mb = bits.ue()?;
        bits.ue_max(9, "slice_type")?;
        let pps_id = bits.ue_max(255, "pic_parameter_set_id")? as u8;
        let colour_plane = if sps.separate_colour_planes { bits.bits(2)? } else { 0 };
        let frame_num = bits.bits(sps.frame_num_bits)?;
        let mut field = None;
        if !sps.frames_only && bits.flag()? {
            field = Some(bits.flag()?); // bottom_field_flag
        }
        let is_idr = nal_type(nal) == NalType::Idr;
        let idr_pic_id = if is_idr { Some(bits.ue_max(65_535, "idr_pic_id")?) } else { None };
        let more = pps.bottom_field_order && field.is_none();
        let (order_type, order) = match sps.order {
            PictureOrder::Lsb { bits: size } => {
                let lsb = i64::from(bits.bits(size)?);
                (0, (lsb, if more { bits.se()?.into() } else { 0 }))
            }
            PictureOrder::Delta { always_zero: false } => {
                let first = i64::from(bits.se()?);
                (1, (first, if more { bits.se()?.into() } else { 0 }))
            }
            PictureOrder::Delta { always_zero: true } => (1, (0, 0)),
            PictureOrder::Decoding => (2, (0, 0)),
        };
        let redundant = pps.redundant_pictures && bits.ue()? > 0;
        let is_reference = ref_idc(nal) != 0;
        Ok(Self {
            first_mb,
            colour_plane,
            redundant,
            is_reference,
            idr_pic_id,
            frame_num,
            pps_id,
            field,
            order,
            order_type,
        })
    }

    /// 7.4.1.2.4: true if this slice is the first of a new primary coded picture after `previous`.
    ///
    /// The list there: `frame_num`, `pic_parameter_set_id`, `field_pic_flag`, `bottom_field_flag`,
    /// one of the two not a reference, picture order, IDR or not, `idr_pic_id`.
    pub(super) fn begins_picture_after(&self, previous: &Self) -> bool {
        self.frame_num != previous.frame_num
            || self.pps_id != previous.pps_id
            || self.field != previous.field
            || self.is_reference != previous.is_reference
            || (self.order_type == previous.order_type && self.order != previous.order)
            || self.idr_pic_id != previous.idr_pic_id
    }
}
