//! The strip of cells at the top of the test picture, read apart from the product's own reader:
//! what it says is what a user saw, so it is checked by other code than wrote it.
//!
//! 80 cells of 16 by 16 pixels, most significant bit first, white is 1: number (32), milliseconds
//! (32), CRC-16/CCITT-FALSE of those eight bytes (16). Only pictures of 1280 pixels or wider.

/// Width of the pictures that this reader knows.
pub const WIDTH: usize = 1280;
/// Rows that the strip takes.
pub const ROWS: usize = 16;

/// Cells of the strip.
pub const CELLS: usize = WIDTH / CELL;

const CELL: usize = 16;
const MIDDLE: u8 = 128;

/// What a picture says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its number, from 0 on.
    pub number: u32,
    /// Low 32 bits of the broadcast clock's milliseconds at its capture.
    pub time_ms: u32,
}

impl Stamp {
    /// How far a capture time in microseconds lies after this stamp, in milliseconds.
    #[must_use]
    pub fn distance_ms(self, captured_us: i64) -> i32 {
        let low = captured_us.div_euclid(1000) & i64::from(u32::MAX);
        u32::try_from(low).unwrap_or_default().wrapping_sub(self.time_ms).cast_signed()
    }
}

/// Reads a strip of [`WIDTH`] by [`ROWS`] luma bytes.
///
/// # Errors
/// A sentence, if it carries no stamp.
pub fn read(strip: &[u8]) -> Result<Stamp, String> {
    // The centres: an encoder blurs edges only.
    let at = |cell: usize| strip.get(ROWS / 2 * WIDTH + cell * CELL + CELL / 2).copied();
    from_centres(&std::array::from_fn(|cell| at(cell).unwrap_or_default()))
}

/// Reads the brightness of the cells' centres.
///
/// # Errors
/// A sentence, if they carry no stamp.
pub fn from_centres(centres: &[u8; CELLS]) -> Result<Stamp, String> {
    let mut bits: u128 = 0;
    for brightness in centres {
        bits = bits << 1 | u128::from(*brightness > MIDDLE);
    }
    let bytes = bits.to_be_bytes();
    let (body, check) = bytes[6..].split_at(8);
    if crc(body).to_be_bytes() != check {
        return Err(format!("the check fails of {body:02x?}"));
    }
    let number =
        |at: usize| u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    Ok(Stamp { number: number(0), time_ms: number(4) })
}

fn crc(bytes: &[u8]) -> u16 {
    let mut crc = 0xffff_u16;
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        let carry = crc >> 15 ^ u16::from(bit);
        crc = crc << 1 ^ (carry * 0x1021);
    }
    crc
}

/// Reads all strips and checks that their numbers follow one another.
///
/// # Errors
/// A sentence about the first that has no stamp or another number.
pub fn consecutive(strips: &[Vec<u8>]) -> Result<Vec<Stamp>, String> {
    let mut stamps: Vec<Stamp> = Vec::new();
    for (index, strip) in strips.iter().enumerate() {
        let stamp = read(strip).map_err(|why| format!("picture {index}: {why}"))?;
        if let Some(last) = stamps.last()
            && stamp.number != last.number + 1
        {
            return Err(format!("picture {index}: {} after {}", stamp.number, last.number));
        }
        stamps.push(stamp);
    }
    if stamps.is_empty() { Err("no pictures".to_owned()) } else { Ok(stamps) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(number: u32, time_ms: u32) -> Vec<u8> {
        let mut body = number.to_be_bytes().to_vec();
        body.extend(time_ms.to_be_bytes());
        body.extend(crc(&body).to_be_bytes());
        let row: Vec<u8> = (0..WIDTH)
            .map(|x| if body[x / CELL / 8] >> (7 - x / CELL % 8) & 1 == 1 { 235 } else { 16 })
            .collect();
        row.repeat(ROWS)
    }

    #[test]
    fn the_check_is_the_usual_one() {
        assert_eq!(crc(b"123456789"), 0x29b1);
    }

    #[test]
    fn stamps_are_read_and_noise_is_not() {
        let stamp = read(&strip(7, 123_456)).unwrap();
        assert_eq!(stamp, Stamp { number: 7, time_ms: 123_456 });
        assert_eq!(stamp.distance_ms(123_460_999), 4);
        assert_eq!(stamp.distance_ms(123_450_000), -6);
        assert!(read(&vec![0; WIDTH * ROWS]).is_err());
        assert!(read(&vec![255; WIDTH * ROWS]).is_err());
        assert!(read(&[]).is_err());
    }

    #[test]
    fn a_missing_or_repeated_picture_is_noticed() {
        let strips = |numbers: &[u32]| numbers.iter().map(|n| strip(*n, 0)).collect::<Vec<_>>();
        assert_eq!(consecutive(&strips(&[4, 5, 6])).unwrap().len(), 3);
        assert!(consecutive(&strips(&[4, 6])).unwrap_err().contains("6 after 4"));
        assert!(consecutive(&strips(&[4, 4])).unwrap_err().contains("4 after 4"));
        assert!(consecutive(&[]).is_err());
    }
}
