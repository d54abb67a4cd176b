use std::collections::HashSet;

use async_trait::async_trait;

use crate::ports::LogScope;
use crate::words::commit::{
    EventIds, check_counts, check_metadata, check_outcome, check_payload, event_bytes, rest_bytes,
};
use crate::words::limits::IMPORT_AHEAD_MAX;
use crate::words::{
    CommitId, Error, Fingerprint, Json, Metadata, Outcome, RecordedEvent, TenantId, Timestamp,
};

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
    /// Its events, in order. Positions are those of the store it left; an event's time is the commit's.
    pub events: Vec<RecordedEvent>,
}

impl ArchivedCommit {
    /// Checks everything that [`Commit::validate`](crate::words::Commit::validate) would have checked, and that
    /// its events belong to it. Whether the versions continue the streams is for a store to say.
    /// Adapters call it first.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the commit, and the name of the limit or what is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        self.check().map_err(|error| Error::invalid(format!("{}: {error}", self.name())))
    }

    /// Refuses a time that would move the clock of a store: recorded times never decrease, so all that
    /// is stored later would have it too.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it was recorded later than [`IMPORT_AHEAD_MAX`] from `now`.
    pub fn check_time(&self, now: Timestamp) -> Result<(), Error> {
        if self.recorded_at <= now.saturating_add(IMPORT_AHEAD_MAX).unwrap_or(Timestamp::MAX) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{}: it was recorded at {}, which is later than now ({now}) by more than IMPORT_AHEAD_MAX = {} s; \
             compare the clocks of both stores",
            self.name(),
            self.recorded_at,
            IMPORT_AHEAD_MAX.as_secs()
        )))
    }

    /// Refuses to take it for the commit that is stored under its id, where it is another one. Message
    /// and body of a refusal may have been forgotten on either side, and its time may be another.
    ///
    /// # Errors
    /// [`Error::IdReused`] where the fingerprint is another; [`Error::Invalid`] where the commits came
    /// from the same command and differ, with what differs.
    pub fn check_same(&self, stored: &Self) -> Result<(), Error> {
        if self.fingerprint != stored.fingerprint {
            return Err(Error::IdReused(self.id));
        }
        match self.difference(stored) {
            None => Ok(()),
            Some(difference) => Err(Error::invalid(format!(
                "{} is there and is another one: {difference}; one of the two logs went its own way",
                self.name()
            ))),
        }
    }

    fn name(&self) -> String {
        format!("commit {} of tenant {}", self.id, self.tenant)
    }

    fn check(&self) -> Result<(), Error> {
        let mut streams = HashSet::new();
        let mut ids = EventIds::default();
        let (mut bytes, mut known_metadata) = (0, None::<(&Json, Metadata)>);
        let mut last = None;
        for (event, follow) in self.events.iter().zip((0..self.events.len()).rev()) {
            let id = event.event_id;
            if event.tenant != self.tenant {
                return Err(Error::invalid(format!("event {id} is of tenant {}", event.tenant)));
            }
            if usize::try_from(event.commit_tail) != Ok(follow) {
                let told = event.commit_tail;
                return Err(Error::invalid(format!("{follow} events follow event {id}, it says {told}")));
            }
            if last != Some(&event.stream) {
                if !streams.insert(&event.stream) {
                    let stream = &event.stream;
                    return Err(Error::invalid(format!("the events of {stream} are not together")));
                }
                bytes += event.stream.as_str().len();
                last = Some(&event.stream);
            }
            check_payload(&event.payload)?;
            event
                .payload
                .text()
                .check()
                .map_err(|error| Error::invalid(format!("event {id}: payload: {error}")))?;
            // One for all of them, as a rule.
            let metadata = match known_metadata.take() {
                Some((text, metadata)) if *text == event.metadata => metadata,
                _ => {
                    check_metadata(&event.metadata)?;
                    let decoded = event.metadata.decode::<Metadata>();
                    decoded.map_err(|error| Error::invalid(format!("event {id}: metadata: {error}")))?
                }
            };
            bytes += event_bytes(&event.payload, &metadata);
            known_metadata = Some((&event.metadata, metadata));
            ids.add(id)?;
        }
        let metadata = known_metadata.map(|(_, metadata)| metadata).unwrap_or_default();
        check_counts(streams.len(), self.events.len(), bytes + rest_bytes(&self.outcome, &metadata))?;
        if let Outcome::Refused { body, .. } = &self.outcome {
            body.check().map_err(|error| Error::invalid(format!("the body of its refusal: {error}")))?;
        }
        check_outcome(&self.outcome, self.events.len())
    }

    /// What tells two commits of one command apart, in words.
    fn difference(&self, stored: &Self) -> Option<String> {
        match (&self.outcome, &stored.outcome) {
            (Outcome::Accepted, Outcome::Accepted) => {}
            (
                Outcome::Refused { code, message, body },
                Outcome::Refused { code: stored_code, message: stored_message, body: stored_body },
            ) => {
                if code != stored_code {
                    return Some(format!("it was refused with {stored_code:?} there, with {code:?} here"));
                }
                let both_known = !self.outcome.is_forgotten() && !stored.outcome.is_forgotten();
                if both_known && (message, body) != (stored_message, stored_body) {
                    return Some(format!("both were refused with {code:?}, with other fields"));
                }
            }
            (ours, theirs) => return Some(format!("it was {} there, {} here", theirs.kind(), ours.kind())),
        }
        let (ours, theirs) = (self.events.len(), stored.events.len());
        if ours != theirs {
            return Some(format!("it has {theirs} events there, {ours} here"));
        }
        let of = |event: &RecordedEvent| (event.event_id, event.stream.clone(), event.version);
        let (ours, theirs) = self
            .events
            .iter()
            .map(of)
            .zip(stored.events.iter().map(of))
            .find(|(ours, theirs)| ours != theirs)?;
        Some(format!(
            "it holds event {} as version {} of {} there, event {} as version {} of {} here",
            theirs.0, theirs.2, theirs.1, ours.0, ours.2, ours.1
        ))
    }
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
/// 6. *A commit is taken for a known one only where outcome, event ids, streams and versions are the same too; else the error names it and what differs, and nothing of the call is stored.* `an_import_takes_no_other_commit_for_a_known_one`
/// 7. *What no commit may be is `Invalid` in an import too, with the commit and the limit, and nothing of the call is stored.* `an_import_is_validated`
/// 8. *A commit recorded later than now by more than `IMPORT_AHEAD_MAX` is `Invalid`; what is stored after an import is never earlier than it.* `an_import_of_the_future_is_refused`
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// Reads up to `limit` commits after `after`; 0 is the start.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Damaged`] or [`Error::Backend`].
    async fn read_commits(&self, scope: &LogScope, after: u64, limit: usize) -> Result<ArchivePage, Error>;

    /// Stores commits as they are, in one transaction: with their ids, times and versions. A commit that
    /// is there is passed over.
    ///
    /// # Errors
    /// [`Error::Conflict`] where a version does not continue its stream, [`Error::IdReused`] where the
    /// id stands for another command, [`Error::Invalid`] as [`ArchivedCommit::validate`],
    /// [`ArchivedCommit::check_time`] and [`ArchivedCommit::check_same`]. Nothing of the call was stored.
    async fn import_commits(&self, commits: Vec<ArchivedCommit>) -> Result<Imported, Error>;
}

/// Forgets what is no longer owed.
///
/// The contract:
///
/// 1. *The bodies of refusals recorded before a time are gone; their ids and codes still answer.* `forgotten_bodies_leave_their_ids`
/// 2. *Commits without events recorded before a time are gone, but for the last of the store: their ids are free again, and all else is as it was.* `forgotten_commits_free_their_ids`
/// 3. *A cancelled command stays, whenever it was cancelled: what was asked does not run after all.* `cancellations_are_kept`
/// 4. *A commit stays as long as work that it sent on is not done: a repeat sends nothing again.* `commits_with_work_left_are_kept`
#[async_trait]
pub trait Retention: Send + Sync + 'static {
    /// Empties message and body of refusals recorded before `time`; returns how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn forget_outcome_bodies(&self, time: Timestamp) -> Result<u64, Error>;

    /// Removes commits without events (refusals, and commands that found nothing to do) recorded before
    /// `time`; returns how many. A repeat of what was removed is decided anew. So is a command that was stored for
    /// a later moment, and meanwhile refused under the same id, where that refusal is removed before the moment.
    ///
    /// Three kinds stay, however old they are. The last commit of the store, since what comes after it is counted
    /// from there. A commit whose work is not done, since a repeat would send it again. And a refusal with the code
    /// [`CANCELLED`](crate::CANCELLED), since its command may be due later than anybody keeps refusals. There
    /// are few of those: a person ordered each.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn forget_empty_commits(&self, time: Timestamp) -> Result<u64, Error>;
}
