//! Figures: the runs of each store, and each store's median beside ours.

use std::fmt::Write as _;

use figures::{Columns, Latency, Runs, amount, load};
use serde::Serialize;

use crate::Result;
use crate::entrants::Entrant;
use crate::floors::Floor;

/// The runs of one store in one test.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// What all stores did.
    pub(crate) test: String,
    pub(crate) unit: &'static str,
    pub(crate) entrant: Entrant,
    pub(crate) runs: Runs,
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

impl Figure {
    pub(crate) fn new(test: impl Into<String>, unit: &'static str, entrant: Entrant) -> Self {
        Self { test: test.into(), unit, entrant, runs: Runs::default(), note: String::new() }
    }

    /// Whether it can be said how many times as fast another is.
    fn is_speed(&self) -> bool {
        self.unit.ends_with("/s")
    }

    pub(crate) fn value(&self) -> f64 {
        self.runs.value()
    }

    pub(crate) fn latency(&self) -> Option<Latency> {
        self.runs.latency()
    }

    /// How many times as much another store did, in the rounds in which this one shows that the machine was the same; none
    /// where those are too few.
    pub(crate) fn ratio_of(&self, other: &Self) -> Option<f64> {
        let rounds = self.runs.steady()?;
        Some(other.runs.of_rounds(&rounds).times(&self.runs.of_rounds(&rounds)))
    }
}

impl Report {
    pub(crate) fn new(place: String) -> Self {
        Self { place, end_load: String::new(), figures: Vec::new(), skipped: Vec::new(), loads: Vec::new() }
    }

    /// Says that a test begins.
    pub(crate) fn begin(&mut self, test: impl Into<String>) {
        let (test, load) = (test.into(), load());
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
    let mut columns = Columns::new([first.test.as_str(), first.unit, p50, p99, ratio, "", ""], &[1, 2, 3, 4]);
    for figure in test {
        let latency = figure.latency();
        let microseconds = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.0}"));
        let ratio = ours.filter(|_| figure.is_speed()).map(|ours| {
            let moved = || format!("moved by {:.0} %", figure.runs.moved() * 100.0);
            figure.ratio_of(ours).map_or_else(moved, |ratio| format!("{ratio:.2}x"))
        });
        let conflicts = figure.runs.conflicts();
        columns.push([
            figure.entrant.name().to_owned(),
            amount(figure.value()),
            microseconds(latency.map(|latency| latency.p50)),
            microseconds(latency.map(|latency| latency.p99)),
            ratio.unwrap_or_default(),
            conflicts.map_or_else(String::new, |share| format!("{share:.2} conflicts a commit")),
            figure.note.clone(),
        ]);
    }
    columns.text() + "\n"
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
            let ours_is = ours.filter(|_| figure.is_speed()).and_then(|ours| figure.ratio_of(ours));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(entrant: Entrant, values: &[f64]) -> Figure {
        let runs = Runs(values.iter().copied().map(figures::Sample::of).collect());
        Figure { runs, ..Figure::new("8 callers", "commits/s", entrant) }
    }

    #[test]
    fn a_store_whose_own_runs_moved_says_nothing_of_ours() {
        let figures = [figure(Entrant::Ours, &[300.0; 3]), figure(Entrant::Mire, &[100.0, 50.0, 150.0])];
        let text = tables(&figures);
        assert!(text.contains("moved by 100 %"), "{text}");
        assert_eq!(figures[1].ratio_of(&figures[0]), None);
    }

    #[test]
    fn a_table_stands_for_each_test_and_says_what_ours_is() {
        let mut other = figure(Entrant::Ours, &[1.0]);
        other.test = "64 callers".to_owned();
        let text = tables(&[figure(Entrant::Ours, &[300.0]), figure(Entrant::Mire, &[100.0]), other]);
        assert!(text.contains("mire") && text.contains("3.00x"), "{text}");
        assert_eq!(text.matches("ours is").count(), 2, "{text}");
    }
}
