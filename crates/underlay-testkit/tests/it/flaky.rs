//! The faults of [`Flaky`] are those of the script, and callers that repeat by id are never wrong.

use std::sync::Arc;

use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    CommitId, Committed, Error, EventStore, EventStoreExt, ExpectedVersion, LogFilter, LogScope, Position,
    Timestamp, Version, Wakeups,
};
use underlay_testkit::{Call, Flaky, Over, Stored, sample};

fn unavailable<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unavailable { .. }))
}

#[tokio::test]
async fn the_call_of_that_kind_and_number_fails() {
    let store = Over(
        Flaky::new(MemoryEventStore::default())
            .unavailable(Call::Commit, 2)
            .unavailable(Call::FindCommit, 1)
            .unavailable(Call::ReadStream, 1)
            .unavailable(Call::ReadAll, 1)
            .unavailable(Call::Versions, 1)
            .unavailable(Call::Head, 1)
            .unavailable(Call::PositionAt, 1)
            .unavailable(Call::EventIdAt, 1),
    );
    let (tenant, stream) = (sample::tenant("acme"), sample::stream("note-1"));
    let write = || sample::write(&stream, ExpectedVersion::Any, 1);
    let (all, open, start) = (LogScope::EveryTenant, LogFilter::default(), Position::START);

    assert!(store.commit(&tenant, write()).await.is_ok());
    assert!(unavailable(store.commit(&tenant, write()).await));
    assert!(store.commit(&tenant, write()).await.is_ok());
    for fails in [true, false] {
        assert_eq!(unavailable(store.find_commit(&tenant, CommitId::draw()).await), fails);
        assert_eq!(unavailable(store.read_stream(&tenant, &stream, Version::NONE, 1).await), fails);
        assert_eq!(unavailable(store.read_all(&all, start, &open, 1).await), fails);
        assert_eq!(unavailable(store.versions(&tenant, std::slice::from_ref(&stream)).await), fails);
        assert_eq!(unavailable(store.head().await), fails);
        assert_eq!(unavailable(store.position_at(Timestamp::MAX).await), fails);
        assert_eq!(unavailable(store.event_id_at(start).await), fails);
    }
    assert_eq!((store.calls(Call::Commit), store.calls(Call::Head), store.failed()), (3, 2, 8));
    assert_eq!(
        store.inner().head().await.unwrap(),
        Position::from_number(2),
        "a call that failed stored nothing"
    );
}

#[tokio::test]
async fn an_uncertain_commit_is_stored_or_not_as_the_script_says() {
    let store =
        Over(Flaky::new(MemoryEventStore::default()).uncertain(1, Stored::Yes).uncertain(3, Stored::No));
    let tenant = sample::tenant("acme");
    for stored in [true, false] {
        let commit = sample::write(&sample::stream("note-1"), ExpectedVersion::Any, 1);
        let answer = store.commit(&tenant, commit.clone()).await;
        let Err(Error::Uncertain { id, .. }) = answer else { panic!("not uncertain: {answer:?}") };
        assert_eq!(id, commit.id);
        assert_eq!(store.find_commit(&tenant, id).await.unwrap().is_some(), stored);
        assert_eq!(store.commit(&tenant, commit).await.unwrap().repeated, stored);
    }
    // What the store says no to is said, not lost.
    let store = Over(Flaky::new(MemoryEventStore::default()).uncertain(1, Stored::Yes));
    let wrong = sample::write(&sample::stream("note-1"), ExpectedVersion::Exists, 1);
    assert!(matches!(store.commit(&tenant, wrong).await, Err(Error::Conflict(_))));
}

#[tokio::test]
async fn a_seed_fails_the_same_calls_again() {
    let run = async |seed| {
        let store = Over(Flaky::new(MemoryEventStore::default()).seeded(seed, 30));
        let mut failed = Vec::new();
        for number in 0..200 {
            let write = sample::write(&sample::stream("note-1"), ExpectedVersion::Any, 1);
            let answer = match store.commit(&sample::tenant("acme"), write).await {
                Ok(_) => continue,
                Err(error) => error.to_string().split(' ').next().unwrap().to_owned(),
            };
            failed.push((number, answer));
        }
        failed
    };
    let first = run(7).await;
    assert!((30..90).contains(&first.len()), "about 30 in a hundred fail: {}", first.len());
    assert_eq!(run(7).await, first);
    assert_ne!(run(8).await, first);
}

#[tokio::test]
async fn whoever_repeats_by_id_stores_once() {
    for seed in 0..20 {
        let store = Over(Flaky::new(MemoryEventStore::default()).seeded(seed, 40));
        let (tenant, stream) = (sample::tenant("acme"), sample::stream("note-1"));
        for number in 0..20 {
            let commit = sample::write(&stream, ExpectedVersion::Exact(Version(number)), 1);
            let committed: Committed = loop {
                match store.commit(&tenant, commit.clone()).await {
                    Ok(committed) => break committed,
                    Err(error) => assert!(error.is_retryable(), "seed {seed}: {error}"),
                }
            };
            assert_eq!(committed.versions[0].version, Version(number + 1), "seed {seed}");
        }
        assert!(store.failed() > 0, "seed {seed} fails something");
        let events = store.inner().read_stream_whole(&tenant, &stream, Version::NONE).await.unwrap();
        assert_eq!(events.len(), 20, "seed {seed}");
    }
}

#[tokio::test]
async fn hints_pass_through() {
    let store = Arc::new(Over(Flaky::new(MemoryEventStore::default())));
    let mut wakeup = store.subscribe();
    let write = sample::write(&sample::stream("note-1"), ExpectedVersion::Any, 1);
    store.commit(&sample::tenant("acme"), write).await.unwrap();
    wakeup.hint().await;
}
