//! A figure: runs of ours and of its baseline, and what was aimed at.

use figures::{Columns, Runs, amount};
use serde::Serialize;

use crate::Result;

pub(crate) use figures::{Latency, Sample};

/// What a figure is to reach.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    /// At least this many times its baseline.
    RatioAtLeast(f64),
    /// At most this many times its baseline.
    RatioAtMost(f64),
    /// At least this value.
    AtLeast(f64),
    /// At most this value.
    AtMost(f64),
    /// A p99 of at most this many times the p50.
    SpreadAtMost(f64),
    /// A p50 of at most so many microseconds more than that of its baseline.
    MedianAboveBaselineAtMost(f64),
}

/// What a figure is compared with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Baseline {
    pub(crate) name: &'static str,
    pub(crate) runs: Runs,
}

/// A figure with its runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) runs: Runs,
    pub(crate) baseline: Option<Baseline>,
    pub(crate) aims: Vec<Aim>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, runs: Vec<Sample>) -> Self {
        Self { name: name.into(), unit, runs: Runs(runs), baseline: None, aims: Vec::new() }
    }

    pub(crate) fn with_baseline(mut self, name: &'static str, runs: Vec<Sample>) -> Self {
        self.baseline = Some(Baseline { name, runs: Runs(runs) });
        self
    }

    pub(crate) fn with_aim(mut self, aim: Aim) -> Self {
        self.aims.push(aim);
        self
    }

    /// How many times its baseline it is.
    fn ratio(&self) -> Option<f64> {
        self.baseline.as_ref().map(|baseline| self.runs.times(&baseline.runs))
    }

    /// Whether an aim is reached; `None` where it cannot be told.
    fn reaches(&self, aim: Aim) -> Option<bool> {
        Some(match aim {
            Aim::RatioAtLeast(least) => self.ratio()? >= least,
            Aim::RatioAtMost(most) => self.ratio()? <= most,
            Aim::AtLeast(least) => self.runs.value() >= least,
            Aim::AtMost(most) => self.runs.value() <= most,
            Aim::SpreadAtMost(most) => {
                let latency = self.runs.latency()?;
                latency.p99 <= most * latency.p50
            }
            Aim::MedianAboveBaselineAtMost(most) => {
                self.runs.latency()?.p50 <= self.baseline.as_ref()?.runs.latency()?.p50 + most
            }
        })
    }
}

/// The figures, one a line.
pub(crate) fn table(figures: &[Figure]) -> String {
    let heads = ["figure", "value", "unit", "ratio", "p50 µs", "p99 µs", "baseline", "aim"];
    let mut columns = Columns::new(heads, &[1, 3, 4, 5]);
    for figure in figures {
        let latency = figure.runs.latency();
        let microseconds = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.0}"));
        let baseline = figure.baseline.as_ref().map_or_else(String::new, |baseline| {
            format!("{} {}", amount(baseline.runs.value()), baseline.name)
        });
        columns.push([
            figure.name.clone(),
            amount(figure.runs.value()),
            figure.unit.to_owned(),
            figure.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
            microseconds(latency.map(|latency| latency.p50)),
            microseconds(latency.map(|latency| latency.p99)),
            baseline,
            figure.aims.iter().map(|aim| verdict(figure, *aim)).collect::<Vec<_>>().join(", "),
        ]);
    }
    columns.text()
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
        median: figure.runs.value(),
        ratio: figure.ratio(),
        latency: figure.runs.latency(),
    });
    Ok(serde_json::to_string_pretty(&Report { place, figures: figures.collect() })? + "\n")
}

fn verdict(figure: &Figure, aim: Aim) -> String {
    let text = match aim {
        Aim::RatioAtLeast(least) => format!("≥ {least}x"),
        Aim::RatioAtMost(most) => format!("≤ {most}x"),
        Aim::AtLeast(least) => format!("≥ {}", amount(least)),
        Aim::AtMost(most) => format!("≤ {}", amount(most)),
        Aim::SpreadAtMost(most) => format!("p99 ≤ {most} p50"),
        Aim::MedianAboveBaselineAtMost(most) => format!("p50 ≤ baseline's + {} ms", most / 1e3),
    };
    match figure.reaches(aim) {
        Some(true) => format!("{text} met"),
        Some(false) => format!("{text} MISSED"),
        None => format!("{text} unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Vec<Sample> {
        values.iter().copied().map(Sample::of).collect()
    }

    #[test]
    fn the_table_says_which_aims_are_missed() {
        let latency = Some(Latency { p50: 10.0, p99: 50.0 });
        let figure = Figure::new("commit", "events/s", vec![Sample { latency, ..Sample::of(63_400.0) }])
            .with_baseline("plain", samples(&[6_340.0]))
            .with_aim(Aim::RatioAtLeast(10.0))
            .with_aim(Aim::SpreadAtMost(4.0));
        let table = table(&[figure]);
        for part in ["63.4 k", "10.00x", "6340 plain", "≥ 10x met", "p99 ≤ 4 p50 MISSED"] {
            assert!(table.contains(part), "{part:?} is not in\n{table}");
        }
    }
}
