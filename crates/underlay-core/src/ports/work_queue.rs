use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::check_scheduler;
use crate::words::limits::{
    LEASE_NAME_BYTES_MAX, LEASE_SECONDS_MAX, WORK_ERROR_BYTES_MAX, WORK_KEY_BYTES_MAX, WORK_PAGE_MAX,
    WORK_RECEIVER_BYTES_MAX, WORK_TENANTS_PASSED_MAX,
};
use crate::words::{CommitId, Error, Lane, Shard, TenantId, Timestamp, Work, WorkId, WorkKind, WorkPlace};

/// The identity of a worker, drawn when it starts. Terms count in the store, and where an older copy of it
/// comes back the same one is given again; an id is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub Uuid);

impl WorkerId {
    /// Draws a new id, ordered by time (UUID version 7).
    #[must_use]
    pub fn draw() -> Self {
        Self(Uuid::now_v7())
    }
}

/// Who does work: a process, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its identity.
    pub id: WorkerId,
    /// Its name for a person: 1 to [`LEASE_NAME_BYTES_MAX`] bytes.
    pub holder: String,
    /// What has its work done: the [identity](crate::Scheduler::identity) of a scheduler, or [`Worker::EMBEDDED`]. 1 to
    /// [`LEASE_NAME_BYTES_MAX`] bytes.
    pub scheduler: String,
}

impl Worker {
    /// The scheduler of a worker that does its work itself.
    pub const EMBEDDED: &str = "embedded";

    /// A new worker that does its work itself.
    #[must_use]
    pub fn embedded(holder: impl Into<String>) -> Self {
        Self { id: WorkerId::draw(), holder: holder.into(), scheduler: Self::EMBEDDED.to_owned() }
    }
}

/// The term of a worker at a shard. What is settled names it; once it is over, nothing is settled under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShardTerm {
    /// The shard.
    pub shard: Shard,
    /// Counts the workers of the shard; the first has 1.
    pub term: u64,
    /// The worker it was given to.
    pub worker: WorkerId,
}

/// Of each lane, a place at or below which no work is left that is ready.
pub type LaneCursors = [WorkPlace; Lane::ALL.len()];

/// A shard in the hands of the worker that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldShard {
    /// The term.
    pub term: ShardTerm,
    /// Where reading starts.
    pub cursors: LaneCursors,
    /// What is at or before this place may have been begun by a worker that did not give the shard back, and may be
    /// why it is gone. Such work is [counted](WorkQueue::begin) before it is begun.
    pub suspects_to: WorkPlace,
    /// Whether the worker has more than its part: it finishes what it has begun there, then
    /// [gives the shard back](WorkQueue::release).
    pub is_surplus: bool,
}

/// What a worker may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Every shard it holds, in order.
    pub held: Vec<HeldShard>,
    /// How long until the next shard of another worker could be free, where nobody renews it.
    pub look_again_in: Option<Duration>,
    /// Who has the work, where that is a worker of another scheduler: until those are gone the worker gets no shard.
    pub waits_for: Option<WaitsFor>,
}

/// Whom a worker waits for that has another scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsFor {
    /// The scheduler that has the work done.
    pub scheduler: String,
    /// The name of one of its workers.
    pub holder: String,
}

impl std::fmt::Display for WaitsFor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { scheduler, holder } = self;
        write!(formatter, "{holder} (scheduler: {scheduler})")
    }
}

/// Whose work is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkScope {
    /// That of every tenant but these: at most [`WORK_TENANTS_PASSED_MAX`].
    EveryTenantBut(Vec<TenantId>),
    /// That of one.
    Tenant(TenantId),
}

impl WorkScope {
    /// The tenants that are passed over.
    #[must_use]
    pub fn passed(&self) -> &[TenantId] {
        match self {
            Self::EveryTenantBut(passed) => passed,
            Self::Tenant(_) => &[],
        }
    }
}

impl Default for WorkScope {
    fn default() -> Self {
        Self::EveryTenantBut(Vec::new())
    }
}

/// Where a piece that was to wait stands in the order of the moments that work is due at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DuePlace {
    /// The moment.
    pub due_at: Timestamp,
    /// Its place, among those of the same moment.
    pub place: WorkPlace,
}

impl DuePlace {
    /// Before all work.
    pub const START: Self = Self { due_at: Timestamp::MIN, place: WorkPlace::START };
}

impl Default for DuePlace {
    fn default() -> Self {
        Self::START
    }
}

/// Which of the work that is due is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueLook {
    /// Whose.
    pub scope: WorkScope,
    /// What comes after it. A piece may come to stand before what was read already: it is tried again at a moment
    /// that has passed, or was made the head of its line. So whoever goes on from here looks behind now and then.
    pub after: DuePlace,
    /// But for these: at most [`WORK_PAGE_MAX`].
    pub except: Vec<WorkPlace>,
}

/// A piece of work that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadWork {
    /// The piece.
    pub work: Work,
    /// Whether another of its key is before it, which is tried again later or is a dead letter that holds its
    /// key. Then it is not begun, but [settled as held](Settled::Held).
    pub is_blocked: bool,
}

/// Ready work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkPage {
    /// In the order of places.
    pub work: Vec<ReadWork>,
    /// The last place looked at: reading goes on after it.
    pub scanned_to: WorkPlace,
    /// Whether nothing more was there.
    pub at_end: bool,
}

/// Work that was to wait, and waits no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePage {
    /// In the order of the moments they were due, then of places.
    pub work: Vec<ReadWork>,
    /// The last that was looked at: reading goes on after it.
    pub scanned_to: DuePlace,
    /// Whether nothing more was due.
    pub at_end: bool,
    /// How long until the next of anybody that waits for its moment; `None` where nothing does. Nothing is waited
    /// for where more is due already than was read: then it is zero.
    pub next_due_in: Option<Duration>,
}

/// A piece of work that is about to be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunWork {
    /// The term it is begun under.
    pub term: ShardTerm,
    /// The piece.
    pub place: WorkPlace,
    /// How often it was begun without an end, this time among them.
    pub times: u32,
}

/// What became of a piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is done, and gone.
    Done,
    /// An attempt failed. It is due again so long after this is stored, by the clock of the store, and holds its
    /// key until then.
    Retry {
        /// How long it is until the next attempt. What would be due past the last moment of all is due then.
        delay: Duration,
        /// Why it failed; it is kept as [`kept_work_error`] says.
        error: String,
    },
    /// It stands behind another of its key, and is due once that one is done. Of one line, a worker settles
    /// what it holds in one call, or in the order of places: where nothing is before a piece any more, the
    /// store makes the lowest of those that it knows to be held the head.
    Held,
    /// It is given up.
    Dead {
        /// Why the last attempt failed; kept as above.
        error: String,
        /// Whether the failure was final; otherwise the attempts were used up.
        is_final: bool,
        /// Whether it holds its key until a person replays or discards it.
        holds: bool,
    },
}

/// What is to be settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The term it was done under.
    pub term: ShardTerm,
    /// The piece.
    pub place: WorkPlace,
    /// What became of it.
    pub settled: Settled,
}

/// Where a piece of work is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum WorkStanding {
    /// It is ready, or being done.
    Ready,
    /// It waits for its moment, see [`NewWork::due_at`](crate::words::NewWork::due_at), or is due.
    Later,
    /// It stands behind another of its key.
    Behind,
    /// It was given up.
    Dead {
        /// When.
        died_at: Timestamp,
        /// Whether the failure was final; otherwise the attempts were used up.
        is_final: bool,
        /// Whether it holds its key.
        holds: bool,
    },
}

/// A piece of work and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkInfo {
    /// The piece.
    pub work: Work,
    /// Where it is.
    pub standing: WorkStanding,
}

/// A part of a list of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkList {
    /// In the order of places.
    pub work: Vec<WorkInfo>,
    /// Whether nothing more is listed.
    pub at_end: bool,
}

impl WorkList {
    /// The place that the next page is listed after; none where this is the last.
    #[must_use]
    pub fn next(&self) -> Option<WorkPlace> {
        self.work.last().filter(|_| !self.at_end).map(|last| last.work.place)
    }
}

/// Which work is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkFilter {
    /// Of this tenant alone; of all where none is given, for the operator.
    pub tenant: Option<TenantId>,
    /// Dead letters, or what is not dead.
    pub dead: bool,
    /// Of dead letters those alone that hold their key. Of one tenant, receiver and key they are found without looking
    /// at any other.
    pub holds: bool,
    /// Of this kind alone.
    pub kind: Option<WorkKind>,
    /// For this receiver alone.
    pub receiver: Option<String>,
    /// Of this key alone.
    pub key: Option<String>,
}

/// How much work there is of one kind for one receiver, over all tenants or of one. A store may stop counting at a bound, so that
/// nobody waits for a count of millions. Then there are at least as many as it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueDepth {
    /// Who does it.
    pub receiver: String,
    /// What it is.
    pub kind: WorkKind,
    /// Pieces that are ready, or being done.
    pub ready: u64,
    /// Pieces that are due later, or stand behind another of their key.
    pub later: u64,
    /// Dead letters.
    pub dead: u64,
    /// Whether more may be ready than were counted.
    pub ready_is_least: bool,
    /// Whether more may be later.
    pub later_is_least: bool,
    /// Whether more may be dead.
    pub dead_is_least: bool,
    /// When the oldest was sent that is ready, is due, or was tried and waits for its next attempt.
    pub oldest_sent_at: Option<Timestamp>,
}

impl QueueDepth {
    /// A queue of nothing.
    #[must_use]
    pub fn empty(receiver: impl Into<String>, kind: WorkKind) -> Self {
        Self {
            receiver: receiver.into(),
            kind,
            ready: 0,
            later: 0,
            dead: 0,
            ready_is_least: false,
            later_is_least: false,
            dead_is_least: false,
            oldest_sent_at: None,
        }
    }

    /// What is ready, later and dead, for people: `10000+` where more may be there.
    #[must_use]
    pub fn counts(&self) -> [String; 3] {
        let told =
            |(count, is_least): (u64, bool)| if is_least { format!("{count}+") } else { count.to_string() };
        [
            (self.ready, self.ready_is_least),
            (self.later, self.later_is_least),
            (self.dead, self.dead_is_least),
        ]
        .map(told)
    }
}

/// Work that commits have sent on, until it is done.
///
/// Work is stored in the transaction of its [`Commit`](crate::words::Commit), in the order of
/// [`WorkPlace`]s. Every piece belongs to a [`Shard`]. A [`Worker`] holds shards for a time, reads their work
/// without writing anything, and settles what it did in bulk, naming its term. Whoever lost a shard settles
/// nothing there.
///
/// Work of one tenant, receiver and key is one line: a worker begins the next only when what became of the one
/// before is stored. A piece that is tried again later, stands behind another, or is a dead letter that
/// holds its key, blocks the line. The first of a line that is blocked is its *head*. When a head is done, is
/// given up without holding the key, or is discarded, the store makes the lowest piece that stands behind it the
/// head, due at once, in the same transaction.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *Work is stored with its commit or not at all: a conflict, an invalid commit and a repeat store none.* `work_is_stored_with_its_commit`
/// 2. *Ids and places follow from the commit and the place in it; work of a later commit has a higher place.* `work_has_the_order_of_commits`
/// 3. *Of several workers who ask at the same time, one holds a shard.* `a_shard_has_one_worker`
/// 4. *Every worker of a shard has a higher term than the one before, also after a release and after reopening.* `terms_of_shards_only_grow`
/// 5. *Workers that go on asking come to hold parts that differ by one shard at most; what is surplus stays theirs until they release it.* `shards_are_spread_evenly`
/// 6. *A worker that asks no more loses its shards when its time has run out, and whoever asks then gets them; one that leaves loses them at once.* `a_worker_that_is_gone_loses_its_shards`
/// 7. *The cursors a worker gave with its last asking for a shard it holds are those that the next one starts at; of a shard that is another's none are taken.* `cursors_are_handed_over`
/// 8. *Ready work of a shard and lane is read in the order of places, after a place, as it was sent; a page says how far it has looked, and reading changes nothing.* `ready_work_is_read_in_order`
/// 9. *Reading passes over tenants, or reads one, as asked, and comes past any number of pieces it passes over.* `work_is_read_by_tenant`
/// 10. *Work that is due later is read by nobody until then, blocks nobody, and comes in the order of moments.* `what_is_due_later_is_in_nobodys_way`
/// 11. *What is done is gone; settling it again changes nothing, and a piece that stands twice in one call is `Invalid`.* `what_is_done_is_gone`
/// 12. *A failed attempt is counted, with its reason, and blocks its line, and no other, until it is due and done.* `a_retry_blocks_its_key`
/// 13. *What is held comes one by one, in the order of places, as those before are done; where nothing is before it any more, it is due at once.* `what_is_held_comes_in_order`
/// 14. *A dead letter blocks its key where it holds it, and otherwise lets the next go.* `a_dead_letter_holds_its_key_or_not`
/// 15. *A term that is over, was given back, is another worker's or is of another shard settles nothing; other shards of the same call are settled.* `a_lost_shard_settles_nothing`
/// 16. *A replayed dead letter is due at once, before what stands behind it, with no attempts counted; a discarded one is gone, and the next goes; of several who decide, one does.* `dead_letters_are_replayed_or_discarded`
/// 17. *A tenant's work is found, listed, replayed and discarded by that tenant alone.* `work_belongs_to_its_tenant`
/// 18. *Lists are in the order of places, by page, as the filter says; depths count every piece once, and say where they ended at a bound.* `work_is_listed_and_counted`
/// 19. *All of it is there after reopening.* `work_survives_reopening`
/// 20. *What exceeds a limit is `Invalid` with the limit's name.* `limits_of_work_are_named`
/// 21. *Reading what is due passes over tenants, or reads one, as asked, goes on after where it was, and comes past any number of pieces it passes over.* `due_work_is_read_by_tenant`
/// 22. *A shard says up to which place a worker may have begun work that did not give it back. What is begun is counted, under the term that holds the shard, until what became of it is stored.* `what_was_begun_is_counted`
/// 23. *A page of a list ends once it has passed `PAGE_BYTES_MAX`, with a piece at least where one is listed. It says whether more follows, and going on after its last piece leaves out and repeats none.* `lists_are_bounded_in_bytes`
/// 24. *The depths of one tenant count its work alone: they are the same, whatever the others have.* `depths_of_a_tenant_are_its_own`
/// 25. *A queue is as late as its oldest piece that is ready or due, or was tried and waits for its next attempt; what was never tried is not late before its moment.* `what_is_tried_again_is_late`
/// 26. *A failed attempt is due again after its delay by the clock of the store; no clock of a worker has a say in it.* `a_retry_goes_by_the_clock_of_the_store`
/// 27. *Workers of one scheduler hold shards at a time, and share them among themselves. One of another scheduler gets none and is told whom it waits for, until no shard is held; of both kinds asking at the same time, one holds shards.* `shards_are_with_one_scheduler`
#[async_trait]
pub trait WorkQueue: Send + Sync + 'static {
    /// Tells that a worker is there for `duration`, and keeps, gives and takes shards for it; `cursors` are
    /// kept for shards that it holds. One call does it for all shards.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the holder, the scheduler or the duration exceeds its limit; [`Error::Unavailable`].
    async fn share(
        &self,
        worker: &Worker,
        duration: Duration,
        cursors: &[(Shard, LaneCursors)],
    ) -> Result<Share, Error>;

    /// Gives shards back, so that another worker gets them at once; those that were lost are left as they are.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn release(&self, terms: &[ShardTerm]) -> Result<(), Error>;

    /// Gives every shard back and counts the worker no more.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn leave(&self, worker: &Worker) -> Result<(), Error>;

    /// Reads ready work of a shard and lane after a place. Nothing is written.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `limit` or the scope exceeds its limit; [`Error::Unavailable`].
    async fn read_work(
        &self,
        shard: Shard,
        lane: Lane,
        scope: &WorkScope,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkPage, Error>;

    /// Reads what is due of what was to wait. Nothing is written.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `limit` or a part of the look exceeds its limit; [`Error::Unavailable`].
    async fn read_due(&self, shard: Shard, look: &DueLook, limit: usize) -> Result<DuePage, Error>;

    /// Counts that pieces are begun, in one transaction. Only what is [suspect](HeldShard::suspects_to) has to be
    /// counted. The answer names the shards that were lost, as that of [`WorkQueue::settle`]; nothing of them was
    /// counted.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are more than [`WORK_PAGE_MAX`]; [`Error::Unavailable`], also where the
    /// answer was lost and they are counted: counting them again changes nothing.
    async fn begin(&self, begun: &[BegunWork]) -> Result<Vec<Shard>, Error>;

    /// Stores what became of work, in one transaction; their order does not matter. The answer names the
    /// shards that were lost, each once, in order. Nothing of them was settled: a shard is lost where any term
    /// that the call names for it is not the one that holds it. What is no longer there, is a dead letter by
    /// now, or is of another shard than its term, is left as it is.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are more than [`WORK_PAGE_MAX`], or a piece stands there twice;
    /// [`Error::Unavailable`], also where the answer was lost and they are settled: settling them again does no
    /// harm, but that an attempt may be counted twice.
    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error>;

    /// Finds a tenant's piece of work by the commit that sent it and its place there, from 0.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn find_work(
        &self,
        tenant: &TenantId,
        commit: CommitId,
        number: u32,
    ) -> Result<Option<WorkInfo>, Error>;

    /// Lists work in the order of places, after one. A page ends with the piece by which payloads and metadata pass
    /// [`PAGE_BYTES_MAX`](crate::adapter::PAGE_BYTES_MAX), so it may be shorter than `limit` where more follows.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `limit` or a text of the filter exceeds its limit; [`Error::Unavailable`].
    async fn list_work(&self, filter: &WorkFilter, after: WorkPlace, limit: usize)
    -> Result<WorkList, Error>;

    /// How much there is of all tenants, for the operator, or of one, in the order of receivers and of the names of
    /// kinds. A receiver may be missing all of whose work is beyond the bound at which counting ends.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn queue_depths(&self, tenant: Option<&TenantId>) -> Result<Vec<QueueDepth>, Error>;

    /// Makes dead letters of a tenant due again; says how many of them there were. The reason why each failed
    /// stays until it fails again.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are more than [`WORK_PAGE_MAX`]; [`Error::Unavailable`].
    async fn replay(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error>;

    /// Removes dead letters of a tenant for ever; says how many of them there were.
    ///
    /// # Errors
    /// As [`WorkQueue::replay`].
    async fn discard(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error>;
}

/// Checks what [`WorkQueue::share`] is asked with. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_worker(worker: &Worker, duration: Duration) -> Result<(), Error> {
    let Worker { holder, scheduler, .. } = worker;
    check_scheduler(scheduler)?;
    if holder.is_empty() || holder.len() > LEASE_NAME_BYTES_MAX || holder.contains('\0') {
        return Err(Error::invalid(format!(
            "the name of a worker has 1 to LEASE_NAME_BYTES_MAX = {LEASE_NAME_BYTES_MAX} bytes and no NUL, this one \
             has {}",
            holder.len()
        )));
    }
    if duration < Duration::from_millis(1) || duration > Duration::from_secs(LEASE_SECONDS_MAX) {
        return Err(Error::invalid(format!(
            "a worker holds shards for a millisecond to LEASE_SECONDS_MAX = {LEASE_SECONDS_MAX} seconds, {duration:?} \
             was asked for"
        )));
    }
    Ok(())
}

/// Checks how many pieces of work a call is about. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_work_count(count: usize) -> Result<(), Error> {
    if count > WORK_PAGE_MAX {
        return Err(Error::invalid(format!(
            "{count} pieces of work at once exceed WORK_PAGE_MAX = {WORK_PAGE_MAX}; ask for fewer at a time"
        )));
    }
    Ok(())
}

/// Checks what is settled in one call. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that says what is wrong.
pub fn check_settlements(settlements: &[Settlement]) -> Result<(), Error> {
    check_work_count(settlements.len())?;
    let mut places = HashSet::with_capacity(settlements.len());
    match settlements.iter().find(|settlement| !places.insert(settlement.place)) {
        Some(twice) => Err(Error::invalid(format!(
            "the piece of work at {} is settled twice in one call; settle it once",
            twice.place.number()
        ))),
        None => Ok(()),
    }
}

/// The reason of a failed attempt as stores keep it: at most [`WORK_ERROR_BYTES_MAX`] bytes, and no NUL,
/// which a database may refuse.
#[must_use]
pub fn kept_work_error(error: &str) -> String {
    let error = error.replace('\0', "\u{fffd}");
    error[..error.floor_char_boundary(WORK_ERROR_BYTES_MAX)].to_owned()
}

/// Checks how many pieces a page is asked for. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_work_limit(limit: usize) -> Result<(), Error> {
    if limit == 0 {
        return Err(Error::invalid(format!(
            "a page of no work; ask for 1 to WORK_PAGE_MAX = {WORK_PAGE_MAX} pieces"
        )));
    }
    check_work_count(limit)
}

/// Checks what [`WorkQueue::read_due`] is asked for. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_due_look(look: &DueLook, limit: usize) -> Result<(), Error> {
    check_work_limit(limit)?;
    check_work_count(look.except.len())?;
    check_work_scope(&look.scope)
}

/// Checks which work is listed. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_work_filter(filter: &WorkFilter) -> Result<(), Error> {
    let texts = [
        ("receiver", &filter.receiver, "WORK_RECEIVER_BYTES_MAX", WORK_RECEIVER_BYTES_MAX),
        ("key", &filter.key, "WORK_KEY_BYTES_MAX", WORK_KEY_BYTES_MAX),
    ];
    for (what, text, limit, max) in texts {
        if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > max || text.contains('\0')) {
            return Err(Error::invalid(format!(
                "the {what} of work has 1 to {limit} = {max} bytes and no NUL; ask for one that can be there"
            )));
        }
    }
    Ok(())
}

/// Checks whose work is read. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_work_scope(scope: &WorkScope) -> Result<(), Error> {
    match scope {
        WorkScope::EveryTenantBut(passed) if passed.len() > WORK_TENANTS_PASSED_MAX => {
            Err(Error::invalid(format!(
                "passing over {} tenants exceeds WORK_TENANTS_PASSED_MAX = {WORK_TENANTS_PASSED_MAX}",
                passed.len()
            )))
        }
        _ => Ok(()),
    }
}
