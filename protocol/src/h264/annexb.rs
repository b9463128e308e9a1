//! The byte stream format of annex B: start codes in front of NAL units.
//!
//! Three- and four-byte start codes are taken alike, zero bytes after a NAL unit belong to the
//! stream and not to the unit (B.1). Bound: borrows its input, allocates nothing.

/// The start code that we write: four bytes, as B.1.1 wants it before parameter sets and the first
/// NAL unit of an access unit, and as every decoder takes it everywhere.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Finds the next `00 00 01` in `bytes`.
pub(crate) fn find_start_code(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(window) = bytes.get(at..at + 3) {
        match window {
            [0, 0, 1] => return Some(at),
            // Only a byte of 0 or 1 in third place leaves hope for the two positions between.
            [_, _, third] if *third > 1 => at += 3,
            [_, _, _] => at += 1,
            _ => return None,
        }
    }
    None
}

/// The NAL units of a byte stream, each from its header byte to its last byte that is not zero.
///
/// What stands before the first start code is skipped; empty units are left out.
pub fn nals(stream: &[u8]) -> Nals<'_> {
    let rest = find_start_code(stream).map_or(&[][..], |at| &stream[at + 3..]);
    Nals { rest }
}

/// Iterator of [`nals`].
#[derive(Clone, Debug)]
pub struct Nals<'a> {
    /// Begins behind a start code; empty when there is no more.
    rest: &'a [u8],
}

impl<'a> Iterator for Nals<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let nal = match find_start_code(self.rest) {
                Some(at) => {
                    let nal = &self.rest[..at];
                    self.rest = &self.rest[at + 3..];
                    nal
                }
                None => std::mem::take(&mut self.rest),
            };
            let nal = trim_zeros(nal);
            if !nal.is_empty() {
                return Some(nal);
            }
        }
        None
    }
}

/// `nal` without the zero bytes at its end: no NAL unit ends in one (7.4.1).
pub(crate) fn trim_zeros(nal: &[u8]) -> &[u8] {
    let end = nal.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &nal[..end]
}

/// Appends a NAL unit with its start code.
pub fn append(out: &mut Vec<u8>, nal: &[u8]) {
    out.extend_from_slice(&START_CODE);
    out.extend_from_slice(nal);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(stream: &[u8]) -> Vec<Vec<u8>> {
        nals(stream).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn both_start_codes_and_zero_padding() {
        let stream = [9, 0, 0, 1, 0x67, 5, 0, 0, 0, 0, 1, 0x68, 0, 0, 1, 0x65, 0, 3, 0, 0];
        assert_eq!(split(&stream), [vec![0x67, 5], vec![0x68], vec![0x65, 0, 3]]);
    }

    #[test]
    fn empty_units_and_streams_without_a_start_code() {
        assert_eq!(split(&[0, 0, 1, 0, 0, 1, 0, 0, 0, 1]), Vec::<Vec<u8>>::new());
        assert_eq!(split(&[1, 2, 3]), Vec::<Vec<u8>>::new());
        assert_eq!(split(&[]), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn what_is_appended_is_found_again() {
        let mut out = Vec::new();
        append(&mut out, &[0x65, 0, 0, 3, 1]);
        append(&mut out, &[0x41]);
        assert_eq!(split(&out), [vec![0x65, 0, 0, 3, 1], vec![0x41]]);
    }
}
