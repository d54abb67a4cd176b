use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use underlay_core::Timestamp;

/// Up to which times a histogram tells them apart, in microseconds.
const TIMES: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts so many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// How often it took at most the time of the same place, and longer than that of the place before. The last is
    /// for whatever took longer than all of them.
    counts: [AtomicU64; TIMES.len() + 1],
    microseconds: AtomicU64,
}

impl Histogram {
    /// Something took so long.
    pub fn observe(&self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let place = TIMES.partition_point(|bound| *bound < microseconds);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// Something began and ended at these moments. It took no time where a clock was set back in between.
    pub fn observe_between(&self, begun: Timestamp, ended: Timestamp) {
        self.observe(Duration::try_from(ended.duration_since(begun)).unwrap_or_default());
    }

    /// For each bound in seconds how often it took at most that, and for infinity how often in all.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut sum = 0;
        let bounds = TIMES.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
        bounds.zip(&self.counts).map(move |(bound, count)| {
            sum += count.load(Ordering::Relaxed);
            (bound, sum)
        })
    }

    /// How long all of it took, in seconds.
    pub(super) fn sum(&self) -> f64 {
        seconds(self.microseconds.load(Ordering::Relaxed))
    }
}

/// Exact up to 285 years.
#[expect(
    clippy::cast_precision_loss,
    reason = "a sum beyond 2^53 microseconds is off by less than a millisecond"
)]
fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_up_to_its_bound_and_in_all_above() {
        let histogram = Histogram::default();
        for microseconds in [0, 500, 501, 30_000_000, 30_000_001, u64::MAX / 4] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let counted: Vec<(f64, u64)> = histogram.cumulative().collect();
        assert_eq!(counted[..2], [(0.0005, 2), (0.001, 3)]);
        assert_eq!(counted[13..], [(10.0, 3), (30.0, 4), (f64::INFINITY, 6)]);
    }

    #[test]
    fn a_clock_that_was_set_back_takes_nothing_from_the_sum() {
        let histogram = Histogram::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        histogram.observe_between(at(100), at(90));
        histogram.observe_between(at(100), at(102));
        assert!((histogram.sum() - 2.0).abs() < 1e-9);
        assert_eq!(histogram.cumulative().last(), Some((f64::INFINITY, 2)));
    }
}
