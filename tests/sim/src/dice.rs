//! All chance of a world, from one seed.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A seeded source of chance.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

/// Parts in a million, for chances.
pub const MILLION: u32 = 1_000_000;

impl Dice {
    /// The dice of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Dice of their own, so that one part of the world does not change another's fortune.
    pub fn split(&mut self) -> Self {
        Self::new(self.0.next_u64())
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias of a remainder is below one in a billion for the small numbers used here.
        if end == 0 { 0 } else { self.0.next_u64() % end }
    }

    /// Whether something of `ppm` chances in a million happens.
    pub fn chance(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.below(MILLION.into()) < u64::from(ppm)
    }

    /// A duration below `end`.
    pub fn within(&mut self, end: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(end.as_micros()).unwrap_or(u64::MAX)))
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, some: &[T]) -> Option<T> {
        some.get(usize::try_from(self.below(some.len() as u64)).ok()?).copied()
    }

    /// Fills a buffer.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_fortune() {
        let throw = |seed| {
            let mut dice = Dice::new(seed);
            (0..50).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(throw(7), throw(7));
        assert_ne!(throw(7), throw(8));
    }

    #[test]
    fn chances_are_about_what_they_say() {
        let mut dice = Dice::new(1);
        let hits = (0..100_000).filter(|_| dice.chance(50_000)).count();
        assert!((4_700..5_300).contains(&hits), "{hits}");
        assert!(!dice.chance(0) && dice.chance(MILLION));
    }
}
