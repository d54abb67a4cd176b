//! The table of faults: what was promised, what was measured.

use serde::Serialize;
use servers::Missing;

use super::told::Findings;
use crate::{Result, terminal};

/// What came of a fault.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Measured {
    /// What was seen, a sentence each.
    pub(crate) seen: Vec<String>,
    /// What should not have been.
    pub(crate) broken: Vec<String>,
    /// Why it could not be tried here.
    pub(crate) skipped: Option<String>,
}

impl Measured {
    pub(crate) fn skipped(reason: impl Into<String>) -> Self {
        Self { skipped: Some(reason.into()), ..Self::default() }
    }

    /// What is missing here; broken where servers are required.
    pub(crate) fn missing(missing: &Missing) -> Self {
        if servers::is_required() {
            Self::broken(missing.to_string())
        } else {
            Self::skipped(missing.skip_line())
        }
    }

    pub(crate) fn broken(sentence: String) -> Self {
        Self { broken: vec![sentence], ..Self::default() }
    }

    pub(crate) fn see(&mut self, sentence: impl Into<String>) {
        self.seen.push(sentence.into());
    }

    /// Notes a promise, kept or broken.
    pub(crate) fn hold(&mut self, kept: bool, sentence: impl Into<String>) {
        let sentence = sentence.into();
        if kept { self.seen.push(sentence) } else { self.broken.push(sentence) }
    }

    /// Notes what callers were told, held against the log.
    pub(crate) fn compare(&mut self, findings: &Findings) {
        let nothing = findings.acknowledged == 0;
        self.hold(findings.is_clean() && !nothing, findings.summary());
        self.broken.extend(findings.examples.iter().cloned());
        if let Some(work) = &findings.work {
            let nothing = work.acknowledged == 0 || work.orders == 0 || work.delivered == 0;
            self.hold(work.is_clean() && !nothing, format!("work: {}", work.summary()));
            self.broken.extend(work.examples.iter().cloned());
        }
    }

    /// Takes in what another part of the same fault came to.
    pub(crate) fn add(&mut self, part: &str, other: Self) {
        let named = |sentence| format!("{part}: {sentence}");
        self.seen.extend(other.seen.into_iter().map(named));
        self.broken.extend(other.broken.into_iter().map(named));
    }
}

/// A line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) promised: &'static str,
    pub(crate) seconds: f64,
    #[serde(flatten)]
    pub(crate) measured: Measured,
    pub(crate) kept: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) kept: bool,
    pub(crate) lines: Vec<Line>,
}

impl Report {
    pub(crate) fn print(&self, as_json: bool) -> Result<()> {
        if as_json {
            return terminal::print(&serde_json::to_string_pretty(self)?);
        }
        let kept = self.lines.iter().filter(|line| line.kept && line.measured.skipped.is_none()).count();
        let skipped = self.lines.iter().filter(|line| line.measured.skipped.is_some()).count();
        let broken = self.lines.len() - kept - skipped;
        terminal::print(&format!("{kept} promises kept, {broken} broken, {skipped} not tried"))
    }
}

impl Line {
    /// As it is printed when it is known: the longest take minutes.
    pub(crate) fn print(&self) -> Result<()> {
        let verdict = match &self.measured.skipped {
            Some(_) => "SKIP",
            None if self.kept => "kept",
            None => "BROKEN",
        };
        let mut lines =
            vec![format!("{verdict:<6} {} ({:.0} s): {}", self.name, self.seconds, self.promised)];
        lines.extend(self.measured.skipped.iter().map(|reason| format!("         {reason}")));
        lines.extend(self.measured.seen.iter().map(|sentence| format!("         {sentence}")));
        lines.extend(self.measured.broken.iter().map(|sentence| format!("       ! {sentence}")));
        terminal::print(&lines.join("\n"))
    }
}
