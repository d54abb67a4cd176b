use std::time::Duration;

use serde_json::{Value, json};

use super::audit::{Fault, Findings};
use super::mistakes::Consequence;
use super::trouble::Tally;
use crate::{Result, terminal, work};

/// A line of the report.
pub(crate) struct Row {
    name: String,
    findings: Findings,
    /// What was done besides writing and reading.
    tally: Option<Tally>,
    /// What came of work, where that is what flowed.
    work: Option<String>,
    /// What is to be found where it is a mistake; nothing is to be found elsewhere.
    made: Option<Consequence>,
}

/// A stall that is made on purpose is at least this long.
const STALL_MADE_MIN: Duration = Duration::from_secs(1);

impl Row {
    pub(crate) fn ours(name: &str, findings: Findings, tally: Tally) -> Self {
        Self { name: name.to_owned(), findings, tally: Some(tally), work: None, made: None }
    }

    /// The same of work that flowed.
    pub(crate) fn work(name: &str, found: &work::Findings, tally: Tally) -> Self {
        let (work, findings) = (Some(found.summary()), Findings::of_work(found));
        Self { name: name.to_owned(), findings, tally: Some(tally), work, made: None }
    }

    pub(crate) fn mistake(name: &str, consequence: Consequence, findings: Findings) -> Self {
        Self { name: name.to_owned(), findings, tally: None, work: None, made: Some(consequence) }
    }

    fn verdict(&self, stall_max: Duration) -> std::result::Result<(), String> {
        match self.made {
            Some(Consequence::Fault(fault)) if self.findings.count(fault) == 0 => {
                Err(format!("made on purpose and not found: {}", fault.title()))
            }
            Some(Consequence::Stall) if self.findings.longest_stall() < STALL_MADE_MIN => {
                Err("made on purpose and not found: a stall".to_owned())
            }
            Some(_) => Ok(()),
            None if !self.findings.is_clean() => Err("found what must not be".to_owned()),
            None if self.findings.committed == 0 || self.findings.seen == 0 => {
                Err("nothing happened".to_owned())
            }
            None if self.findings.longest_stall() > stall_max => {
                Err(format!("a reader stood still for longer than {stall_max:?}"))
            }
            None => Ok(()),
        }
    }
}

/// What was found, for a terminal or a program.
pub(crate) struct Report {
    seed: u64,
    stall_max: Duration,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(seed: u64, stall_max: Duration) -> Self {
        Self { seed, stall_max, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(crate) fn is_good(&self) -> bool {
        self.rows.iter().all(|row| row.verdict(self.stall_max).is_ok())
    }

    pub(crate) fn print(&self, as_json: bool) -> Result<()> {
        let text = if as_json { serde_json::to_string_pretty(&self.as_json()?)? } else { self.as_text() };
        terminal::print(&text)
    }

    fn as_json(&self) -> Result<Value> {
        let row = |row: &Row| -> Result<Value> {
            Ok(json!({
                "name": row.name,
                "made_on_purpose": match row.made {
                    Some(Consequence::Fault(fault)) => serde_json::to_value(fault)?,
                    Some(Consequence::Stall) => "stall".into(),
                    None => Value::Null,
                },
                "findings": serde_json::to_value(&row.findings)?,
                "work": row.work,
                "done_besides": serde_json::to_value(&row.tally)?,
                "verdict": row.verdict(self.stall_max).err().unwrap_or_else(|| "good".to_owned()),
            }))
        };
        let rows = self.rows.iter().map(row).collect::<Result<Vec<Value>>>()?;
        Ok(json!({ "seed": self.seed, "good": self.is_good(), "rows": rows }))
    }

    fn as_text(&self) -> String {
        let mut cells_of_lines = vec![self.heads()];
        cells_of_lines.extend(self.rows.iter().map(cells));
        let columns = self.heads().len();
        let width =
            |column: usize| cells_of_lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut lines = Vec::new();
        for cells in &cells_of_lines {
            let mut line = format!("{:<width$}", cells[0], width = widths[0]);
            for (cell, width) in cells.iter().zip(&widths).skip(1) {
                line.push_str(&format!("  {cell:>width$}"));
            }
            lines.push(line);
        }
        lines.push(format!("\nseed {}; [n]: made on purpose, must be found", self.seed));
        for row in &self.rows {
            if row.made.is_none() {
                let Findings { conflicts, unavailable, seen, reads_unavailable, stalled_reader, .. } =
                    &row.findings;
                lines.push(match &row.work {
                    Some(work) => format!("{}: {work}", row.name),
                    None => format!(
                        "{}: {conflicts} conflicts, {unavailable} commits and {reads_unavailable} reads \
                         unavailable, {seen} events seen by readers; the longest stall is of reader \
                         {stalled_reader}",
                        row.name
                    ),
                });
                lines.extend(row.tally.as_ref().map(|tally| format!("besides: {tally}")));
            }
            if let Err(verdict) = row.verdict(self.stall_max) {
                lines.push(format!("{}: {verdict}", row.name));
                lines.extend(row.findings.examples.iter().map(|example| format!("  {example}")));
            }
        }
        lines.join("\n")
    }

    fn heads(&self) -> Vec<String> {
        let mut heads = vec!["who".to_owned(), "committed".to_owned()];
        heads.extend(Fault::ALL.map(|fault| fault.title().to_owned()));
        heads.push("longest stall".to_owned());
        heads
    }
}

fn cells(row: &Row) -> Vec<String> {
    let mut cells = vec![row.name.clone(), row.findings.committed.to_string()];
    for fault in Fault::ALL {
        let count = row.findings.count(fault);
        let is_made = row.made == Some(Consequence::Fault(fault));
        cells.push(if is_made { format!("[{count}]") } else { count.to_string() });
    }
    let stall = row.findings.longest_stall().as_millis();
    cells.push(match row.made {
        None => format!("{stall} ms"),
        Some(Consequence::Stall) => format!("[{stall} ms]"),
        Some(Consequence::Fault(_)) => "-".to_owned(),
    });
    cells
}
