use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::MemoryEventStore;
use crate::domain::CANCELLED;
use crate::ports::{Archive, ArchivePage, ArchivedCommit, Imported, LogScope, Retention};
use crate::words::{
    CommitId, Committed, Conflict, Error, EventId, ExpectedVersion, Json, Outcome, Position, RecordedEvent,
    StreamName, StreamVersion, TenantId, Timestamp, Version,
};

#[async_trait]
impl Archive for MemoryEventStore {
    async fn read_commits(&self, scope: &LogScope, after: u64, limit: usize) -> Result<ArchivePage, Error> {
        let log = self.lock();
        let mut page = ArchivePage { commits: Vec::new(), next: after, at_end: true };
        for (number, key) in log.order.range(after.saturating_add(1)..) {
            if page.commits.len() >= limit {
                page.at_end = false;
                break;
            }
            page.next = *number;
            let in_scope = match scope {
                LogScope::Tenant(tenant) => key.0 == *tenant,
                LogScope::EveryTenant => true,
            };
            if in_scope {
                page.commits.extend(log.archived(key));
            }
        }
        Ok(page)
    }

    async fn import_commits(&self, commits: Vec<ArchivedCommit>) -> Result<Imported, Error> {
        commits.iter().try_for_each(ArchivedCommit::validate)?;
        let now = self.now();
        let mut log = self.lock();
        let mut imported = Imported::default();
        // Checked as a whole before anything is stored.
        let mut versions: HashMap<(TenantId, StreamName), Version> = HashMap::new();
        let mut event_ids: HashSet<(TenantId, EventId)> = HashSet::new();
        let mut places: HashMap<(TenantId, CommitId), usize> = HashMap::new();
        let mut new: Vec<ArchivedCommit> = Vec::new();
        for commit in commits {
            let key = (commit.tenant.clone(), commit.id);
            let before = places.get(&key).and_then(|place| new.get(*place));
            if let Some(stored) = log.archived(&key).as_ref().or(before) {
                commit.check_same(stored)?;
                imported.known += 1;
                continue;
            }
            commit.check_time(now)?;
            places.insert(key, new.len());
            for event in &commit.events {
                let key = (commit.tenant.clone(), event.stream.clone());
                let actual = *versions.entry(key.clone()).or_insert_with(|| log.version(&key.0, &key.1));
                if event.version != actual.plus(1) {
                    let expected = ExpectedVersion::Exact(Version(event.version.0.saturating_sub(1)));
                    return Err(Conflict { stream: event.stream.clone(), expected, actual }.into());
                }
                let id = (commit.tenant.clone(), event.event_id);
                if log.event_ids.contains(&id) || !event_ids.insert(id) {
                    return Err(Error::invalid(format!("event id {} is already in the log", event.event_id)));
                }
                versions.insert(key, event.version);
            }
            imported.stored += 1;
            new.push(commit);
        }
        for commit in new {
            log.import(commit);
        }
        drop(log);
        self.wake();
        Ok(imported)
    }
}

#[async_trait]
impl Retention for MemoryEventStore {
    async fn forget_outcome_bodies(&self, time: Timestamp) -> Result<u64, Error> {
        let mut forgotten = 0;
        for (_, committed) in
            self.lock().commits.values_mut().filter(|(_, committed)| committed.recorded_at < time)
        {
            if !committed.outcome.is_forgotten()
                && let Outcome::Refused { message, body, .. } = &mut committed.outcome
            {
                message.clear();
                *body = Json::from_stored("null");
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    async fn forget_empty_commits(&self, time: Timestamp) -> Result<u64, Error> {
        let mut log = self.lock();
        let Some((last, _)) = log.order.last_key_value() else { return Ok(0) };
        let is_due = |committed: &Committed| {
            committed.event_count == 0 && committed.recorded_at < time && !is_cancellation(&committed.outcome)
        };
        let due: Vec<u64> = log
            .order
            .range(..*last)
            .filter(|(_, key)| log.commits.get(*key).is_some_and(|(_, committed)| is_due(committed)))
            .filter(|(number, _)| !log.work.has_work_of(**number))
            .map(|(number, _)| *number)
            .collect();
        for number in &due {
            if let Some(key) = log.order.remove(number) {
                log.commits.remove(&key);
            }
        }
        Ok(due.len() as u64)
    }
}

fn is_cancellation(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { code, .. } if code == CANCELLED)
}

impl super::event_store::Log {
    fn archived(&self, key: &(TenantId, CommitId)) -> Option<ArchivedCommit> {
        let (fingerprint, committed) = self.commits.get(key)?;
        let end = usize::try_from(committed.position.number()).unwrap_or(usize::MAX).min(self.events.len());
        Some(ArchivedCommit {
            tenant: key.0.clone(),
            id: key.1,
            fingerprint: *fingerprint,
            outcome: committed.outcome.clone(),
            recorded_at: committed.recorded_at,
            events: self.events[end - committed.event_count as usize..end].to_vec(),
        })
    }

    fn import(&mut self, commit: ArchivedCommit) {
        let recorded_at =
            self.events.last().map_or(commit.recorded_at, |last| last.recorded_at.max(commit.recorded_at));
        let event_count = commit.events.len();
        let mut versions: Vec<StreamVersion> = Vec::new();
        for (number, event) in commit.events.into_iter().enumerate() {
            let position = Position::from_number(self.events.len() as u64 + 1);
            match versions.last_mut().filter(|last| last.stream == event.stream) {
                Some(last) => last.version = event.version,
                None => versions.push(StreamVersion { stream: event.stream.clone(), version: event.version }),
            }
            // COMMIT_EVENTS_MAX is far below u32::MAX.
            let commit_tail = (event_count - number - 1) as u32;
            self.push(RecordedEvent {
                position,
                recorded_at,
                commit_tail,
                tenant: commit.tenant.clone(),
                ..event
            });
        }
        let committed = Committed {
            id: commit.id,
            position: Position::from_number(self.events.len() as u64),
            event_count: event_count as u32,
            versions,
            outcome: commit.outcome,
            recorded_at,
            repeated: false,
        };
        self.record(&commit.tenant, commit.fingerprint, committed);
    }
}
