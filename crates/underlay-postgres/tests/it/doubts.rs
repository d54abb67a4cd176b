//! What is told of a commit whose end is hard to know.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use underlay_core::{
    Commit, CommitId, CommitStatus, Error, EventStore, EventStoreExt, ExpectedVersion, Json, Outcome,
    Retention, Timestamp,
};
use underlay_postgres::{FaultPoint, Listen};

use crate::place::with_place;
use crate::sample::{acme, append};

/// The log is written by calls that end their transaction themselves, so an error may come after the end.
#[test]
fn a_commit_whose_backend_is_cancelled_while_it_ends_is_not_told_to_be_undone() {
    with_place(async |place| {
        let admin = place.admin().await;
        // So that there is time between writing the end of a commit and flushing it.
        let slow =
            "ALTER DATABASE {db} SET commit_delay = 100000; ALTER DATABASE {db} SET commit_siblings = 0";
        admin.batch_execute(&slow.replace("{db}", place.database())).await.unwrap();
        let store = place.open().await;
        store.commit(&acme(), append("w-1", ExpectedVersion::Any)).await.unwrap();
        let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity \
                      WHERE datname = current_database() AND query LIKE 'CALL%' AND state = 'active'";
        let mut cancelled = 0;
        for round in 0..10 {
            let commit = append(&format!("a-{round}"), ExpectedVersion::NoStream);
            let (writer, sent) = (store.clone(), commit.clone());
            let call = tokio::spawn(async move { writer.commit(&acme(), sent).await });
            while !call.is_finished() {
                let struck: i64 = admin.query_one(cancel, &[]).await.unwrap().get(0);
                cancelled += struck;
                if struck > 0 {
                    break;
                }
            }
            let answer = call.await.unwrap();
            let status = store.commit_status(&acme(), commit.id).await.unwrap();
            let is_stored = matches!(status, CommitStatus::Stored(_));
            assert_eq!(answer.is_ok(), is_stored, "round {round}: {answer:?} and {status:?}");
        }
        assert!(cancelled > 0, "no call was met");
    });
}

#[test]
fn a_doubt_ends_once_the_fence_is_raised() {
    with_place(async |place| {
        let sends = AtomicUsize::new(0);
        let config = place
            .config()
            .with_listen(Listen::Off)
            .with_doubt_timeout(Duration::from_millis(700))
            .with_faults(move |step| step == FaultPoint::Send && sends.fetch_add(1, Ordering::SeqCst) == 1);
        let store = place.open_with(config).await;
        store.commit(&acme(), append("w-1", ExpectedVersion::Any)).await.unwrap();
        let admin = place.admin().await;
        admin.batch_execute("BEGIN; LOCK TABLE underlay.commits IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let lost = append("a-1", ExpectedVersion::NoStream);
        let answer = store.commit(&acme(), lost.clone()).await;
        assert!(matches!(answer, Err(Error::Uncertain { .. })));
        admin.batch_execute("COMMIT").await.unwrap();
        let goes_on = async {
            while store.commit(&acme(), append("b-1", ExpectedVersion::Any)).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), goes_on).await.unwrap();
        for at in 0..20 {
            store.commit(&acme(), append(&format!("c-{at}"), ExpectedVersion::Any)).await.unwrap();
        }
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
            if step == FaultPoint::Answered && answered.fetch_add(1, Ordering::SeqCst) == 2 {
                here.lock().unwrap().send(()).ok();
                // Whatever else this thread had in hand goes on.
                tokio::task::block_in_place(|| wait.lock().unwrap().recv().ok());
            }
            false
        });
        let store = place.open_with(config).await;
        let refused = Commit::new(CommitId::draw()).with_outcome(Outcome::Refused {
            code: "no".to_owned(),
            message: "no".to_owned(),
            body: Json::encode(&1).unwrap(),
        });
        store.commit(&acme(), refused.clone()).await.unwrap();
        store.commit(&acme(), append("w-1", ExpectedVersion::Any)).await.unwrap();
        let (s, c) = (store.clone(), refused.clone());
        let call = tokio::spawn(async move { s.commit(&acme(), c).await });
        tokio::task::spawn_blocking(move || at_hook.recv().unwrap()).await.unwrap();
        assert_eq!(store.forget_empty_commits(Timestamp::MAX).await.unwrap(), 1);
        go.send(()).unwrap();
        let answer = call.await.unwrap();
        assert!(!matches!(answer, Err(Error::Damaged(_))), "{answer:?}");
    });
}
