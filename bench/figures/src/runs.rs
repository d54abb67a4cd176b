use serde::Serialize;

/// One run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// In the figure's unit.
    pub value: f64,
    /// How long single calls took, where they were timed.
    pub latency: Option<Latency>,
    /// How often a version was not the expected one, for each commit; where that was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<f64>,
}

/// Percentiles of single calls, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half of the calls took no longer.
    pub p50: f64,
    /// Ninety-nine of a hundred took no longer.
    pub p99: f64,
}

/// How far the runs of a baseline may lie apart, as a share of their median, so that something beside them is quoted.
pub const MOVED_MAX: f64 = 0.2;

/// Rounds that a figure needs, where as many were run.
const ROUNDS_MIN: usize = 3;

/// The runs of a figure.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Runs(pub Vec<Sample>);

impl Sample {
    /// A run whose calls were not timed.
    #[must_use]
    pub fn of(value: f64) -> Self {
        Self { value, latency: None, conflicts: None }
    }
}

impl Latency {
    /// Of single times in nanoseconds; none of no times.
    #[must_use]
    pub fn of(mut nanoseconds: Vec<u64>) -> Option<Self> {
        nanoseconds.sort_unstable();
        let at = |share: f64| {
            let index = (nanoseconds.len() as f64 * share) as usize;
            nanoseconds.get(index).map(|nanoseconds| *nanoseconds as f64 / 1e3)
        };
        Some(Self { p50: at(0.50)?, p99: at(0.99)? })
    }
}

impl Runs {
    /// Adds a run.
    pub fn push(&mut self, run: Sample) {
        self.0.push(run);
    }

    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The median.
    #[must_use]
    pub fn value(&self) -> f64 {
        median(self.0.iter().map(|run| run.value))
    }

    /// The medians of the runs whose calls were timed.
    #[must_use]
    pub fn latency(&self) -> Option<Latency> {
        let timed: Vec<Latency> = self.0.iter().filter_map(|run| run.latency).collect();
        (!timed.is_empty()).then(|| Latency {
            p50: median(timed.iter().map(|latency| latency.p50)),
            p99: median(timed.iter().map(|latency| latency.p99)),
        })
    }

    /// Conflicts for each commit; none where there were none.
    #[must_use]
    pub fn conflicts(&self) -> Option<f64> {
        let conflicts = median(self.0.iter().filter_map(|run| run.conflicts));
        (conflicts > 0.0).then_some(conflicts)
    }

    /// How many times as much as another figure: the median over the rounds, each run against the run
    /// beside it. What slows the machine for a while slows both.
    #[must_use]
    pub fn times(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(own, other)| own.value / other.value))
    }

    /// The rounds in which the machine was the same, as these runs of a baseline show: those within [`MOVED_MAX`] of each
    /// other, around the median. None where they are fewer than a figure needs.
    #[must_use]
    pub fn steady(&self) -> Option<Vec<usize>> {
        let middle = self.value();
        let is_steady = |run: &Sample| (run.value - middle).abs() <= middle * MOVED_MAX / 2.0;
        let rounds: Vec<usize> =
            self.0.iter().enumerate().filter(|(_, run)| is_steady(run)).map(|(round, _)| round).collect();
        let needed = ROUNDS_MIN.min(self.0.len());
        (!rounds.is_empty() && rounds.len() >= needed).then_some(rounds)
    }

    /// The runs of some rounds.
    #[must_use]
    pub fn of_rounds(&self, rounds: &[usize]) -> Self {
        Self(rounds.iter().filter_map(|round| self.0.get(*round)).copied().collect())
    }

    /// How far the runs lie apart, as a share of their median.
    #[must_use]
    pub fn moved(&self) -> f64 {
        let values = || self.0.iter().map(|run| run.value);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        (most - least) / self.value()
    }
}

/// The median; not a number where there is none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_taken_round_by_round() {
        let runs = |values: [f64; 3]| Runs(values.map(Sample::of).to_vec());
        // The machine was ten times slower in the second and third round.
        let (ours, theirs) = (runs([200.0, 20.0, 24.0]), runs([100.0, 10.0, 12.0]));
        assert_eq!(ours.times(&theirs), 2.0);
        assert_eq!(ours.value(), 24.0);
    }

    #[test]
    fn rounds_in_which_the_baseline_moved_do_not_count() {
        let runs = |values: &[f64]| Runs(values.iter().copied().map(Sample::of).collect());
        assert_eq!(runs(&[100.0, 50.0, 109.0, 95.0, 130.0]).steady(), Some(vec![0, 2, 3]));
        assert_eq!(runs(&[100.0, 50.0, 109.0, 70.0, 130.0]).steady(), None, "two rounds are not enough");
        assert_eq!(runs(&[100.0, 101.0]).steady(), Some(vec![0, 1]), "there were no more");
        assert_eq!(runs(&[100.0, 200.0]).steady(), None);
        assert_eq!(runs(&[]).steady(), None);
        assert_eq!(runs(&[1.0, 2.0, 3.0]).of_rounds(&[0, 2]).value(), 2.0);
        assert_eq!(runs(&[100.0, 50.0, 120.0]).moved(), 0.7);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.5);
        assert!(median(std::iter::empty()).is_nan());
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let latency = Latency::of((1..=100).rev().map(|number| number * 1_000).collect()).unwrap();
        assert_eq!((latency.p50, latency.p99), (51.0, 100.0));
        assert!(Latency::of(Vec::new()).is_none());
    }

    #[test]
    fn a_run_without_conflicts_does_not_speak_of_them() {
        let text = serde_json::to_string(&Runs(vec![Sample::of(1.0)])).unwrap();
        assert_eq!(text, r#"[{"value":1.0,"latency":null}]"#);
    }
}
