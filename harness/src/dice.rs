use std::time::Duration;

use uuid::{Builder, Uuid};

/// Numbers that look random and are the same for the same seed, so that a run can be played again.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed that begins here: what a child process is given.
    pub(crate) fn seed(&mut self) -> u64 {
        self.roll()
    }

    /// Dice of their own for a part of the run: what one part rolls does not move the others.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.roll())
    }

    /// The next number (splitmix64).
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to just below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A place in a list of `length`, which is at least 1.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        // The remainder is below `length`, so the cast is exact.
        (self.roll() % length as u64) as usize
    }

    /// One of a list; none of an empty one.
    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        if list.is_empty() { None } else { list.get(self.index(list.len())) }
    }

    /// A time from nothing to just below `most`.
    pub(crate) fn time_below(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.below(most))
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        let high = u128::from(self.roll());
        Builder::from_random_bytes(((high << 64) | u128::from(self.roll())).to_be_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let numbers = |seed| {
            let mut dice = Dice::new(seed);
            (0..100).map(|_| dice.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn every_side_comes_up() {
        let mut dice = Dice::new(1);
        let mut seen = [0u32; 6];
        (0..6_000).for_each(|_| seen[dice.index(6)] += 1);
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
    }
}
