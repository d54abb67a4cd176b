use serde_json::{Value, json};

use super::mistakes::Mistake;
use super::world::{Ending, Tally};
use crate::{Result, terminal};

/// Lines of a trace that are told of a failure.
const LINES_TOLD: usize = 40;

/// A seed that failed.
pub(crate) struct Failure {
    pub(crate) seed: u64,
    what: Vec<String>,
    /// The last lines of its trace.
    lines: Vec<String>,
}

/// A mistake, with the seed that found it and what was found.
pub(crate) struct Found {
    pub(crate) mistake: Mistake,
    pub(crate) found: Option<(u64, String)>,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Report {
    first: u64,
    pub(crate) seconds: f64,
    played: u64,
    /// Seeds that were played twice, with equal traces.
    checked: u64,
    tally: Tally,
    pub(crate) failures: Vec<Failure>,
    pub(crate) mistakes: Vec<Found>,
}

/// Where two runs of one seed differ, in words.
pub(crate) fn difference(seed: u64, first: &Ending, second: &Ending) -> Option<String> {
    if first.hash == second.hash {
        return None;
    }
    let differs = first.trace.iter().zip(&second.trace).position(|(one, other)| one != other);
    let at = differs.unwrap_or(first.trace.len().min(second.trace.len()));
    let line = |ending: &Ending| ending.trace.get(at).cloned().unwrap_or_else(|| "the end".to_owned());
    Some(format!(
        "seed {seed} is not the same twice, from line {}: {:?}, then {:?}",
        at + 1,
        line(first),
        line(second)
    ))
}

impl Report {
    /// Nothing yet, of seeds from this one on.
    pub(crate) fn from(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    pub(crate) fn add(&mut self, seed: u64, ending: &Ending, again: Option<&Ending>) {
        self.played += 1;
        self.tally += ending.tally;
        let mut what: Vec<String> =
            ending.breaches.iter().map(|breach| format!("{}: {}", breach.promise, breach.what)).collect();
        if let Some(again) = again {
            match difference(seed, ending, again) {
                None => self.checked += 1,
                Some(differs) => what.push(differs),
            }
        }
        if !what.is_empty() {
            let lines = ending.trace.iter().rev().take(LINES_TOLD).rev().cloned().collect();
            self.failures.push(Failure { seed, what, lines });
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.played > 0 && self.failures.is_empty() && self.mistakes.iter().all(|found| found.found.is_some())
    }

    pub(crate) fn print(&self, as_json: bool) -> Result<()> {
        let text = if as_json { serde_json::to_string_pretty(&self.as_json()?)? } else { self.as_text() };
        terminal::print(&text)
    }

    fn as_json(&self) -> Result<Value> {
        let failure = |failure: &Failure| json!({ "seed": failure.seed, "broken": failure.what });
        let found = |found: &Found| -> Result<Value> {
            let (seed, what) =
                found.found.as_ref().map_or((None, None), |(seed, what)| (Some(seed), Some(what)));
            Ok(json!({
                "mistake": serde_json::to_value(found.mistake)?,
                "breaks": serde_json::to_value(found.mistake.breaks())?,
                "found_by_seed": seed,
                "what": what,
            }))
        };
        Ok(json!({
            "good": self.is_good(),
            "first": self.first,
            "played": self.played,
            "checked": self.checked,
            "seconds": self.seconds,
            "done": serde_json::to_value(self.tally)?,
            "failures": self.failures.iter().map(failure).collect::<Vec<_>>(),
            "mistakes": self.mistakes.iter().map(found).collect::<Result<Vec<_>>>()?,
        }))
    }

    fn as_text(&self) -> String {
        let Self { first, played, checked, seconds, tally, .. } = self;
        let mut lines = Vec::new();
        for Failure { seed, what, lines: last } in &self.failures {
            lines.extend(last.iter().cloned());
            lines.extend(what.iter().map(|what| format!("seed {seed}: {what}")));
            lines.push(format!("play it again: cargo xtask sim --seed {seed}\n"));
        }
        lines.push(format!(
            "{played} seeds from {first} in {seconds:.1} s, {checked} of them played twice with equal traces: {} failed",
            self.failures.len()
        ));
        lines.push(format!(
            "{} commits, {} deliveries ({} repeated), {} faults, {} kills, {} pauses, {} endings in good order, {} dead \
             letters looked at",
            tally.commits,
            tally.deliveries,
            tally.repeated_deliveries,
            tally.faults,
            tally.kills,
            tally.pauses,
            tally.endings,
            tally.letters
        ));
        for Found { mistake, found } in &self.mistakes {
            lines.push(match found {
                Some((seed, what)) => format!("{mistake:?} was found by seed {seed}: {what}"),
                None => format!("{mistake:?} was made on purpose and not found: {}", mistake.breaks()),
            });
        }
        lines.join("\n")
    }
}
