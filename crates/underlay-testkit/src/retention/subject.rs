use std::sync::Arc;

use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    Commit, CommitId, Committed, EventStore, Json, LogFilter, LogScope, Outcome, Position, RecordedEvent,
    Retention, Timestamp,
};

use crate::{RetentionFixture, sample};

/// More commits than anybody forgets at once.
pub(super) const MANY: usize = 2_500;

pub(super) fn refusal(body: Json) -> Commit {
    let (code, message) = ("too_low".to_owned(), "Of Ada, born in 1815.".to_owned());
    Commit::new(CommitId::draw()).with_outcome(Outcome::Refused { code, message, body })
}

pub(super) fn body() -> Json {
    Json::encode("of Ada").expect("text has a JSON form")
}

/// The store under attack. Its ways to ask panic where the store cannot answer.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) retention: Arc<dyn Retention>,
}

impl Subject {
    pub(super) fn of<F: RetentionFixture>(fixture: &F) -> Self {
        Self { store: fixture.event_store(), retention: fixture.retention() }
    }

    pub(super) async fn commit(&self, tenant: &str, commit: &Commit) -> Committed {
        let committed = self.store.commit(&sample::tenant(tenant), commit.clone()).await;
        committed.expect("a sound commit is answered")
    }

    /// Stores a refusal that is later than another; the clock decides when it is.
    pub(super) async fn commit_after(&self, tenant: &str, before: Timestamp) -> (Commit, Committed) {
        loop {
            let commit = refusal(body());
            let committed = self.commit(tenant, &commit).await;
            if committed.recorded_at > before {
                return (commit, committed);
            }
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn forget(&self, time: Timestamp) -> u64 {
        self.retention.forget_outcome_bodies(time).await.expect("forget_outcome_bodies answers")
    }

    pub(super) async fn log(&self) -> Vec<RecordedEvent> {
        let (scope, filter) = (LogScope::EveryTenant, LogFilter::default());
        let page = self.store.read_all(&scope, Position::START, &filter, PAGE_EVENTS_MAX).await;
        page.expect("read_all answers").events
    }

    /// The answer a commit has now, found by its id and by repeating it.
    pub(super) async fn answer(&self, tenant: &str, commit: &Commit) -> Committed {
        let found = self.store.find_commit(&sample::tenant(tenant), commit.id).await;
        let found = found.expect("find_commit answers").expect("the id still answers");
        assert_eq!(found.fingerprint, commit.fingerprint(), "a repeat must still match the whole");
        let repeat = self.commit(tenant, commit).await;
        assert_eq!(repeat, found.committed, "a repeat and find_commit say the same");
        repeat
    }
}
