//! Who gives way in a full table that several fill: whoever holds most of it loses its oldest row. So
//! a flood displaces itself, and nobody who holds less than the flooder.

use std::collections::BTreeMap;

use crate::time::Mono;

/// The row that gives way. `rows` are the rows' keys, who brought each, and since when it is there.
pub(super) fn gives_way<K: Copy + Ord, H: Ord>(
    rows: impl Iterator<Item = (K, H, Mono)>,
) -> Option<K> {
    let mut shares: BTreeMap<H, (usize, (Mono, K))> = BTreeMap::new();
    for (key, holder, since) in rows {
        let (count, oldest) = shares.entry(holder).or_insert((0, (since, key)));
        *count += 1;
        *oldest = (*oldest).min((since, key));
    }
    shares.into_values().max_by_key(|(count, _)| *count).map(|(_, (_, key))| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_most_loses_its_oldest() {
        let at = Mono::from_micros;
        let mut rows = vec![(1, 'a', at(5)), (2, 'b', at(3)), (3, 'b', at(2)), (4, 'b', at(9))];
        assert_eq!(gives_way(rows.iter().copied()), Some(3));
        rows.retain(|row| row.1 == 'a');
        assert_eq!(gives_way(rows.into_iter()), Some(1));
        assert_eq!(gives_way(std::iter::empty::<(u8, char, Mono)>()), None);
    }
}
