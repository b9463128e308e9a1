//! The strip of black and white cells at the top of the test picture: which picture this is, and
//! when it was taken. It survives every encoder at every bitrate that we allow, so a test reads it
//! off decoded pictures, and the viewer page off its canvas (`viewer/page/stamp.js` mirrors this).
//!
//! 80 cells, most significant bit first: number (32), milliseconds (32), CRC-16 of the eight bytes
//! before (16). White is 1. A cell is 16x16 pixels from a width of 1280 on, 8x16 from 640 on, else
//! 8x8; where 80 do not fit in a row, they go on in the next.

const CELLS: usize = 80;
const BLACK: u8 = 16;
const WHITE: u8 = 235;
const THRESHOLD: u32 = (BLACK as u32 + WHITE as u32) / 2;

/// What the strip says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the picture, from 0 at the start of the broadcast; continuous.
    pub number: u32,
    /// When the picture was taken: the low 32 bits of the milliseconds of the broadcast's clock.
    pub time_ms: u32,
}

impl Stamp {
    /// A stamp for a picture taken at `captured_us` microseconds of the broadcast's clock.
    pub fn new(number: u32, captured_us: i64) -> Self {
        let low = captured_us.div_euclid(1_000) & i64::from(u32::MAX);
        Self { number, time_ms: u32::try_from(low).unwrap_or_default() }
    }

    /// How much later than this stamp `broadcast_us` is, in milliseconds, right within 24 days.
    pub fn age_ms(&self, broadcast_us: i64) -> i32 {
        Self::new(0, broadcast_us).time_ms.wrapping_sub(self.time_ms).cast_signed()
    }

    fn bits(self) -> u128 {
        let body = (u64::from(self.number) << 32) | u64::from(self.time_ms);
        (u128::from(body) << 16) | u128::from(crc16(&body.to_be_bytes()))
    }
}

/// CRC-16/CCITT-FALSE. Neither an all-black nor an all-white strip passes it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// How the cells lie in a picture of some width.
#[derive(Clone, Copy)]
struct Layout {
    cell_width: usize,
    cell_height: usize,
    per_row: usize,
}

impl Layout {
    fn of(width: usize) -> Option<Self> {
        let (cell_width, cell_height) = match width {
            1280.. => (16, 16),
            640.. => (8, 16),
            _ => (8, 8),
        };
        let per_row = (width / cell_width).min(CELLS);
        (per_row > 0).then_some(Self { cell_width, cell_height, per_row })
    }

    fn height(self) -> usize {
        CELLS.div_ceil(self.per_row) * self.cell_height
    }

    /// Left and top of a cell.
    fn corner(self, cell: usize) -> (usize, usize) {
        (cell % self.per_row * self.cell_width, cell / self.per_row * self.cell_height)
    }
}

/// Height of the strip in a picture of this width, in pixels; 0 where there is no room for one.
pub fn strip_height(width: usize) -> usize {
    Layout::of(width).map_or(0, Layout::height)
}

/// Writes the strip into a luma plane of `width` bytes a row; nothing where it does not fit.
pub fn write_stamp(luma: &mut [u8], width: usize, stamp: Stamp) {
    let Some(layout) = Layout::of(width).filter(|l| luma.len() >= l.height() * width) else {
        return;
    };
    let bits = stamp.bits();
    luma[..layout.height() * width].fill(BLACK);
    for cell in (0..CELLS).filter(|cell| bits >> (CELLS - 1 - cell) & 1 == 1) {
        let (left, top) = layout.corner(cell);
        for row in top..top + layout.cell_height {
            let start = row * width + left;
            luma[start..start + layout.cell_width].fill(WHITE);
        }
    }
}

/// Reads the strip off a luma plane of `width` bytes a row and `height` rows; `None` where there is
/// no strip, or one whose check does not hold.
pub fn read_stamp(luma: &[u8], width: usize, height: usize) -> Option<Stamp> {
    let layout = Layout::of(width)?;
    if height < layout.height() || luma.len() < layout.height() * width {
        return None;
    }
    let bits = (0..CELLS)
        .fold(0_u128, |bits, cell| (bits << 1) | u128::from(lit(luma, width, layout, cell)));
    let body = u64::try_from(bits >> 16).ok()?;
    let stamp = Stamp {
        number: u32::try_from(body >> 32).ok()?,
        time_ms: u32::try_from(body & u64::from(u32::MAX)).ok()?,
    };
    (stamp.bits() == bits).then_some(stamp)
}

/// The middle half of a cell decides: its edges are blurred by the encoder.
fn lit(luma: &[u8], width: usize, layout: Layout, cell: usize) -> bool {
    let (left, top) = layout.corner(cell);
    let (inset_x, inset_y) = (layout.cell_width / 4, layout.cell_height / 4);
    let mut sum = 0;
    let mut count = 0;
    for row in top + inset_y..top + layout.cell_height - inset_y {
        let start = row * width + left;
        for &value in &luma[start + inset_x..start + layout.cell_width - inset_x] {
            sum += u32::from(value);
            count += 1;
        }
    }
    sum > THRESHOLD * count
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTHS: [usize; 8] = [160, 162, 320, 480, 640, 854, 1280, 1920];

    #[test]
    fn what_is_written_reads_back_at_every_width() {
        for width in WIDTHS {
            let height = 90;
            let mut luma = vec![77; width * height];
            for (number, time_ms) in [(0, 0), (1, u32::MAX), (u32::MAX, 1), (0xDEAD_BEEF, 12_345)] {
                let stamp = Stamp { number, time_ms };
                write_stamp(&mut luma, width, stamp);
                assert_eq!(read_stamp(&luma, width, height), Some(stamp), "{width}");
            }
            assert!(strip_height(width) <= 32, "{width}");
        }
    }

    #[test]
    fn a_picture_without_a_strip_has_no_stamp() {
        for width in WIDTHS {
            for value in [0, BLACK, 128, WHITE, 255] {
                assert_eq!(read_stamp(&vec![value; width * 90], width, 90), None);
            }
        }
        assert_eq!(read_stamp(&[], 0, 0), None);
        assert_eq!(read_stamp(&[255; 64], 8, 8), None);
        assert_eq!(read_stamp(&[], 1280, 720), None);
    }

    #[test]
    fn one_wrong_cell_is_noticed() {
        let (width, height) = (320, 90);
        let mut luma = vec![BLACK; width * height];
        write_stamp(&mut luma, width, Stamp { number: 4711, time_ms: 815 });
        for cell in 0..CELLS {
            let mut wrong = luma.clone();
            let (left, top) = Layout::of(width).unwrap().corner(cell);
            for row in top..top + 8 {
                for value in &mut wrong[row * width + left..row * width + left + 8] {
                    *value = BLACK + WHITE - *value;
                }
            }
            assert_eq!(read_stamp(&wrong, width, height), None, "cell {cell}");
        }
    }

    #[test]
    fn ages_go_across_the_wrap_of_32_bits() {
        let near = Stamp::new(0, (i64::from(u32::MAX) - 4) * 1_000 + 999);
        assert_eq!(near.time_ms, u32::MAX - 4);
        assert_eq!(near.age_ms((i64::from(u32::MAX) + 6) * 1_000), 10);
        assert_eq!(near.age_ms((i64::from(u32::MAX) - 7) * 1_000), -3);
    }
}
