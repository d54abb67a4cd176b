//! Compares what writers were told and readers saw with the log.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use underlay_core::{StreamName, StreamVersion, TenantId, Version};
use uuid::Uuid;

use crate::work;

use super::evidence::{Acknowledged, Backup, Evidence, Intention, LogEntry, ReaderEvidence, WriterLine};

/// Commits that one of equal tenants may be behind another: their lines began one after another, and
/// an end may be in the middle of a round.
const BEHIND_MAX: u64 = 4;

/// Sentences kept of what was found; the counts go on.
const EXAMPLES_MAX: usize = 10;

/// What can be wrong with a log and its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// Events acknowledged that are not in the log, or in the log and never seen by a reader that
    /// passed them.
    Lost,
    /// Events seen twice by a reader, or stored twice.
    Duplicated,
    /// Events seen out of order, or other than the log holds them.
    Reordered,
    /// Commits of which a page, or the log, holds only a part.
    HalfSeen,
    /// Versions or positions missing or used twice.
    VersionHoles,
    /// Answers that are not true.
    Misanswered,
    /// Tenants that were stored for less than others like them.
    Uneven,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] = [
        Self::Lost,
        Self::Duplicated,
        Self::Reordered,
        Self::HalfSeen,
        Self::VersionHoles,
        Self::Misanswered,
        Self::Uneven,
    ];

    /// The head of its column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::Reordered => "reordered",
            Self::HalfSeen => "half-seen",
            Self::VersionHoles => "version holes",
            Self::Misanswered => "misanswered",
            Self::Uneven => "uneven",
        }
    }
}

/// The counts of an audit.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Findings {
    /// Commits acknowledged.
    pub(crate) committed: u64,
    /// Commits refused because another was in the way.
    pub(crate) conflicts: u64,
    /// Commits refused because the store had no room or no time.
    pub(crate) unavailable: u64,
    /// Events seen by all readers together.
    pub(crate) seen: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    half_seen: u64,
    version_holes: u64,
    misanswered: u64,
    uneven: u64,
    /// Reads that the store had no connection or no time for.
    pub(crate) reads_unavailable: u64,
    /// The longest time a reader made no progress while the log was ahead.
    pub(crate) longest_stall_micros: u64,
    /// The reader it was.
    pub(crate) stalled_reader: String,
    /// The first things found, as sentences.
    pub(crate) examples: Vec<String>,
}

impl Findings {
    pub(crate) fn count(&self, fault: Fault) -> u64 {
        match fault {
            Fault::Lost => self.lost,
            Fault::Duplicated => self.duplicated,
            Fault::Reordered => self.reordered,
            Fault::HalfSeen => self.half_seen,
            Fault::VersionHoles => self.version_holes,
            Fault::Misanswered => self.misanswered,
            Fault::Uneven => self.uneven,
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        Fault::ALL.iter().all(|fault| self.count(*fault) == 0)
    }

    pub(crate) fn longest_stall(&self) -> Duration {
        Duration::from_micros(self.longest_stall_micros)
    }

    /// What was found of work that flowed.
    pub(crate) fn of_work(work: &work::Findings) -> Self {
        let mut findings = Self { committed: work.acknowledged, ..Self::default() };
        findings.add_work(work);
        findings
    }

    fn add_work(&mut self, work: &work::Findings) {
        self.seen += work.delivered;
        self.lost += work.lost;
        self.duplicated += work.twice;
        self.reordered += work.reordered;
        self.misanswered += work.untrue;
        let room = EXAMPLES_MAX.saturating_sub(self.examples.len());
        self.examples.extend(work.examples.iter().take(room).cloned());
    }

    fn add(&mut self, fault: Fault, count: u64, example: impl FnOnce() -> String) {
        let total = match fault {
            Fault::Lost => &mut self.lost,
            Fault::Duplicated => &mut self.duplicated,
            Fault::Reordered => &mut self.reordered,
            Fault::HalfSeen => &mut self.half_seen,
            Fault::VersionHoles => &mut self.version_holes,
            Fault::Misanswered => &mut self.misanswered,
            Fault::Uneven => &mut self.uneven,
        };
        *total += count;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("{}: {}", fault.title(), example()));
        }
    }
}

/// Looks at all of it.
pub(crate) fn audit(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    let answers = Answers::of(&evidence.writers, &mut findings);
    let commits = audit_log(&evidence.log, &answers, &mut findings);
    audit_answers(&evidence.log, &commits, &answers, &mut findings);
    for reader in &evidence.readers {
        audit_reader(&evidence.log, &commits, reader, &mut findings);
    }
    if let Some(backup) = &evidence.backup {
        audit_backup(&evidence.log, backup, &mut findings);
    }
    audit_crowd(&evidence.crowd, &mut findings);
    let mut work = work::Findings::default();
    evidence.deliveries.audit(&mut work);
    findings.add_work(&work);
    findings
}

/// What the writers wrote down, by commit.
#[derive(Default)]
struct Answers<'a> {
    intended: HashMap<Uuid, &'a Intention>,
    acknowledged: HashMap<Uuid, &'a Acknowledged>,
    declined: HashSet<Uuid>,
    /// How often a commit was sent without an answer: its writer was killed.
    unanswered: HashMap<Uuid, i64>,
}

impl<'a> Answers<'a> {
    fn of(lines: &'a [WriterLine], findings: &mut Findings) -> Self {
        let mut answers = Self::default();
        for line in lines {
            match line {
                WriterLine::Intended(intention) => {
                    answers.intended.insert(intention.commit, intention);
                    *answers.unanswered.entry(intention.commit).or_default() += 1;
                }
                WriterLine::Acknowledged(acknowledged) => {
                    *answers.unanswered.entry(acknowledged.commit).or_default() -= 1;
                    let first = *answers.acknowledged.entry(acknowledged.commit).or_insert(acknowledged);
                    if first != acknowledged {
                        findings.add(Fault::Misanswered, 1, || {
                            format!("a repeat of {} got {acknowledged:?} after {first:?}", first.commit)
                        });
                    }
                }
                WriterLine::Declined { commit, conflict } => {
                    if *conflict {
                        findings.conflicts += 1;
                    } else {
                        findings.unavailable += 1;
                    }
                    answers.declined.insert(*commit);
                    *answers.unanswered.entry(*commit).or_default() -= 1;
                }
                WriterLine::Wrong(what) => findings.add(Fault::Misanswered, 1, || what.clone()),
            }
        }
        findings.committed = answers.acknowledged.len() as u64;
        answers
    }
}

/// Where the commits are in the log.
#[derive(Default)]
struct Commits {
    /// The places of a commit's events; of one stored twice, those of the first time.
    places: HashMap<Uuid, Range<usize>>,
    /// For every place in the log, the places of the commit it is of.
    around: Vec<Range<usize>>,
}

fn audit_log(log: &[LogEntry], answers: &Answers<'_>, findings: &mut Findings) -> Commits {
    let mut commits = Commits::default();
    let mut versions: HashMap<(TenantId, StreamName), u64> = HashMap::new();
    let mut events: HashSet<(TenantId, Uuid)> = HashSet::new();
    let mut position = 0;
    let mut start = 0;
    while start < log.len() {
        let end = end_of_run(log, start);
        let first = &log[start];
        if let Some(intention) = answers.intended.get(&first.mark.commit) {
            audit_expectations(intention, &versions, findings);
        }
        for entry in &log[start..end] {
            if entry.position != position + 1 {
                findings.add(Fault::VersionHoles, 1, || {
                    format!("position {} follows position {position}", entry.position)
                });
            }
            position = entry.position;
            let version = versions.entry((entry.tenant.clone(), entry.stream.clone())).or_default();
            if entry.version != *version + 1 {
                findings.add(Fault::VersionHoles, 1, || {
                    format!("version {} of {} follows version {version}", entry.version, entry.stream)
                });
            }
            *version = entry.version.max(*version);
            if !events.insert((entry.tenant.clone(), entry.event)) {
                findings.add(Fault::Duplicated, 1, || {
                    format!("event {} is in the log twice, the second time at {position}", entry.event)
                });
            }
            if entry.ends_commit != (entry.mark.index + 1 == entry.mark.count) {
                findings.add(Fault::HalfSeen, 1, || {
                    format!("the log is wrong about where the commit at {position} ends")
                });
            }
            commits.around.push(start..end);
        }
        if end - start != first.mark.count as usize {
            findings.add(Fault::HalfSeen, 1, || {
                let commit = first.mark.commit;
                format!("the log holds {} of {} events of commit {commit}", end - start, first.mark.count)
            });
        }
        let places = commits.places.entry(first.mark.commit).or_insert(start..end);
        if places.start != start {
            findings.add(Fault::Duplicated, (end - start) as u64, || {
                format!("commit {} is stored again at position {}", first.mark.commit, first.position)
            });
        }
        start = end;
    }
    commits
}

/// Where the events end that follow each other as one commit.
fn end_of_run(log: &[LogEntry], start: usize) -> usize {
    let mut end = start + 1;
    while let Some(entry) = log.get(end) {
        let before = &log[end - 1];
        let goes_on = entry.mark.commit == before.mark.commit && entry.mark.index == before.mark.index + 1;
        if !goes_on {
            break;
        }
        end += 1;
    }
    end
}

/// Whether the streams were as the commit expected them just before it.
fn audit_expectations(
    intention: &Intention,
    versions: &HashMap<(TenantId, StreamName), u64>,
    findings: &mut Findings,
) {
    for (stream, expected) in &intention.expected {
        let actual = versions.get(&(intention.tenant.clone(), stream.clone())).copied().unwrap_or(0);
        if !expected.allows(Version(actual)) {
            findings.add(Fault::Misanswered, 1, || {
                let commit = intention.commit;
                format!("commit {commit} expected {expected} of {stream}, it was at version {actual}")
            });
        }
    }
}

fn audit_answers(log: &[LogEntry], commits: &Commits, answers: &Answers<'_>, findings: &mut Findings) {
    for acknowledged in answers.acknowledged.values() {
        let Some(places) = commits.places.get(&acknowledged.commit) else {
            findings.add(Fault::Lost, u64::from(acknowledged.count), || {
                format!("commit {} was acknowledged and is not in the log", acknowledged.commit)
            });
            continue;
        };
        let stored = as_stored(acknowledged.commit, &log[places.clone()]);
        if stored != **acknowledged {
            findings.add(Fault::Misanswered, 1, || format!("{acknowledged:?} is in the log as {stored:?}"));
        }
    }
    for commit in &answers.declined {
        let open = answers.unanswered.get(commit).is_some_and(|open| *open > 0);
        if !open && commits.places.contains_key(commit) && !answers.acknowledged.contains_key(commit) {
            findings.add(Fault::Misanswered, 1, || format!("commit {commit} was declined and is in the log"));
        }
    }
}

/// The acknowledgement that is true of a commit.
fn as_stored(commit: Uuid, entries: &[LogEntry]) -> Acknowledged {
    let mut versions: Vec<StreamVersion> = Vec::new();
    for entry in entries {
        match versions.last_mut() {
            Some(last) if last.stream == entry.stream => last.version = Version(entry.version),
            _ => {
                versions.push(StreamVersion { stream: entry.stream.clone(), version: Version(entry.version) })
            }
        }
    }
    Acknowledged {
        commit,
        position: entries.last().map_or(0, |entry| entry.position),
        // A commit has far fewer events than u32::MAX.
        count: entries.len() as u32,
        versions,
    }
}

fn audit_reader(log: &[LogEntry], commits: &Commits, reader: &ReaderEvidence, findings: &mut Findings) {
    let ReaderEvidence { name, feed, pages } = reader;
    let place_of = |position: u64| {
        let place = log.partition_point(|entry| entry.position < position);
        log.get(place).is_some_and(|entry| entry.position == position).then_some(place)
    };
    let mut seen = vec![false; log.len()];
    let mut last = 0;
    let mut passed = 0;
    for page in pages {
        passed = passed.max(page.scanned_to);
        if page.stall_micros > findings.longest_stall_micros {
            findings.longest_stall_micros = page.stall_micros;
            findings.stalled_reader = name.clone();
        }
        findings.reads_unavailable += page.unavailable;
        findings.seen += page.seen.len() as u64;
        let mut parts: HashMap<usize, usize> = HashMap::new();
        for event in &page.seen {
            let place = place_of(event.0).filter(|place| log[*place].seen() == *event);
            let Some(place) = place else {
                findings.add(Fault::Reordered, 1, || {
                    format!("reader {name} saw an event at {} that the log does not hold there", event.0)
                });
                continue;
            };
            *parts.entry(commits.around[place].start).or_default() += 1;
            if seen[place] {
                findings.add(Fault::Duplicated, 1, || format!("reader {name} saw {} again", event.0));
            } else if event.0 < last {
                findings.add(Fault::Reordered, 1, || {
                    format!("reader {name} saw position {} after {last}", event.0)
                });
            }
            if !feed.takes(&log[place]) {
                findings.add(Fault::Misanswered, 1, || {
                    format!("reader {name} saw {}, which is not for it", event.0)
                });
            }
            seen[place] = true;
            last = last.max(event.0);
        }
        for (start, part) in parts {
            let whole = log[commits.around[start].clone()].iter().filter(|entry| feed.takes(entry)).count();
            if part < whole {
                findings.add(Fault::HalfSeen, 1, || {
                    format!("a page of reader {name} holds {part} of {whole} events of a commit")
                });
            }
        }
        if place_of(page.scanned_to).is_some_and(|place| place + 1 != commits.around[place].end) {
            findings.add(Fault::HalfSeen, 1, || {
                format!("a page of reader {name} ends within a commit, at {}", page.scanned_to)
            });
        }
    }
    for (entry, seen) in log.iter().zip(seen) {
        if entry.position <= passed && feed.takes(entry) && !seen {
            findings.add(Fault::Lost, 1, || {
                format!("reader {name} passed position {} and never saw it", entry.position)
            });
        }
    }
}

/// A backup is the log up to the end of some commit, and holds what was committed before it was begun.
fn audit_backup(log: &[LogEntry], backup: &Backup, findings: &mut Findings) {
    let copied = backup.log.len();
    if (copied as u64) < backup.at_least {
        findings.add(Fault::Lost, backup.at_least - copied as u64, || {
            format!("a backup holds {copied} events, the log held {} before it", backup.at_least)
        });
    }
    let differing = backup.log.iter().enumerate().filter(|(place, entry)| log.get(*place) != Some(*entry));
    for (_, entry) in differing {
        findings.add(Fault::Reordered, 1, || {
            format!("a backup holds another event at {} than the log", entry.position)
        });
    }
    if let Some(last) = backup.log.last().filter(|last| !last.ends_commit) {
        findings.add(Fault::HalfSeen, 1, || format!("a backup ends within a commit, at {}", last.position));
    }
}

/// Equal tenants that all wait all the time get an equal share.
fn audit_crowd(stored: &[u64], findings: &mut Findings) {
    let most = stored.iter().copied().max().unwrap_or(0);
    if most == 0 && !stored.is_empty() {
        findings.add(Fault::Uneven, stored.len() as u64, || "nothing was stored for a crowd".to_owned());
    }
    for (tenant, count) in stored.iter().enumerate().filter(|(_, count)| *count + BEHIND_MAX < most) {
        findings.add(Fault::Uneven, 1, || {
            format!("{count} commits were stored for tenant {tenant} of a crowd, {most} for another")
        });
    }
}
