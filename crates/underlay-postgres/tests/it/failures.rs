//! Connections end at every moment, and everybody gets the truth.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_postgres::Client;
use underlay_core::{
    Checkpoint, Commit, CommitId, Committed, Error, EventStore, EventStoreExt, ExpectedVersion, Fingerprint,
    Json, Outcome, Position, ReadModels, Version, ViewBatch,
};
use underlay_postgres::{FaultPoint, PostgresConfig, PostgresStore};

use crate::gate::Gate;
use crate::place::{Place, with_place};
use crate::sample::{accounts, acme, append, begin, checkpoint_at, row, stream};

/// Fails at these steps, each once, in this order.
fn script(config: PostgresConfig, steps: &[FaultPoint]) -> PostgresConfig {
    let left = Mutex::new(steps.to_vec());
    config.with_faults(move |step| {
        let mut left = left.lock().unwrap();
        let due = left.first() == Some(&step);
        if due {
            left.remove(0);
        }
        due
    })
}

/// Commits until the committer has its connection back.
async fn commit_when_mended(store: &PostgresStore, commit: &Commit) -> Committed {
    loop {
        match store.commit(&acme(), commit.clone()).await {
            Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
            answer => return answer.unwrap(),
        }
    }
}

async fn is_stored(store: &PostgresStore, commit: &Commit) -> bool {
    store.find_commit(&acme(), commit.id).await.unwrap().is_some()
}

/// Ends every session of the program.
async fn kill_all(admin: &Client) {
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE datname = current_database() AND usename = 'underlay_test_login'";
    admin.execute(kill, &[]).await.unwrap();
}

#[test]
fn a_writer_killed_before_its_commit_stored_nothing() {
    with_place(async |place| {
        let store = place.open().await;
        let commit = append("a-1", ExpectedVersion::NoStream);
        let owner = acme();
        let gate = Gate::close(&place).await;
        let waiting = begin(store.commit(&owner, commit.clone()));
        gate.kill_waiting().await;
        // The fence waits for the same lock: the truth is told when it is known.
        gate.reached(1).await;
        gate.open().await;
        let answer = waiting.await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
        assert!(!is_stored(&store, &commit).await);
        let committed = commit_when_mended(&store, &commit).await;
        assert!(!committed.repeated);
        assert_eq!(committed.position, Position::from_number(1));
    });
}

#[test]
fn a_lost_answer_is_found_by_its_id() {
    with_place(async |place| {
        let store = place.open_with(script(place.config(), &[FaultPoint::Answered])).await;
        let commit = append("a-1", ExpectedVersion::NoStream);
        let committed = store.commit(&acme(), commit.clone()).await.unwrap();
        assert!(committed.repeated, "it was looked up");
        assert_eq!(committed.versions[0].version, Version(1));
        assert!(store.commit(&acme(), commit).await.unwrap().repeated);
        assert_eq!(store.head().await.unwrap(), Position::from_number(1));

        let store = place.open_with(script(place.config(), &[FaultPoint::Send])).await;
        let commit = append("a-2", ExpectedVersion::NoStream);
        let answer = store.commit(&acme(), commit.clone()).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
        assert!(!is_stored(&store, &commit).await);
    });
}

#[test]
fn a_repeat_whose_answer_was_lost_gets_the_first_answer() {
    with_place(async |place| {
        // The same command twice, decided over two states.
        let refusal = |balance: u32| {
            let body = Json::parse(format!("{{\"balance\":{balance}}}")).unwrap();
            let (code, message) = ("overdrawn".to_owned(), format!("the balance is {balance}"));
            let mut commit = Commit::new(CommitId(uuid::Uuid::from_u128(1)));
            commit.content = Some(Fingerprint([7; 16]));
            commit.with_outcome(Outcome::Refused { code, message, body })
        };
        let accepted = |to: &str| {
            let mut commit = append(to, ExpectedVersion::Any);
            commit.id = CommitId(uuid::Uuid::from_u128(2));
            commit.content = Some(Fingerprint([7; 16]));
            commit
        };
        let store = place.open().await;
        let first_refused = store.commit(&acme(), refusal(5)).await.unwrap();
        let first_accepted = store.commit(&acme(), accepted("a-1")).await.unwrap();
        for (again, first) in [(refusal(9), first_refused), (accepted("a-2"), first_accepted)] {
            let store = place.open_with(script(place.config(), &[FaultPoint::Answered])).await;
            let answer = store.commit(&acme(), again).await.unwrap();
            // Taken for stored by this call, the caller would go on with what it had decided itself.
            assert!(answer.repeated, "{answer:?}");
            assert_eq!((answer.outcome, answer.versions), (first.outcome, first.versions));
        }
    });
}

#[test]
fn what_cannot_be_found_out_is_uncertain_and_a_repeat_finds_out() {
    with_place(async |place| {
        for (step, stored, to) in [(FaultPoint::Send, false, "a-1"), (FaultPoint::Answered, true, "a-2")] {
            let failed = AtomicBool::new(false);
            let mended = std::sync::Arc::new(AtomicBool::new(false));
            let gone_on = mended.clone();
            let config =
                place.config().with_doubt_timeout(Duration::from_millis(50)).with_faults(move |at| {
                    let first = at == step && !failed.swap(true, Ordering::SeqCst);
                    first || (at == FaultPoint::Fence && !gone_on.load(Ordering::SeqCst))
                });
            let store = place.open_with(config).await;
            let commit = append(to, ExpectedVersion::NoStream);
            let answer = store.commit(&acme(), commit.clone()).await;
            assert!(
                matches!(&answer, Err(Error::Uncertain { id, .. }) if *id == commit.id),
                "{step:?}: {answer:?}"
            );
            mended.store(true, Ordering::SeqCst);
            let again = commit_when_mended(&store, &commit).await;
            assert_eq!(again.repeated, stored, "{step:?}");
            assert_eq!(again.versions[0].version, Version(1), "{step:?}: stored once");
        }
    });
}

#[test]
fn an_attempt_behind_a_fence_is_never_stored() {
    with_place(async |place| {
        let store = place.open().await;
        let admin = place.admin().await;
        // As if it had been on its way for all that time.
        let batch = |attempt: i64| {
            format!(
                "SELECT underlay.append('00000000-0000-0000-0000-000000000001', {attempt}, NULL, ARRAY['acme'], \
                 ARRAY[gen_random_uuid()], ARRAY['\\x00'::bytea], ARRAY[1], ARRAY[1], NULL, NULL, NULL, \
                 ARRAY['{{}}'], ARRAY[1], ARRAY['b-1'], ARRAY[-1::bigint], ARRAY[1], ARRAY[1], ARRAY[1], ARRAY[0], \
                 ARRAY[gen_random_uuid()], ARRAY['noted'], ARRAY[1::bigint], ARRAY['{{}}'])"
            )
        };
        let single = |attempt: i64| {
            format!(
                "SELECT underlay.append_one('00000000-0000-0000-0000-000000000001', {attempt}, NULL, 'acme', \
                 gen_random_uuid(), '\\x00', '{{}}', 'b-1', -1, gen_random_uuid(), 'noted', 1, '{{}}')"
            )
        };
        admin.batch_execute(&batch(1)).await.unwrap();
        admin.batch_execute(&single(1)).await.unwrap();
        admin
            .batch_execute("SELECT underlay.fence('00000000-0000-0000-0000-000000000001', 3)")
            .await
            .unwrap();
        for attempt in 1..=3 {
            for append in [batch(attempt), single(attempt)] {
                let error = admin.batch_execute(&append).await.unwrap_err();
                assert_eq!(error.code().map(|state| state.code()), Some("UL001"), "{append}");
            }
        }
        admin.batch_execute(&batch(4)).await.unwrap();
        admin.batch_execute(&single(4)).await.unwrap();
        assert_eq!(store.head().await.unwrap(), Position::from_number(4));
    });
}

#[test]
fn after_all_sessions_were_killed_everything_goes_on() {
    with_place(async |place| {
        let store = place.open().await;
        let admin = place.admin().await;
        let table = store.prepare(&accounts(), Checkpoint::start(store.store_id())).await.unwrap();
        for round in 1..=3 {
            let commit = append("a-1", ExpectedVersion::Exact(Version(round - 1)));
            commit_when_mended(&store, &commit).await;
            // Several sessions stand in the pool.
            let (a, b, c) = tokio::join!(store.head(), store.views(), store.checkpoint(&table));
            assert_eq!(a.unwrap(), Position::from_number(round));
            b.unwrap();
            c.unwrap();
            kill_all(&admin).await;
            assert_eq!(store.head().await.unwrap(), Position::from_number(round));
            let page = store.read_stream(&acme(), &stream("a-1"), Version::NONE, 10).await.unwrap();
            assert_eq!(page.version, Version(round));
        }
    });
}

#[test]
fn under_fire_nothing_is_lost_repeated_or_made_up() {
    const WRITERS: usize = 6;
    const COMMITS: usize = 40;
    with_place(async |place: Place| {
        let stores = [place.open().await, place.open().await];
        let admin = place.admin().await;
        let tasks: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = stores[writer % 2].clone();
                tokio::spawn(async move {
                    let to = format!("w-{writer}");
                    for number in 0..COMMITS {
                        let commit = append(&to, ExpectedVersion::Exact(Version(number as u64)));
                        loop {
                            match store.commit(&acme(), commit.clone()).await {
                                Ok(_) => break,
                                Err(Error::Uncertain { .. } | Error::Unavailable { .. }) => {
                                    tokio::task::yield_now().await;
                                }
                                // A wrong conflict would end up here.
                                Err(other) => panic!("{to} {number}: {other}"),
                            }
                        }
                    }
                })
            })
            .collect();
        let expected = WRITERS * COMMITS;
        let stored = || async {
            let head = admin.query_one("SELECT coalesce(max(position), 0) FROM underlay.events", &[]).await;
            usize::try_from(head.unwrap().get::<_, i64>(0)).unwrap()
        };
        // At every moment of a commit, and with time for some between.
        let mut next = 3;
        while next < expected {
            while stored().await < next && tasks.iter().any(|task| !task.is_finished()) {}
            kill_all(&admin).await;
            next += 7;
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(stores[0].head().await.unwrap(), Position::from_number(expected as u64));
        for writer in 0..WRITERS {
            let stream = stream(&format!("w-{writer}"));
            let events = stores[0].read_stream_whole(&acme(), &stream, Version::NONE).await.unwrap();
            assert_eq!(events.len(), COMMITS);
        }
    });
}

#[test]
fn a_full_server_is_unavailable_and_recovers() {
    with_place(async |place| {
        let store = place.open().await;
        let admin = place.admin().await;
        let database: String = admin.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
        // No new sessions, and those there are end.
        let beside = place.beside().await;
        beside.batch_execute(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false")).await.unwrap();
        kill_all(&admin).await;
        let read = store.head().await;
        assert!(read.is_err(), "{read:?}");
        let write = loop {
            match store.commit(&acme(), append("a-1", ExpectedVersion::Any)).await {
                Err(Error::Unavailable { retry_after: Some(retry_after), reason, .. }) => {
                    break (retry_after, reason);
                }
                Err(Error::Unavailable { .. } | Error::Uncertain { .. }) => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        };
        assert!(write.0 > Duration::ZERO, "{}", write.1);
        beside.batch_execute(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true")).await.unwrap();
        commit_when_mended(&store, &append("a-2", ExpectedVersion::Any)).await;
        store.head().await.unwrap();
    });
}

#[test]
fn a_view_batch_whose_answer_was_lost_is_told_by_its_checkpoint() {
    with_place(async |place| {
        let store = place.open().await;
        let start = Checkpoint::start(store.store_id());
        let table = store.prepare(&accounts(), start).await.unwrap();
        let to = checkpoint_at(start, 1);
        let batch = ViewBatch::new(start, to, vec![row("acme", "k", 1)]);
        // Another session holds the generation, so the batch waits in its transaction and is killed there.
        let holder = place.admin().await;
        holder.batch_execute("BEGIN; SELECT FROM underlay.view_generations FOR UPDATE").await.unwrap();
        let applying = begin(store.apply(&table, batch.clone()));
        let watcher = place.admin().await;
        let waiting = "SELECT pid FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let mut applying = applying;
        let waits: i32 = loop {
            tokio::select! {
                biased;
                answer = &mut applying => panic!("it waits: {answer:?}"),
                found = watcher.query_opt(waiting, &[]) => if let Some(row) = found.unwrap() { break row.get(0) },
            }
        };
        watcher.execute("SELECT pg_terminate_backend($1)", &[&waits]).await.unwrap();
        let answer = applying.await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
        holder.batch_execute("COMMIT").await.unwrap();
        assert_eq!(store.checkpoint(&table).await.unwrap(), start);
        store.apply(&table, batch).await.unwrap();
        assert_eq!(store.checkpoint(&table).await.unwrap(), to);
    });
}
