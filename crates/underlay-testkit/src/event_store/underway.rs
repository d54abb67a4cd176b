use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use underlay_core::{
    Commit, CommitId, CommitStatus, Error, EventStore, EventStoreExt, ExpectedVersion, Version,
};

use super::Subject;
use crate::concurrent::together;
use crate::{EventStoreFixture, sample};

const COMMITS: usize = 32;

/// Sentence 24: a commit is under way, for its tenant alone, until it is answered; so no status misses it.
pub async fn what_waits_is_under_way<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let unknown = subject.store.commit_status(&subject.tenant, CommitId::draw()).await;
    assert_eq!(unknown.expect("a status is told"), CommitStatus::Unknown, "nobody has given it");

    // All of them at once on one stream, so that some wait in the queue.
    let attempt = |_| {
        let subject = subject.clone();
        async move {
            let commit = sample::write(&sample::stream("a-1"), ExpectedVersion::Any, 1);
            let id = commit.id;
            watch(&subject, commit).await.expect("nothing stands in its way");
            match subject.store.commit_status(&subject.tenant, id).await.expect("a status is told") {
                CommitStatus::Stored(found) => assert_eq!(found.committed.id, id),
                other => panic!("a commit that was acknowledged is {other:?}"),
            }
        }
    };
    together((0..COMMITS).map(attempt)).await;

    let beyond = sample::write(&sample::stream("a-1"), ExpectedVersion::Exact(Version(9_000)), 1);
    let id = beyond.id;
    let answer = watch(&subject, beyond).await;
    assert!(matches!(answer, Err(Error::Conflict(_))), "{answer:?}");
    let status = subject.store.commit_status(&subject.tenant, id).await;
    assert_eq!(status.expect("a status is told"), CommitStatus::Unknown, "it was answered and not stored");
}

/// Commits, and asks for the commit while it waits, in the name of its tenant and of another.
async fn watch(subject: &Subject, commit: Commit) -> Result<(), Error> {
    let id = commit.id;
    let other = subject.seen_by("globex");
    let mut call = pin!(subject.store.commit(&subject.tenant, commit));
    // Polled once, a commit is the store's.
    let answer = match poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
        Poll::Ready(answer) => answer,
        Poll::Pending => {
            let status = subject.store.commit_status(&subject.tenant, id).await;
            // A conflict may have been found meanwhile; nothing else may be unknown.
            let status = status.expect("a status is told");
            assert_eq!(subject.store.underway(&other.tenant, id), None, "it is nobody else's");
            let answer = call.await;
            assert!(
                status != CommitStatus::Unknown || answer.is_err(),
                "a commit the store was given is unknown to it, and then {answer:?}"
            );
            answer
        }
    };
    assert_eq!(subject.store.underway(&subject.tenant, id), None, "it was answered");
    answer.map(drop)
}
