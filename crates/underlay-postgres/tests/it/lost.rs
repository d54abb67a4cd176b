//! Answers that are lost: what may be stored is never taken for not stored, finding out has an end, and
//! nobody waits before the log for a call whose network died.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use servers::Postgres;
use tokio::time::{Instant, timeout};
use underlay_core::{
    Checkpoint, CommitStatus, Error, EventStore, EventStoreExt, ExpectedVersion, ReadModels, Underway,
    Version, ViewBatch,
};
use underlay_postgres::{FaultPoint, Listen, PostgresConfig, PostgresStore};

use crate::gate::Gate;
use crate::place::{Place, skipped, with_place, with_place_on};
use crate::sample::{accounts, acme, append, append_many, begin, checkpoint_at, row, stream, tenant};
use crate::wire::{Fate, Wire};

/// Far longer than any limit in here.
const PATIENCE: Duration = Duration::from_secs(30);

fn hasty(place: &Place) -> PostgresConfig {
    place
        .config()
        .with_listen(Listen::Off)
        .with_poll_interval(Duration::from_secs(3_600))
        .with_connect_timeout(Duration::from_secs(1))
        .with_commit_timeout(Duration::from_millis(500))
        .with_doubt_timeout(Duration::from_millis(500))
}

async fn in_time<T>(call: impl Future<Output = T>) -> T {
    timeout(PATIENCE, call).await.expect("every wait has an end")
}

/// Asks again until the answer is a certain one; whether it is stored.
async fn certain(store: &PostgresStore, commit: &underlay_core::Commit) -> bool {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "it stays uncertain");
        match store.commit_status(&acme(), commit.id).await {
            Ok(CommitStatus::Stored(_)) => return true,
            Ok(CommitStatus::Unknown) => return false,
            Ok(CommitStatus::Pending | CommitStatus::InDoubt) | Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// The answer to a call whose flush fails, once the server has recovered from it.
async fn with_a_failed_flush<T>(server: &Postgres, place: &Place, call: impl Future<Output = T>) -> T {
    let session = place.admin().await;
    server.fail_a_flush().unwrap();
    let answer = in_time(call).await;
    assert!(server.has_failed_to_flush(), "what it wrote was flushed");
    // The server ends every session before it recovers.
    in_time(async { while session.simple_query("SELECT 1").await.is_ok() {} }).await;
    in_time(place.answers()).await;
    answer
}

#[test]
fn a_commit_whose_flush_failed_is_never_told_to_be_not_stored() {
    let server = match Postgres::start_on_a_bad_disk(&[]) {
        Ok(server) => server,
        Err(error) => return skipped(&error.to_string()),
    };
    with_place_on(&server.address(), async |place| {
        let store = place.open().await;
        let mut told_stored = 0;
        for round in 0..3 {
            // Once it takes commits, so that it is a commit that meets the fault.
            let before = append("c-1", ExpectedVersion::Any);
            while in_time(store.commit(&acme(), before.clone())).await.is_err() {
                tokio::task::yield_now().await;
            }
            let commit = append_many(&format!("a-{round}"), ExpectedVersion::NoStream, 1 + round);
            let answer = with_a_failed_flush(&server, &place, store.commit(&acme(), commit.clone())).await;
            let stored = certain(&store, &commit).await;
            match answer {
                Ok(_) => told_stored += 1,
                Err(Error::Uncertain { .. }) => {}
                Err(Error::Unavailable { .. }) => {
                    assert!(!stored, "it was told that nothing was stored, and it is in the log");
                }
                Err(other) => panic!("{other}"),
            }
            let events =
                store.read_stream_whole(&acme(), &stream(&format!("a-{round}")), Version::NONE).await;
            assert_eq!(events.unwrap().len() as u64, if stored { 1 + round } else { 0 });
        }
        assert!(told_stored > 0, "what was written before the flush is there after the recovery");
    });
}

#[test]
fn a_view_batch_whose_flush_failed_is_told_by_its_checkpoint() {
    let server = match Postgres::start_on_a_bad_disk(&[]) {
        Ok(server) => server,
        Err(error) => return skipped(&error.to_string()),
    };
    with_place_on(&server.address(), async |place| {
        let store = place.open().await;
        let start = Checkpoint::start(store.store_id());
        let table = store.prepare(&accounts(), start).await.unwrap();
        let to = checkpoint_at(start, 1);
        let batch = ViewBatch::new(start, to, vec![row("acme", "k", 1)]);
        let answer = with_a_failed_flush(&server, &place, store.apply(&table, batch)).await;
        let began = Instant::now();
        let checkpoint = loop {
            match store.checkpoint(&table).await {
                Ok(checkpoint) => break checkpoint,
                Err(Error::Unavailable { .. }) if began.elapsed() < PATIENCE => {
                    tokio::task::yield_now().await
                }
                Err(error) => panic!("{error}"),
            }
        };
        // Unavailable is an answer too: whoever folds reads the checkpoint again. Nothing else is.
        assert!(matches!(answer, Ok(()) | Err(Error::Unavailable { .. })), "{answer:?}");
        assert!(answer.is_err() || checkpoint == to, "it was acknowledged");
    });
}

#[test]
fn finding_out_has_one_deadline_however_many_commits_are_in_doubt() {
    const COMMITS: usize = 200;
    with_place(async |place| {
        let batches = AtomicUsize::new(0);
        let (fence, fences) = mpsc::channel::<()>();
        let (locked, wait_until_locked) = mpsc::channel::<()>();
        let (fence, wait_until_locked) = (Mutex::new(fence), Mutex::new(wait_until_locked));
        let config = hasty(&place).with_commit_timeout(PATIENCE).with_faults(move |step| match step {
            // Of the second batch, which holds all that waited while the first one stood before the log.
            FaultPoint::Answered => batches.fetch_add(1, Ordering::SeqCst) == 1,
            FaultPoint::Fence => {
                // Once, after what was in the batch is stored, and before it is looked up.
                if fence.lock().unwrap().send(()).is_ok() {
                    tokio::task::block_in_place(|| wait_until_locked.lock().unwrap().recv().ok());
                }
                false
            }
            _ => false,
        });
        let store = place.open_with(config).await;
        let blocker = place.admin().await;
        let owner = acme();
        let gate = Gate::close(&place).await;
        let first = begin(store.commit(&owner, append("b-1", ExpectedVersion::Any)));
        gate.reached(1).await;
        let commits: Vec<_> =
            (0..COMMITS).map(|number| append(&format!("a-{number}"), ExpectedVersion::NoStream)).collect();
        let calls: Vec<_> =
            commits.iter().map(|commit| begin(store.commit(&owner, commit.clone()))).collect();
        gate.open().await;
        in_time(first).await.unwrap();
        tokio::task::spawn_blocking(move || fences.recv()).await.unwrap().unwrap();
        // The lookups stand; fence and head of the log do not need this table.
        blocker.batch_execute("BEGIN; LOCK TABLE underlay.commits IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let began = Instant::now();
        locked.send(()).unwrap();
        drop(locked);
        for (call, commit) in calls.into_iter().zip(&commits) {
            let answer = in_time(call).await;
            let reason = match answer {
                Err(Error::Uncertain { id, reason }) if id == commit.id => reason,
                other => panic!("{other:?}"),
            };
            assert!(reason.contains("doubt_timeout") && reason.contains("injected"), "{reason}");
            assert_eq!(store.underway(&owner, commit.id), Some(Underway::InDoubt));
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?} for all of them", began.elapsed());
        // Nobody waits behind them either.
        let next = in_time(store.commit(&owner, append("b-1", ExpectedVersion::Any))).await;
        assert!(matches!(next, Err(Error::Unavailable { .. } | Error::Uncertain { .. })), "{next:?}");
        blocker.batch_execute("COMMIT").await.unwrap();
        for commit in &commits {
            assert!(in_time(certain(&store, commit)).await, "its answer was lost after it was stored");
        }
    });
}

#[test]
fn a_repeat_that_is_looked_up_shares_its_look_with_others() {
    with_place(async |place| {
        // One connection for all there is to read.
        let store = place.open_with(place.config().with_connections_max(1).with_listen(Listen::Off)).await;
        let commits: Vec<_> = (0..300)
            .map(|number| {
                let owner = ["acme", "globex", "initech"][number % 3];
                (tenant(owner), append(&format!("a-{number}"), ExpectedVersion::NoStream))
            })
            .collect();
        for (owner, commit) in &commits {
            store.commit(owner, commit.clone()).await.unwrap();
        }
        let repeats: Vec<_> =
            commits.iter().map(|(owner, commit)| begin(store.commit(owner, commit.clone()))).collect();
        for (repeat, (_, commit)) in repeats.into_iter().zip(&commits) {
            let answer = in_time(repeat).await.unwrap();
            assert!(answer.repeated && answer.id == commit.id, "{answer:?}");
        }
    });
}

#[test]
fn an_attempt_that_arrives_after_its_caller_was_told_that_it_is_uncertain_is_void() {
    with_place(async |place| {
        let wire = Wire::to(place.host_and_port()).await;
        let store = PostgresStore::connect(&wire.address(&place), hasty(&place)).await.unwrap();
        let commit = append("a-1", ExpectedVersion::Any);
        wire.arm(Fate::Held);
        // No new connection either: the fence cannot be raised in time.
        let owner = acme();
        let call = begin(store.commit(&owner, commit.clone()));
        wire.met().await;
        wire.lead_to(None);
        let answer = in_time(call).await;
        assert!(matches!(answer, Err(Error::Uncertain { .. })), "{answer:?}");
        let status = store.commit_status(&acme(), commit.id).await;
        assert_eq!(status.unwrap(), CommitStatus::InDoubt, "it may still be on its way");
        wire.lead_to(Some(place.host_and_port()));
        assert!(!in_time(certain(&store, &commit)).await);
        // From here on it is certain. What was on its way arrives.
        wire.let_go();
        let direct = place.open().await;
        for number in 0..20 {
            direct.commit(&acme(), append(&format!("b-{number}"), ExpectedVersion::Any)).await.unwrap();
            assert!(direct.find_commit(&acme(), commit.id).await.unwrap().is_none(), "it landed after all");
        }
        let repeat = in_time(store.commit(&acme(), commit.clone())).await.unwrap();
        assert!(!repeat.repeated && repeat.versions[0].version == Version(1), "{repeat:?}");
    });
}

#[test]
fn nobody_waits_for_a_call_whose_network_died_before_its_end() {
    with_place(async |place| {
        for (name, alone) in [("one", true), ("many", false)] {
            let wire = Wire::to(place.host_and_port()).await;
            let config = hasty(&place)
                .with_commit_timeout(Duration::from_secs(20))
                .with_faults(move |step| step == FaultPoint::Alone && !alone);
            let store = Arc::new(PostgresStore::connect(&wire.address(&place), config).await.unwrap());
            let beside = place.open().await;
            wire.arm(Fate::SilentAfterExecute);
            let commit = append(&format!("{name}-1"), ExpectedVersion::NoStream);
            let call = tokio::spawn({
                let (store, commit) = (store.clone(), commit.clone());
                async move { store.commit(&acme(), commit).await }
            });
            in_time(wire.met()).await;
            // The server has carried it out and hears nothing more; the connection stands.
            let began = Instant::now();
            for number in 2..5 {
                let other = append(&format!("{name}-{number}"), ExpectedVersion::NoStream);
                in_time(beside.commit(&acme(), other)).await.unwrap();
            }
            assert!(began.elapsed() < Duration::from_secs(5), "{name}: {:?}", began.elapsed());
            wire.cut();
            // Its caller is told the truth: it was carried out.
            let answer = in_time(call).await.unwrap().unwrap();
            assert!(answer.repeated && answer.id == commit.id, "{answer:?}");
            let events =
                beside.read_stream_whole(&acme(), &stream(&format!("{name}-1")), Version::NONE).await;
            assert_eq!(events.unwrap().len(), 1);
        }
    });
}

#[test]
fn a_login_with_a_statement_timeout_leaves_the_end_to_its_message() {
    with_place(async |place| {
        let admin = place.admin().await;
        let database: String = admin.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
        admin
            .batch_execute(&format!("ALTER DATABASE {database} SET statement_timeout = '1h'"))
            .await
            .unwrap();
        for alone in [true, false] {
            let wire = Wire::to(place.host_and_port()).await;
            let config = hasty(&place)
                .with_commit_timeout(Duration::from_secs(4))
                .with_faults(move |step| step == FaultPoint::Alone && !alone);
            let store = Arc::new(PostgresStore::connect(&wire.address(&place), config).await.unwrap());
            store.commit(&acme(), append("a-1", ExpectedVersion::Any)).await.unwrap();
            let version: String = admin.query_one("SHOW server_version_num", &[]).await.unwrap().get(0);
            if version.parse::<u32>().unwrap() < 170_000 {
                // Only the system notices that a client is gone there.
                continue;
            }
            wire.arm(Fate::SilentAfterExecute);
            let call = tokio::spawn({
                let store = store.clone();
                async move { store.commit(&acme(), append("a-1", ExpectedVersion::Any)).await }
            });
            in_time(wire.met()).await;
            let began = Instant::now();
            let beside = place.open().await;
            in_time(beside.commit(&acme(), append("b-1", ExpectedVersion::Any))).await.unwrap();
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
            in_time(call).await.unwrap().ok();
        }
    });
}
