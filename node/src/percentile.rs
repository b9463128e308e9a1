//! Percentiles of all that was seen since the start, in bounded memory and at a bounded price.
//!
//! A histogram with a step of one microsecond up to 4 ms and of at most 1/2048 of the value above.
//! What is told is the middle of a step: wrong by 0.03 % of it at most, 0.5 ms of two seconds. The
//! least and the greatest value are kept as they are. Adding is one increment; looking walks the
//! steps and sorts nothing, so that whoever looks several times a second holds up nobody. Bound:
//! 45,056 steps of 4 bytes on each side of zero, made as far as values reach.

/// Steps for each doubling of the value, as a power of two.
const STEP_BITS: u32 = 11;
const STEPS: u64 = 1 << STEP_BITS;

/// Values beyond this many microseconds (71 minutes) are counted as this.
const MICROS_MAX: u64 = u32::MAX as u64;

/// Collects values and tells their percentiles.
#[derive(Debug, Default)]
pub struct Percentiles {
    /// Counts by [`step`] of the microseconds, of values from zero on.
    above: Vec<u32>,
    /// The same of values below zero, by their distance from it.
    below: Vec<u32>,
    count: u64,
    least: f64,
    greatest: f64,
}

impl Percentiles {
    /// Adds a value in milliseconds. What is not a number is not counted.
    pub fn add(&mut self, millis: f64) {
        if millis.is_nan() {
            return;
        }
        // A cast of a float saturates.
        let micros = (millis * 1000.0).round() as i64;
        let counts = if micros < 0 { &mut self.below } else { &mut self.above };
        let step = step(micros.unsigned_abs());
        if counts.len() <= step {
            counts.resize(step + 1, 0);
        }
        counts[step] = counts[step].saturating_add(1);
        let first = self.count == 0;
        self.least = if first { millis } else { self.least.min(millis) };
        self.greatest = if first { millis } else { self.greatest.max(millis) };
        self.count += 1;
    }

    /// The value in milliseconds that `percent` (0 to 100) of all values do not exceed (nearest
    /// rank); `None` without values.
    pub fn at(&self, percent: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = (percent / 100.0 * self.count as f64).ceil() as u64;
        if rank <= 1 {
            return Some(self.least);
        }
        if rank >= self.count {
            return Some(self.greatest);
        }
        let below = self.below.iter().enumerate().rev().map(|(step, n)| (-middle(step), n));
        let above = self.above.iter().enumerate().map(|(step, n)| (middle(step), n));
        let mut seen = 0;
        for (micros, count) in below.chain(above) {
            seen += u64::from(*count);
            if seen >= rank {
                return Some((micros / 1000.0).clamp(self.least, self.greatest));
            }
        }
        // Only where a step has more than 2^32 values: then the rest is beyond what can be told.
        Some(self.greatest)
    }

    /// Several percentiles.
    pub fn at_each<const N: usize>(&self, percents: [f64; N]) -> [Option<f64>; N] {
        percents.map(|percent| self.at(percent))
    }

    /// How many values were added.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The step of a number of microseconds.
fn step(micros: u64) -> usize {
    let micros = micros.min(MICROS_MAX);
    // Below twice `STEPS` a number is its own step.
    let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(STEP_BITS + 1);
    (u64::from(shift) * STEPS + (micros >> shift)) as usize
}

/// The middle of a step, in microseconds.
fn middle(step: usize) -> f64 {
    let step = step as u64;
    let shift = (step / STEPS).saturating_sub(1);
    let least = (step - shift * STEPS) << shift;
    least as f64 + ((1_u64 << shift) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random, the same each time.
    fn numbers() -> impl Iterator<Item = u64> {
        std::iter::successors(Some(0x9e37_79b9_7f4a_7c15_u64), |last| {
            let mut next = *last;
            next ^= next << 13;
            next ^= next >> 7;
            next ^= next << 17;
            Some(next)
        })
    }

    #[test]
    fn the_nearest_rank_is_told() {
        let mut values = Percentiles::default();
        assert!(values.is_empty());
        assert_eq!(values.at(50.0), None);
        for value in (1..=100).rev() {
            values.add(f64::from(value) / 100.0);
        }
        assert_eq!(values.at_each([0.0, 50.0, 99.0, 100.0]), [0.01, 0.5, 0.99, 1.0].map(Some));
        assert_eq!(values.len(), 100);
    }

    #[test]
    fn every_value_is_within_half_a_step_of_what_is_told() {
        let edges = (0..32).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for micros in edges.chain(numbers().take(100_000).map(|n| n >> 32)) {
            let told = middle(step(micros));
            let wrong = (told - micros as f64).abs();
            assert!(wrong <= micros as f64 / 4096.0, "{micros} is told as {told}");
            assert!(micros >= 4096 || wrong == 0.0, "{micros} is told as {told}");
        }
    }

    #[test]
    fn steps_follow_each_other() {
        let last = step(MICROS_MAX);
        assert_eq!(last + 1, 45_056, "as the head of this file says");
        assert_eq!(step(u64::MAX), last);
        for pair in (0..=last).map(middle).collect::<Vec<_>>().windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
    }

    #[test]
    fn what_is_told_is_what_sorting_tells() {
        let mut values = Percentiles::default();
        // From -20 ms, as by a clock that errs, to 2 s.
        let mut all: Vec<f64> =
            numbers().take(10_000).map(|n| (n % 2_020_000) as f64 / 1000.0 - 20.0).collect();
        all.iter().for_each(|value| values.add(*value));
        all.sort_by(f64::total_cmp);
        for percent in [0.0, 0.5, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
            let rank = (percent / 100.0 * all.len() as f64).ceil() as usize;
            let (told, true_value) = (values.at(percent).unwrap(), all[rank.saturating_sub(1)]);
            assert!((told - true_value).abs() < 0.5, "p{percent}: {told}, not {true_value}");
        }
        assert_eq!(values.at(100.0), all.last().copied());
        assert_eq!(values.at(0.0), all.first().copied());
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut values = Percentiles::default();
        for number in numbers().take(1_000_000) {
            values.add(number as f64);
            values.add(-(number as f64));
        }
        for value in [f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            values.add(value);
        }
        assert_eq!(values.len(), 2_000_004);
        assert!(values.above.len() <= 45_056 && values.below.len() <= 45_056);
    }
}
