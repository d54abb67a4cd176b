//! What callers were told, held against what is stored.
//!
//! A commit that was acknowledged is there once, where the answer said. One that was declined is not
//! there. One whose end was uncertain was asked for again until the answer was one of the two.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use serde::Serialize;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{Result, work};

/// Examples that are kept of what must not be.
const EXAMPLES_MAX: usize = 5;

/// An acknowledgement, as the caller was given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) commit: Uuid,
    pub(crate) stream: String,
    pub(crate) version: u64,
    /// Where it is in the log; none where there is no log.
    pub(crate) position: Option<u64>,
}

/// What one caller was told, in order.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// When each of them was.
    pub(crate) times: Vec<Instant>,
    pub(crate) declined: Vec<Uuid>,
    /// How often the end of a commit was uncertain at first.
    pub(crate) uncertain: u64,
    /// Answers that can never be right.
    pub(crate) wrong: Vec<String>,
    /// The longest time from a request to its answer.
    pub(crate) longest_answer: std::time::Duration,
}

impl Told {
    /// When the first commit from then on was acknowledged.
    pub(crate) fn first_since(&self, moment: Instant) -> Option<Instant> {
        self.times.get(self.times.partition_point(|time| *time < moment)).copied()
    }
}

/// What the comparison came to.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Findings {
    pub(crate) acknowledged: u64,
    pub(crate) declined: u64,
    pub(crate) uncertain: u64,
    /// Acknowledged and not there.
    pub(crate) lost: u64,
    /// There twice.
    pub(crate) twice: u64,
    /// Not there as it was told: elsewhere, declined and there, a wrong answer, a hole in the log.
    pub(crate) untrue: u64,
    pub(crate) examples: Vec<String>,
    /// What came of the work that flowed beside the callers, where some did.
    pub(crate) work: Option<work::Findings>,
}

impl Findings {
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.untrue == 0
    }

    pub(crate) fn summary(&self) -> String {
        let Self { acknowledged, declined, uncertain, lost, twice, untrue, .. } = self;
        format!(
            "{acknowledged} acknowledged, {declined} declined, {uncertain} uncertain at first: {lost} lost, \
             {twice} twice, {untrue} untrue"
        )
    }

    /// Counts what a caller was told, and takes over what can never be right.
    pub(super) fn count(&mut self, caller: &Told) {
        self.acknowledged += caller.acknowledged.len() as u64;
        self.declined += caller.declined.len() as u64;
        self.uncertain += caller.uncertain;
        self.untrue += caller.wrong.len() as u64;
        caller.wrong.iter().for_each(|wrong| self.note(wrong.clone()));
    }

    pub(super) fn note(&mut self, example: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example);
        }
    }
}

/// An event as the table holds it.
struct Stored {
    position: u64,
    stream: String,
    version: u64,
    commit: Option<Uuid>,
}

/// Holds what callers were told against the tables, read past every role and policy.
pub(crate) async fn compare(admin: &Client, told: &[Told]) -> Result<Findings> {
    let events = "SELECT position, stream, version, (metadata ->> 'command_id')::uuid \
                  FROM underlay.events ORDER BY position";
    let mut log = Vec::new();
    for row in admin.query(events, &[]).await? {
        log.push(Stored {
            position: unsigned(row.try_get(0)?),
            stream: row.try_get(1)?,
            version: unsigned(row.try_get(2)?),
            commit: row.try_get(3)?,
        });
    }
    let commits = admin.query("SELECT commit_id FROM underlay.commits", &[]).await?;
    let commits = commits.iter().map(|row| row.try_get(0)).collect::<std::result::Result<Vec<Uuid>, _>>()?;
    Ok(judge(&log, &commits, told))
}

fn unsigned(number: i64) -> u64 {
    number.unsigned_abs()
}

fn judge(log: &[Stored], commits: &[Uuid], told: &[Told]) -> Findings {
    let mut findings = Findings::default();
    let mut versions: HashMap<&str, u64> = HashMap::new();
    let mut events: HashMap<Uuid, Vec<&Stored>> = HashMap::new();
    for (place, event) in (1..).zip(log) {
        let version = versions.entry(&event.stream).or_default();
        *version += 1;
        if event.position != place || event.version != *version {
            findings.untrue += 1;
            findings.note(format!("a hole in the log before position {}", event.position));
        }
        if let Some(commit) = event.commit {
            events.entry(commit).or_default().push(event);
        }
    }
    let known: HashSet<Uuid> = commits.iter().copied().collect();
    if known.len() < commits.len() {
        findings.twice += (commits.len() - known.len()) as u64;
        findings.note("a commit id is in the log twice".to_owned());
    }
    for caller in told {
        findings.count(caller);
        for acknowledged in &caller.acknowledged {
            match events.get(&acknowledged.commit).map(Vec::as_slice) {
                None | Some([]) => {
                    findings.lost += 1;
                    findings.note(format!("{acknowledged:?} is not in the log"));
                }
                Some([event]) => {
                    let there = (event.stream.as_str(), event.version, Some(event.position));
                    if there != (acknowledged.stream.as_str(), acknowledged.version, acknowledged.position) {
                        findings.untrue += 1;
                        findings.note(format!("{acknowledged:?} is in the log as {there:?}"));
                    }
                }
                Some(_) => {
                    findings.twice += 1;
                    findings.note(format!("{acknowledged:?} is in the log more than once"));
                }
            }
        }
        for declined in &caller.declined {
            if known.contains(declined) {
                findings.untrue += 1;
                findings.note(format!("{declined} was declined and is in the log"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: u64, version: u64, commit: u128) -> Stored {
        Stored { position, stream: "a-1".to_owned(), version, commit: Some(Uuid::from_u128(commit)) }
    }

    fn acknowledged(position: u64, version: u64, commit: u128) -> Acknowledged {
        Acknowledged {
            commit: Uuid::from_u128(commit),
            stream: "a-1".to_owned(),
            version,
            position: Some(position),
        }
    }

    fn found(log: &[Stored], told: Told) -> (u64, u64, u64) {
        let commits: Vec<Uuid> = log.iter().filter_map(|event| event.commit).collect();
        let findings = judge(log, &commits, &[told]);
        assert_eq!(findings.is_clean(), findings.examples.is_empty());
        (findings.lost, findings.twice, findings.untrue)
    }

    #[test]
    fn what_is_there_as_it_was_told_is_clean() {
        let told = Told {
            acknowledged: vec![acknowledged(1, 1, 1), acknowledged(2, 2, 2)],
            declined: vec![Uuid::from_u128(3)],
            ..Told::default()
        };
        assert_eq!(found(&[event(1, 1, 1), event(2, 2, 2)], told), (0, 0, 0));
    }

    #[test]
    fn every_untruth_is_found() {
        let one = || Told { acknowledged: vec![acknowledged(1, 1, 1)], ..Told::default() };
        assert_eq!(found(&[], one()), (1, 0, 0), "lost");
        assert_eq!(found(&[event(1, 1, 1), event(2, 2, 1)], one()), (0, 2, 0), "twice");
        assert_eq!(found(&[event(1, 1, 2), event(2, 2, 1)], one()), (0, 0, 1), "elsewhere");
        assert_eq!(found(&[event(1, 1, 1), event(3, 2, 2)], one()), (0, 0, 1), "a hole");
        let declined = Told { declined: vec![Uuid::from_u128(1)], ..Told::default() };
        assert_eq!(found(&[event(1, 1, 1)], declined), (0, 0, 1), "declined and there");
        let wrong = Told { wrong: vec!["a conflict that was none".to_owned()], ..Told::default() };
        assert_eq!(found(&[], wrong), (0, 0, 1), "a wrong answer");
    }
}
