//! Percentiles of what was seen since the start, in bounded memory.
//!
//! Values are kept exactly up to `KEEP_MAX` of them, 36 minutes of 30 pictures a second; then every
//! second one is kept.

/// 256 KiB, sorted in a few milliseconds: the player waits for that while somebody looks.
const KEEP_MAX: usize = 1 << 16;

/// Collects values and tells their percentiles.
#[derive(Debug, Default)]
pub struct Percentiles {
    values: Vec<f32>,
    /// One of this many values is kept (a power of two; 0 counts as 1).
    stride: u32,
    seen: u32,
}

impl Percentiles {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        let stride = self.stride.max(1);
        if self.seen.is_multiple_of(stride) {
            self.values.push(value as f32);
        }
        self.seen = self.seen.wrapping_add(1);
        if self.values.len() >= KEEP_MAX {
            let mut keep = false;
            self.values.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride = stride * 2;
        }
    }

    /// The value that `percent` (0 to 100) of all values do not exceed (nearest rank); `None`
    /// without values.
    pub fn at(&self, percent: f64) -> Option<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        nearest_rank(&sorted, percent).map(f64::from)
    }

    /// Several percentiles with one sort.
    pub fn at_each<const N: usize>(&self, percents: [f64; N]) -> [Option<f64>; N] {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        percents.map(|percent| nearest_rank(&sorted, percent).map(f64::from))
    }

    /// How many values are kept.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

fn nearest_rank(sorted: &[f32], percent: f64) -> Option<f32> {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rank_is_told() {
        let mut values = Percentiles::default();
        assert_eq!(values.at(50.0), None);
        for value in (1..=100).rev() {
            values.add(value.into());
        }
        assert_eq!(values.at_each([0.0, 50.0, 99.0, 100.0]), [1.0, 50.0, 99.0, 100.0].map(Some));
    }

    #[test]
    fn memory_is_bounded_and_the_middle_stays() {
        let mut values = Percentiles::default();
        for value in 0..3_000_000 {
            values.add(value.into());
        }
        assert!(values.len() < KEEP_MAX);
        let middle = values.at(50.0).unwrap();
        assert!((middle - 1_500_000.0).abs() < 150_000.0, "{middle}");
    }
}
