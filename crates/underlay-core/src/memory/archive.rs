use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::MemoryEventStore;
use crate::{
    Archive, ArchivePage, ArchivedCommit, CommitId, Committed, Conflict, Error, EventId, ExpectedVersion,
    Fingerprint, Imported, Json, LogScope, Outcome, Position, RecordedEvent, Retention, StreamName,
    StreamVersion, TenantId, Timestamp, Version,
};

#[async_trait]
impl Archive for MemoryEventStore {
    async fn read_commits(&self, scope: &LogScope, after: u64, limit: usize) -> Result<ArchivePage, Error> {
        let log = self.lock();
        let start = usize::try_from(after).unwrap_or(usize::MAX).min(log.order.len());
        let (mut commits, mut next) = (Vec::new(), start);
        for key in &log.order[start..] {
            if commits.len() >= limit {
                break;
            }
            next += 1;
            let in_scope = match scope {
                LogScope::Tenant(tenant) => key.0 == *tenant,
                LogScope::EveryTenant => true,
            };
            if let Some((fingerprint, committed)) = log.commits.get(key).filter(|_| in_scope) {
                let end =
                    usize::try_from(committed.position.number()).unwrap_or(usize::MAX).min(log.events.len());
                let events = log.events[end - committed.event_count as usize..end].to_vec();
                commits.push(ArchivedCommit {
                    tenant: key.0.clone(),
                    id: key.1,
                    fingerprint: *fingerprint,
                    outcome: committed.outcome.clone(),
                    recorded_at: committed.recorded_at,
                    events,
                });
            }
        }
        Ok(ArchivePage { commits, next: next as u64, at_end: next == log.order.len() })
    }

    async fn import_commits(&self, commits: Vec<ArchivedCommit>) -> Result<Imported, Error> {
        let mut log = self.lock();
        let mut imported = Imported::default();
        // Checked as a whole before anything is stored.
        let mut versions: HashMap<(TenantId, StreamName), Version> = HashMap::new();
        let mut ids: HashMap<(TenantId, CommitId), Fingerprint> = HashMap::new();
        let mut event_ids: HashSet<(TenantId, EventId)> = HashSet::new();
        let mut new = Vec::new();
        for commit in commits {
            let key = (commit.tenant.clone(), commit.id);
            let stored = log.commits.get(&key).map(|(fingerprint, _)| *fingerprint);
            if let Some(fingerprint) = stored.or_else(|| ids.get(&key).copied()) {
                if fingerprint != commit.fingerprint {
                    return Err(Error::IdReused(commit.id));
                }
                imported.known += 1;
                continue;
            }
            ids.insert(key, commit.fingerprint);
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
            if let Outcome::Refused { message, body, .. } = &mut committed.outcome
                && (body.as_str() != "null" || !message.is_empty())
            {
                message.clear();
                *body = Json::from_stored("null");
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }
}

impl super::event_store::Log {
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
