//! What a group commit does that one commit alone does not show.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::adapter::BatchLimits;
use underlay_core::{
    Archive, CommitId, Error, EventStore, EventStoreExt, ExpectedVersion, LogFilter, LogScope, ManualClock,
    Outcome, Position, Retention, TenantId, Timestamp, Version,
};
use underlay_sqlite::SqliteConfig;

use crate::failures::Gate;
use crate::sample::{Place, append, append_many, begin, stream, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_each_commit_on_its_own() {
    let place = Place::new();
    let (gate, config) = Gate::new();
    let store = place.open_with(config);
    // The first commit holds the writer; the others wait and make one batch.
    let owner = tenant();
    let first = begin(store.commit(&owner, append("held-1", ExpectedVersion::NoStream)));
    gate.reached().await;
    let good = append_many("a-1", ExpectedVersion::NoStream, 3);
    let conflicting = append("held-1", ExpectedVersion::NoStream);
    let mut poison = append("b-1", ExpectedVersion::Any);
    poison.writes[0].events[0].event_id = good.writes[0].events[1].event_id;
    let after = append("c-1", ExpectedVersion::NoStream);
    let waiting = [good, conflicting, poison, after].map(|commit| begin(store.commit(&owner, commit)));
    gate.open();
    first.await.unwrap();
    let [good, conflicting, poison, after] = waiting;
    let (good, conflicting, poison, after) = (good.await, conflicting.await, poison.await, after.await);
    assert_eq!(good.unwrap().versions[0].version, Version(3));
    assert!(matches!(conflicting, Err(Error::Conflict(conflict)) if conflict.actual == Version(1)));
    assert!(matches!(poison, Err(Error::Invalid(text)) if text.contains("already in the log")));
    assert_eq!(after.unwrap().event_count, 1);
    // Nothing of the poison is left, and positions have no hole.
    assert_eq!(store.head().await.unwrap(), Position::from_number(5));
    assert_eq!(store.versions(&tenant(), &[stream("b-1")]).await.unwrap(), [Version::NONE]);
    let page =
        store.read_all(&LogScope::EveryTenant, Position::START, &LogFilter::default(), 100).await.unwrap();
    let positions: Vec<u64> = page.events.iter().map(|event| event.position.number()).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_named() {
    let place = Place::new();
    let (gate, config) = Gate::new();
    let limits = BatchLimits { queue_items_max: 1, ..BatchLimits::default() };
    let store = place.open_with(config.with_limits(limits));
    let owner = tenant();
    let commit = |to| store.commit(&owner, append(to, ExpectedVersion::Any));
    let writing = begin(commit("a-1"));
    gate.reached().await;
    let waiting = begin(commit("a-2"));
    let error = commit("a-3").await.unwrap_err();
    assert!(error.to_string().contains("queue_items_max = 1"), "{error}");
    gate.open();
    writing.await.unwrap();
    waiting.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_several_streams_gets_the_first_answer() {
    let place = Place::new();
    let store = place.open();
    let commit = append_many("a-1", ExpectedVersion::NoStream, 2).append(
        stream("a-0"),
        ExpectedVersion::NoStream,
        vec![crate::sample::event(9)],
    );
    let first = store.commit(&tenant(), commit.clone()).await.unwrap();
    store.commit(&tenant(), append("a-1", ExpectedVersion::Exact(Version(2)))).await.unwrap();
    let mut again = store.commit(&tenant(), commit.clone()).await.unwrap();
    assert!(again.repeated && !first.repeated);
    again.repeated = false;
    assert_eq!(again, first);
    assert_eq!(store.read_commit(&tenant(), &first).await.unwrap().len(), 3);
}

/// The row of a commit finds out whether its id is there, or a conflict asks for it: the answer is the same, and nothing
/// of a repeat is written.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_there_is_found_whatever_its_repeat_expects() {
    for expected in [ExpectedVersion::Any, ExpectedVersion::NoStream, ExpectedVersion::Exact(Version(0))] {
        let place = Place::new();
        let (gate, config) = Gate::new();
        let store = place.open_with(config);
        let owner = tenant();
        let commit = append_many("a-1", expected, 2);
        let first = begin(store.commit(&owner, commit.clone()));
        gate.reached().await;
        // They wait together, and make one batch with what is new and what is poison.
        let new = append("b-1", ExpectedVersion::NoStream);
        let mut other = append("c-1", ExpectedVersion::Any);
        other.id = commit.id;
        let mut poison = append("d-1", ExpectedVersion::Any);
        poison.writes[0].events[0].event_id = new.writes[0].events[0].event_id;
        let waiting = [commit.clone(), new, poison].map(|commit| begin(store.commit(&owner, commit)));
        gate.open();
        let first = first.await.unwrap();
        let [again, new, poison] = waiting;
        let (again, new, poison) = (again.await.unwrap(), new.await.unwrap(), poison.await);
        assert!(again.repeated && !first.repeated && !new.repeated);
        assert_eq!((again.position, &again.versions), (first.position, &first.versions));
        assert_eq!((first.position.number(), new.position.number()), (2, 3));
        assert!(matches!(&poison, Err(Error::Invalid(text)) if text.contains("already in the log")));
        // Something else under that id, to a stream that takes it and to one that does not.
        let answer = store.commit(&owner, other.clone()).await;
        assert!(matches!(answer, Err(Error::IdReused(id)) if id == other.id), "{answer:?}");
        other.writes[0].stream = stream("a-1");
        other.writes[0].expected = ExpectedVersion::NoStream;
        let answer = store.commit(&owner, other.clone()).await;
        assert!(matches!(answer, Err(Error::IdReused(id)) if id == other.id), "{answer:?}");
        // The id of another tenant is another id.
        let elsewhere = TenantId::new("other").unwrap();
        assert!(!store.commit(&elsewhere, commit).await.unwrap().repeated);
        assert_eq!(store.head().await.unwrap(), Position::from_number(5));
        let commits = store.read_commits(&LogScope::EveryTenant, 0, 10).await.unwrap().commits;
        let counts: Vec<usize> = commits.iter().map(|commit| commit.events.len()).collect();
        assert_eq!(counts, [2, 1, 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_past_its_retention_keeps_its_code() {
    let place = Place::new();
    let store = place.open();
    let outcome = Outcome::Refused {
        code: "too_low".into(),
        message: "too low".into(),
        body: underlay_core::Json::parse("{\"by\":1}").unwrap(),
    };
    let id = CommitId::draw();
    let commit = underlay_core::Commit::new(id).with_outcome(outcome);
    store.commit(&tenant(), commit).await.unwrap();
    place.connect().execute("UPDATE commits SET body = NULL", []).unwrap();
    let found = store.find_commit(&tenant(), id).await.unwrap().unwrap();
    assert!(
        matches!(&found.committed.outcome, Outcome::Refused { code, body, .. }
            if code == "too_low" && body.as_str() == "null"),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_body_is_forgotten_after_an_import_too() {
    let (here, there) = (Place::new(), Place::new());
    let (here, there) = (here.open(), there.open());
    let (code, message) = ("too_low".to_owned(), "Of Ada, born in 1815.".to_owned());
    let outcome = Outcome::Refused { code, message, body: underlay_core::Json::from_stored("null") };
    let id = CommitId::draw();
    here.commit(&tenant(), underlay_core::Commit::new(id).with_outcome(outcome)).await.unwrap();
    let exported = here.read_commits(&LogScope::EveryTenant, 0, 10).await.unwrap();
    there.import_commits(exported.commits).await.unwrap();
    for store in [here, there] {
        assert_eq!(store.forget_outcome_bodies(Timestamp::MAX).await.unwrap(), 1);
        let found = store.find_commit(&tenant(), id).await.unwrap().unwrap();
        let empty =
            matches!(&found.committed.outcome, Outcome::Refused { message, .. } if message.is_empty());
        assert!(empty, "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_times_never_decrease() {
    let place = Place::new();
    let late = Timestamp::from_second(2_000_000_000).unwrap();
    let store = place.open_with(SqliteConfig::default().with_clock(Arc::new(ManualClock::new(late))));
    store.commit(&tenant(), append("a-1", ExpectedVersion::Any)).await.unwrap();
    store.close().await.unwrap();
    let early = Timestamp::from_second(1_000_000_000).unwrap();
    let clock = Arc::new(ManualClock::new(early));
    let store = place.open_with(SqliteConfig::default().with_clock(clock.clone()));
    let committed = store.commit(&tenant(), append("a-2", ExpectedVersion::Any)).await.unwrap();
    assert_eq!(committed.recorded_at, late);
    clock.advance(Duration::from_secs(1_000_000_001));
    let committed = store.commit(&tenant(), append("a-3", ExpectedVersion::Any)).await.unwrap();
    assert_eq!(committed.recorded_at, Timestamp::from_second(2_000_000_001).unwrap());
    for (time, position) in [(early, 0), (late, 2), (committed.recorded_at, 3), (Timestamp::MAX, 3)] {
        let found = store.position_at(time).await.unwrap();
        assert_eq!(found, Position::from_number(position), "at {time}");
    }
}
