use std::sync::Arc;

use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    Archive, ArchivedCommit, Commit, CommitId, Committed, Error, EventStore, EventStoreExt, ExpectedVersion,
    Imported, Json, LogFilter, LogScope, Metadata, NewEvent, Outcome, Payload, Position, RecordedEvent,
    TenantId, Version,
};

use crate::{ArchiveFixture, sample};

pub(super) const TENANTS: [&str; 3] = ["acme", "Acme", "globex"];

/// A commit as its caller gave it, with the answer.
pub(super) struct Given {
    pub(super) tenant: TenantId,
    pub(super) commit: Commit,
    pub(super) committed: Committed,
}

/// The store under attack. Its ways to ask panic where the store cannot answer.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) archive: Arc<dyn Archive>,
    pub(super) store: Arc<dyn EventStore>,
}

impl Subject {
    pub(super) fn of<F: ArchiveFixture>(fixture: &F) -> Self {
        Self { archive: fixture.archive(), store: fixture.event_store() }
    }

    /// A second store, with its fixture.
    pub(super) async fn another<F: ArchiveFixture>() -> (F, Self) {
        let fixture = F::create().await.expect("a second store is opened where the first was");
        let subject = Self::of(&fixture);
        (fixture, subject)
    }

    pub(super) async fn commit(&self, tenant: &str, commit: Commit) -> Given {
        let tenant = sample::tenant(tenant);
        let committed = self.store.commit(&tenant, commit.clone()).await.expect("a sound commit is stored");
        Given { tenant, commit, committed }
    }

    /// Commits of every kind there is, of several tenants in turn.
    pub(super) async fn fill(&self) -> Vec<Given> {
        let mut given = Vec::new();
        for round in 0..4 {
            for tenant in TENANTS {
                for commit in kinds(tenant, round) {
                    given.push(self.commit(tenant, commit).await);
                }
            }
        }
        given
    }

    /// Reads page by page, each of at most `limit` commits, to the end.
    pub(super) async fn read(&self, scope: &LogScope, limit: usize) -> Vec<ArchivedCommit> {
        self.read_after(scope, 0, limit).await.0
    }

    /// As [`Subject::read`], from a place on; with the place to go on from.
    pub(super) async fn read_after(
        &self,
        scope: &LogScope,
        after: u64,
        limit: usize,
    ) -> (Vec<ArchivedCommit>, u64) {
        let (mut commits, mut after) = (Vec::new(), after);
        loop {
            let page = self.archive.read_commits(scope, after, limit).await.expect("read_commits answers");
            assert!(page.commits.len() <= limit, "a page holds at most as many commits as asked for");
            assert!(page.next >= after, "a page moves on");
            commits.extend(page.commits);
            if page.at_end {
                return (commits, page.next);
            }
            assert!(page.next > after, "a page that is not the last moves on");
            after = page.next;
        }
    }

    pub(super) async fn read_all(&self) -> Vec<ArchivedCommit> {
        self.read(&LogScope::EveryTenant, 1_000).await
    }

    pub(super) async fn import(&self, commits: Vec<ArchivedCommit>) -> Imported {
        self.archive.import_commits(commits).await.expect("a sound import is stored")
    }

    /// Imports what must fail; nothing of it is there afterwards.
    pub(super) async fn fail_to_import(&self, commits: Vec<ArchivedCommit>, why: &str) -> Error {
        let (before, log) = (self.read_all().await, self.log(&LogScope::EveryTenant).await);
        let error = match self.archive.import_commits(commits).await {
            Err(error) => error,
            Ok(imported) => panic!("{why}: imported {imported:?}"),
        };
        assert_eq!(self.read_all().await, before, "{why}: nothing of the call is stored");
        assert_eq!(self.log(&LogScope::EveryTenant).await, log, "{why}: no event of it either");
        error
    }

    pub(super) async fn log(&self, scope: &LogScope) -> Vec<RecordedEvent> {
        let filter = LogFilter::default();
        let page = self.store.read_all(scope, Position::START, &filter, PAGE_EVENTS_MAX).await;
        let page = page.expect("read_all answers");
        assert!(page.at_head, "the log of a case fits one page");
        page.events
    }

    pub(super) async fn stream(&self, tenant: &TenantId, name: &str) -> Vec<RecordedEvent> {
        let events = self.store.read_stream_whole(tenant, &sample::stream(name), Version::NONE).await;
        events.expect("read_stream answers")
    }
}

/// Events and commits without the places they have in one store.
pub(super) fn placeless(events: &[RecordedEvent]) -> Vec<RecordedEvent> {
    let without = |event: &RecordedEvent| RecordedEvent { position: Position::START, ..event.clone() };
    events.iter().map(without).collect()
}

pub(super) fn placeless_commits(commits: &[ArchivedCommit]) -> Vec<ArchivedCommit> {
    let without =
        |commit: &ArchivedCommit| ArchivedCommit { events: placeless(&commit.events), ..commit.clone() };
    commits.iter().map(without).collect()
}

fn kinds(tenant: &str, round: usize) -> Vec<Commit> {
    let metadata = Metadata { actor: Some(format!("{tenant} \"ä\"")), ..Metadata::default() };
    let refusal = Outcome::Refused {
        code: "too_low".to_owned(),
        message: format!("Too low in round {round}."),
        body: Json::encode(&sample::HOSTILE_TEXTS).expect("texts have a JSON form"),
    };
    let text = Json::encode("c2VhbGVk").expect("text has a JSON form");
    let sealed = Payload::encoded(text, "aes-gcm", Some(tenant)).expect("an encoding and a key");
    let sealed = NewEvent { payload: sealed, ..sample::event("sealed") };
    vec![
        sample::write(&sample::stream("note-1"), ExpectedVersion::Any, round + 1),
        Commit::new(CommitId::draw()).append(
            sample::stream("sealed-1"),
            ExpectedVersion::Any,
            vec![sample::event("plain"), sealed],
        ),
        sample::write(&sample::stream("note-2"), ExpectedVersion::Any, 2)
            .append(sample::stream("beside-1"), ExpectedVersion::Any, sample::events("beside", 3))
            .with_metadata(metadata),
        Commit::new(CommitId::draw()),
        Commit::new(CommitId::draw())
            .expect(sample::stream("note-1"), ExpectedVersion::Exists)
            .with_outcome(refusal),
    ]
}
