use async_trait::async_trait;

use crate::{CommitId, Error, Fingerprint, LogScope, Outcome, RecordedEvent, TenantId, Timestamp};

/// A commit as it leaves a store and enters another: with its id, its outcome and its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedCommit {
    /// Its owner.
    pub tenant: TenantId,
    /// Its identity within the tenant.
    pub id: CommitId,
    /// What a repeat must match.
    pub fingerprint: Fingerprint,
    /// How the command ended.
    pub outcome: Outcome,
    /// When it was stored.
    pub recorded_at: Timestamp,
    /// Its events, in order. Positions are those of the store it left.
    pub events: Vec<RecordedEvent>,
}

/// A part of a store's commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePage {
    /// Commits in the order they were stored, refusals among them.
    pub commits: Vec<ArchivedCommit>,
    /// Go on from here.
    pub next: u64,
    /// Whether these were the last.
    pub at_end: bool,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Commits stored.
    pub stored: u64,
    /// Commits that were there before.
    pub known: u64,
}

/// Moves whole commits out of a store and into another.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *Commits are read in the order they were stored, each with its outcome and all its events.* `commits_are_read_in_order`
/// 2. *A read of one tenant yields that tenant's commits alone.* `an_archive_of_one_tenant_is_its_own`
/// 3. *Imported commits read back as they were, but for their positions; repeats get the first answer there too.* `an_import_reads_back_the_same`
/// 4. *Importing what is there changes nothing and says so.* `an_import_repeats_nothing`
/// 5. *A commit whose versions do not continue its streams is a `Conflict`; it and all after it are not stored.* `an_import_with_a_gap_is_refused`
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// Reads up to `limit` commits after `after`; 0 is the start.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Damaged`] or [`Error::Backend`].
    async fn read_commits(&self, scope: &LogScope, after: u64, limit: usize) -> Result<ArchivePage, Error>;

    /// Stores commits as they are, in one transaction: with their ids, times and versions. A commit that
    /// is there with the same fingerprint is passed over.
    ///
    /// # Errors
    /// [`Error::Conflict`] where a version does not continue its stream, [`Error::IdReused`] where the
    /// id stands for something else. Nothing of the call was stored.
    async fn import_commits(&self, commits: Vec<ArchivedCommit>) -> Result<Imported, Error>;
}

/// Forgets what is no longer owed.
///
/// The contract:
///
/// 1. *The bodies of refusals recorded before a time are gone; their ids and codes still answer.* `forgotten_bodies_leave_their_ids`
#[async_trait]
pub trait Retention: Send + Sync + 'static {
    /// Empties message and body of refusals recorded before `time`; returns how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn forget_outcome_bodies(&self, time: Timestamp) -> Result<u64, Error>;
}
