//! What is told of a commit whose end is hard to know.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use underlay_core::{
    Commit, CommitId, CommitStatus, Error, EventStore, EventStoreExt, ExpectedVersion, Json, Outcome, Retention, Timestamp,
};
use underlay_postgres::{Listen, Step};

use crate::place::with_place;
use crate::sample::{acme, append};

#[test]
fn a_commit_whose_backend_is_cancelled_while_it_commits() {
    with_place(async |place| {
        let admin = place.admin().await;
        let db = place.database().to_owned();
        admin.batch_execute(&format!("ALTER DATABASE {db} SET commit_delay = 100000; ALTER DATABASE {db} SET commit_siblings = 0")).await.unwrap();
        let store = place.open().await;
        store.commit(&acme(), append("w-1", ExpectedVersion::Any)).await.unwrap();
        for round in 0..10 {
            let commit = append(&format!("a-{round}"), ExpectedVersion::NoStream);
            let (s, c) = (store.clone(), commit.clone());
            let call = tokio::spawn(async move { s.commit(&acme(), c).await });
            let mut hit = 0_i64;
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let row = admin.query_one("SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CALL%' AND state = 'active'", &[]).await.unwrap();
                hit = row.get(0);
                if hit > 0 || call.is_finished() { break; }
            }
            let answer = call.await.unwrap();
            let status = store.commit_status(&acme(), commit.id).await;
                if let Err(Error::Unavailable { .. }) = &answer {
                assert!(!matches!(status, Ok(CommitStatus::Stored(_))), "told that nothing was stored, and it is in the log");
            }
        }
    });
}

#[test]
fn a_doubt_ends_once_the_fence_is_raised() {
    with_place(async |place| {
        let sends = AtomicUsize::new(0);
        let config = place.config().with_listen(Listen::Off)
            .with_settle_timeout(Duration::from_millis(700))
            .with_faults(move |step| step == Step::Send && sends.fetch_add(1, Ordering::SeqCst) == 1);
        let store = place.open_with(config).await;
        store.commit(&acme(), append("w-1", ExpectedVersion::Any)).await.unwrap();
        let admin = place.admin().await;
        admin.batch_execute("BEGIN; LOCK TABLE underlay.commits IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let lost = append("a-1", ExpectedVersion::NoStream);
        let answer = store.commit(&acme(), lost.clone()).await;
        assert!(matches!(answer, Err(Error::Uncertain { .. })));
        admin.batch_execute("COMMIT").await.unwrap();
        let mut later = Err(Error::unavailable("none yet"));
        for at in 0..100 {
            later = store.commit(&acme(), append(&format!("b-{at}"), ExpectedVersion::Any)).await;
            if later.is_ok() { break; }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        later.unwrap();
        for at in 0..20 { store.commit(&acme(), append(&format!("c-{at}"), ExpectedVersion::Any)).await.unwrap(); }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let fences: i64 = admin.query_one("SELECT count(*) FROM underlay.fences", &[]).await.unwrap().get(0);
        let status = store.commit_status(&acme(), lost.id).await.unwrap();
        assert!(matches!(status, CommitStatus::Unknown), "21 commits later: {status:?}");
    });
}

#[test]
fn a_repeat_of_what_is_forgotten_meanwhile() {
    with_place(async |place| {
        let answered = AtomicUsize::new(0);
        let (here, at_hook) = mpsc::channel::<()>();
        let (go, wait) = mpsc::channel::<()>();
        let (here, wait) = (Mutex::new(here), Mutex::new(wait));
        let config = place.config().with_listen(Listen::Off).with_faults(move |step| {
            if step == Step::Answered && answered.fetch_add(1, Ordering::SeqCst) == 2 {
                here.lock().unwrap().send(()).ok();
                wait.lock().unwrap().recv().ok();
            }
            false
        });
        let store = place.open_with(config).await;
        let refused = Commit::new(CommitId::draw()).with_outcome(Outcome::Refused {
            code: "no".to_owned(), message: "no".to_owned(), body: Json::encode(&1).unwrap(),
        });
        store.commit(&acme(), refused.clone()).await.unwrap();
        store.commit(&acme(), append("w-1", ExpectedVersion::Any)).await.unwrap();
        let (s, c) = (store.clone(), refused.clone());
        let call = tokio::spawn(async move { s.commit(&acme(), c).await });
        tokio::task::spawn_blocking(move || at_hook.recv().unwrap()).await.unwrap();
        let forgotten = store.forget_empty_commits(Timestamp::MAX).await.unwrap();
        go.send(()).unwrap();
        let answer = call.await.unwrap();
        assert!(!matches!(answer, Err(Error::Damaged(_))), "{answer:?}");
    });
}
