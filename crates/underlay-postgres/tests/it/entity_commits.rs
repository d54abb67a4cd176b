//! Commits that change entities: with their events or not at all, whatever is lost on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use underlay_core::{
    Commit, Entities, EntityChange, EntityVersion, Error, EventStore, ExpectedVersion, Json, NewWork,
    Version, WorkKind,
};
use underlay_postgres::{FaultPoint, PostgresStore};

use crate::gate::Gate;
use crate::place::{Place, with_place};
use crate::sample::{acme, append, begin, enter, member, members, stream};

async fn prepared(place: &Place) -> PostgresStore {
    let store = place.open().await;
    store.prepare(&members()).await.unwrap();
    store
}

fn update(id: &str, expected: u64, number: i64) -> EntityChange {
    EntityChange::update(members(), id, EntityVersion(expected), member(number))
}

fn commit_to(stream: &str, changes: Vec<EntityChange>) -> Commit {
    append(stream, ExpectedVersion::Any).with_entities(changes)
}

async fn version(store: &PostgresStore, id: &str) -> Option<u64> {
    let loaded = store.load(&members(), &acme(), &[id.to_owned()]).await.unwrap();
    loaded[0].as_ref().map(|entity| entity.version.0)
}

async fn events(store: &PostgresStore, name: &str) -> u64 {
    store.versions(&acme(), &[stream(name)]).await.unwrap()[0].0
}

#[test]
fn a_commit_is_stored_with_its_entities_work_and_refusals_or_none_of_it() {
    with_place(async |place| {
        let store = prepared(&place).await;
        let piece = NewWork::new(WorkKind::Message, "mail", "k", "x", Json::parse("{}").unwrap());
        let first = commit_to("a-1", vec![enter("a", 1), enter("b", 2)]).send(piece);
        let committed = store.commit(&acme(), first.clone()).await.unwrap();
        assert_eq!((committed.event_count, committed.repeated), (1, false));
        assert_eq!((version(&store, "a").await, version(&store, "b").await), (Some(1), Some(1)));

        let wrong = append("a-1", ExpectedVersion::NoStream).with_entities(vec![update("a", 1, 3)]);
        let refused = store.commit(&acme(), wrong).await;
        assert!(
            matches!(&refused, Err(Error::Conflict(conflict)) if conflict.actual == Version(1)),
            "{refused:?}"
        );
        let wrong = commit_to("a-1", vec![update("a", 1, 3), update("b", 7, 4)]);
        let refused = store.commit(&acme(), wrong.clone()).await.unwrap_err();
        assert_eq!(refused.to_string(), "conflict on member b: expected version 7, found 1");
        let twin = commit_to("a-1", vec![enter("c", 2)]);
        let refused = store.commit(&acme(), twin).await;
        assert!(matches!(&refused, Err(Error::RuleViolation(text)) if text.contains("name")), "{refused:?}");
        assert_eq!((version(&store, "a").await, version(&store, "c").await), (Some(1), None));
        assert_eq!(events(&store, "a-1").await, 1);

        // The id of what failed is free.
        let mut again = wrong;
        again.entities = vec![update("b", 1, 4)];
        assert!(!store.commit(&acme(), again).await.unwrap().repeated);
        assert_eq!((version(&store, "b").await, events(&store, "a-1").await), (Some(2), 2));

        // A repeat is answered as before, whatever the entities are by now.
        let repeat = store.commit(&acme(), first.clone()).await.unwrap();
        assert!(repeat.repeated && repeat.position == committed.position, "{repeat:?}");
        let gone =
            vec![EntityChange::delete(members(), "a", None), EntityChange::delete(members(), "b", None)];
        store.apply(&acme(), gone).await.unwrap();
        assert!(store.commit(&acme(), first).await.unwrap().repeated);
        assert_eq!(version(&store, "a").await, None, "a repeat creates nothing");
    });
}

#[test]
fn commits_that_wait_together_are_refused_each_by_itself() {
    with_place(async |place| {
        let store = prepared(&place).await;
        store.apply(&acme(), vec![enter("a", 1)]).await.unwrap();
        let gate = Gate::close(&place).await;
        let tenant = acme();
        let first = begin(store.commit(&tenant, append("b-0", ExpectedVersion::NoStream)));
        gate.reached(1).await;
        // These are taken as one batch, once the first is stored.
        let begun: Vec<_> = (0..8)
            .map(|number| {
                let to = format!("b-{}", number + 1);
                let commit = match number % 2 {
                    0 => append(&to, ExpectedVersion::NoStream),
                    _ => commit_to(&to, vec![update("a", 1, 1)]),
                };
                begin(store.commit(&tenant, commit))
            })
            .collect();
        gate.open().await;
        first.await.unwrap();
        let mut stored = Vec::new();
        for (number, commit) in begun.into_iter().enumerate() {
            match commit.await {
                Ok(_) => stored.push(number),
                Err(Error::EntityConflict(conflict)) => assert_eq!(conflict.actual, Some(EntityVersion(2))),
                Err(other) => panic!("{number}: {other}"),
            }
        }
        assert_eq!(stored, [0, 1, 2, 4, 6]);
        assert_eq!((version(&store, "a").await, store.head().await.unwrap().number()), (Some(2), 6));
    });
}

/// The answer of the first commit with entities is lost, before it is sent or after it was stored.
async fn with_a_loss(place: &Place, at: FaultPoint) -> PostgresStore {
    let lost = Arc::new(AtomicBool::new(false));
    let config = place.config().with_faults(move |step| step == at && !lost.swap(true, Ordering::SeqCst));
    place.open_with(config).await
}

#[test]
fn a_commit_with_entities_whose_answer_was_lost_is_found_out() {
    with_place(async |place| {
        prepared(&place).await.close().await.unwrap();
        let store = with_a_loss(&place, FaultPoint::Answered).await;
        let commit = commit_to("a-1", vec![enter("a", 1)]);
        assert!(store.commit(&acme(), commit.clone()).await.unwrap().repeated, "it was stored");
        assert_eq!((version(&store, "a").await, events(&store, "a-1").await), (Some(1), 1));
        assert!(store.commit(&acme(), commit).await.unwrap().repeated);
        let store = with_a_loss(&place, FaultPoint::Send).await;
        let commit = commit_to("a-1", vec![update("a", 1, 1)]);
        let refused = store.commit(&acme(), commit.clone()).await;
        assert!(matches!(refused, Err(Error::Unavailable { .. })), "it was not sent: {refused:?}");
        assert_eq!(version(&store, "a").await, Some(1));
        assert!(!store.commit(&acme(), commit).await.unwrap().repeated);
        assert_eq!((version(&store, "a").await, events(&store, "a-1").await), (Some(2), 2));
    });
}

#[test]
fn a_commit_whose_session_ends_while_it_waits_changes_no_entity() {
    with_place(async |place| {
        let store = prepared(&place).await;
        let gate = Gate::close(&place).await;
        let tenant = acme();
        let commit = commit_to("a-1", vec![enter("a", 1)]);
        let begun = begin(store.commit(&tenant, commit.clone()));
        gate.kill_waiting().await;
        // The fence waits there too, and then says what became of it.
        gate.reached(1).await;
        gate.open().await;
        let answer = begun.await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
        assert_eq!((version(&store, "a").await, events(&store, "a-1").await), (None, 0));
        assert!(!store.commit(&acme(), commit).await.unwrap().repeated);
        assert_eq!(version(&store, "a").await, Some(1));
    });
}

#[test]
fn who_waits_for_an_entity_keeps_nobody_from_the_log() {
    with_place(async |place| {
        let (store, other) = (prepared(&place).await, place.open().await);
        store.apply(&acme(), vec![enter("a", 1)]).await.unwrap();
        let (holder, watcher) = (place.admin().await, place.admin().await);
        holder.batch_execute("BEGIN; SELECT FROM underlay_entities.member FOR UPDATE").await.unwrap();
        let tenant = acme();
        let begun = begin(store.commit(&tenant, commit_to("a-1", vec![update("a", 1, 1)])));
        let waiting = "SELECT FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while watcher.query_opt(waiting, &[]).await.unwrap().is_none() {}
        // The log is free for another process, and for this one.
        for (store, to) in [(&other, "b-1"), (&store, "b-2")] {
            let beside = store.commit(&tenant, append(to, ExpectedVersion::NoStream));
            let stored = tokio::time::timeout(Duration::from_secs(2), beside).await;
            stored.expect("it does not wait for the entity of another").unwrap();
        }
        holder.batch_execute("COMMIT").await.unwrap();
        begun.await.unwrap();
        assert_eq!((version(&store, "a").await, events(&other, "a-1").await), (Some(2), 1));
    });
}
