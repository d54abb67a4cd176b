//! What was tried and what leaked, as a table or as JSON.

use serde_json::{Value, json};

use super::holes::Found;
use super::methods;
use super::tally::{Attack, Tally};
use crate::{Result, terminal};

/// What is told to whoever asks, and is meant to be.
const TOLD: [&str; 4] = [
    "how many events and commits there are of all tenants together, and where commits end: positions are one row",
    "which views there are, and how far they have come",
    "what the planner estimates: EXPLAIN shows about how many rows a value has",
    "a program's login may name any tenant, and become a worker: the walls are no defence against its password",
];

/// Everything that came of a run.
pub(super) struct Report {
    pub(super) server: String,
    /// Whether more than the holes was attacked.
    pub(super) whole: bool,
    pub(super) tally: Tally,
    /// Holes that were made on purpose.
    pub(super) holes: Vec<Found>,
    pub(super) seconds: f64,
}

impl Report {
    pub(super) fn is_good(&self) -> bool {
        self.tally.is_good()
            && (!self.whole || methods::missing(&self.tally.methods).is_empty())
            && self.holes.iter().all(|hole| hole.missed_by.is_empty())
    }

    pub(super) fn print(&self, as_json: bool) -> Result<()> {
        let text = if as_json { serde_json::to_string_pretty(&self.as_json())? } else { self.as_text() };
        terminal::print(&text)
    }

    fn as_json(&self) -> Value {
        let attack = |attack: &Attack| {
            json!({
                "name": attack.name,
                "tries": attack.tries,
                "leaks": attack.leaks.count,
                "examples": attack.leaks.examples,
                "not_an_attack": attack.broken.count,
                "why_not": attack.broken.examples,
                "skipped": attack.skipped,
            })
        };
        let hole = |hole: &Found| json!({ "name": hole.name, "leaks": hole.leaks, "attacks": hole.by, "missed_by": hole.missed_by });
        json!({
            "server": self.server,
            "good": self.is_good(),
            "attacks": self.tally.attacks.iter().map(attack).collect::<Vec<_>>(),
            "methods": self.tally.methods,
            "methods_without_an_attack": methods::missing(&self.tally.methods),
            "holes": self.holes.iter().map(hole).collect::<Vec<_>>(),
            "seconds": self.seconds,
        })
    }

    fn as_text(&self) -> String {
        let mut lines = vec![format!("{:<56}{:>8}{:>8}{:>10}", "attack", "tries", "leaked", "seconds")];
        for attack in &self.tally.attacks {
            let Attack { name, tries, leaks, time, .. } = attack;
            lines.push(match &attack.skipped {
                Some(reason) => format!("{name:<56}  skipped: {reason}"),
                None => format!("{name:<56}{tries:>8}{:>8}{:>10.1}", leaks.count, time.as_secs_f64()),
            });
            lines.extend(attack.leaks.examples.iter().map(|example| format!("  LEAKED {example}")));
            if !attack.works() {
                lines.push(format!("  {} tries were no attack", attack.broken.count));
                lines.extend(attack.broken.examples.iter().map(|example| format!("  {example}")));
            }
        }
        let tries: u64 = self.tally.attacks.iter().map(|attack| attack.tries).sum();
        lines.push(format!("{:<56}{tries:>8}{:>8}{:>10.1}", "all", self.tally.leaks(), self.seconds));
        let missing = methods::missing(&self.tally.methods);
        if self.whole && !missing.is_empty() {
            lines.push(format!("methods without an attack: {}", missing.join(", ")));
        }
        if !self.holes.is_empty() {
            lines.push(format!("\n{:<63}{:>9}", "made on purpose, must be found", "leaked"));
            for hole in &self.holes {
                lines.push(format!("{:<64}{:>8}", hole.name, hole.leaks));
                lines.extend(hole.missed_by.iter().map(|attack| format!("  NOT FOUND by: {attack}")));
            }
        }
        lines.push("\nknown, and no leak:".to_owned());
        lines.extend(TOLD.iter().map(|told| format!("  {told}")));
        lines.push(format!("\n{}", self.server));
        lines.join("\n")
    }
}
