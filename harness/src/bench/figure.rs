//! A figure: runs of ours and of its baseline, and what was aimed at.

use std::fmt::Write as _;

use serde::Serialize;

use crate::Result;

/// One run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// In the figure's unit.
    pub(crate) value: f64,
    /// How long single calls took, where they were timed.
    pub(crate) latency: Option<Latency>,
}

/// Percentiles of single calls, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// What a figure is to reach.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    /// At least this many times its baseline.
    RatioAtLeast(f64),
    /// At least this value.
    AtLeast(f64),
    /// At most this value.
    AtMost(f64),
    /// A p99 of at most this many times the p50.
    SpreadAtMost(f64),
}

/// What a figure is compared with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Baseline {
    pub(crate) name: &'static str,
    pub(crate) runs: Vec<Sample>,
}

/// A figure with its runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) runs: Vec<Sample>,
    pub(crate) baseline: Option<Baseline>,
    pub(crate) aims: Vec<Aim>,
}

impl Sample {
    /// A run whose calls were not timed.
    pub(crate) fn of(value: f64) -> Self {
        Self { value, latency: None }
    }
}

impl Latency {
    /// Of single times in nanoseconds.
    pub(crate) fn of(mut nanoseconds: Vec<u64>) -> Option<Self> {
        nanoseconds.sort_unstable();
        let at = |share: f64| {
            let index = (nanoseconds.len() as f64 * share) as usize;
            nanoseconds.get(index).map(|nanoseconds| *nanoseconds as f64 / 1e3)
        };
        Some(Self { p50: at(0.50)?, p99: at(0.99)? })
    }
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, runs: Vec<Sample>) -> Self {
        Self { name: name.into(), unit, runs, baseline: None, aims: Vec::new() }
    }

    pub(crate) fn with_baseline(mut self, name: &'static str, runs: Vec<Sample>) -> Self {
        self.baseline = Some(Baseline { name, runs });
        self
    }

    pub(crate) fn with_aim(mut self, aim: Aim) -> Self {
        self.aims.push(aim);
        self
    }

    fn value(&self) -> f64 {
        median(self.runs.iter().map(|run| run.value))
    }

    /// The median over the rounds, each run against the baseline's run beside it: what slows the
    /// machine for a while slows both.
    fn ratio(&self) -> Option<f64> {
        let baseline = self.baseline.as_ref()?;
        Some(median(self.runs.iter().zip(&baseline.runs).map(|(ours, theirs)| ours.value / theirs.value)))
    }

    fn latency(&self) -> Option<Latency> {
        let timed: Vec<Latency> = self.runs.iter().filter_map(|run| run.latency).collect();
        (!timed.is_empty()).then(|| Latency {
            p50: median(timed.iter().map(|latency| latency.p50)),
            p99: median(timed.iter().map(|latency| latency.p99)),
        })
    }

    /// Whether an aim is reached; `None` where it cannot be told.
    fn reaches(&self, aim: Aim) -> Option<bool> {
        Some(match aim {
            Aim::RatioAtLeast(least) => self.ratio()? >= least,
            Aim::AtLeast(least) => self.value() >= least,
            Aim::AtMost(most) => self.value() <= most,
            Aim::SpreadAtMost(most) => {
                let latency = self.latency()?;
                latency.p99 <= most * latency.p50
            }
        })
    }
}

/// The median; not a number where there is none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

/// The figures, one a line.
pub(crate) fn table(figures: &[Figure]) -> String {
    let header =
        ["figure", "value", "unit", "ratio", "p50 µs", "p99 µs", "baseline", "aim"].map(str::to_owned);
    let mut lines = vec![header];
    for figure in figures {
        let latency = figure.latency();
        let microseconds = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.0}"));
        let baseline = figure.baseline.as_ref().map_or_else(String::new, |baseline| {
            format!("{} {}", amount(median(baseline.runs.iter().map(|run| run.value))), baseline.name)
        });
        lines.push([
            figure.name.clone(),
            amount(figure.value()),
            figure.unit.to_owned(),
            figure.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
            microseconds(latency.map(|latency| latency.p50)),
            microseconds(latency.map(|latency| latency.p99)),
            baseline,
            figure.aims.iter().map(|aim| verdict(figure, *aim)).collect::<Vec<_>>().join(", "),
        ]);
    }
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut table = String::new();
    for line in lines {
        let mut text = String::new();
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Numbers to the right.
            if [1, 3, 4, 5].contains(&at) {
                append(&mut text, format_args!("{cell:>width$}  "));
            } else {
                append(&mut text, format_args!("{cell:<width$}  "));
            }
        }
        table.push_str(text.trim_end());
        table.push('\n');
    }
    table
}

/// Everything that was measured, as JSON.
pub(crate) fn json(place: &str, figures: &[Figure]) -> Result<String> {
    #[derive(Serialize)]
    struct Entry<'f> {
        #[serde(flatten)]
        figure: &'f Figure,
        median: f64,
        ratio: Option<f64>,
        latency: Option<Latency>,
    }
    #[derive(Serialize)]
    struct Report<'f> {
        place: &'f str,
        figures: Vec<Entry<'f>>,
    }
    let figures = figures.iter().map(|figure| Entry {
        figure,
        median: figure.value(),
        ratio: figure.ratio(),
        latency: figure.latency(),
    });
    Ok(serde_json::to_string_pretty(&Report { place, figures: figures.collect() })? + "\n")
}

fn verdict(figure: &Figure, aim: Aim) -> String {
    let text = match aim {
        Aim::RatioAtLeast(least) => format!("≥ {least}x"),
        Aim::AtLeast(least) => format!("≥ {}", amount(least)),
        Aim::AtMost(most) => format!("≤ {}", amount(most)),
        Aim::SpreadAtMost(most) => format!("p99 ≤ {most} p50"),
    };
    match figure.reaches(aim) {
        Some(true) => format!("{text} met"),
        Some(false) => format!("{text} MISSED"),
        None => format!("{text} unknown"),
    }
}

/// A number short enough to read: `1.25 M`, `63.4 k`, `812`, `2.41`.
fn amount(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.2} M", value / 1e6),
        size if size >= 1e4 => format!("{:.1} k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

fn append(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    text.write_fmt(more).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Vec<Sample> {
        values.iter().copied().map(Sample::of).collect()
    }

    #[test]
    fn the_ratio_is_taken_round_by_round() {
        // The machine was ten times slower in the second and third round.
        let figure = Figure::new("reads", "events/s", samples(&[200.0, 20.0, 24.0]))
            .with_baseline("scan", samples(&[100.0, 10.0, 12.0]));
        assert_eq!(figure.ratio(), Some(2.0));
        assert_eq!(figure.value(), 24.0);
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
    fn the_table_says_which_aims_are_missed() {
        let latency = Some(Latency { p50: 10.0, p99: 50.0 });
        let figure = Figure::new("commit", "events/s", vec![Sample { value: 63_400.0, latency }])
            .with_baseline("plain", samples(&[6_340.0]))
            .with_aim(Aim::RatioAtLeast(10.0))
            .with_aim(Aim::SpreadAtMost(4.0));
        let table = table(&[figure]);
        for part in ["63.4 k", "10.00x", "6340 plain", "≥ 10x met", "p99 ≤ 4 p50 MISSED"] {
            assert!(table.contains(part), "{part:?} is not in\n{table}");
        }
    }
}
