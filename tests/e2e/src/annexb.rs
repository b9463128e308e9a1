//! H.264 in Annex-B form, taken apart far enough to compare two streams unit by unit. Written apart
//! from the product's own parser, which is what is being checked.

use std::collections::BTreeSet;

/// What of a stream must survive being passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Slices, SEI and delimiters in order, byte for byte.
    pub units: Vec<Vec<u8>>,
    /// The parameter sets that occur, each once: they may be repeated with every keyframe.
    pub parameter_sets: BTreeSet<Vec<u8>>,
}

/// Splits Annex-B bytes.
#[must_use]
pub fn split(bytes: &[u8]) -> Stream {
    let mut stream = Stream::default();
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= bytes.len() {
        if bytes[at..at + 3] == [0, 0, 1] {
            starts.push(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map_or(bytes.len(), |next| next - 3);
        let mut unit = &bytes[start..end];
        // A unit never ends in a zero: those belong to the next start code.
        while let [head @ .., 0] = unit {
            unit = head;
        }
        match unit.first().map(|head| head & 0x1f) {
            Some(7 | 8) => {
                stream.parameter_sets.insert(unit.to_vec());
            }
            Some(_) => stream.units.push(unit.to_vec()),
            None => {}
        }
    }
    stream
}

/// Whether two streams carry the same coded pictures.
///
/// # Errors
/// A sentence that says where they part.
pub fn same(left: &Stream, right: &Stream) -> Result<(), String> {
    for (index, (a, b)) in left.units.iter().zip(&right.units).enumerate() {
        if a != b {
            return Err(format!(
                "unit {index} differs: type {} of {} bytes, type {} of {} bytes",
                a[0] & 0x1f,
                a.len(),
                b[0] & 0x1f,
                b.len()
            ));
        }
    }
    if left.units.len() != right.units.len() {
        return Err(format!("{} units, and {}", left.units.len(), right.units.len()));
    }
    if left.units.is_empty() {
        return Err("there are no pictures at all".to_owned());
    }
    if left.parameter_sets != right.parameter_sets {
        return Err("the parameter sets differ".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = &[
        0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 4, 0, 0, 3,
        1, 0, 0, 1, 0x41, 5,
    ];

    #[test]
    fn units_are_found_whatever_the_length_of_their_start_codes() {
        let stream = split(STREAM);
        assert_eq!(stream.units, [vec![9, 0x10], vec![0x65, 4, 0, 0, 3, 1], vec![0x41, 5]]);
        assert_eq!(stream.parameter_sets.len(), 2);
    }

    #[test]
    fn repeated_parameter_sets_are_no_difference_and_anything_else_is() {
        let one = split(STREAM);
        let twice = split(&[STREAM, STREAM].concat());
        same(&one, &split(&[&[0, 0, 1, 0x68, 3], STREAM].concat())).unwrap();
        assert!(same(&one, &twice).unwrap_err().contains("3 units, and 6"));
        for at in [5, 11, 22, 31] {
            let mut altered = STREAM.to_vec();
            altered[at] ^= 0x40;
            assert!(same(&one, &split(&altered)).is_err(), "byte {at}");
        }
        assert!(same(&split(&[]), &split(&[])).is_err());
    }
}
