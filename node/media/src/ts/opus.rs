//! Opus in a transport stream, as ffmpeg and the draft "Encapsulation of Opus in MPEG-2 TS" have
//! it: a control header before each packet; and how long a packet lasts (RFC 6716, 3.1).
//!
//! Bound: borrows its input.

/// Samples a second: those of the time stamps, whatever the packet was made from.
pub(super) const RATE: u32 = 48_000;

/// Samples that a packet may hold: 120 ms.
const SAMPLES_MAX: u32 = 5_760;

/// Reads the control header at the begin of `bytes`: the packet behind it, and what follows that.
/// `None` if it is broken.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, mut rest) = bytes.split_at_checked(2)?;
    if head[0] != 0x7f || head[1] & 0xe0 != 0xe0 {
        return None;
    }
    let mut size = 0;
    loop {
        let (&byte, next) = rest.split_first()?;
        rest = next;
        size += usize::from(byte);
        if byte != 0xff {
            break;
        }
    }
    // What is trimmed at begin and end: a decoder's business that is not asked of anybody here.
    let trims = 2 * usize::from(head[1] & 0x10 != 0) + 2 * usize::from(head[1] & 0x08 != 0);
    rest = rest.get(trims..)?;
    if head[1] & 0x04 != 0 {
        let (&extension, next) = rest.split_first()?;
        rest = next.get(usize::from(extension)..)?;
    }
    rest.split_at_checked(size)
}

/// Appends the control header of a packet.
pub(super) fn append_header(out: &mut Vec<u8>, packet: usize) {
    out.extend_from_slice(&[0x7f, 0xe0]);
    out.extend(std::iter::repeat_n(0xff, packet / 255));
    out.push((packet % 255) as u8);
}

/// Samples at [`RATE`] that a packet holds; `None` if it is no Opus packet.
pub(super) fn samples(packet: &[u8]) -> Option<u32> {
    let &toc = packet.first()?;
    let config = u32::from(toc >> 3);
    let frame = match config {
        0..=11 => [480, 960, 1_920, 2_880][config as usize & 3],
        12..=15 => [480, 960][config as usize & 1],
        _ => [120, 240, 480, 960][config as usize & 3],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    Some(frame * frames).filter(|&samples| samples > 0 && samples <= SAMPLES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_written_is_read_again() {
        for size in [1, 254, 255, 256, 510, 1_275] {
            let mut bytes = Vec::new();
            append_header(&mut bytes, size);
            bytes.extend(std::iter::repeat_n(7, size));
            bytes.extend([1, 2, 3]);
            let (packet, rest) = split(&bytes).unwrap();
            assert_eq!((packet.len(), rest), (size, &[1, 2, 3][..]));
        }
    }

    #[test]
    fn trims_and_extensions_are_stepped_over() {
        let bytes = [0x7f, 0xfc, 2, 1, 0x38, 0, 9, 3, 0, 0, 0, 0xaa, 0xbb];
        assert_eq!(split(&bytes), Some((&[0xaa, 0xbb][..], &[][..])));
        assert_eq!(split(&bytes[..12]), None);
        assert_eq!(split(&[0x7f, 0xe0, 0xff]), None);
    }

    #[test]
    fn durations_from_2_5_to_120_ms() {
        let toc = |config: u8, code: u8| samples(&[config << 3 | code, 2]);
        assert_eq!(
            [toc(16, 0), toc(17, 0), toc(18, 0), toc(19, 0)].map(Option::unwrap),
            [120, 240, 480, 960]
        );
        assert_eq!([toc(1, 0), toc(2, 0), toc(3, 0)].map(Option::unwrap), [960, 1_920, 2_880]);
        assert_eq!([toc(15, 0), toc(31, 1), toc(31, 3)].map(Option::unwrap), [960, 1_920, 1_920]);
        assert_eq!(samples(&[31 << 3 | 3, 7]), None);
        assert_eq!(samples(&[]), None);
    }
}
