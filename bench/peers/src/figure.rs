//! Figures: the runs of each store, and each store's median beside ours.

use std::fmt::Write as _;

use serde::Serialize;

use crate::Result;
use crate::entrants::Entrant;
use crate::floors::Floor;
use crate::place;

/// One run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// In the figure's unit.
    pub(crate) value: f64,
    pub(crate) latency: Option<Latency>,
    /// How often a version was not the expected one, for each commit; where that was counted.
    pub(crate) conflicts: Option<f64>,
}

/// Percentiles of single calls, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// The runs of one store in one test.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// What all stores did.
    pub(crate) test: String,
    pub(crate) unit: &'static str,
    pub(crate) entrant: Entrant,
    pub(crate) runs: Vec<Sample>,
    /// What else there is to say.
    pub(crate) note: String,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) place: String,
    pub(crate) end_load: String,
    pub(crate) figures: Vec<Figure>,
    skipped: Vec<Skipped>,
    loads: Vec<Load>,
}

/// How busy the machine was when a test began.
#[derive(Debug, Serialize)]
struct Load {
    test: String,
    load: String,
}

#[derive(Debug, Serialize)]
struct Skipped {
    entrant: Entrant,
    reason: String,
}

impl Sample {
    /// A run whose calls were not timed.
    pub(crate) fn of(value: f64) -> Self {
        Self { value, latency: None, conflicts: None }
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
    pub(crate) fn new(test: impl Into<String>, unit: &'static str, entrant: Entrant) -> Self {
        Self { test: test.into(), unit, entrant, runs: Vec::new(), note: String::new() }
    }

    /// Whether it can be said how many times as fast another is.
    fn is_speed(&self) -> bool {
        self.unit.ends_with("/s")
    }

    pub(crate) fn value(&self) -> f64 {
        median(self.runs.iter().map(|run| run.value))
    }

    pub(crate) fn latency(&self) -> Option<Latency> {
        let timed: Vec<Latency> = self.runs.iter().filter_map(|run| run.latency).collect();
        (!timed.is_empty()).then(|| Latency {
            p50: median(timed.iter().map(|latency| latency.p50)),
            p99: median(timed.iter().map(|latency| latency.p99)),
        })
    }

    /// How many times as much another store did: the median over the rounds, each run against the run
    /// beside it.
    pub(crate) fn ratio_of(&self, other: &Self) -> f64 {
        median(other.runs.iter().zip(&self.runs).map(|(other, own)| other.value / own.value))
    }

    /// Conflicts for each commit; none where there were none.
    fn conflicts(&self) -> Option<f64> {
        let conflicts = median(self.runs.iter().filter_map(|run| run.conflicts));
        (conflicts > 0.0).then_some(conflicts)
    }
}

impl Report {
    pub(crate) fn new(place: String) -> Self {
        Self { place, end_load: String::new(), figures: Vec::new(), skipped: Vec::new(), loads: Vec::new() }
    }

    /// Says that a test begins.
    pub(crate) fn begin(&mut self, test: impl Into<String>) {
        let (test, load) = (test.into(), place::load());
        eprintln!("{test} … (load {load})");
        self.loads.push(Load { test, load });
    }

    /// Says why a store is not measured, or not any more.
    pub(crate) fn skip(&mut self, entrant: Entrant, reason: impl ToString) {
        self.skipped.push(Skipped { entrant, reason: reason.to_string() });
        eprintln!("  SKIP {}: {}", entrant.name(), reason.to_string());
    }

    pub(crate) fn skipped_lines(&self) -> String {
        self.skipped.iter().fold(String::new(), |mut lines, skipped| {
            // Writing to a String does not fail.
            writeln!(lines, "SKIP {}: {}", skipped.entrant.name(), skipped.reason).ok();
            lines
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

/// A table for each test, with one line for each store.
pub(crate) fn tables(figures: &[Figure]) -> String {
    let mut text = String::new();
    let mut rest = figures;
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|figure| figure.test != first.test).unwrap_or(rest.len());
        let (test, others) = rest.split_at(end);
        rest = others;
        text.push_str(&table(test));
    }
    text
}

fn table(test: &[Figure]) -> String {
    let Some(first) = test.first() else { return String::new() };
    let ours = test.iter().find(|figure| figure.entrant == Entrant::Ours);
    let [p50, p99] = if first.latency().is_some() { ["p50 µs", "p99 µs"] } else { ["", ""] };
    let ratio = if first.is_speed() { "ours is" } else { "" };
    let header = [&first.test, first.unit, p50, p99, ratio, "", ""].map(str::to_owned);
    let mut lines = vec![header];
    for figure in test {
        let latency = figure.latency();
        let microseconds = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.0}"));
        let ratio = ours.filter(|_| figure.is_speed()).map(|ours| figure.ratio_of(ours));
        let conflicts = figure.conflicts();
        lines.push([
            figure.entrant.name().to_owned(),
            amount(figure.value()),
            microseconds(latency.map(|latency| latency.p50)),
            microseconds(latency.map(|latency| latency.p99)),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
            conflicts.map_or_else(String::new, |share| format!("{share:.2} conflicts a commit")),
            figure.note.clone(),
        ]);
    }
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut table = String::new();
    for line in lines {
        let mut text = String::new();
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Numbers to the right. Writing to a String does not fail.
            match at {
                1..=4 => write!(text, "{cell:>width$}  ").ok(),
                _ => write!(text, "{cell:<width$}  ").ok(),
            };
        }
        table.push_str(text.trim_end());
        table.push('\n');
    }
    table.push('\n');
    table
}

/// Everything, as JSON: each figure with its median and what ours is of it.
pub(crate) fn json(report: &Report, floors: &[Floor]) -> Result<String> {
    #[derive(Serialize)]
    struct Entry<'f> {
        #[serde(flatten)]
        figure: &'f Figure,
        median: f64,
        latency: Option<Latency>,
        ours_is: Option<f64>,
    }
    let figures: Vec<Entry<'_>> = report
        .figures
        .iter()
        .map(|figure| {
            let is_ours = |it: &&Figure| it.entrant == Entrant::Ours && it.test == figure.test;
            let ours = report.figures.iter().find(is_ours);
            let ours_is = ours.filter(|_| figure.is_speed()).map(|ours| figure.ratio_of(ours));
            Entry { figure, median: figure.value(), latency: figure.latency(), ours_is }
        })
        .collect();
    let whole = serde_json::json!({
        "place": report.place,
        "loads": report.loads,
        "load_at_the_end": report.end_load,
        "figures": figures,
        "skipped": report.skipped,
        "floors": floors,
    });
    Ok(serde_json::to_string_pretty(&whole)? + "\n")
}

/// A number short enough to read: `1.25 M`, `63.4 k`, `812`, `2.41`.
pub(crate) fn amount(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.2} M", value / 1e6),
        size if size >= 1e4 => format!("{:.1} k", value / 1e3),
        size if size >= 100.0 || size.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(entrant: Entrant, values: &[f64]) -> Figure {
        let runs = values.iter().copied().map(Sample::of).collect();
        Figure { runs, ..Figure::new("8 callers", "commits/s", entrant) }
    }

    #[test]
    fn the_ratio_is_taken_round_by_round() {
        // The machine was ten times slower in the second and third round.
        let ours = figure(Entrant::Ours, &[200.0, 20.0, 24.0]);
        let theirs = figure(Entrant::Mire, &[100.0, 10.0, 12.0]);
        assert_eq!(theirs.ratio_of(&ours), 2.0);
    }

    #[test]
    fn a_table_stands_for_each_test_and_says_what_ours_is() {
        let mut other = figure(Entrant::Ours, &[1.0]);
        other.test = "64 callers".to_owned();
        let text = tables(&[figure(Entrant::Ours, &[300.0]), figure(Entrant::Mire, &[100.0]), other]);
        assert!(text.contains("mire") && text.contains("3.00x"), "{text}");
        assert_eq!(text.matches("ours is").count(), 2, "{text}");
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let latency = Latency::of((1..=100).rev().map(|number| number * 1_000).collect()).unwrap();
        assert_eq!((latency.p50, latency.p99), (51.0, 100.0));
    }
}
