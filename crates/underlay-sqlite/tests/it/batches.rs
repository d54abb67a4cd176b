//! The rules of a batch, attacked from outside: what waits together is answered one by one, in turn,
//! within limits, whatever becomes of the writer.

use underlay_core::adapter::BatchLimits;
use underlay_core::{
    Checkpoint, Commit, Committed, Error, EventStore, ExpectedVersion, Position, ReadModels, TenantId,
    Version, ViewBatch, ViewTable,
};
use underlay_sqlite::{FaultPoint, SqliteStore};

use crate::failures::Gate;
use crate::sample::{Place, append, append_many, begin, event, stream, tenant};
use crate::views::{balances, checkpoint_at, upsert};

/// A store whose writer is held by a first commit, so that what comes next waits together.
struct Held {
    store: SqliteStore,
    gate: Gate,
    place: Place,
}

impl Held {
    fn new(limits: BatchLimits) -> Self {
        let (gate, config) = Gate::new();
        let place = Place::new();
        Self { store: place.open_with(config.with_limits(limits)), gate, place }
    }
}

fn other() -> TenantId {
    TenantId::new("globex").unwrap()
}

fn position(answer: Result<Committed, Error>) -> u64 {
    answer.unwrap().position.number()
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_to_one_stream_that_wait_together_are_stored_in_order() {
    let Held { store, gate, place: _place } = Held::new(BatchLimits::default());
    let owner = tenant();
    let first = begin(store.commit(&owner, append("held-1", ExpectedVersion::Any)));
    gate.reached().await;
    let exact = |version| append("a-1", ExpectedVersion::Exact(Version(version)));
    let any = || append("b-1", ExpectedVersion::Any);
    let repeated = append("c-1", ExpectedVersion::NoStream);
    let commits = [
        exact(0),
        exact(1),
        exact(1),
        exact(2),
        any(),
        any(),
        any(),
        repeated.clone(),
        repeated.clone(),
        append("c-1", ExpectedVersion::Exact(Version(1))),
        repeated,
    ];
    let waiting: Vec<_> = commits.map(|commit| begin(store.commit(&owner, commit))).into();
    gate.open();
    first.await.unwrap();
    let mut answers = Vec::new();
    for waiting in waiting {
        answers.push(match waiting.await {
            Ok(committed) if committed.repeated => format!("{} again", committed.versions[0].version),
            Ok(committed) => committed.versions[0].version.to_string(),
            Err(Error::Conflict(conflict)) => format!("conflict at {}", conflict.actual),
            Err(other) => other.to_string(),
        });
    }
    let expected = ["1", "2", "conflict at 2", "3", "1", "2", "3", "1", "1 again", "2", "1 again"];
    assert_eq!(answers, expected);
    assert_eq!(store.head().await.unwrap(), Position::from_number(9), "and positions have no hole");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_over_several_streams_in_opposite_orders_stand_in_nobodys_way() {
    const ROUNDS: u64 = 40;
    let place = Place::new();
    // Two stores on the file, as two processes have it: neither knows what waits in the other.
    let stores = [place.open(), place.open()];
    let tasks: Vec<_> = (0..8)
        .map(|writer: usize| {
            let store = stores[writer % 2].clone();
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    let mut names = ["a-1", "b-1", "c-1"];
                    names.rotate_left(writer % 3);
                    if writer.is_multiple_of(2) {
                        names.reverse();
                    }
                    let commit =
                        names[1..].iter().fold(append(names[0], ExpectedVersion::Any), |commit, name| {
                            commit.append(stream(name), ExpectedVersion::Any, vec![event(1)])
                        });
                    let committed = store.commit(&tenant(), commit).await.unwrap();
                    let order: Vec<&str> = committed.versions.iter().map(|one| one.stream.as_str()).collect();
                    assert_eq!(order, names, "the answer is in the order of the commit");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let streams = ["a-1", "b-1", "c-1"].map(stream);
    let all = Version(8 * ROUNDS);
    assert_eq!(stores[0].versions(&tenant(), &streams).await.unwrap(), [all; 3]);
    assert_eq!(stores[1].head().await.unwrap(), Position::from_number(3 * all.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_floods_does_not_hold_up_another() {
    let limits = BatchLimits { batch_items_max: 8, ..BatchLimits::default() };
    let Held { store, gate, place: _place } = Held::new(limits);
    let (flood, small) = (tenant(), other());
    let first = begin(store.commit(&flood, append("held-1", ExpectedVersion::Any)));
    gate.reached().await;
    let flooding: Vec<_> = (0..1_000)
        .map(|number| begin(store.commit(&flood, append(&format!("a-{number}"), ExpectedVersion::Any))))
        .collect();
    let served: Vec<_> = (0..6)
        .map(|number| begin(store.commit(&small, append(&format!("a-{number}"), ExpectedVersion::Any))))
        .collect();
    gate.open();
    first.await.unwrap();
    let mut last = 0;
    for waiting in served {
        last = last.max(position(waiting.await));
    }
    // One for one: six of each, after the commit that held the writer.
    assert!(last <= 1 + 2 * 6 + 1, "the small tenant's last commit came at position {last}");
    let mut before = 0;
    for waiting in flooding {
        let position = position(waiting.await);
        assert!(position > before, "a tenant's own commits are stored in order");
        before = position;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_limit_of_the_queue_is_named_and_nothing_over_it_is_stored() {
    let large = || append_many("large-1", ExpectedVersion::Any, 100);
    let bytes = large().bytes();
    let none = BatchLimits::default();
    for (name, limits, of_one_tenant) in [
        ("queue_items_max = 2", BatchLimits { queue_items_max: 2, ..none.clone() }, false),
        ("queue_bytes_max", BatchLimits { queue_bytes_max: 2 * bytes, ..none.clone() }, false),
        ("tenant_items_max = 2", BatchLimits { tenant_items_max: 2, ..none.clone() }, true),
        ("tenant_bytes_max", BatchLimits { tenant_bytes_max: 2 * bytes, ..none.clone() }, true),
    ] {
        let Held { store, gate, place: _place } = Held::new(limits);
        let (owner, stranger) = (tenant(), other());
        let first = begin(store.commit(&owner, append("held-1", ExpectedVersion::Any)));
        gate.reached().await;
        let waiting = [(); 2].map(|()| begin(store.commit(&owner, large())));
        let refused = large();
        for _ in 0..3 {
            match store.commit(&owner, refused.clone()).await {
                Err(Error::Unavailable { reason, retry_after, overloaded }) => {
                    assert!(overloaded && reason.contains(name), "{name}: {reason}");
                    assert!(retry_after.is_some(), "{name}: it says when to come again");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        // What one tenant fills is not another's.
        let beside = of_one_tenant.then(|| begin(store.commit(&stranger, large())));
        gate.open();
        first.await.unwrap();
        for waiting in waiting {
            waiting.await.unwrap();
        }
        if let Some(beside) = beside {
            beside.await.unwrap();
        }
        assert!(store.find_commit(&owner, refused.id).await.unwrap().is_none(), "{name}");
        assert!(!store.commit(&owner, refused).await.unwrap().repeated, "{name}: there is room again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_in_the_middle_of_a_batch_may_go_away() {
    let Held { store, gate, place: _place } = Held::new(BatchLimits::default());
    let owner = tenant();
    let first = begin(store.commit(&owner, append("held-1", ExpectedVersion::Any)));
    gate.reached().await;
    let commits: Vec<Commit> =
        (0..9).map(|number| append(&format!("a-{number}"), ExpectedVersion::NoStream)).collect();
    let mut waiting: Vec<_> =
        commits.iter().map(|commit| Some(begin(store.commit(&owner, commit.clone())))).collect();
    for number in [0, 4, 8] {
        waiting[number] = None;
    }
    drop(first);
    gate.open();
    for waiting in waiting.into_iter().flatten() {
        waiting.await.unwrap();
    }
    // Its turn comes after all of theirs.
    store.commit(&owner, append("held-1", ExpectedVersion::Exact(Version(1)))).await.unwrap();
    for commit in commits {
        assert!(store.find_commit(&owner, commit.id).await.unwrap().is_some());
    }
    assert_eq!(store.head().await.unwrap(), Position::from_number(11));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_answers_all_who_wait() {
    for (at, uncertain) in
        [(FaultPoint::Inserted, false), (FaultPoint::Commit, true), (FaultPoint::Committed, true)]
    {
        let place = Place::new();
        let start = {
            let store = place.open();
            let start = Checkpoint::start(store.store_id());
            store.prepare(&balances(), start).await.unwrap();
            store.close().await.unwrap();
            start
        };
        let table = ViewTable { schema: balances(), generation: 1 };
        let (gate, config) = Gate::and_then(move |step| {
            assert!(step != at, "injected panic");
            false
        });
        let limits = BatchLimits { batch_items_max: 4, ..BatchLimits::default() };
        let store = place.open_with(config.with_limits(limits));
        let (owner, stranger) = (tenant(), other());
        let commits: Vec<Commit> =
            (0..12).map(|number| append(&format!("a-{number}"), ExpectedVersion::NoStream)).collect();
        let mut waiting = vec![begin(store.commit(&owner, commits[0].clone()))];
        gate.reached().await;
        for (number, commit) in commits.iter().enumerate().skip(1) {
            let owner = if number % 2 == 0 { &owner } else { &stranger };
            waiting.push(begin(store.commit(owner, commit.clone())));
        }
        let batch = ViewBatch::new(start, checkpoint_at(start, 1), vec![upsert("k", 1)]);
        let view = begin(store.apply(&table, batch));
        gate.open();
        for (number, waiting) in waiting.into_iter().enumerate() {
            match waiting.await {
                // The first was being written; nobody had looked at the others.
                Err(Error::Uncertain { id, .. }) => {
                    assert!(uncertain && number == 0 && id == commits[0].id, "{at:?}: commit {number}");
                }
                Err(Error::Unavailable { .. }) => {
                    assert!(!uncertain || number > 0, "{at:?}: commit {number}")
                }
                other => panic!("{at:?}: commit {number}: {other:?}"),
            }
        }
        let view = view.await;
        assert!(matches!(view, Err(Error::Unavailable { .. })), "{at:?}: {view:?}");
        assert!(store.close().await.is_err(), "{at:?}: closing tells of the panic");

        // The file tells the truth about each.
        let store = place.open();
        assert_eq!(store.checkpoint(&table).await.unwrap(), start, "{at:?}: nothing of the view");
        for (number, commit) in commits.iter().enumerate() {
            let owner = if number % 2 == 0 { &owner } else { &stranger };
            let again = store.commit(owner, commit.clone()).await.unwrap();
            assert_eq!(again.repeated, number == 0 && at == FaultPoint::Committed, "{at:?}: commit {number}");
        }
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_that_is_there_already_is_named_and_not_the_one_before_it() {
    let place = Place::new();
    let store = place.open();
    let first = append("a-1", ExpectedVersion::NoStream);
    let known = first.writes[0].events[0].event_id;
    store.commit(&tenant(), first).await.unwrap();
    let mut poison = append_many("a-2", ExpectedVersion::NoStream, 3);
    poison.writes[0].events[2].event_id = known;
    let refused = store.commit(&tenant(), poison).await.unwrap_err().to_string();
    assert!(refused.contains(&known.to_string()), "{refused}");
}
