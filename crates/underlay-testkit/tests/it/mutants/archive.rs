//! Cases of an archive open a second store of the same type, so here the mutation is part of the type.

use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    Archive, ArchivePage, ArchivedCommit, CANCELLED, Commit, CommitId, Committed, Error, EventStore,
    Imported, LogScope, Outcome, Retention, TenantId, Timestamp,
};
use underlay_testkit::{
    ArchiveFixture, EventStoreFixture, EventStoreLayer, Fixture, Over, RetentionFixture, Skip,
};

const SOUND: u8 = 0;
/// Only commits that write leave.
const LOSES_REFUSALS: u8 = 1;
/// The last page that is full is taken for the last one.
const ENDS_EARLY: u8 = 2;
/// The scope is not looked at.
const READS_EVERY_TENANT: u8 = 3;
/// The time of the import replaces that of the commit.
const STAMPS_ANEW: u8 = 4;
/// Each commit gets a new id.
const DRAWS_IDS: u8 = 5;
/// What is known is counted as stored.
const COUNTS_ALL: u8 = 6;
/// Each commit is stored on its own.
const STORES_UP_TO_THE_GAP: u8 = 7;
/// What leaves a gap is dropped silently.
const DROPS_SILENTLY: u8 = 8;
/// The time is not looked at.
const FORGETS_ALL: u8 = 9;
/// Nothing is forgotten.
const FORGETS_NOTHING: u8 = 10;
/// A commit of the same id and fingerprint is taken for the one that is there.
const KNOWS_BY_FINGERPRINT: u8 = 11;
/// What is not sound is left out silently.
const LEAVES_OUT_WHAT_IS_WRONG: u8 = 12;
/// A time of the future is made the time of now.
const STAMPS_DOWN: u8 = 13;
/// Commits without events are forgotten whenever they were recorded.
const FORGETS_ALL_COMMITS: u8 = 14;
/// Commits without events are never forgotten.
const KEEPS_EMPTY_COMMITS: u8 = 15;
/// Payloads come in without their encoding.
const FORGETS_ENCODINGS: u8 = 16;
/// A cancellation is a refusal like any other.
const FORGETS_CANCELLATIONS: u8 = 17;
/// The work that is left is not looked at.
const FORGETS_WITH_WORK: u8 = 18;

struct Mutant<const MUTATION: u8>(Arc<Store<MUTATION>>);

#[derive(Default)]
struct Store<const MUTATION: u8>(MemoryEventStore);

impl<const MUTATION: u8> Fixture for Mutant<MUTATION> {
    async fn create() -> Result<Self, Skip> {
        Ok(Self(Arc::default()))
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl<const MUTATION: u8> EventStoreFixture for Mutant<MUTATION> {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(Over(Below::<MUTATION>(self.0.0.clone())))
    }
}

/// What retention would keep looks to it like what it forgets.
struct Below<const MUTATION: u8>(MemoryEventStore);

#[async_trait]
impl<const MUTATION: u8> EventStoreLayer for Below<MUTATION> {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.0.clone()
    }

    async fn commit(&self, tenant: &TenantId, mut commit: Commit) -> Result<Committed, Error> {
        match (MUTATION, &mut commit.outcome) {
            (FORGETS_CANCELLATIONS, Outcome::Refused { code, .. }) if code == CANCELLED => {
                *code = "cancelled".to_owned();
            }
            (FORGETS_WITH_WORK, _) => commit.work.clear(),
            _ => {}
        }
        self.0.commit(tenant, commit).await
    }
}

impl<const MUTATION: u8> ArchiveFixture for Mutant<MUTATION> {
    fn archive(&self) -> Arc<dyn Archive> {
        self.0.clone()
    }
}

impl<const MUTATION: u8> RetentionFixture for Mutant<MUTATION> {
    fn retention(&self) -> Arc<dyn Retention> {
        self.0.clone()
    }
}

#[async_trait]
impl<const MUTATION: u8> Archive for Store<MUTATION> {
    async fn read_commits(&self, scope: &LogScope, after: u64, limit: usize) -> Result<ArchivePage, Error> {
        let scope = if MUTATION == READS_EVERY_TENANT { &LogScope::EveryTenant } else { scope };
        let mut page = self.0.read_commits(scope, after, limit).await?;
        match MUTATION {
            LOSES_REFUSALS => page.commits.retain(|commit| commit.outcome == Outcome::Accepted),
            ENDS_EARLY => page.at_end |= page.commits.len() == limit && limit > 2,
            _ => {}
        }
        Ok(page)
    }

    async fn import_commits(&self, mut commits: Vec<ArchivedCommit>) -> Result<Imported, Error> {
        let all = commits.len() as u64;
        match MUTATION {
            STAMPS_ANEW => {
                for commit in &mut commits {
                    commit.recorded_at = Timestamp::now();
                }
            }
            FORGETS_ENCODINGS => {
                for event in commits.iter_mut().flat_map(|commit| &mut commit.events) {
                    event.payload = event.payload.text().clone().into();
                }
            }
            DRAWS_IDS => {
                for commit in &mut commits {
                    commit.id = CommitId::draw();
                }
            }
            STORES_UP_TO_THE_GAP => {
                let mut imported = Imported::default();
                for commit in commits {
                    let one = self.0.import_commits(vec![commit]).await?;
                    imported.stored += one.stored;
                    imported.known += one.known;
                }
                return Ok(imported);
            }
            KNOWS_BY_FINGERPRINT => {
                let mut others = Vec::new();
                for commit in commits {
                    match self.0.find_commit(&commit.tenant, commit.id).await? {
                        Some(known) if known.fingerprint == commit.fingerprint => {}
                        _ => others.push(commit),
                    }
                }
                let imported = self.0.import_commits(others).await?;
                return Ok(Imported { stored: imported.stored, known: all - imported.stored });
            }
            LEAVES_OUT_WHAT_IS_WRONG => commits.retain(|commit| commit.validate().is_ok()),
            STAMPS_DOWN => {
                for commit in &mut commits {
                    commit.recorded_at = commit.recorded_at.min(Timestamp::now());
                }
            }
            DROPS_SILENTLY => {
                if let Err(Error::Conflict(_)) = self.0.import_commits(commits.clone()).await {
                    return Ok(Imported { stored: all, known: 0 });
                }
            }
            _ => {}
        }
        let imported = self.0.import_commits(commits).await?;
        Ok(if MUTATION == COUNTS_ALL { Imported { stored: all, known: 0 } } else { imported })
    }
}

#[async_trait]
impl<const MUTATION: u8> Retention for Store<MUTATION> {
    async fn forget_outcome_bodies(&self, time: Timestamp) -> Result<u64, Error> {
        match MUTATION {
            FORGETS_ALL => self.0.forget_outcome_bodies(Timestamp::MAX).await,
            FORGETS_NOTHING => Ok(0),
            _ => self.0.forget_outcome_bodies(time).await,
        }
    }

    async fn forget_empty_commits(&self, time: Timestamp) -> Result<u64, Error> {
        match MUTATION {
            FORGETS_ALL_COMMITS => self.0.forget_empty_commits(Timestamp::MAX).await,
            KEEPS_EMPTY_COMMITS => Ok(0),
            _ => self.0.forget_empty_commits(time).await,
        }
    }
}

/// One test per mutation: the case it breaks fails.
macro_rules! caught_by_type {
    ($($test:ident: $port:ident $case:ident fails on $mutation:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                let Ok(broken) = Mutant::<$mutation>::create().await else { panic!("it is in memory") };
                let case = underlay_testkit::$port::$case(broken);
                super::assert_caught(stringify!($case), stringify!($mutation), case).await;
            }
        )*

        #[test]
        fn every_case_has_failed_once() {
            let caught = [$(stringify!($case)),*];
            for case in underlay_testkit::archive::CASES.iter().chain(underlay_testkit::retention::CASES) {
                assert!(caught.contains(&case.name), "no broken store shows that {} can fail", case.name);
            }
        }
    };
}

underlay_testkit::conformance!(archive, Mutant<SOUND>);
underlay_testkit::conformance!(retention, Mutant<SOUND>);

caught_by_type! {
    refusals_lost: archive commits_are_read_in_order fails on LOSES_REFUSALS;
    an_end_too_early: archive commits_are_read_in_order fails on ENDS_EARLY;
    every_tenant_read: archive an_archive_of_one_tenant_is_its_own fails on READS_EVERY_TENANT;
    times_stamped_anew: archive an_import_reads_back_the_same fails on STAMPS_ANEW;
    encodings_forgotten: archive an_import_reads_back_the_same fails on FORGETS_ENCODINGS;
    ids_drawn_anew: archive an_import_reads_back_the_same fails on DRAWS_IDS;
    known_counted_as_stored: archive an_import_repeats_nothing fails on COUNTS_ALL;
    commits_stored_up_to_the_gap: archive an_import_with_a_gap_is_refused fails on STORES_UP_TO_THE_GAP;
    gaps_passed_over: archive an_import_with_a_gap_is_refused fails on DROPS_SILENTLY;
    a_commit_taken_for_another: archive an_import_takes_no_other_commit_for_a_known_one fails on KNOWS_BY_FINGERPRINT;
    what_is_wrong_left_out: archive an_import_is_validated fails on LEAVES_OUT_WHAT_IS_WRONG;
    a_future_stamped_down: archive an_import_of_the_future_is_refused fails on STAMPS_DOWN;
    commits_forgotten_too_early: retention forgotten_commits_free_their_ids fails on FORGETS_ALL_COMMITS;
    no_commit_forgotten: retention forgotten_commits_free_their_ids fails on KEEPS_EMPTY_COMMITS;
    cancellations_forgotten: retention cancellations_are_kept fails on FORGETS_CANCELLATIONS;
    commits_forgotten_before_their_work: retention commits_with_work_left_are_kept fails on FORGETS_WITH_WORK;
    all_forgotten: retention forgotten_bodies_leave_their_ids fails on FORGETS_ALL;
    nothing_forgotten: retention forgotten_bodies_leave_their_ids fails on FORGETS_NOTHING;
}
