use underlay_core::{Commit, Committed, Error, ExpectedVersion, Json, Outcome, Timestamp};

use super::subject::{MANY, Subject, body, refusal};
use crate::concurrent::together;
use crate::{RetentionFixture, sample};

impl Subject {
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
    let subject = Subject::of(&fixture);
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
