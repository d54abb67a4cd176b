//! A deadlock or a serialization failure: the same transaction may succeed when it is run again, and is.

use underlay_core::{Checkpoint, Error, EventStore, ExpectedVersion, Position, ReadModels, ViewBatch};

use crate::place::{Place, with_place};
use crate::sample::{accounts, acme, append, checkpoint_at, row};

/// More than anything is tried again.
const ALWAYS: i64 = 1_000;

/// Makes the first inserts into a table fail as the losers of a contention do, from now on.
async fn fail(place: &Place, table: &str, code: &str, times: i64) {
    let admin = place.admin().await;
    let trigger = format!(
        "DROP SEQUENCE IF EXISTS public.tries CASCADE; CREATE SEQUENCE public.tries; \
         CREATE OR REPLACE FUNCTION public.lose() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ \
         BEGIN IF nextval('public.tries') <= {times} THEN \
         RAISE EXCEPTION 'somebody else won' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$; \
         CREATE OR REPLACE TRIGGER lose BEFORE INSERT ON underlay.{table} \
         FOR EACH ROW EXECUTE FUNCTION public.lose()"
    );
    admin.batch_execute(&trigger).await.unwrap();
}

const DEADLOCK: &str = "40P01";
const SERIALIZATION: &str = "40001";

#[test]
fn a_commit_that_lost_a_contention_is_sent_again() {
    with_place(async |place| {
        let store = place.open().await;
        for (code, to) in [(DEADLOCK, "a-1"), (SERIALIZATION, "a-2")] {
            fail(&place, "commits", code, 2).await;
            let committed = store.commit(&acme(), append(to, ExpectedVersion::NoStream)).await.unwrap();
            assert!(!committed.repeated, "{code}");
        }
        assert_eq!(store.head().await.unwrap(), Position::from_number(2));
    });
}

#[test]
fn a_commit_that_loses_every_time_is_unavailable_and_not_stored() {
    with_place(async |place| {
        let store = place.open().await;
        fail(&place, "commits", DEADLOCK, ALWAYS).await;
        let commit = append("a-1", ExpectedVersion::NoStream);
        let answer = store.commit(&acme(), commit.clone()).await;
        assert!(matches!(answer, Err(Error::Unavailable { retry_after: Some(_), .. })), "{answer:?}");
        assert!(store.find_commit(&acme(), commit.id).await.unwrap().is_none());
    });
}

#[test]
fn a_view_batch_that_lost_a_contention_is_stored_once() {
    with_place(async |place| {
        let store = place.open().await;
        let start = Checkpoint::start(store.store_id());
        let table = store.prepare(&accounts(), start).await.unwrap();
        let mut from = start;
        for (position, code) in [(1, DEADLOCK), (2, SERIALIZATION)] {
            fail(&place, "view_checkpoints", code, 2).await;
            let to = checkpoint_at(start, position);
            let batch = ViewBatch::new(from, to, vec![row("acme", "k", 1)]);
            store.apply(&table, batch).await.unwrap();
            from = to;
        }
        assert_eq!(store.checkpoint(&table).await.unwrap(), from);
        fail(&place, "view_checkpoints", DEADLOCK, ALWAYS).await;
        let batch = ViewBatch::new(from, checkpoint_at(start, 3), Vec::new());
        let answer = store.apply(&table, batch).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
        assert_eq!(store.checkpoint(&table).await.unwrap(), from);
    });
}
