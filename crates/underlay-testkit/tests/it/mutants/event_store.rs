use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::limits::PAGE_STREAMS_MAX;
use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    Agreement, Category, Commit, CommitId, Committed, Conflict, Error, EventId, EventStore, Fingerprint,
    Json, LogFilter, LogPage, LogScope, Outcome, Position, RecordedCommit, StoreId, StreamList, StreamName,
    StreamPage, StreamVersion, TenantId, Timestamp, Underway, Version,
};
use underlay_testkit::{EventStoreFixture, Fixture, Skip};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Payloads go through a parsed form, as in a column of parsed JSON.
    ReencodesPayloads,
    /// Entities are dropped without a word.
    DropsEntities,
    /// Payloads are kept without their encoding.
    ForgetsEncodings,
    /// Stream names are compared without regard to case, as by a collation.
    FoldsCase,
    /// The first event has version 0.
    CountsVersionsFromZero,
    /// A conflict is acknowledged and stores nothing.
    AcknowledgesConflicts,
    /// A conflict has the expected version as the actual one.
    InventsActualVersion,
    /// The version is checked first and written later.
    ChecksThenWrites,
    /// Streams only read are not checked.
    IgnoresReads,
    /// What does not conflict is stored all the same.
    StoresTheRest,
    /// A page holds `limit` events and not one more.
    SplitsCommits,
    /// A new commit is not yet to be seen when its position is passed.
    ShowsCommitsLate,
    /// A page without events says nothing of what it scanned.
    ForgetsTheScan,
    /// A filter is looked for in the whole log at once.
    ScansWithoutBound,
    /// Ids are not kept.
    ForgetsIds,
    /// Ids are looked up first and kept later.
    LooksUpThenKeeps,
    /// A known id is answered whatever it comes with.
    IgnoresContent,
    /// A refusal is kept without its body.
    ForgetsBodies,
    /// A refusal is stored without a look at the streams.
    IgnoresStreamsOfRefusals,
    /// The commit that another one names is not looked at.
    IgnoresAgreements,
    /// The commit that another one names is looked up first, and the other is written later.
    ChecksAgreementsThenWrites,
    /// A commit that yields is stored beside the other.
    NeverYields,
    /// Ids are kept without the tenant.
    SharesIds,
    /// Tenants are compared without regard to case.
    SharesStreams,
    /// After a bad commit the next one of the batch fails too.
    FailsTogether,
    /// A bad commit of several streams leaves what came before the bad event.
    LeavesHalfOfPoison,
    /// The commit ends with the call that gave it.
    CancelsWithCaller,
    /// Errors say that there is a limit, not which.
    NamesNoLimit,
    /// The time is compared with `<`.
    FindsStrictlyBefore,
    /// A page begins with the last event of the page before.
    OverlapsPages,
    /// A page tells the version of its last event.
    TellsVersionOfThePage,
    /// Versions are read one after the other.
    ReadsVersionsOneByOne,
    /// Streams are listed in the order of their versions.
    ListsInOtherOrder,
    /// A page of the list of streams begins with the last one of the page before.
    OverlapsLists,
    /// Streams of all categories are listed.
    IgnoresCategories,
    /// Streams whose category begins with the one asked for are listed too.
    ListsByPrefix,
    /// A page of the list of streams says that it is the last.
    ForgetsTheRest,
    /// A position beyond the log stands for its end.
    ClampsPositions,
    /// What waits is not told of.
    HidesTheQueue,
    /// What was answered is still under way.
    KeepsTheAnswered,
    /// Reopened, the log is empty.
    LosesTheLog,
    /// Reopened, the log is there and the ids are not.
    LosesIds,
}

/// A commit id, with its tenant where the store keeps them apart.
type KnownId = (Option<TenantId>, CommitId);

struct Store {
    inner: MemoryEventStore,
    mutation: Mutation,
    known: Mutex<HashMap<KnownId, (Fingerprint, Committed)>>,
    hidden: Mutex<HashSet<Position>>,
    failing: Mutex<bool>,
}

struct Mutant(Arc<Store>);

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        Self::over(MemoryEventStore::default(), mutation)
    }

    fn over(inner: MemoryEventStore, mutation: Mutation) -> Self {
        Self(Arc::new(Store {
            inner,
            mutation,
            known: Mutex::default(),
            hidden: Mutex::default(),
            failing: Mutex::default(),
        }))
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        let inner = self.0.inner.clone();
        match self.0.mutation {
            Mutation::LosesTheLog => Self::with(Mutation::None),
            Mutation::LosesIds => Self::over(inner, Mutation::ForgetsIds),
            mutation => Self::over(inner, mutation),
        }
    }
}

impl EventStoreFixture for Mutant {
    fn event_store(&self) -> Arc<dyn EventStore> {
        self.0.clone()
    }
}

impl Store {
    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    fn tenant(&self, tenant: &TenantId) -> TenantId {
        if self.is(Mutation::SharesStreams) {
            return TenantId::new(tenant.as_str().to_lowercase()).unwrap();
        }
        tenant.clone()
    }

    fn stream(&self, stream: &StreamName) -> StreamName {
        if self.is(Mutation::FoldsCase) {
            return StreamName::parse(&stream.as_str().to_ascii_lowercase()).unwrap();
        }
        stream.clone()
    }

    /// The commit as the broken store takes it.
    fn taken(&self, mut commit: Commit) -> Commit {
        match self.mutation {
            Mutation::ReencodesPayloads => {
                for event in commit.writes.iter_mut().flat_map(|write| &mut write.events) {
                    if let Ok(parsed) = event.payload.text().decode::<serde_json::Value>() {
                        event.payload = Json::encode(&parsed).unwrap().into();
                    }
                }
            }
            Mutation::ForgetsEncodings => {
                for event in commit.writes.iter_mut().flat_map(|write| &mut write.events) {
                    event.payload = event.payload.text().clone().into();
                }
            }
            Mutation::FoldsCase => {
                for write in &mut commit.writes {
                    write.stream = self.stream(&write.stream);
                }
            }
            Mutation::DropsEntities => commit.entities.clear(),
            Mutation::IgnoresReads => commit.expectations.clear(),
            Mutation::IgnoresStreamsOfRefusals if commit.outcome != Outcome::Accepted => {
                commit.expectations.clear();
            }
            Mutation::ForgetsIds => commit.id = CommitId::draw(),
            Mutation::IgnoresAgreements => commit.agreement = None,
            Mutation::NeverYields => {
                commit.agreement = commit.agreement.map(|agreement| Agreement { yields: false, ..agreement });
            }
            _ => {}
        }
        commit
    }

    /// Keeps ids by itself, beside the store.
    async fn commit_by_own_ids(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        let owner = (!self.is(Mutation::SharesIds)).then(|| tenant.clone());
        let key = (owner, commit.id);
        let fingerprint = commit.fingerprint();
        let known = self.known.lock().unwrap().get(&key).cloned();
        if let Some((first, mut committed)) = known {
            if first != fingerprint {
                return Err(Error::IdReused(commit.id));
            }
            committed.repeated = true;
            return Ok(committed);
        }
        tokio::task::yield_now().await;
        let id = commit.id;
        let mut unknown = commit;
        unknown.id = CommitId::draw();
        let mut committed = self.inner.commit(tenant, unknown).await?;
        committed.id = id;
        self.known.lock().unwrap().insert(key, (fingerprint, committed.clone()));
        Ok(committed)
    }

    async fn checks_then_writes(&self, tenant: &TenantId, mut commit: Commit) -> Result<Committed, Error> {
        for write in &mut commit.writes {
            let actual = self.inner.versions(tenant, std::slice::from_ref(&write.stream)).await?[0];
            if !write.expected.allows(actual) {
                let (stream, expected) = (write.stream.clone(), write.expected);
                return Err(Conflict { stream, expected, actual }.into());
            }
            write.expected = underlay_core::ExpectedVersion::Any;
        }
        tokio::task::yield_now().await;
        self.inner.commit(tenant, commit).await
    }

    async fn checks_agreement_then_writes(
        &self,
        tenant: &TenantId,
        mut commit: Commit,
    ) -> Result<Committed, Error> {
        if let Some(agreement) = commit.agreement.take()
            && self.inner.find_commit(tenant, commit.id).await?.is_none()
            && let Some(other) = self.inner.find_commit(tenant, agreement.with).await?
        {
            if other.fingerprint != commit.fingerprint() {
                return Err(Error::IdReused(commit.id));
            }
            if agreement.yields {
                return Ok(other.committed);
            }
        }
        tokio::task::yield_now().await;
        self.inner.commit(tenant, commit).await
    }

    /// Stores every write that would be stored alone.
    async fn store_the_rest(&self, tenant: &TenantId, commit: &Commit) {
        for write in &commit.writes {
            let alone = Commit::new(CommitId::draw()).append(
                write.stream.clone(),
                write.expected,
                write.events.clone(),
            );
            // What conflicts is what the mutation leaves out.
            let _ = self.inner.commit(tenant, alone).await;
        }
    }

    fn broken_answer(&self, commit: &Commit, error: Error) -> Result<Committed, Error> {
        match error {
            Error::Conflict(_) if self.is(Mutation::AcknowledgesConflicts) => {
                let version =
                    |stream: &StreamName| StreamVersion { stream: stream.clone(), version: Version(1) };
                let versions = commit.writes.iter().map(|write| version(&write.stream)).collect();
                Ok(Committed::new(
                    commit.id,
                    Position::from_number(1),
                    versions,
                    commit,
                    Timestamp::UNIX_EPOCH,
                ))
            }
            Error::Conflict(mut conflict) if self.is(Mutation::InventsActualVersion) => {
                if let underlay_core::ExpectedVersion::Exact(version) = conflict.expected {
                    conflict.actual = version;
                }
                Err(conflict.into())
            }
            Error::Invalid(_) if self.is(Mutation::NamesNoLimit) => {
                Err(Error::invalid("too much of something"))
            }
            error => Err(error),
        }
    }
}

#[async_trait]
impl EventStore for Store {
    fn store_id(&self) -> StoreId {
        self.inner.store_id()
    }

    fn keeps_entities(&self) -> bool {
        self.inner.keeps_entities()
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        let tenant = &self.tenant(tenant);
        if self.is(Mutation::CancelsWithCaller) || self.is(Mutation::HidesTheQueue) {
            tokio::task::yield_now().await;
        }
        if self.is(Mutation::FailsTogether) && std::mem::take(&mut *self.failing.lock().unwrap()) {
            return Err(Error::unavailable("the batch failed"));
        }
        let id = commit.id;
        let result = match self.mutation {
            Mutation::LooksUpThenKeeps | Mutation::SharesIds => {
                self.commit_by_own_ids(tenant, commit.clone()).await
            }
            Mutation::ChecksAgreementsThenWrites => {
                self.checks_agreement_then_writes(tenant, commit.clone()).await
            }
            Mutation::ChecksThenWrites => self.checks_then_writes(tenant, commit.clone()).await,
            _ => self.inner.commit(tenant, self.taken(commit.clone())).await,
        };
        match (result, self.mutation) {
            (Ok(mut committed), Mutation::ForgetsIds) => {
                committed.id = id;
                Ok(committed)
            }
            (Err(Error::IdReused(_)), Mutation::IgnoresContent) => {
                Ok(self.inner.find_commit(tenant, id).await?.unwrap().committed)
            }
            (Ok(mut committed), Mutation::ForgetsBodies) if committed.repeated => {
                if let Outcome::Refused { body, .. } = &mut committed.outcome {
                    *body = Json::from_stored("null");
                }
                Ok(committed)
            }
            (Err(Error::Conflict(conflict)), Mutation::StoresTheRest) => {
                self.store_the_rest(tenant, &commit).await;
                Err(conflict.into())
            }
            (Err(Error::Invalid(text)), Mutation::LeavesHalfOfPoison) => {
                self.store_the_rest(tenant, &commit).await;
                Err(Error::Invalid(text))
            }
            (Err(error), Mutation::FailsTogether) => {
                *self.failing.lock().unwrap() = matches!(error, Error::Invalid(_));
                Err(error)
            }
            (Err(error), _) => self.broken_answer(&commit, error),
            (Ok(committed), _) => Ok(committed),
        }
    }

    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error> {
        if matches!(self.mutation, Mutation::LooksUpThenKeeps | Mutation::SharesIds) {
            let owner = (!self.is(Mutation::SharesIds)).then(|| tenant.clone());
            let known = self.known.lock().unwrap().get(&(owner, id)).cloned();
            return Ok(known.map(|(fingerprint, mut committed)| {
                committed.repeated = true;
                RecordedCommit { fingerprint, committed }
            }));
        }
        self.inner.find_commit(&self.tenant(tenant), id).await
    }

    fn underway(&self, tenant: &TenantId, id: CommitId) -> Option<Underway> {
        match self.mutation {
            Mutation::KeepsTheAnswered => Some(Underway::Pending),
            _ => self.inner.underway(tenant, id),
        }
    }

    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        let after = match self.mutation {
            Mutation::OverlapsPages if after > Version(1) => Version(after.0 - 1),
            _ => after,
        };
        let stream = self.stream(stream);
        let mut page = self.inner.read_stream(&self.tenant(tenant), &stream, after, limit).await?;
        match self.mutation {
            Mutation::CountsVersionsFromZero => {
                for event in &mut page.events {
                    event.version.0 -= 1;
                }
            }
            Mutation::TellsVersionOfThePage => {
                page.version = page.events.last().map_or(after, |event| event.version);
            }
            _ => {}
        }
        Ok(page)
    }

    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        let scope = match scope {
            LogScope::Tenant(tenant) => LogScope::Tenant(self.tenant(tenant)),
            LogScope::EveryTenant => LogScope::EveryTenant,
        };
        let mut page = self.inner.read_all(&scope, after, filter, limit).await?;
        match self.mutation {
            Mutation::SplitsCommits if page.events.len() > limit => {
                page.events.truncate(limit);
                let last = &page.events[limit - 1];
                page.scanned_to = last.position;
                page.scanned_to_id = page.scanned_to_id.map(|_| last.event_id);
                page.at_head = false;
            }
            Mutation::ShowsCommitsLate => {
                let mut hidden = self.hidden.lock().unwrap();
                // The first reader that comes past every fifth event does not see it yet.
                page.events
                    .retain(|event| event.position.number() % 5 != 0 || !hidden.insert(event.position));
            }
            Mutation::ForgetsTheScan if page.events.is_empty() => {
                page.scanned_to = after;
                page.scanned_to_id = None;
                page.at_head = page.scanned_to == self.inner.head().await?;
            }
            Mutation::ScansWithoutBound => {
                while page.events.is_empty() && !page.at_head {
                    page = self.inner.read_all(&scope, page.scanned_to, filter, limit).await?;
                }
            }
            _ => {}
        }
        Ok(page)
    }

    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error> {
        let tenant = self.tenant(tenant);
        let streams: Vec<StreamName> = streams.iter().map(|stream| self.stream(stream)).collect();
        if !self.is(Mutation::ReadsVersionsOneByOne) {
            return self.inner.versions(&tenant, &streams).await;
        }
        let mut versions = Vec::new();
        for stream in streams {
            versions.extend(self.inner.versions(&tenant, &[stream]).await?);
            tokio::task::yield_now().await;
        }
        Ok(versions)
    }

    async fn streams(
        &self,
        tenant: &TenantId,
        category: Option<&Category>,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Result<StreamList, Error> {
        let tenant = self.tenant(tenant);
        match (self.mutation, after, category) {
            (Mutation::OverlapsLists, Some(after), _) => {
                let all = self.inner.streams(&tenant, category, None, PAGE_STREAMS_MAX).await?.streams;
                let mut streams: Vec<_> =
                    all.into_iter().filter(|listed| listed.stream >= *after).take(limit + 1).collect();
                let more = streams.len() > limit;
                streams.truncate(limit);
                Ok(StreamList { streams, more })
            }
            (Mutation::IgnoresCategories, ..) => self.inner.streams(&tenant, None, after, limit).await,
            (Mutation::ListsByPrefix, _, Some(category)) => {
                let all = self.inner.streams(&tenant, None, after, PAGE_STREAMS_MAX).await?.streams;
                let mut streams: Vec<_> = all
                    .into_iter()
                    .filter(|listed| listed.stream.as_str().starts_with(category.as_str()))
                    .collect();
                let more = streams.len() > limit;
                streams.truncate(limit);
                Ok(StreamList { streams, more })
            }
            _ => {
                let mut list = self.inner.streams(&tenant, category, after, limit).await?;
                match self.mutation {
                    Mutation::ListsInOtherOrder => list.streams.sort_by_key(|listed| listed.version),
                    Mutation::ForgetsTheRest => list.more = false,
                    _ => {}
                }
                Ok(list)
            }
        }
    }

    async fn head(&self) -> Result<Position, Error> {
        self.inner.head().await
    }

    async fn position_at(&self, time: Timestamp) -> Result<Position, Error> {
        if self.is(Mutation::FindsStrictlyBefore) {
            let before = time.saturating_sub(Duration::from_micros(1)).unwrap_or(Timestamp::MIN);
            return self.inner.position_at(before).await;
        }
        self.inner.position_at(time).await
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error> {
        if self.is(Mutation::ClampsPositions) {
            let head = self.inner.head().await?;
            return self.inner.event_id_at(position.min(head)).await;
        }
        self.inner.event_id_at(position).await
    }
}

underlay_testkit::conformance!(event_store, Mutant);

caught! { event_store;
    payloads_through_a_parsed_form: reads_back_what_was_committed fails on ReencodesPayloads;
    entities_dropped: a_log_without_entities_refuses_them fails on DropsEntities;
    encodings_forgotten: a_payload_keeps_its_encoding fails on ForgetsEncodings;
    streams_without_regard_to_case: reads_back_what_was_committed fails on FoldsCase;
    versions_from_zero: versions_start_at_one_without_holes fails on CountsVersionsFromZero;
    conflicts_acknowledged: one_of_equal_expectations_wins fails on AcknowledgesConflicts;
    an_invented_version: one_of_equal_expectations_wins fails on InventsActualVersion;
    a_check_before_the_write: one_of_equal_expectations_wins fails on ChecksThenWrites;
    reads_unchecked: expectations_hold_on_written_and_read_streams fails on IgnoresReads;
    reads_unchecked_together: write_skew_is_a_conflict fails on IgnoresReads;
    the_rest_stored: a_conflict_stores_nothing_anywhere fails on StoresTheRest;
    half_of_poison_stored: a_poison_commit_fails_alone fails on LeavesHalfOfPoison;
    half_of_an_invalid_commit_stored: a_conflict_stores_nothing_anywhere fails on LeavesHalfOfPoison;
    pages_to_the_limit: no_page_splits_a_commit fails on SplitsCommits;
    commits_seen_late: a_reader_misses_nothing_while_writers_write fails on ShowsCommitsLate;
    a_scan_forgotten: a_filtered_read_says_how_far_it_scanned fails on ForgetsTheScan;
    a_scan_without_bound: a_filtered_read_says_how_far_it_scanned fails on ScansWithoutBound;
    ids_forgotten: a_repeat_gets_the_first_answer fails on ForgetsIds;
    ids_kept_late: repeats_in_flight_store_once fails on LooksUpThenKeeps;
    content_ignored: a_reused_id_is_refused fails on IgnoresContent;
    bodies_forgotten: a_refusal_is_an_outcome fails on ForgetsBodies;
    refusals_unchecked: a_stale_refusal_is_a_conflict fails on IgnoresStreamsOfRefusals;
    agreements_ignored: commits_agree_or_one_is_refused fails on IgnoresAgreements;
    agreements_before_the_write: commits_agree_or_one_is_refused fails on ChecksAgreementsThenWrites;
    agreements_that_never_yield: a_commit_yields_to_another fails on NeverYields;
    ids_shared: tenants_are_separate fails on SharesIds;
    streams_shared: tenants_are_separate fails on SharesStreams;
    a_batch_that_fails_together: a_poison_commit_fails_alone fails on FailsTogether;
    a_commit_that_ends_with_its_caller: a_caller_that_goes_away_cancels_nothing fails on CancelsWithCaller;
    limits_without_names: limits_are_named fails on NamesNoLimit;
    times_strictly_before: position_at_finds_the_last_event_before fails on FindsStrictlyBefore;
    pages_that_overlap: stream_pages_follow_each_other fails on OverlapsPages;
    pages_that_tell_their_own_version: stream_pages_follow_each_other fails on TellsVersionOfThePage;
    versions_one_by_one: versions_are_read_at_one_moment fails on ReadsVersionsOneByOne;
    streams_in_other_order: streams_are_listed_by_name fails on ListsInOtherOrder;
    lists_that_overlap: streams_are_listed_by_name fails on OverlapsLists;
    categories_ignored: streams_are_listed_by_name fails on IgnoresCategories;
    categories_by_their_beginning: streams_are_listed_by_name fails on ListsByPrefix;
    the_rest_forgotten: streams_are_listed_by_name fails on ForgetsTheRest;
    tenants_in_one_list: streams_are_listed_by_name fails on SharesStreams;
    positions_clamped: a_foreign_checkpoint_is_refused fails on ClampsPositions;
    a_queue_hidden: what_waits_is_under_way fails on HidesTheQueue;
    answered_and_kept: what_waits_is_under_way fails on KeepsTheAnswered;
    the_log_lost: reopening_keeps_everything fails on LosesTheLog;
    the_ids_lost: reopening_keeps_everything fails on LosesIds;
}
