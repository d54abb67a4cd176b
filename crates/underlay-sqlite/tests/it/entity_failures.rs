//! The writer fails while units of entities are under way, and everybody gets the truth.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use underlay_core::{Commit, Entities, EntityChange, EntityVersion, Error, EventStore, ExpectedVersion};
use underlay_sqlite::{FaultPoint, SqliteConfig, SqliteStore};

use crate::entities::{create, delete, prepared, version};
use crate::failures::Gate;
use crate::sample::{Place, append, begin, tenant};

/// Applies a unit until the writer has its file back.
async fn apply_when_mended(store: &SqliteStore, changes: Vec<EntityChange>) {
    loop {
        match store.apply(&tenant(), changes.clone()).await {
            Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
            answer => return drop(answer.unwrap()),
        }
    }
}

/// Holds the writer before its first transaction, and fails at these steps from the second on, each once.
fn failing_later(steps: &[FaultPoint]) -> (Gate, SqliteConfig) {
    let (begun, left) = (AtomicUsize::new(0), Mutex::new(steps.to_vec()));
    Gate::and_then(move |step| {
        let begun = begun.fetch_add(usize::from(step == FaultPoint::Begin), Ordering::SeqCst);
        let mut left = left.lock().unwrap();
        let due = begun + usize::from(step == FaultPoint::Begin) > 1 && left.first() == Some(&step);
        if due {
            left.remove(0);
        }
        due
    })
}

/// Applies units in one batch after another that passes, beside a commit where one is given; their answers.
async fn in_one_batch(
    store: &SqliteStore,
    gate: &Gate,
    beside: Option<Commit>,
    units: Vec<Vec<EntityChange>>,
) -> Vec<Result<Vec<EntityVersion>, Error>> {
    let owner = tenant();
    let held = begin(store.apply(&owner, vec![create("held", 1)]));
    gate.reached().await;
    let commit = beside.map(|commit| begin(store.commit(&owner, commit)));
    let waiting: Vec<_> = units.into_iter().map(|unit| begin(store.apply(&owner, unit))).collect();
    gate.open();
    held.await.unwrap();
    let mut answers = Vec::new();
    for waiting in waiting {
        answers.push(waiting.await);
    }
    if let Some(commit) = commit {
        assert_eq!(commit.await.is_ok(), answers[0].is_ok(), "what becomes of one becomes of the other");
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_fails_at_a_step_is_answered_as_the_file_tells() {
    use FaultPoint::{Begin, Commit, Committed, Fence, Inserted};
    for (steps, answered) in [
        // Before COMMIT nothing is stored.
        (&[Begin][..], Some(false)),
        (&[Inserted], Some(false)),
        // After a fence an entity tells, or the commit beside it.
        (&[Commit], Some(false)),
        (&[Committed], Some(true)),
        // Without one nobody knows.
        (&[Commit, Fence], None),
        (&[Committed, Fence], None),
    ] {
        for beside in [false, true] {
            let place = Place::new();
            let (gate, config) = failing_later(steps);
            let store = prepared(&place, config).await;
            let commit = beside.then(|| append("a-1", ExpectedVersion::NoStream));
            let unit = vec![create("a", 1), create("b", 1)];
            let answer = in_one_batch(&store, &gate, commit, vec![unit]).await.remove(0);
            let stored = version(&store, "a").await == 1;
            assert_eq!(stored, steps[0] == Committed, "{steps:?}");
            assert_eq!(version(&store, "b").await == 1, stored, "{steps:?}: both or neither");
            match (&answer, answered) {
                (Ok(_), Some(true))
                | (Err(Error::Unavailable { .. }), Some(false))
                | (Err(Error::UnitUncertain { .. }), None) => {}
                _ => panic!("{steps:?}: {answer:?}"),
            }
            // The writer goes on.
            apply_when_mended(&store, vec![create("next", 1)]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_leave_no_trace_of_their_own_are_uncertain_after_a_failed_commit() {
    let place = Place::new();
    let (gate, config) = failing_later(&[FaultPoint::Committed]);
    let store = prepared(&place, config).await;
    // Whether it was there before at this version, or is there now, nobody can tell.
    let units = vec![vec![create("a", 1)], vec![delete("a")], vec![create("a", 2)]];
    for answer in in_one_batch(&store, &gate, None, units).await {
        assert!(matches!(answer, Err(Error::UnitUncertain { .. })), "{answer:?}");
    }
    assert_eq!(version(&store, "a").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_tells_nothing_once_another_process_has_written() {
    let place = Place::new();
    let other = Arc::new(Mutex::new(None::<rusqlite::Connection>));
    let theirs = other.clone();
    // Between the COMMIT that failed and the fence, another process does what the unit was to do.
    let begun = AtomicUsize::new(0);
    let (gate, config) = Gate::and_then(move |step| {
        let begun = begun.fetch_add(usize::from(step == FaultPoint::Begin), Ordering::SeqCst);
        if step == FaultPoint::Begin && begun == 2 {
            let there = theirs.lock().unwrap();
            let sql = "INSERT INTO entity_rate SELECT tenant, 'a', 1, 'a', amount, note FROM entity_rate";
            there.as_ref().unwrap().execute_batch(sql).unwrap();
        }
        step == FaultPoint::Commit && begun == 2
    });
    let store = prepared(&place, config).await;
    *other.lock().unwrap() = Some(place.connect());
    let answer = in_one_batch(&store, &gate, None, vec![vec![create("a", 1)]]).await.remove(0);
    let uncertain = matches!(answer, Err(Error::UnitUncertain { .. }));
    assert!(uncertain, "the entity of another was taken for its own: {answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_answers_the_units_that_wait() {
    for (at, uncertain) in [(FaultPoint::Inserted, false), (FaultPoint::Commit, true)] {
        let place = Place::new();
        let (gate, config) = Gate::and_then(move |step| {
            assert!(step != at, "injected panic");
            false
        });
        let store = prepared(&place, config).await;
        let owner = tenant();
        let first = begin(store.apply(&owner, vec![create("a", 1)]));
        gate.reached().await;
        let second = begin(store.apply(&owner, vec![create("b", 1)]));
        gate.open();
        for (answer, uncertain) in [(first.await, uncertain), (second.await, false)] {
            match answer {
                Err(Error::UnitUncertain { .. }) if uncertain => {}
                Err(Error::Unavailable { .. }) if !uncertain => {}
                answer => panic!("{at:?}: {answer:?}"),
            }
        }
        assert!(store.close().await.is_err(), "{at:?}: closing tells of the panic");
    }
}
