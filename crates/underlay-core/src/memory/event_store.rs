use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use super::MemoryEntities;
use super::work_queue::WorkRoom;
use crate::adapter::{WakeupHub, answer_for_other};
use crate::ports::{
    Clock, EventStore, LogFilter, LogPage, LogScope, RecordedCommit, StreamList, StreamPage, SystemClock,
    Underway, Wakeup, Wakeups, WorkWakeup, check_page_limit, check_streams_limit,
};
use crate::words::limits::PAGE_SCAN_MAX;
use crate::words::{
    Category, Commit, CommitId, Committed, Conflict, Error, EventId, Fingerprint, Position, RecordedEvent,
    StoreId, StreamName, StreamVersion, TenantId, Timestamp, Version, WorkHint,
};

/// An event store in memory. One lock: a commit is a turn of it.
#[derive(Clone)]
pub struct MemoryEventStore {
    id: StoreId,
    clock: Arc<dyn Clock>,
    log: Arc<Mutex<Log>>,
    wakeups: Arc<WakeupHub>,
    entities: Option<MemoryEntities>,
}

#[derive(Default)]
pub(super) struct Log {
    /// The event at position p is at index p - 1.
    pub(super) events: Vec<RecordedEvent>,
    /// Indexes into `events`; version v of a stream is at v - 1.
    streams: HashMap<TenantId, BTreeMap<StreamName, Vec<usize>>>,
    pub(super) event_ids: HashSet<(TenantId, EventId)>,
    pub(super) commits: HashMap<(TenantId, CommitId), (Fingerprint, Committed)>,
    /// The keys of `commits` by their numbers, which count from 1 in the order they were stored.
    pub(super) order: BTreeMap<u64, (TenantId, CommitId)>,
    /// What commits sent on.
    pub(super) work: WorkRoom,
}

impl Default for MemoryEventStore {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl std::fmt::Debug for MemoryEventStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryEventStore").field("id", &self.id).finish_non_exhaustive()
    }
}

impl MemoryEventStore {
    /// An empty store that stamps events by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (log, wakeups) = (Arc::default(), Arc::default());
        Self { id: StoreId(Uuid::now_v7()), clock, log, wakeups, entities: None }
    }

    /// Changes these entities with its commits.
    #[must_use]
    pub fn with_entities(mut self, entities: MemoryEntities) -> Self {
        self.entities = Some(entities);
        self
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn wake(&self) {
        self.wakeups.wake();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Log> {
        // Every change of the log below is made after all checks, so a panic leaves none half done.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    pub(super) fn version(&self, tenant: &TenantId, stream: &StreamName) -> Version {
        Version(self.stream(tenant, stream).len() as u64)
    }

    /// The indexes of the events of a stream.
    fn stream(&self, tenant: &TenantId, stream: &StreamName) -> &[usize] {
        let indexes = self.streams.get(tenant).and_then(|streams| streams.get(stream));
        indexes.map_or(&[], Vec::as_slice)
    }

    fn stream_list(
        &self,
        tenant: &TenantId,
        category: Option<&Category>,
        after: Option<&StreamName>,
        limit: usize,
    ) -> StreamList {
        let Some(streams) = self.streams.get(tenant) else {
            return StreamList { streams: Vec::new(), more: false };
        };
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut listed = streams
            .range((after, Bound::Unbounded))
            .filter(|(stream, _)| category.is_none_or(|category| stream.category() == category.as_str()));
        let page = listed.by_ref().take(limit).map(|(stream, indexes)| StreamVersion {
            stream: stream.clone(),
            version: Version(indexes.len() as u64),
        });
        StreamList { streams: page.collect(), more: listed.next().is_some() }
    }

    /// Stores a commit. `change_entities` is the last that may fail.
    fn commit(
        &mut self,
        tenant: &TenantId,
        commit: Commit,
        now: Timestamp,
        change_entities: impl FnOnce(&Commit) -> Result<(), Error>,
    ) -> Result<Committed, Error> {
        let fingerprint = commit.fingerprint();
        if let Some((first, committed)) = self.commits.get(&(tenant.clone(), commit.id)) {
            if *first != fingerprint {
                return Err(Error::IdReused(commit.id));
            }
            return Ok(Committed { repeated: true, ..committed.clone() });
        }
        if let Some(agreement) = commit.agreement
            && let Some(other) = self.find(tenant, agreement.with)
            && let Some(answer) = answer_for_other(&commit, fingerprint, other)
        {
            return answer;
        }
        for (stream, expected) in commit.streams() {
            let actual = self.version(tenant, stream);
            if !expected.allows(actual) {
                return Err(Conflict { stream: stream.clone(), expected, actual }.into());
            }
        }
        for event in commit.writes.iter().flat_map(|write| &write.events) {
            if self.event_ids.contains(&(tenant.clone(), event.event_id)) {
                return Err(Error::invalid(format!("event id {} is already in the log", event.event_id)));
            }
        }
        let metadata = commit.encode_metadata()?;
        change_entities(&commit)?;
        let recorded_at = self.events.last().map_or(now, |last| last.recorded_at.max(now));
        let mut tail = commit.event_count();
        let mut versions = Vec::with_capacity(commit.writes.len());
        for write in &commit.writes {
            let mut version = self.version(tenant, &write.stream);
            for event in &write.events {
                tail -= 1;
                version = version.plus(1);
                self.push(RecordedEvent {
                    position: Position::from_number(self.events.len() as u64 + 1),
                    tenant: tenant.clone(),
                    stream: write.stream.clone(),
                    version,
                    event_id: event.event_id,
                    event_type: event.event_type.clone(),
                    schema_version: event.schema_version,
                    payload: event.payload.clone(),
                    metadata: metadata.clone(),
                    recorded_at,
                    // COMMIT_EVENTS_MAX is far below u32::MAX.
                    commit_tail: tail as u32,
                });
            }
            versions.push(StreamVersion { stream: write.stream.clone(), version });
        }
        let position = Position::from_number(self.events.len() as u64);
        let committed = Committed::new(commit.id, position, versions, &commit, recorded_at);
        let sequence = self.record(tenant, fingerprint, committed.clone());
        self.work.send(tenant, &commit, sequence, &metadata, now, recorded_at);
        Ok(committed)
    }

    pub(super) fn push(&mut self, event: RecordedEvent) {
        let index = self.events.len();
        let streams = self.streams.entry(event.tenant.clone()).or_default();
        streams.entry(event.stream.clone()).or_default().push(index);
        self.event_ids.insert((event.tenant.clone(), event.event_id));
        self.events.push(event);
    }

    /// Remembers a commit; gives its number.
    pub(super) fn record(
        &mut self,
        tenant: &TenantId,
        fingerprint: Fingerprint,
        committed: Committed,
    ) -> u64 {
        let key = (tenant.clone(), committed.id);
        let number = self.order.last_key_value().map_or(1, |(last, _)| last + 1);
        self.order.insert(number, key.clone());
        self.commits.insert(key, (fingerprint, committed));
        number
    }

    fn find(&self, tenant: &TenantId, id: CommitId) -> Option<RecordedCommit> {
        self.commits.get(&(tenant.clone(), id)).map(|(fingerprint, committed)| RecordedCommit {
            fingerprint: *fingerprint,
            committed: Committed { repeated: true, ..committed.clone() },
        })
    }

    fn page(&self, scope: &LogScope, after: Position, filter: &LogFilter, limit: usize) -> LogPage {
        let start = usize::try_from(after.number()).unwrap_or(usize::MAX).min(self.events.len());
        let mut end = start;
        let mut events = Vec::new();
        let mut scanned = 0;
        for event in &self.events[start..] {
            let in_commit = end > start && self.events[end - 1].commit_tail > 0;
            let full = events.len() >= limit || scanned >= PAGE_SCAN_MAX;
            if full && !in_commit {
                break;
            }
            end += 1;
            let in_scope = match scope {
                LogScope::Tenant(tenant) => event.tenant == *tenant,
                LogScope::EveryTenant => true,
            };
            scanned += u64::from(in_scope);
            if in_scope && filter.allows(event) {
                events.push(event.clone());
            }
        }
        let scanned_to = if start == end { after } else { Position::from_number(end as u64) };
        let scanned_to_id = match scope {
            LogScope::EveryTenant => self.event_id_at(scanned_to),
            LogScope::Tenant(_) => None,
        };
        LogPage { events, scanned_to, scanned_to_id, at_head: end == self.events.len() }
    }

    fn event_id_at(&self, position: Position) -> Option<EventId> {
        let index = usize::try_from(position.number().checked_sub(1)?).ok()?;
        self.events.get(index).map(|event| event.event_id)
    }
}

#[async_trait]
impl EventStore for MemoryEventStore {
    fn store_id(&self) -> StoreId {
        self.id
    }

    fn keeps_entities(&self) -> bool {
        self.entities.is_some()
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        commit.validate()?;
        let mut hint = WorkHint::default();
        hint.add(tenant, &commit.work);
        let change_entities = |commit: &Commit| match &self.entities {
            Some(entities) => entities.store(tenant, &commit.entities).map(|_| ()),
            None => commit.check_no_entities(),
        };
        let committed = self.lock().commit(tenant, commit, self.clock.now(), change_entities)?;
        self.wake();
        self.wakeups.wake_for_work(hint);
        Ok(committed)
    }

    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error> {
        Ok(self.lock().find(tenant, id))
    }

    fn underway(&self, _: &TenantId, _: CommitId) -> Option<Underway> {
        // A commit is answered before its call lets anything else happen.
        None
    }

    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        check_page_limit(limit)?;
        let log = self.lock();
        let indexes = log.stream(tenant, stream);
        let start = usize::try_from(after.0).unwrap_or(usize::MAX).min(indexes.len());
        let events = indexes[start..].iter().take(limit).map(|index| log.events[*index].clone()).collect();
        Ok(StreamPage { events, version: Version(indexes.len() as u64) })
    }

    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        check_page_limit(limit)?;
        Ok(self.lock().page(scope, after, filter, limit))
    }

    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error> {
        let log = self.lock();
        Ok(streams.iter().map(|stream| log.version(tenant, stream)).collect())
    }

    async fn streams(
        &self,
        tenant: &TenantId,
        category: Option<&Category>,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Result<StreamList, Error> {
        check_streams_limit(limit)?;
        Ok(self.lock().stream_list(tenant, category, after, limit))
    }

    async fn head(&self) -> Result<Position, Error> {
        Ok(Position::from_number(self.lock().events.len() as u64))
    }

    async fn position_at(&self, time: Timestamp) -> Result<Position, Error> {
        let count = self.lock().events.partition_point(|event| event.recorded_at <= time);
        Ok(Position::from_number(count as u64))
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error> {
        Ok(self.lock().event_id_at(position))
    }
}

impl Wakeups for MemoryEventStore {
    fn subscribe(&self) -> Wakeup {
        self.wakeups.subscribe()
    }

    fn subscribe_work(&self) -> WorkWakeup {
        self.wakeups.subscribe_work()
    }
}
