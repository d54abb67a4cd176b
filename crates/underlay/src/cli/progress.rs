//! How far something long is, on standard error.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use underlay_core::Timestamp;

use super::App;

/// Between two lines where none is written anew.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// A line of words.
const WORDS: &str = "{wide_msg}";

/// How far something is, where it ends is known, and where it is not.
pub(super) struct Unit {
    of_known: &'static str,
    of_unknown: &'static str,
}

pub(super) const EVENTS: Unit = Unit {
    of_known: "{bar:30} {human_pos} of {human_len} events, {per_sec}, {eta} to go",
    of_unknown: "{spinner} {human_pos} events, {per_sec}",
};
pub(super) const COMMITS: Unit = Unit {
    of_known: "{bar:30} {human_pos} of {human_len} commits, {per_sec}, {eta} to go",
    of_unknown: "{spinner} {human_pos} commits, {per_sec}",
};
pub(super) const CHECKED: Unit = Unit {
    of_known: "{bar:30} {bytes} of {total_bytes} checked, {bytes_per_sec}, {eta} to go",
    of_unknown: "{spinner} {bytes} checked, {bytes_per_sec}",
};

/// A bar on standard error, and only where a person looks at it; hidden where a program reads the answer.
pub(super) fn bar(app: &App, unit: Unit, total: Option<u64>) -> ProgressBar {
    match total {
        _ if app.json => ProgressBar::hidden(),
        Some(total) => styled(ProgressBar::new(total), unit.of_known),
        None => styled(ProgressBar::new_spinner(), unit.of_unknown),
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        // The plain bar tells the same.
        Err(_) => bar,
    }
}

/// What is told on standard error in words: as one line that is written anew where a person looks at it, and elsewhere as
/// lines, once in a while.
pub(super) struct ProgressLine {
    line: ProgressBar,
    told_at: Option<Timestamp>,
}

impl ProgressLine {
    pub(super) fn new(app: &App) -> Self {
        let line = if app.json { ProgressBar::hidden() } else { styled(ProgressBar::new_spinner(), WORDS) };
        Self { line, told_at: None }
    }

    /// Tells how far something is at a time. `words` are asked for where they are told.
    pub(super) fn tell(&mut self, at: Timestamp, words: impl FnOnce() -> String) {
        if !self.line.is_hidden() {
            return self.line.set_message(words());
        }
        let passed = |told| Duration::try_from(at.duration_since(told)).unwrap_or_default();
        if self.told_at.is_none_or(|told| passed(told) >= LINE_INTERVAL) {
            self.told_at = Some(at);
            // Progress is for watching; where nobody can, the work goes on.
            let _unseen = writeln!(std::io::stderr().lock(), "{}", words());
        }
    }

    /// What was told last stays.
    pub(super) fn end(&self) {
        if self.line.message().is_empty() { self.line.finish_and_clear() } else { self.line.abandon() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_bar_shows_can_be_read() {
        for Unit { of_known, of_unknown } in [EVENTS, COMMITS, CHECKED] {
            assert!(ProgressStyle::with_template(of_known).is_ok(), "{of_known}");
            assert!(ProgressStyle::with_template(of_unknown).is_ok(), "{of_unknown}");
        }
        assert!(ProgressStyle::with_template(WORDS).is_ok());
    }
}
