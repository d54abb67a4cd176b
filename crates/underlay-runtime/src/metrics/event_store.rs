//! The log, with what is counted of its commits. It says and does nothing else than the store it stands before.

use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::{
    Category, Clock, Commit, CommitId, Committed, Error, EventId, EventStore, LogFilter, LogPage, LogScope,
    Position, RecordedCommit, StoreId, StreamList, StreamName, StreamPage, TenantId, Timestamp, Underway,
    Version,
};

use super::{Counter, Exposition, Family, Histogram, Kind};
use crate::work::Announcer;

static COMMITS: Family = Family::new(
    "underlay_commits_total",
    Kind::Counter,
    &["result"],
    "Commits that this process asked the store for: stored, repeated, conflict or failed.",
);
static DURATION: Family = Family::new(
    "underlay_commit_duration_seconds",
    Kind::Histogram,
    &[],
    "How long the store took to answer a commit, the wait for its group included.",
);
static EVENTS: Family = Family::new(
    "underlay_events_stored_total",
    Kind::Counter,
    &[],
    "Events in the commits that this process stored.",
);

/// What is counted of commits.
#[derive(Default)]
pub(crate) struct StoreMetrics {
    stored: Counter,
    repeated: Counter,
    conflicts: Counter,
    failed: Counter,
    duration: Histogram,
    events: Counter,
}

impl StoreMetrics {
    fn answered(&self, answer: &Result<Committed, Error>, [begun, now]: [Timestamp; 2]) {
        self.duration.observe_between(begun, now);
        match answer {
            Ok(committed) if committed.repeated => self.repeated.increment(),
            Ok(committed) => {
                self.stored.increment();
                self.events.add(u64::from(committed.event_count));
            }
            Err(Error::Conflict(_) | Error::EntityConflict(_)) => self.conflicts.increment(),
            Err(_) => self.failed.increment(),
        }
    }

    pub(crate) fn write(&self, out: &mut Exposition) {
        out.begin(&COMMITS)
            .add(&["stored"], self.stored.get())
            .add(&["repeated"], self.repeated.get())
            .add(&["conflict"], self.conflicts.get())
            .add(&["failed"], self.failed.get());
        out.begin(&DURATION).add_histogram(&[], &self.duration);
        out.begin(&EVENTS).add(&[], self.events.get());
    }
}

/// A store whose commits are counted.
pub(crate) struct MeasuredStore {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<StoreMetrics>,
    /// Where the timers of commits are told of, where a scheduler begins them.
    pub(crate) announcer: Option<Announcer>,
}

#[async_trait]
impl EventStore for MeasuredStore {
    fn store_id(&self) -> StoreId {
        self.store.store_id()
    }

    fn keeps_entities(&self) -> bool {
        self.store.keeps_entities()
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        let timers = self.announcer.as_ref().map(|announcer| (announcer, Announcer::timers(tenant, &commit)));
        let begun = self.clock.now();
        let answer = self.store.commit(tenant, commit).await;
        if let Some((announcer, timers)) = timers.filter(|_| answer.is_ok()) {
            announcer.announce(timers);
        }
        self.metrics.answered(&answer, [begun, self.clock.now()]);
        answer
    }

    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error> {
        self.store.find_commit(tenant, id).await
    }

    fn underway(&self, tenant: &TenantId, id: CommitId) -> Option<Underway> {
        self.store.underway(tenant, id)
    }

    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        self.store.read_stream(tenant, stream, after, limit).await
    }

    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        self.store.read_all(scope, after, filter, limit).await
    }

    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error> {
        self.store.versions(tenant, streams).await
    }

    async fn streams(
        &self,
        tenant: &TenantId,
        category: Option<&Category>,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Result<StreamList, Error> {
        self.store.streams(tenant, category, after, limit).await
    }

    async fn head(&self) -> Result<Position, Error> {
        self.store.head().await
    }

    async fn position_at(&self, time: Timestamp) -> Result<Position, Error> {
        self.store.position_at(time).await
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error> {
        self.store.event_id_at(position).await
    }
}
