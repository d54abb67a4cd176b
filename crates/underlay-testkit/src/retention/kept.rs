use underlay_core::{CANCELLED, Commit, CommitId, Json, NewWork, Outcome, Timestamp, WorkKind};

use super::subject::{Subject, body, refusal};
use crate::{RetentionFixture, sample};

/// Sentence 3: a cancelled command stays, whenever it was cancelled: what was asked does not run after all.
pub async fn cancellations_are_kept<F: RetentionFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let cancellation = |body| {
        let (code, message) = (CANCELLED.to_owned(), "cancelled by Ada".to_owned());
        Commit::new(CommitId::draw()).with_outcome(Outcome::Refused { code, message, body })
    };
    let cancelled = [("acme", cancellation(body())), ("globex", cancellation(Json::from_stored("null")))];
    let mut refused = Vec::new();
    for (tenant, commit) in &cancelled {
        subject.commit(tenant, commit).await;
        let other = refusal(body());
        subject.commit(tenant, &other).await;
        refused.push((*tenant, other.id));
    }
    // The last commit of the store is kept anyway.
    subject.store_empty("acme").await;
    for _ in 0..2 {
        // Even what is said of it is forgotten before the cancellation is.
        subject.forget(Timestamp::MAX).await;
        subject.forget_commits(Timestamp::MAX).await;
    }
    for (tenant, id) in refused {
        assert!(!subject.is_known(tenant, id).await, "{tenant}: what was refused is forgotten");
    }
    for (tenant, commit) in &cancelled {
        assert!(subject.is_known(tenant, commit.id).await, "{tenant}: a cancellation is not forgotten");
        // Whoever runs the command now finds that it was decided.
        let run = Commit::new(commit.id).with_outcome(Outcome::Accepted);
        let ran = fixture.event_store().commit(&sample::tenant(tenant), run).await;
        assert!(ran.is_err(), "{tenant}: the cancelled command ran: {ran:?}");
        let answer = subject.answer(tenant, commit).await;
        assert!(answer.repeated, "{tenant}: a repeat finds it");
        assert!(
            matches!(&answer.outcome, Outcome::Refused { code, .. } if code == CANCELLED),
            "{tenant}: and it says so: {answer:?}"
        );
    }
}

/// Sentence 4: a commit stays as long as work that it sent on is not done: a repeat sends nothing again.
pub async fn commits_with_work_left_are_kept<F: RetentionFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let piece = |key: &str| {
        let payload = Json::encode(&key).expect("a text has a JSON form");
        NewWork::new(WorkKind::Command, "account", key, "open", payload)
    };
    let ready = Commit::new(CommitId::draw()).send(piece("ready"));
    let later = Commit::new(CommitId::draw()).send(piece("later").with_due_at(Timestamp::MAX));
    let both = Commit::new(CommitId::draw()).send(piece("one")).send(piece("two"));
    let (without, _) = subject.store_empty("acme").await;
    for commit in [&ready, &later, &both] {
        subject.commit("acme", commit).await;
    }
    subject.store_empty("acme").await;
    assert_eq!(subject.forget_commits(Timestamp::MAX).await, 1, "one has no work that is left");
    assert!(!subject.is_known("acme", without.id).await, "it is the one that sent nothing");
    for (name, commit) in [("ready", &ready), ("later", &later), ("both", &both)] {
        assert!(subject.is_known("acme", commit.id).await, "{name}: its work is not done");
        assert!(subject.answer("acme", commit).await.repeated, "{name}: a repeat sends nothing again");
    }
}
