use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use underlay_core::{Commit, CommitId, Error, EventStore, ExpectedVersion, Version};

use super::Subject;
use crate::concurrent::{finished, together};
use crate::{EventStoreFixture, sample};

const ABANDONED: usize = 24;

/// Sentence 17: a caller that goes away does not cancel its commit.
pub async fn a_caller_that_goes_away_cancels_nothing<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);

    // Polled once, a commit is the store's. All of them at once, so that some wait in the queue.
    let attempt = |number: usize| {
        let subject = subject.clone();
        async move {
            let commit = over_three_streams(number);
            poll_once(&subject, commit.clone()).await;
            commit
        }
    };
    for (number, commit) in together((0..ABANDONED).map(attempt)).await.into_iter().enumerate() {
        wait_for_queue(&subject, number).await;
        assert!(subject.find(commit.id).await.is_some(), "commit {number} went on without its caller");
        assert_whole(&subject, &commit, true).await;
        let repeat = subject.repeat(commit.clone()).await;
        assert_eq!(repeat.event_count, 6, "whoever asks again gets the first answer");
    }

    // Aborted at any moment, a commit is stored whole or not at all, and its id tells which.
    for number in ABANDONED..2 * ABANDONED {
        let commit = over_three_streams(number);
        let task = tokio::spawn({
            let (subject, commit) = (subject.clone(), commit.clone());
            async move { subject.try_commit(commit).await.map(|_| ()) }
        });
        if number % 2 == 0 {
            tokio::task::yield_now().await;
        }
        task.abort();
        if let Ok(answer) = task.await {
            answer.expect("a commit that was answered was stored");
        }
        wait_for_queue(&subject, number).await;
        let stored = subject.find(commit.id).await.is_some();
        assert_whole(&subject, &commit, stored).await;
        if stored {
            subject.repeat(commit.clone()).await;
        } else {
            // The queue has moved past it, so it is the repeat that is stored, once.
            subject.commit(commit.clone()).await;
        }
        assert_whole(&subject, &commit, true).await;
    }

    crowd_of_repeats(&subject).await;
}

/// A commit whose caller went away, repeated by many while it may still be in the queue.
async fn crowd_of_repeats(subject: &Subject) {
    let commit = over_three_streams(2 * ABANDONED);
    poll_once(subject, commit.clone()).await;
    let repeat = |_| {
        let (subject, commit) = (subject.clone(), commit.clone());
        tokio::spawn(async move { subject.try_commit(commit).await })
    };
    let repeats: Vec<_> = (0..8).map(repeat).collect();
    for repeat in repeats {
        let answer = finished(repeat).await;
        assert!(
            answer.is_ok_and(|answer| answer.repeated),
            "the commit of the caller that went away was the first"
        );
    }
    assert_whole(subject, &commit, true).await;
}

fn over_three_streams(number: usize) -> Commit {
    ["a", "b", "c"].iter().fold(Commit::new(CommitId::draw()), |commit, category| {
        let stream = sample::stream(&format!("{category}-{number}"));
        commit.append(stream, ExpectedVersion::NoStream, sample::events("abandoned", 2))
    })
}

/// Polls the call of `commit` once, and drops it.
async fn poll_once(subject: &Subject, commit: Commit) {
    let mut call = pin!(subject.store.commit(&subject.tenant, commit));
    let first = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
    if let Poll::Ready(Err(error)) = first {
        panic!("a commit that nothing stands in the way of: {error:?}");
    }
}

/// Returns once the commits given before, that touch the streams of `number`, have been written: a
/// later commit over the same streams waits for its turn. It conflicts, so it leaves nothing.
async fn wait_for_queue(subject: &Subject, number: usize) {
    let stream = sample::stream(&format!("a-{number}"));
    let beyond = ExpectedVersion::Exact(Version(1_000));
    let commit = sample::write(&stream, beyond, 1);
    let answer = subject.store.commit(&subject.tenant, commit).await;
    assert!(matches!(answer, Err(Error::Conflict(_))), "a wrong expectation is a conflict: {answer:?}");
}

async fn assert_whole(subject: &Subject, commit: &Commit, stored: bool) {
    for write in &commit.writes {
        let expected = if stored { Version(2) } else { Version::NONE };
        assert_eq!(
            subject.version(&write.stream).await,
            expected,
            "{} is stored whole or not at all",
            write.stream
        );
    }
}
