//! A figure: runs of ours and of its baseline, and what was aimed at.

use figures::{Columns, MOVED_MAX, Runs, amount};
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

    /// What may be said of it: nothing where the machine changed under it, which its baseline shows.
    fn quoted(&self) -> Option<Quoted> {
        let Some(baseline) = &self.baseline else {
            return Some(Quoted { runs: self.runs.clone(), baseline: None });
        };
        let rounds = baseline.runs.steady()?;
        let runs = self.runs.of_rounds(&rounds);
        Some(Quoted { runs, baseline: Some(baseline.runs.of_rounds(&rounds)) })
    }
}

/// The rounds of a figure that count.
struct Quoted {
    runs: Runs,
    baseline: Option<Runs>,
}

impl Quoted {
    /// How many times its baseline it is.
    fn ratio(&self) -> Option<f64> {
        self.baseline.as_ref().map(|baseline| self.runs.times(baseline))
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
                self.runs.latency()?.p50 <= self.baseline.as_ref()?.latency()?.p50 + most
            }
        })
    }
}

/// The figures, one a line.
pub(crate) fn table(figures: &[Figure]) -> String {
    let heads = ["figure", "value", "unit", "ratio", "p50 µs", "p99 µs", "baseline", "aim"];
    let mut columns = Columns::new(heads, &[1, 3, 4, 5]);
    for figure in figures {
        let quoted = figure.quoted();
        let latency = quoted.as_ref().and_then(|quoted| quoted.runs.latency());
        let microseconds = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.0}"));
        let ratio = quoted.as_ref().and_then(Quoted::ratio);
        columns.push([
            figure.name.clone(),
            quoted.as_ref().map_or_else(|| "not quoted".to_owned(), |quoted| amount(quoted.runs.value())),
            figure.unit.to_owned(),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
            microseconds(latency.map(|latency| latency.p50)),
            microseconds(latency.map(|latency| latency.p99)),
            baseline_cell(figure, quoted.as_ref()),
            figure.aims.iter().map(|aim| verdict(quoted.as_ref(), *aim)).collect::<Vec<_>>().join(", "),
        ]);
    }
    columns.text()
}

fn baseline_cell(figure: &Figure, quoted: Option<&Quoted>) -> String {
    let Some(baseline) = &figure.baseline else { return String::new() };
    match quoted.and_then(|quoted| quoted.baseline.as_ref()) {
        Some(runs) => format!("{} {}", amount(runs.value()), baseline.name),
        None => format!("{} moved by {:.0} %", baseline.name, baseline.runs.moved() * 100.0),
    }
}

/// Says which figures are not quoted, and why; nothing where all are.
pub(crate) fn unquoted(figures: &[Figure]) -> Option<String> {
    let names: Vec<&str> = figures
        .iter()
        .filter(|figure| figure.quoted().is_none())
        .map(|figure| figure.name.as_str())
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "not quoted, since the baseline moved by more than {:.0} % between its rounds: {}. Run it on a calm machine.",
            MOVED_MAX * 100.0,
            names.join("; ")
        )
    })
}

/// Everything that was measured, as JSON.
pub(crate) fn json(place: &str, figures: &[Figure]) -> Result<String> {
    #[derive(Serialize)]
    struct Entry<'f> {
        #[serde(flatten)]
        figure: &'f Figure,
        median: Option<f64>,
        ratio: Option<f64>,
        latency: Option<Latency>,
    }
    #[derive(Serialize)]
    struct Report<'f> {
        place: &'f str,
        figures: Vec<Entry<'f>>,
    }
    let figures = figures.iter().map(|figure| {
        let quoted = figure.quoted();
        Entry {
            figure,
            median: quoted.as_ref().map(|quoted| quoted.runs.value()),
            ratio: quoted.as_ref().and_then(Quoted::ratio),
            latency: quoted.and_then(|quoted| quoted.runs.latency()),
        }
    });
    Ok(serde_json::to_string_pretty(&Report { place, figures: figures.collect() })? + "\n")
}

fn verdict(quoted: Option<&Quoted>, aim: Aim) -> String {
    let text = match aim {
        Aim::RatioAtLeast(least) => format!("≥ {least}x"),
        Aim::RatioAtMost(most) => format!("≤ {most}x"),
        Aim::AtLeast(least) => format!("≥ {}", amount(least)),
        Aim::AtMost(most) => format!("≤ {}", amount(most)),
        Aim::SpreadAtMost(most) => format!("p99 ≤ {most} p50"),
        Aim::MedianAboveBaselineAtMost(most) => format!("p50 ≤ baseline's + {} ms", most / 1e3),
    };
    match quoted.and_then(|quoted| quoted.reaches(aim)) {
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

    #[test]
    fn a_figure_whose_baseline_moved_is_not_quoted() {
        let figure = Figure::new("commit", "events/s", samples(&[900.0, 1_000.0, 1_100.0]))
            .with_baseline("plain", samples(&[60.0, 100.0, 140.0]))
            .with_aim(Aim::RatioAtLeast(5.0));
        let figures = [figure, Figure::new("alone", "MiB", samples(&[1.0, 9.0]))];
        let table = table(&figures);
        for part in ["not quoted", "plain moved by 80 %", "≥ 5x unknown"] {
            assert!(table.contains(part), "{part:?} is not in\n{table}");
        }
        let said = unquoted(&figures).unwrap();
        assert!(said.contains(": commit."), "{said}");
        let json: serde_json::Value = serde_json::from_str(&json("here", &figures).unwrap()).unwrap();
        assert!(json["figures"][0]["ratio"].is_null() && json["figures"][0]["runs"][2]["value"] == 1_100.0);
        assert_eq!(unquoted(&figures[1..]), None);
    }
}
