use std::sync::Arc;

use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    Commit, CommitId, Committed, Conflict, Error, EventStore, LogFilter, LogScope, Position, RecordedCommit,
    RecordedEvent, StreamName, TenantId, Version,
};

use crate::{EventStoreFixture, sample};

/// What a repeat of a commit must be answered with.
pub(super) fn first_answer(mut committed: Committed) -> Committed {
    committed.repeated = true;
    committed
}

/// The same content under another id.
pub(super) fn with_id(id: CommitId, mut commit: Commit) -> Commit {
    commit.id = id;
    commit
}

/// The store under attack, seen by one tenant. Its ways to ask panic where the store cannot answer.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) tenant: TenantId,
}

impl Subject {
    pub(super) fn of<F: EventStoreFixture>(fixture: &F) -> Self {
        Self { store: fixture.event_store(), tenant: sample::tenant("acme") }
    }

    /// The same store, seen by another tenant.
    pub(super) fn seen_by(&self, tenant: &str) -> Self {
        Self { store: self.store.clone(), tenant: sample::tenant(tenant) }
    }

    pub(super) fn scope(&self) -> LogScope {
        LogScope::Tenant(self.tenant.clone())
    }

    pub(super) async fn try_commit(&self, commit: Commit) -> Result<Committed, Error> {
        self.store.commit(&self.tenant, commit).await
    }

    /// Commits what must be stored now, for the first time.
    pub(super) async fn commit(&self, commit: Commit) -> Committed {
        let committed = self.try_commit(commit).await.expect("a sound commit is stored");
        assert!(!committed.repeated, "a commit stored for the first time is no repeat");
        committed
    }

    /// Commits what must be known already.
    pub(super) async fn repeat(&self, commit: Commit) -> Committed {
        let committed = self.try_commit(commit).await.expect("a repeat is answered");
        assert!(committed.repeated, "a repeat says that it is one");
        committed
    }

    /// Commits what must be a conflict.
    pub(super) async fn conflict(&self, commit: Commit) -> Conflict {
        match self.try_commit(commit).await {
            Err(Error::Conflict(conflict)) => conflict,
            other => panic!("not a conflict: {other:?}"),
        }
    }

    /// Commits what must be invalid; the text of the error.
    pub(super) async fn invalid(&self, commit: Commit) -> String {
        match self.try_commit(commit).await {
            Err(Error::Invalid(text)) => text,
            other => panic!("not invalid: {other:?}"),
        }
    }

    /// Commits what must be refused because its id was used before.
    pub(super) async fn reused(&self, commit: Commit) {
        let id = commit.id;
        match self.try_commit(commit).await {
            Err(Error::IdReused(reused)) => assert_eq!(reused, id, "the error names the id"),
            other => panic!("not a reused id: {other:?}"),
        }
    }

    pub(super) async fn find(&self, id: CommitId) -> Option<RecordedCommit> {
        self.store.find_commit(&self.tenant, id).await.expect("find_commit answers")
    }

    pub(super) async fn head(&self) -> Position {
        self.store.head().await.expect("head answers")
    }

    pub(super) async fn version(&self, stream: &StreamName) -> Version {
        let versions = self.store.versions(&self.tenant, std::slice::from_ref(stream)).await;
        let versions = versions.expect("versions answers");
        assert_eq!(versions.len(), 1, "one stream was asked for");
        versions[0]
    }

    pub(super) async fn stream(&self, stream: &StreamName) -> Vec<RecordedEvent> {
        let mut events: Vec<RecordedEvent> = Vec::new();
        let mut last = Version::NONE;
        loop {
            let page = self.store.read_stream(&self.tenant, stream, last, PAGE_EVENTS_MAX).await;
            let page = page.expect("read_stream answers");
            let Some(event) = page.events.last() else { return events };
            assert!(event.version > last, "a page of a stream moves on");
            last = event.version;
            events.extend(page.events);
        }
    }

    /// The whole log: every tenant's events.
    pub(super) async fn log(&self) -> Vec<RecordedEvent> {
        self.read(&LogScope::EveryTenant, &LogFilter::default(), PAGE_EVENTS_MAX).await
    }

    /// The tenant's part of the log.
    pub(super) async fn own_log(&self) -> Vec<RecordedEvent> {
        self.read(&self.scope(), &LogFilter::default(), PAGE_EVENTS_MAX).await
    }

    /// Reads from the start to the head, page by page.
    pub(super) async fn read(
        &self,
        scope: &LogScope,
        filter: &LogFilter,
        limit: usize,
    ) -> Vec<RecordedEvent> {
        let mut events = Vec::new();
        let mut after = Position::START;
        loop {
            let page = self.store.read_all(scope, after, filter, limit).await.expect("read_all answers");
            events.extend(page.events);
            if page.at_head {
                return events;
            }
            assert!(page.scanned_to > after, "a page that is not at the head moves on");
            after = page.scanned_to;
        }
    }

    /// Panics where anything is in the log that was not there before, or the other way round.
    pub(super) async fn assert_log_is(&self, before: &[RecordedEvent], why: &str) {
        let now = self.log().await;
        assert_eq!(now, before, "{why}");
        let head = before.last().map_or(Position::START, |event| event.position);
        assert_eq!(self.head().await, head, "{why}: the head stays where it is");
    }
}
