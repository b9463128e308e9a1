//! A byte stream taken apart by other code than the product's.

use std::collections::BTreeSet;

/// All NAL units but parameter sets in their order, and the parameter sets as a set.
///
/// Slow and plain on purpose: the judge must not be the code that is judged.
pub(crate) fn apart(stream: &[u8]) -> (Vec<Vec<u8>>, BTreeSet<Vec<u8>>) {
    let starts: Vec<usize> =
        (0..stream.len().saturating_sub(2)).filter(|&at| stream[at..at + 3] == [0, 0, 1]).collect();
    let (mut coded, mut sets) = (Vec::new(), BTreeSet::new());
    for (n, &start) in starts.iter().enumerate() {
        let end = starts.get(n + 1).copied().unwrap_or(stream.len());
        let mut nal = stream[start + 3..end].to_vec();
        while nal.last() == Some(&0) {
            nal.pop();
        }
        if matches!(nal[0] & 31, 7 | 8) {
            sets.insert(nal);
        } else {
            coded.push(nal);
        }
    }
    (coded, sets)
}
