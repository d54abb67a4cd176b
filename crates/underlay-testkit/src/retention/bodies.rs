use std::sync::Arc;

use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    Commit, CommitId, Committed, Error, EventStore, ExpectedVersion, Json, LogFilter, LogScope, Outcome,
    Position, RecordedEvent, Retention, Timestamp,
};

use crate::concurrent::together;
use crate::{RetentionFixture, sample};

/// More refusals than anybody empties at once.
const MANY: usize = 2_500;

fn refusal(body: Json) -> Commit {
    let (code, message) = ("too_low".to_owned(), "Of Ada, born in 1815.".to_owned());
    Commit::new(CommitId::draw()).with_outcome(Outcome::Refused { code, message, body })
}

fn body() -> Json {
    Json::encode("of Ada").expect("text has a JSON form")
}

/// The store under attack. Its ways to ask panic where the store cannot answer.
#[derive(Clone)]
struct Subject {
    store: Arc<dyn EventStore>,
    retention: Arc<dyn Retention>,
}

impl Subject {
    async fn commit(&self, tenant: &str, commit: &Commit) -> Committed {
        let committed = self.store.commit(&sample::tenant(tenant), commit.clone()).await;
        committed.expect("a sound commit is answered")
    }

    /// Stores a refusal that is later than another; the clock decides when it is.
    async fn commit_after(&self, tenant: &str, before: Timestamp) -> (Commit, Committed) {
        loop {
            let commit = refusal(body());
            let committed = self.commit(tenant, &commit).await;
            if committed.recorded_at > before {
                return (commit, committed);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn forget(&self, time: Timestamp) -> u64 {
        self.retention.forget_outcome_bodies(time).await.expect("forget_outcome_bodies answers")
    }

    async fn log(&self) -> Vec<RecordedEvent> {
        let (scope, filter) = (LogScope::EveryTenant, LogFilter::default());
        let page = self.store.read_all(&scope, Position::START, &filter, PAGE_EVENTS_MAX).await;
        page.expect("read_all answers").events
    }

    /// The answer a commit has now, found by its id and by repeating it.
    async fn answer(&self, tenant: &str, commit: &Commit) -> Committed {
        let found = self.store.find_commit(&sample::tenant(tenant), commit.id).await;
        let found = found.expect("find_commit answers").expect("the id still answers");
        assert_eq!(found.fingerprint, commit.fingerprint(), "a repeat must still match the whole");
        let repeat = self.commit(tenant, commit).await;
        assert_eq!(repeat, found.committed, "a repeat and find_commit say the same");
        repeat
    }

    async fn assert_forgotten(&self, tenant: &str, commit: &Commit, first: &Committed) {
        let mut expected = first.clone();
        expected.repeated = true;
        let (code, message) = ("too_low".to_owned(), String::new());
        expected.outcome = Outcome::Refused { code, message, body: Json::from_stored("null") };
        assert_eq!(self.answer(tenant, commit).await, expected, "body and message are gone, the code is not");
        let other = Commit::new(commit.id).with_outcome(Outcome::Accepted);
        let reused = self.store.commit(&sample::tenant(tenant), other).await;
        assert!(matches!(reused, Err(Error::IdReused(_))), "the id is not free again: {reused:?}");
    }

    async fn assert_kept(&self, tenant: &str, commit: &Commit, first: &Committed) {
        let mut expected = first.clone();
        expected.repeated = true;
        assert_eq!(self.answer(tenant, commit).await, expected, "what is not before the time is as it was");
    }
}

/// Sentence 1: the bodies of refusals recorded before a time are gone; their ids and codes still answer.
pub async fn forgotten_bodies_leave_their_ids<F: RetentionFixture>(fixture: F) {
    let subject = Subject { store: fixture.event_store(), retention: fixture.retention() };
    assert_eq!(subject.forget(Timestamp::MAX).await, 0, "an empty store has nothing to forget");
    let accepted = sample::write(&sample::stream("note-1"), ExpectedVersion::Any, 2);
    let accepted_first = subject.commit("acme", &accepted).await;
    let first = refusal(body());
    let first_answer = subject.commit("acme", &first).await;
    let bodiless = refusal(Json::from_stored("null"));
    let bodiless_answer = subject.commit("acme", &bodiless).await;
    let (second, second_answer) = subject.commit_after("globex", bodiless_answer.recorded_at).await;
    let (third, third_answer) = subject.commit_after("acme", second_answer.recorded_at).await;
    let log = subject.log().await;

    assert_eq!(subject.forget(Timestamp::UNIX_EPOCH).await, 0, "nothing is as old");
    subject.assert_kept("acme", &first, &first_answer).await;
    subject.forget(second_answer.recorded_at).await;
    subject.assert_forgotten("acme", &first, &first_answer).await;
    subject.assert_forgotten("acme", &bodiless, &bodiless_answer).await;
    subject.assert_kept("globex", &second, &second_answer).await;
    subject.assert_kept("acme", &third, &third_answer).await;
    assert_eq!(subject.forget(second_answer.recorded_at).await, 0, "what is forgotten is not counted again");
    subject.forget(third_answer.recorded_at).await;
    subject.assert_forgotten("globex", &second, &second_answer).await;
    subject.assert_kept("acme", &third, &third_answer).await;
    subject.assert_kept("acme", &accepted, &accepted_first).await;
    assert_eq!(subject.log().await, log, "no event is forgotten");

    // Many at once, of two tenants, while others are stored.
    subject.forget(Timestamp::MAX).await;
    let commit = |number: usize| {
        let (subject, tenant) = (subject.clone(), if number.is_multiple_of(2) { "acme" } else { "globex" });
        async move {
            let commit = refusal(body());
            let committed = subject.commit(tenant, &commit).await;
            (tenant, commit, committed)
        }
    };
    let many = together((0..MANY).map(commit)).await;
    let racing = {
        let subject = subject.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                subject.commit("acme", &refusal(Json::from_stored("null"))).await;
            }
        })
    };
    let last = many.iter().map(|(_, _, committed)| committed.recorded_at).max().expect("many");
    let after = Timestamp::from_microsecond(last.as_microsecond() + 1).expect("a time");
    let forgotten = subject.forget(after).await;
    crate::concurrent::finished(racing).await;
    assert!(forgotten >= MANY as u64, "all of them are forgotten, not the first {forgotten}");
    for (tenant, commit, committed) in &many {
        subject.assert_forgotten(tenant, commit, committed).await;
    }
}
