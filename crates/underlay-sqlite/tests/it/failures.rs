//! The writer fails at each of its steps, and everybody gets the truth.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use underlay_core::{
    Checkpoint, Commit, Committed, Error, EventStore, ExpectedVersion, Position, ReadModels, Underway,
    Version, ViewBatch,
};
use underlay_sqlite::{FaultPoint, SqliteConfig, SqliteStore};

use crate::sample::{Place, append, append_many, begin, stream, tenant};
use crate::views::{balances, checkpoint_at, upsert};

/// Holds the writer before its first transaction.
pub(crate) struct Gate(Arc<Inside>);

struct Inside {
    reached: Semaphore,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn new() -> (Self, SqliteConfig) {
        Self::and_then(|_| false)
    }

    /// As `new`, with faults of its own once the gate is passed.
    pub(crate) fn and_then(
        faults: impl Fn(FaultPoint) -> bool + Send + Sync + 'static,
    ) -> (Self, SqliteConfig) {
        let inside =
            Arc::new(Inside { reached: Semaphore::new(0), open: Mutex::new(false), opened: Condvar::new() });
        let held = inside.clone();
        let hook = move |step| {
            if step == FaultPoint::Begin {
                held.reached.add_permits(1);
                let open = held.open.lock().unwrap();
                drop(held.opened.wait_while(open, |open| !*open).unwrap());
            }
            faults(step)
        };
        (Self(inside), SqliteConfig::default().with_faults(hook))
    }

    /// Waits until the writer stands before it.
    pub(crate) async fn reached(&self) {
        self.0.reached.acquire().await.unwrap().forget();
    }

    pub(crate) fn open(&self) {
        *self.0.open.lock().unwrap() = true;
        self.0.opened.notify_all();
    }
}

/// Fails at these steps, each once, in this order.
fn script(steps: &[FaultPoint]) -> SqliteConfig {
    let left = Mutex::new(steps.to_vec());
    SqliteConfig::default().with_faults(move |step| {
        let mut left = left.lock().unwrap();
        let due = left.first() == Some(&step);
        if due {
            left.remove(0);
        }
        due
    })
}

/// Commits until the writer has its file back.
async fn commit_when_mended(store: &SqliteStore, commit: &Commit) -> Committed {
    loop {
        match store.commit(&tenant(), commit.clone()).await {
            Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
            answer => return answer.unwrap(),
        }
    }
}

async fn is_stored(store: &SqliteStore, commit: &Commit) -> bool {
    store.find_commit(&tenant(), commit.id).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn before_commit_nothing_is_stored_and_the_answer_says_so() {
    for step in [FaultPoint::Begin, FaultPoint::Inserted] {
        let place = Place::new();
        let store = place.open_with(script(&[step]));
        let commit = append("a-1", ExpectedVersion::NoStream);
        let answer = store.commit(&tenant(), commit.clone()).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{step:?}: {answer:?}");
        assert!(!is_stored(&store, &commit).await);
        let committed = commit_when_mended(&store, &commit).await;
        assert!(!committed.repeated, "{step:?}");
        assert_eq!(committed.position, Position::from_number(1), "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_failed_is_looked_up_behind_a_fence() {
    let place = Place::new();
    let store = place.open_with(script(&[FaultPoint::Commit]));
    let commit = append("a-1", ExpectedVersion::NoStream);
    let answer = store.commit(&tenant(), commit.clone()).await;
    assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    assert!(!is_stored(&store, &commit).await);
    // The fence has made the file sound: no recovery is needed.
    assert!(!store.commit(&tenant(), commit).await.unwrap().repeated);

    let place = Place::new();
    let store = place.open_with(script(&[FaultPoint::Committed]));
    let commit = append("a-1", ExpectedVersion::NoStream);
    let committed = store.commit(&tenant(), commit.clone()).await.unwrap();
    assert!(!committed.repeated, "it was stored by this call");
    assert!(store.commit(&tenant(), commit).await.unwrap().repeated);
    assert_eq!(store.head().await.unwrap(), Position::from_number(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fence_it_is_uncertain_and_a_repeat_finds_out() {
    for (step, stored) in [(FaultPoint::Commit, false), (FaultPoint::Committed, true)] {
        let place = Place::new();
        let store = place.open_with(script(&[step, FaultPoint::Fence]));
        let commit = append("a-1", ExpectedVersion::NoStream);
        let answer = store.commit(&tenant(), commit.clone()).await;
        assert!(
            matches!(answer, Err(Error::Uncertain { id, .. }) if id == commit.id),
            "{step:?}: {answer:?}"
        );
        let again = commit_when_mended(&store, &commit).await;
        assert_eq!(again.repeated, stored, "{step:?}");
        assert_eq!(store.head().await.unwrap(), Position::from_number(1), "{step:?}: stored once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_uncertain_is_in_doubt_until_the_file_is_in_order() {
    for (step, stored) in [(FaultPoint::Commit, false), (FaultPoint::Committed, true)] {
        let place = Place::new();
        let (failed, mended) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
        let goes_on = mended.clone();
        let store = place.open_with(SqliteConfig::default().with_faults(move |at| match at {
            FaultPoint::Fence | FaultPoint::Reopen => !goes_on.load(Ordering::SeqCst),
            at => at == step && !failed.swap(true, Ordering::SeqCst),
        }));
        let commit = append("a-1", ExpectedVersion::NoStream);
        let answer = store.commit(&tenant(), commit.clone()).await;
        assert!(matches!(answer, Err(Error::Uncertain { .. })), "{step:?}: {answer:?}");
        assert_eq!(store.underway(&tenant(), commit.id), Some(Underway::InDoubt), "{step:?}");
        mended.store(true, Ordering::SeqCst);
        commit_when_mended(&store, &append("a-2", ExpectedVersion::NoStream)).await;
        assert_eq!(store.underway(&tenant(), commit.id), None, "{step:?}");
        assert_eq!(is_stored(&store, &commit).await, stored, "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_in_a_batch_gets_the_truth() {
    for (step, stored) in [(FaultPoint::Commit, false), (FaultPoint::Committed, true)] {
        let place = Place::new();
        // The gate holds the first batch; the second, of all the others, fails at the step.
        let passed = AtomicUsize::new(0);
        let (gate, config) =
            Gate::and_then(move |at| at == step && passed.fetch_add(1, Ordering::SeqCst) == 1);
        let store = place.open_with(config);
        let owner = tenant();
        let first = begin(store.commit(&owner, append("held-1", ExpectedVersion::NoStream)));
        gate.reached().await;
        let commits: Vec<Commit> =
            (0..20).map(|number| append(&format!("a-{number}"), ExpectedVersion::NoStream)).collect();
        let waiting: Vec<_> =
            commits.iter().map(|commit| begin(store.commit(&owner, commit.clone()))).collect();
        gate.open();
        first.await.unwrap();
        for (task, commit) in waiting.into_iter().zip(&commits) {
            match task.await {
                Ok(committed) => {
                    assert!(!committed.repeated);
                    assert!(is_stored(&store, commit).await);
                }
                Err(Error::Unavailable { .. }) => {
                    assert!(!stored, "{step:?}: it is in the file");
                    assert!(!is_stored(&store, commit).await);
                }
                Err(other) => panic!("{step:?}: {other}"),
            }
        }
        for commit in &commits {
            commit_when_mended(&store, commit).await;
        }
        assert_eq!(store.head().await.unwrap(), Position::from_number(21), "{step:?}: each stored once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_file_is_broken_writes_are_refused_and_reads_go_on() {
    let place = Place::new();
    let broken = Arc::new(AtomicBool::new(false));
    let fails = broken.clone();
    let store = place.open_with(SqliteConfig::default().with_faults(move |_| fails.load(Ordering::SeqCst)));
    let before = append("a-1", ExpectedVersion::NoStream);
    store.commit(&tenant(), before.clone()).await.unwrap();
    broken.store(true, Ordering::SeqCst);
    for number in 0..3 {
        let answer = store.commit(&tenant(), append(&format!("b-{number}"), ExpectedVersion::Any)).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    }
    assert!(is_stored(&store, &before).await);
    broken.store(false, Ordering::SeqCst);
    let after = append("a-1", ExpectedVersion::Exact(Version(1)));
    assert_eq!(commit_when_mended(&store, &after).await.position, Position::from_number(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_can_be_closed_while_its_file_is_broken() {
    let place = Place::new();
    let store = place.open_with(SqliteConfig::default().with_faults(|_| true));
    let answer = store.commit(&tenant(), append("a-1", ExpectedVersion::Any)).await;
    assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    store.close().await.unwrap();
    let answer = store.commit(&tenant(), append("a-1", ExpectedVersion::Any)).await;
    assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_panics_answers_everybody() {
    for (at, uncertain) in [(FaultPoint::Begin, false), (FaultPoint::Committed, true)] {
        let place = Place::new();
        let store = place.open_with(SqliteConfig::default().with_faults(move |step| {
            assert!(step != at, "injected panic");
            false
        }));
        let commit = append("a-1", ExpectedVersion::Any);
        let answer = store.commit(&tenant(), commit.clone()).await;
        match answer {
            Err(Error::Uncertain { id, .. }) => assert!(uncertain && id == commit.id),
            Err(Error::Unavailable { .. }) => assert!(!uncertain),
            other => panic!("{other:?}"),
        }
        let later = store.commit(&tenant(), append("a-2", ExpectedVersion::Any)).await;
        assert!(matches!(later, Err(Error::Unavailable { .. })), "{later:?}");
        assert_eq!(is_stored(&store, &commit).await, uncertain);
        assert!(store.close().await.is_err(), "closing tells of the panic");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_failed_and_that_another_process_stored_is_answered_as_it_was_stored() {
    let place = Place::new();
    let other = place.open();
    let commit = append("a-1", ExpectedVersion::NoStream);
    let (repeat, beside) = (commit.clone(), other.clone());
    let script = Mutex::new(vec![FaultPoint::Commit, FaultPoint::Begin]);
    let store = place.open_with(SqliteConfig::default().with_faults(move |step| {
        let mut left = script.lock().unwrap();
        if left.first() != Some(&step) {
            return false;
        }
        left.remove(0);
        if step == FaultPoint::Begin {
            // The COMMIT has failed, and the fence is not there yet.
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for commit in [append("b-1", ExpectedVersion::NoStream), repeat.clone()] {
                runtime.block_on(beside.commit(&tenant(), commit)).unwrap();
            }
        }
        step == FaultPoint::Commit
    }));
    let answer = store.commit(&tenant(), commit.clone()).await.unwrap();
    let found = other.find_commit(&tenant(), commit.id).await.unwrap().unwrap().committed;
    assert_eq!((answer.position, answer.recorded_at), (found.position, found.recorded_at));
    assert_eq!(answer.position, Position::from_number(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_a_view_that_fails_stores_nothing_and_the_file_is_had_back() {
    for steps in [
        &[FaultPoint::Inserted][..],
        &[FaultPoint::Commit],
        &[FaultPoint::Commit, FaultPoint::Fence, FaultPoint::Reopen],
    ] {
        let place = Place::new();
        let armed = Arc::new(AtomicBool::new(false));
        let (left, is_armed) = (Mutex::new(steps.to_vec()), armed.clone());
        let store = place.open_with(SqliteConfig::default().with_faults(move |step| {
            let mut left = left.lock().unwrap();
            let due = is_armed.load(Ordering::SeqCst) && left.first() == Some(&step);
            if due {
                left.remove(0);
            }
            due
        }));
        let start = Checkpoint::start(store.store_id());
        let table = store.prepare(&balances(), start).await.unwrap();
        let to = checkpoint_at(start, 1);
        let batch = || ViewBatch::new(start, to, vec![upsert("k", 1)]);
        armed.store(true, Ordering::SeqCst);
        let answer = store.apply(&table, batch()).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{steps:?}: {answer:?}");
        assert_eq!(store.checkpoint(&table).await.unwrap(), start, "{steps:?}");
        assert_eq!(store.get(&table, &tenant(), "k").await.unwrap(), None, "{steps:?}");
        loop {
            match store.apply(&table, batch()).await {
                Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
                answer => break answer.unwrap(),
            }
        }
        assert_eq!(store.checkpoint(&table).await.unwrap(), to, "{steps:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_held_by_another_process_is_unavailable_until_it_is_given_back() {
    let place = Place::new();
    let store = place.open_with(SqliteConfig::default().with_busy_timeout(Duration::from_millis(20)));
    let other = place.connect();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let commit = append("a-1", ExpectedVersion::NoStream);
    let answer = store.commit(&tenant(), commit.clone()).await;
    assert!(
        matches!(&answer, Err(Error::Unavailable { reason, .. }) if reason.contains("busy_timeout")),
        "{answer:?}"
    );
    assert_eq!(store.versions(&tenant(), &[stream("a-1")]).await.unwrap(), [Version::NONE]);
    other.execute_batch("ROLLBACK").unwrap();
    assert!(!store.commit(&tenant(), commit).await.unwrap().repeated);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_not_flushed_yet_reach_the_database_before_anything_else_is_acknowledged() {
    let place = Place::new();
    let armed = Arc::new(AtomicBool::new(false));
    let due = armed.clone();
    let config = SqliteConfig::default()
        .with_busy_timeout(Duration::from_millis(20))
        .with_faults(move |step| step == FaultPoint::Commit && due.swap(false, Ordering::SeqCst));
    let store = place.open_with(config);
    let start = Checkpoint::start(store.store_id());
    let table = store.prepare(&balances(), start).await.unwrap();
    let to = checkpoint_at(start, 1);
    // Flushed with the next commit, and that one fails: its rows may be lost from the WAL.
    store.apply(&table, ViewBatch::new(start, to, vec![upsert("k", 1)])).await.unwrap();
    let reader = place.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    armed.store(true, Ordering::SeqCst);
    let commit = append("a-1", ExpectedVersion::NoStream);
    // As long as somebody reads the WAL it cannot begin anew, so the end stays open.
    let answer = store.commit(&tenant(), commit.clone()).await;
    assert!(matches!(answer, Err(Error::Uncertain { .. })), "{answer:?}");
    let answer = store.commit(&tenant(), commit.clone()).await;
    assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    reader.execute_batch("ROLLBACK").unwrap();
    assert!(!commit_when_mended(&store, &commit).await.repeated);
    assert_eq!(store.checkpoint(&table).await.unwrap(), to);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_about_one_commit_fails_no_other() {
    let place = Place::new();
    let store = place.open();
    let commit = append("a-1", ExpectedVersion::NoStream);
    store.commit(&tenant(), commit.clone()).await.unwrap();
    place.connect().execute("UPDATE commits SET fingerprint = x'00'", []).unwrap();
    let answer = store.commit(&tenant(), commit).await;
    assert!(matches!(answer, Err(Error::Damaged(_))), "{answer:?}");
    store.commit(&tenant(), append("a-2", ExpectedVersion::NoStream)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_outgrows_the_page_cache_is_stored_whole_or_not_at_all() {
    let place = Place::new();
    let store = place.open_with(script(&[FaultPoint::Inserted]).with_cache_bytes(64 << 10, 64 << 10));
    // Whoever closes the file last takes the WAL away, and the writer does so before it opens the file again.
    let beside = place.connect();
    beside.execute_batch("SELECT count(*) FROM events").unwrap();
    let (commit, before) = (append_many("a-1", ExpectedVersion::NoStream, 500), place.wal_bytes());
    let answer = store.commit(&tenant(), commit.clone()).await;
    assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    assert!(place.wal_bytes() > before, "its pages had room in the cache");
    assert!(!is_stored(&store, &commit).await);
    // What a crash leaves at this moment, and after the commit.
    assert_eq!(place.copy().open().head().await.unwrap(), Position::START);
    assert_eq!(commit_when_mended(&store, &commit).await.event_count, 500);
    let left = place.copy();
    let copy = left.open();
    assert_eq!(copy.head().await.unwrap(), Position::from_number(500));
    assert_eq!(copy.versions(&tenant(), &[stream("a-1")]).await.unwrap(), [Version(500)]);
    assert!(copy.commit(&tenant(), commit).await.unwrap().repeated);
}

/// Stores rows of a view that fill several megabytes of the WAL and are not flushed.
async fn apply_unflushed(store: &SqliteStore) {
    let start = Checkpoint::start(store.store_id());
    let table = store.prepare(&balances(), start).await.unwrap();
    let rows = (0..9_000).map(|number| upsert(&format!("{number}-{}", "k".repeat(400)), number)).collect();
    store.apply(&table, ViewBatch::new(start, checkpoint_at(start, 1), rows)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_behind_rows_that_a_failed_checkpoint_may_have_lost() {
    for is_flushed in [false, true] {
        let place = Place::new();
        let steps = Arc::new(Mutex::new(Vec::new()));
        let copied = Arc::new(Semaphore::new(0));
        let (seen, done, fails) = (steps.clone(), copied.clone(), AtomicBool::new(true));
        let store = place.open_with(SqliteConfig::default().with_faults(move |at| {
            seen.lock().unwrap().push(at);
            if at == FaultPoint::Checkpoint {
                done.add_permits(1);
            }
            at == FaultPoint::Checkpoint && fails.swap(false, Ordering::SeqCst)
        }));
        apply_unflushed(&store).await;
        if is_flushed {
            store.commit(&tenant(), append("a-1", ExpectedVersion::NoStream)).await.unwrap();
        }
        // The writer rests, and copies what is in the WAL into the database.
        copied.acquire().await.unwrap().forget();
        let commit = append("a-2", ExpectedVersion::NoStream);
        commit_when_mended(&store, &commit).await;
        let steps = steps.lock().unwrap().clone();
        let failed = steps.iter().position(|step| *step == FaultPoint::Checkpoint).unwrap();
        let expected: &[FaultPoint] =
            if is_flushed { &[FaultPoint::Begin] } else { &[FaultPoint::Reopen, FaultPoint::Fence] };
        assert!(steps[failed + 1..].starts_with(expected), "flushed {is_flushed}: {steps:?}");
        store.close().await.unwrap();
        let again = place.open();
        assert!(is_stored(&again, &commit).await, "flushed {is_flushed}");
    }
}

/// After a failed flush the WAL is moved into the database before anything else is answered: it begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_checkpoint_the_wal_is_empty_but_for_what_came_since() {
    let place = Place::new();
    let store = place.open_with(script(&[FaultPoint::Checkpoint]));
    apply_unflushed(&store).await;
    let before = place.wal_bytes();
    assert!(before > 4 << 20, "{before} bytes wait to be copied");
    // Nobody writes: what makes the WAL short is the fence.
    while place.wal_bytes() >= before {
        tokio::task::yield_now().await;
    }
    commit_when_mended(&store, &append("a-1", ExpectedVersion::NoStream)).await;
    assert!(place.wal_bytes() < 1 << 20, "{} bytes", place.wal_bytes());
}
