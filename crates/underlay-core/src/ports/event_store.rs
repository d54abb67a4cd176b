use std::sync::Arc;

use async_trait::async_trait;

use crate::words::CheckpointRefused;
use crate::words::limits::{PAGE_EVENTS_MAX, PAGE_STREAMS_MAX};
use crate::words::{
    Category, Checkpoint, Commit, CommitId, Committed, Error, EventId, EventType, Fingerprint, Position,
    RecordedEvent, StoreId, StreamName, StreamVersion, TenantId, Timestamp, Version,
};

/// Whose events a read of the log yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogScope {
    /// One tenant's: everything a request may ask for.
    Tenant(TenantId),
    /// Every tenant's: for the engine's own readers, never for a request.
    EveryTenant,
}

/// Which events a read of the log yields; the default yields all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Only of these categories; empty means all.
    pub categories: Vec<Category>,
    /// Only of these types; empty means all.
    pub event_types: Vec<EventType>,
}

impl LogFilter {
    /// Whether it lets everything pass.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.categories.is_empty() && self.event_types.is_empty()
    }

    /// Whether it lets this event pass.
    #[must_use]
    pub fn allows(&self, event: &RecordedEvent) -> bool {
        let category = event.stream.category();
        (self.categories.is_empty() || self.categories.iter().any(|allowed| allowed.as_str() == category))
            && (self.event_types.is_empty() || self.event_types.contains(&event.event_type))
    }
}

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPage {
    /// Events in version order.
    pub events: Vec<RecordedEvent>,
    /// The version of the stream when it was read.
    pub version: Version,
}

/// A part of the list of a tenant's streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamList {
    /// In the order of their names, by their bytes.
    pub streams: Vec<StreamVersion>,
    /// Whether there may be more after the last of them.
    pub more: bool,
}

/// A part of the log. It never ends in the middle of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// Events in position order.
    pub events: Vec<RecordedEvent>,
    /// Everything at or below it was looked at: go on from here. Always the end of a commit.
    pub scanned_to: Position,
    /// The event at `scanned_to`, whether it passed the filter or not; none at the start, and none
    /// in a read of one tenant, where it may be another's.
    pub scanned_to_id: Option<EventId>,
    /// Whether `scanned_to` was the end of the log.
    pub at_head: bool,
}

/// A stored commit, found by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCommit {
    /// What a repeat must match.
    pub fingerprint: Fingerprint,
    /// The first answer, with `repeated` set. Where the body of a refusal is past its retention,
    /// the body is `null`.
    pub committed: Committed,
}

/// What a store has of a commit that has no answer, or none that says how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Underway {
    /// It waits, or is being written.
    Pending,
    /// It was written, and whether it is stored is not known yet.
    InDoubt,
}

/// What became of a commit, as far as a store can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitStatus {
    /// It is stored.
    Stored(Box<RecordedCommit>),
    /// This store was given it, and has not answered yet.
    Pending,
    /// This store wrote it and lost sight of it: whether it is stored is not known yet.
    InDoubt,
    /// It is not stored, and this store has not been given it. Another process may have it.
    Unknown,
}

/// The log of events, with the outcomes of the commits that wrote it.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *A committed event is read back as it was given, from its stream and from the log.* `reads_back_what_was_committed`
/// 2. *The first event of a stream is version 1, and versions have no holes.* `versions_start_at_one_without_holes`
/// 3. *Of commits that expect the same version, one wins; the others get `Conflict` with the actual version.* `one_of_equal_expectations_wins`
/// 4. *`NoStream`, `Exists`, `Exact` and `Any` hold for streams written and for streams only read.* `expectations_hold_on_written_and_read_streams`
/// 5. *Everything in a commit is stored, or nothing is; a conflict on one stream stores nothing on the others.* `a_conflict_stores_nothing_anywhere`
/// 6. *No page of the log ends in the middle of a commit.* `no_page_splits_a_commit`
/// 7. *The log is in position order; whoever passed position p never misses an event at or below it.* `a_reader_misses_nothing_while_writers_write`
/// 8. *A filtered read says how far it has scanned, also where nothing matches.* `a_filtered_read_says_how_far_it_scanned`
/// 9. *A repeat of a commit id gets the first answer, and stores nothing.* `a_repeat_gets_the_first_answer`
/// 10. *Repeats in flight at the same time store once.* `repeats_in_flight_store_once`
/// 11. *The same id with other content is refused, and stores nothing.* `a_reused_id_is_refused`
/// 12. *A refusal is stored with its body and answers repeats.* `a_refusal_is_an_outcome`
/// 13. *A refusal whose expectations no longer hold is a `Conflict`, and is not stored.* `a_stale_refusal_is_a_conflict`
/// 14. *A commit id belongs to its tenant; so do streams, events and outcomes.* `tenants_are_separate`
/// 15. *Of commits written together, a bad one fails alone.* `a_poison_commit_fails_alone`
/// 16. *Two commits that each read what the other writes: one wins.* `write_skew_is_a_conflict`
/// 17. *A caller that goes away does not cancel its commit.* `a_caller_that_goes_away_cancels_nothing`
/// 18. *What exceeds a limit is `Invalid` with the limit's name, and nothing is stored.* `limits_are_named`
/// 19. *Recorded times never decrease, and `position_at` finds the last event at or before a time.* `position_at_finds_the_last_event_before`
/// 20. *Pages of a stream follow each other without gap or overlap, and tell the stream's version.* `stream_pages_follow_each_other`
/// 21. *`versions` reads several streams at one moment.* `versions_are_read_at_one_moment`
/// 22. *A checkpoint of another log, beyond the log, or at another event is refused, and the error names the repair.* `a_foreign_checkpoint_is_refused`
/// 23. *After reopening, everything acknowledged is there.* `reopening_keeps_everything`
/// 24. *A commit is under way, for its tenant alone, until it is answered; so no status misses it.* `what_waits_is_under_way`
/// 25. *A payload in an encoding of its own comes back as it was given, with its encoding and its key.* `a_payload_keeps_its_encoding`
/// 26. *A commit that names another which is stored with other content is refused, and stores nothing; whichever came first, also together.* `commits_agree_or_one_is_refused`
/// 27. *A commit that yields to another which is stored with the same content gets the answer of that one, and stores nothing.* `a_commit_yields_to_another`
/// 28. *Pages of the list of streams follow each other in the order of names, with every stream of the tenant and the category once, and its version.* `streams_are_listed_by_name`
/// 29. *A store that does not keep entities with its log refuses a commit that changes any, and stores nothing.* `a_log_without_entities_refuses_them`
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// The identity of the log.
    fn store_id(&self) -> StoreId;

    /// Whether commits may change entities: they are kept with the log, by the port
    /// [`Entities`](crate::ports::Entities) of the same store, and change in the transaction of the commit. Where
    /// they are not, [`EventStore::commit`] refuses a commit with entities by
    /// [`Commit::check_no_entities`].
    fn keeps_entities(&self) -> bool {
        false
    }

    /// Stores a commit. It is durable when this returns.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::IdReused`], [`Error::Invalid`], [`Error::Unavailable`], and of the entities
    /// [`Error::EntityConflict`], [`Error::RuleViolation`], [`Error::NotFound`]: nothing was stored. [`Error::Uncertain`]: repeat with the same id.
    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error>;

    /// Finds a commit by its id; `None` where it was never stored.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error>;

    /// What this store has of a commit that it was given and has not answered, or answered as uncertain.
    /// It asks nobody. Together with what is stored it is [`EventStoreExt::commit_status`].
    fn underway(&self, tenant: &TenantId, id: CommitId) -> Option<Underway>;

    /// Reads up to `limit` events of a stream with a version above `after`. A stream without events
    /// is an empty page at [`Version::NONE`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where `limit` is 0 or above [`PAGE_EVENTS_MAX`].
    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error>;

    /// Reads the log above `after`: about `limit` events, up to the end of the commit the last of them
    /// belongs to, or fewer once [`PAGE_SCAN_MAX`](crate::words::limits::PAGE_SCAN_MAX) positions were scanned.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `limit` is 0 or above [`PAGE_EVENTS_MAX`].
    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error>;

    /// The versions of several streams at one moment, in the order asked.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error>;

    /// Up to `limit` of the tenant's streams that have events, in the order of their names: those of one
    /// category, or all, after a name. A page is of one moment.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `limit` is 0 or above [`PAGE_STREAMS_MAX`].
    async fn streams(
        &self,
        tenant: &TenantId,
        category: Option<&Category>,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Result<StreamList, Error>;

    /// The position of the last event; [`Position::START`] of an empty log.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn head(&self) -> Result<Position, Error>;

    /// The position of the last event recorded at or before `time`; [`Position::START`] where there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn position_at(&self, time: Timestamp) -> Result<Position, Error>;

    /// The id of the event at a position; `None` beyond the log.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error>;
}

/// What every event store can do on top of its port.
#[async_trait]
pub trait EventStoreExt: EventStore {
    /// Reads a whole stream above `after`, page by page.
    ///
    /// # Errors
    /// As [`EventStore::read_stream`].
    async fn read_stream_whole(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let mut events = Vec::new();
        let mut last = after;
        loop {
            let page = self.read_stream(tenant, stream, last, PAGE_EVENTS_MAX).await?;
            let Some(event) = page.events.last() else { return Ok(events) };
            last = event.version;
            events.extend(page.events);
            if last >= page.version {
                return Ok(events);
            }
        }
    }

    /// What became of a commit.
    ///
    /// # Errors
    /// As [`EventStore::find_commit`], of a commit that is not under way here.
    async fn commit_status(&self, tenant: &TenantId, id: CommitId) -> Result<CommitStatus, Error> {
        // Asked first: what ends in between is found.
        let underway = self.underway(tenant, id);
        match (self.find_commit(tenant, id).await, underway) {
            (Ok(Some(found)), _) => Ok(CommitStatus::Stored(Box::new(found))),
            (_, Some(Underway::Pending)) => Ok(CommitStatus::Pending),
            (_, Some(Underway::InDoubt)) => Ok(CommitStatus::InDoubt),
            (Ok(None), None) => Ok(CommitStatus::Unknown),
            (Err(error), None) => Err(error),
        }
    }

    /// The events of a stored commit, in the order of the log.
    ///
    /// # Errors
    /// As [`EventStore::read_all`].
    async fn read_commit(
        &self,
        tenant: &TenantId,
        committed: &Committed,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let count = committed.event_count as usize;
        if count == 0 {
            return Ok(Vec::new());
        }
        let after = Position::from_number(committed.position.number().saturating_sub(count as u64));
        let scope = LogScope::Tenant(tenant.clone());
        let page = self.read_all(&scope, after, &LogFilter::default(), count.min(PAGE_EVENTS_MAX)).await?;
        Ok(page.events.into_iter().take_while(|event| event.position <= committed.position).collect())
    }

    /// Refuses a checkpoint that does not fit this log. `owner` is whose it is, `repair` the command
    /// that mends it; both go into the message.
    ///
    /// # Errors
    /// [`Error::CheckpointRefused`].
    async fn check_checkpoint(
        &self,
        owner: &str,
        checkpoint: &Checkpoint,
        repair: &str,
    ) -> Result<(), Error> {
        let reason = if checkpoint.store != self.store_id() {
            format!("it was taken in store {}, this is store {}", checkpoint.store, self.store_id())
        } else if checkpoint.position == Position::START {
            return Ok(());
        } else {
            match self.event_id_at(checkpoint.position).await? {
                Some(id) if Some(id) == checkpoint.event_id => return Ok(()),
                Some(id) => {
                    format!("event {id} is there now; an older copy of the log was restored and written to")
                }
                None => format!(
                    "the log ends at position {}; an older copy of it was restored",
                    self.head().await?
                ),
            }
        };
        Err(Error::CheckpointRefused(Box::new(CheckpointRefused {
            owner: owner.to_owned(),
            checkpoint: *checkpoint,
            reason,
            repair: repair.to_owned(),
        })))
    }
}

impl<S: EventStore + ?Sized> EventStoreExt for S {}

#[async_trait]
impl<S: EventStore + ?Sized> EventStore for Arc<S> {
    fn store_id(&self) -> StoreId {
        (**self).store_id()
    }
    fn keeps_entities(&self) -> bool {
        (**self).keeps_entities()
    }
    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        (**self).commit(tenant, commit).await
    }
    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error> {
        (**self).find_commit(tenant, id).await
    }
    fn underway(&self, tenant: &TenantId, id: CommitId) -> Option<Underway> {
        (**self).underway(tenant, id)
    }
    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        (**self).read_stream(tenant, stream, after, limit).await
    }
    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        (**self).read_all(scope, after, filter, limit).await
    }
    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error> {
        (**self).versions(tenant, streams).await
    }
    async fn streams(
        &self,
        tenant: &TenantId,
        category: Option<&Category>,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Result<StreamList, Error> {
        (**self).streams(tenant, category, after, limit).await
    }
    async fn head(&self) -> Result<Position, Error> {
        (**self).head().await
    }
    async fn position_at(&self, time: Timestamp) -> Result<Position, Error> {
        (**self).position_at(time).await
    }
    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error> {
        (**self).event_id_at(position).await
    }
}

/// Checks the `limit` of a page of events. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] where it is 0 or above [`PAGE_EVENTS_MAX`].
pub fn check_page_limit(limit: usize) -> Result<(), Error> {
    if limit == 0 || limit > PAGE_EVENTS_MAX {
        return Err(Error::invalid(format!(
            "a page holds 1 to PAGE_EVENTS_MAX = {PAGE_EVENTS_MAX} events, {limit} were asked for"
        )));
    }
    Ok(())
}

/// Checks the `limit` of a page of streams. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] where it is 0 or above [`PAGE_STREAMS_MAX`].
pub fn check_streams_limit(limit: usize) -> Result<(), Error> {
    if limit == 0 || limit > PAGE_STREAMS_MAX {
        return Err(Error::invalid(format!(
            "a page holds 1 to PAGE_STREAMS_MAX = {PAGE_STREAMS_MAX} streams, {limit} were asked for"
        )));
    }
    Ok(())
}
