//! The model: what a store must answer, worked out in plain collections, slowly.

use std::collections::BTreeMap;

use underlay_core::{
    Checkpoint, Commit, CommitId, Committed, Conflict, EventId, Fingerprint, LogFilter, LogScope, Position,
    RecordedCommit, RecordedEvent, RowAddress, RowChange, RowValues, Snapshot, StreamName, StreamPage,
    StreamVersion, TenantId, Timestamp, Value, Version, ViewBatch,
};

/// What a commit is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Stored(Committed),
    /// One of these.
    Conflict(Vec<Conflict>),
    IdReused(CommitId),
    Invalid,
}

/// What a batch for the view is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    Stored,
    Moved,
    NoRow,
}

/// A commit that is stored.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) tenant: TenantId,
    pub(super) fingerprint: Fingerprint,
    pub(super) committed: Committed,
}

pub(super) struct Model {
    /// Whether the times of commits without events never decrease either.
    every_commit_in_time: bool,
    pub(super) events: Vec<RecordedEvent>,
    pub(super) entries: Vec<Entry>,
    pub(super) rows: BTreeMap<RowAddress, RowValues>,
    pub(super) checkpoint: Checkpoint,
    pub(super) snapshots: BTreeMap<(TenantId, StreamName), Snapshot>,
}

impl Model {
    pub(super) fn new(start: Checkpoint, every_commit_in_time: bool) -> Self {
        Self {
            every_commit_in_time,
            events: Vec::new(),
            entries: Vec::new(),
            rows: BTreeMap::new(),
            checkpoint: start,
            snapshots: BTreeMap::new(),
        }
    }

    pub(super) fn head(&self) -> Position {
        Position::from_number(self.events.len() as u64)
    }

    pub(super) fn version(&self, tenant: &TenantId, stream: &StreamName) -> Version {
        Version(self.stream(tenant, stream).count() as u64)
    }

    fn stream<'m>(
        &'m self,
        tenant: &'m TenantId,
        stream: &'m StreamName,
    ) -> impl Iterator<Item = &'m RecordedEvent> {
        self.events.iter().filter(move |event| event.tenant == *tenant && event.stream == *stream)
    }

    fn entry(&self, tenant: &TenantId, id: CommitId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tenant == *tenant && entry.committed.id == id)
    }

    /// What a commit is answered at a time; where it is stored, it is from now on.
    pub(super) fn commit(&mut self, tenant: &TenantId, commit: &Commit, now: Timestamp) -> Answer {
        if let Some(entry) = self.entry(tenant, commit.id) {
            if entry.fingerprint != commit.fingerprint() {
                return Answer::IdReused(commit.id);
            }
            let mut committed = entry.committed.clone();
            committed.repeated = true;
            return Answer::Stored(committed);
        }
        let other =
            commit.agreement.and_then(|agreement| Some((agreement, self.entry(tenant, agreement.with)?)));
        if let Some((agreement, other)) = other {
            if other.fingerprint != commit.fingerprint() {
                return Answer::IdReused(commit.id);
            }
            if agreement.yields {
                let mut committed = other.committed.clone();
                committed.repeated = true;
                return Answer::Stored(committed);
            }
        }
        let conflicts: Vec<Conflict> = commit
            .streams()
            .map(|(stream, expected)| (stream, expected, self.version(tenant, stream)))
            .filter(|(_, expected, actual)| !expected.allows(*actual))
            .map(|(stream, expected, actual)| Conflict { stream: stream.clone(), expected, actual })
            .collect();
        if !conflicts.is_empty() {
            return Answer::Conflict(conflicts);
        }
        let new_ids = commit.writes.iter().flat_map(|write| &write.events).map(|event| event.event_id);
        let is_known =
            |id: EventId| self.events.iter().any(|event| event.tenant == *tenant && event.event_id == id);
        if new_ids.into_iter().any(is_known) {
            return Answer::Invalid;
        }
        let last = if self.every_commit_in_time {
            self.entries.last().map(|last| last.committed.recorded_at)
        } else {
            self.events.last().map(|last| last.recorded_at)
        };
        let recorded_at = last.map_or(now, |last| last.max(now));
        let mut versions = Vec::new();
        let mut tail = commit.event_count() as u32;
        for write in &commit.writes {
            for event in &write.events {
                tail -= 1;
                self.events.push(RecordedEvent {
                    position: Position::from_number(self.events.len() as u64 + 1),
                    tenant: tenant.clone(),
                    stream: write.stream.clone(),
                    version: self.version(tenant, &write.stream).plus(1),
                    event_id: event.event_id,
                    event_type: event.event_type.clone(),
                    schema_version: event.schema_version,
                    payload: event.payload.clone(),
                    metadata: commit.encode_metadata().unwrap(),
                    recorded_at,
                    commit_tail: tail,
                });
            }
            let version = self.version(tenant, &write.stream);
            versions.push(StreamVersion { stream: write.stream.clone(), version });
        }
        let committed = Committed::new(commit.id, self.head(), versions, commit, recorded_at);
        self.entries.push(Entry {
            tenant: tenant.clone(),
            fingerprint: commit.fingerprint(),
            committed: committed.clone(),
        });
        Answer::Stored(committed)
    }

    pub(super) fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Option<RecordedCommit> {
        self.entry(tenant, id).map(|entry| {
            let mut committed = entry.committed.clone();
            committed.repeated = true;
            RecordedCommit { fingerprint: entry.fingerprint, committed }
        })
    }

    /// The events of a stored commit.
    pub(super) fn events_of(&self, entry: &Entry) -> Vec<RecordedEvent> {
        let end = entry.committed.position.number() as usize;
        self.events[end - entry.committed.event_count as usize..end].to_vec()
    }

    pub(super) fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> StreamPage {
        let events = self.stream(tenant, stream).filter(|event| event.version > after).take(limit);
        StreamPage { events: events.cloned().collect(), version: self.version(tenant, stream) }
    }

    /// The events above `after`, up to `to`, that a read asks for.
    pub(super) fn log(
        &self,
        scope: &LogScope,
        after: Position,
        to: Position,
        filter: &LogFilter,
    ) -> Vec<RecordedEvent> {
        self.events
            .iter()
            .filter(|event| after < event.position && event.position <= to && filter.allows(event))
            .filter(|event| match scope {
                LogScope::Tenant(tenant) => event.tenant == *tenant,
                LogScope::EveryTenant => true,
            })
            .cloned()
            .collect()
    }

    /// The last position of the commit that an event belongs to.
    pub(super) fn commit_end(&self, event: &RecordedEvent) -> Position {
        Position::from_number(event.position.number() + u64::from(event.commit_tail))
    }

    pub(super) fn position_at(&self, time: Timestamp) -> Position {
        self.events
            .iter()
            .rev()
            .find(|event| event.recorded_at <= time)
            .map_or(Position::START, |event| event.position)
    }

    pub(super) fn event_id_at(&self, position: Position) -> Option<EventId> {
        self.events.iter().find(|event| event.position == position).map(|event| event.event_id)
    }

    /// What a batch is answered, without storing it.
    pub(super) fn judge(&self, batch: &ViewBatch) -> Applied {
        let lacks_row = |change: &RowChange| match change {
            RowChange::Patch(address, _) => !self.rows.contains_key(address),
            _ => false,
        };
        if batch.from != self.checkpoint {
            Applied::Moved
        } else if batch.changes.iter().any(lacks_row) {
            Applied::NoRow
        } else {
            Applied::Stored
        }
    }

    /// Stores a batch that was judged to fit. A patch sets the first column.
    pub(super) fn apply(&mut self, batch: &ViewBatch) {
        for change in &batch.changes {
            match change {
                RowChange::Upsert(address, values) => {
                    self.rows.insert(address.clone(), values.clone());
                }
                RowChange::Patch(address, patch) => {
                    let row = self.rows.get_mut(address).unwrap();
                    row[0] = patch[0].1.clone();
                }
                RowChange::Delete(address) => {
                    self.rows.remove(address);
                }
            }
        }
        self.checkpoint = batch.to;
    }

    /// The rows of a tenant whose first column is at least a number, by that column and key.
    pub(super) fn rows_from(&self, tenant: &TenantId, at_least: i64) -> Vec<(String, RowValues)> {
        let mut rows: Vec<(String, RowValues)> = self
            .rows
            .iter()
            .filter(|(address, row)| address.tenant == *tenant && row[0] >= Value::Integer(at_least))
            .map(|(address, row)| (address.key.clone(), row.clone()))
            .collect();
        rows.sort_by(|(a_key, a), (b_key, b)| (&a[0], a_key).cmp(&(&b[0], b_key)));
        rows
    }

    pub(super) fn store_snapshot(&mut self, tenant: &TenantId, stream: &StreamName, snapshot: Snapshot) {
        let key = (tenant.clone(), stream.clone());
        let stays = self.snapshots.get(&key).is_some_and(|there| {
            there.fingerprint == snapshot.fingerprint && there.version > snapshot.version
        });
        if !stays {
            self.snapshots.insert(key, snapshot);
        }
    }
}
