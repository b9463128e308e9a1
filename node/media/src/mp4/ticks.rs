//! Times in ticks of a timescale, and from one timescale to another.

/// A time in ticks of a timescale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    pub(super) ticks: i64,
    pub(super) scale: u32,
}

impl Ticks {
    pub(super) fn micros(self) -> i128 {
        i128::from(self.ticks) * 1_000_000 / i128::from(self.scale)
    }

    /// Whether it comes before another, exactly.
    pub(super) fn is_before(self, other: Self) -> bool {
        i128::from(self.ticks) * i128::from(other.scale)
            < i128::from(other.ticks) * i128::from(self.scale)
    }
}

/// Ticks of another timescale, to the nearest; saturates.
pub(super) fn rescaled(ticks: i64, from: u32, to: u32) -> i64 {
    let from = i128::from(from.max(1));
    let scaled = (i128::from(ticks) * i128::from(to) * 2 + from).div_euclid(2 * from);
    narrowed(scaled)
}

/// Ticks of another timescale, the first that is not before; saturates.
pub(super) fn rescaled_up(ticks: i64, from: u32, to: u32) -> i64 {
    let from = i128::from(from.max(1));
    narrowed((i128::from(ticks) * i128::from(to) + from - 1).div_euclid(from))
}

pub(super) fn narrowed(ticks: i128) -> i64 {
    i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}
