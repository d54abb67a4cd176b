//! What the server says of a unit, in the words of the core: each code of PostgreSQL, raised by the server itself.

use std::sync::Arc;

use tokio_postgres::Client;
use underlay_core::{
    Commit, CommitId, Entities, EntityChange, EntitySchema, EntityVersion, Error, EventStore,
};
use underlay_postgres::PostgresStore;

use crate::place::{Place, with_place};
use crate::sample::{acme, begin, enter, member, members};

async fn prepared(place: &Place) -> PostgresStore {
    let store = place.open().await;
    store.prepare(&members()).await.unwrap();
    store.apply(&acme(), vec![enter("a", 1)]).await.unwrap();
    store
}

fn update(expected: u64) -> EntityChange {
    EntityChange::update(members(), "a", EntityVersion(expected), member(1))
}

async fn version(store: &PostgresStore) -> u64 {
    store.load(&members(), &acme(), &["a".to_owned()]).await.unwrap()[0].as_ref().unwrap().version.0
}

/// Lets every change of a member end with a code, so many times.
async fn raise(admin: &Client, code: &str, times: i64) {
    let sql = format!(
        "CREATE SEQUENCE IF NOT EXISTS public.tries; GRANT ALL ON SEQUENCE public.tries TO PUBLIC; \
         ALTER SEQUENCE public.tries RESTART; \
         CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('public.tries') <= {times} THEN RAISE EXCEPTION 'it is so' USING ERRCODE = '{code}'; END IF; \
         RETURN NEW; END $$; \
         CREATE OR REPLACE TRIGGER refuses BEFORE INSERT OR UPDATE ON underlay_entities.member \
         FOR EACH ROW EXECUTE FUNCTION public.refuse()"
    );
    admin.batch_execute(&sql).await.unwrap();
}

/// The word for an error.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Unavailable { overloaded: true, .. } => "overloaded",
        Error::UnitUncertain { .. } => "uncertain",
        Error::Unavailable { .. } => "unavailable",
        Error::Invalid(_) => "invalid",
        Error::Denied(_) => "denied",
        Error::Damaged(_) => "damaged",
        Error::Backend { .. } => "backend",
        _ => "another",
    }
}

#[test]
fn each_code_of_the_server_is_an_error_of_its_kind_and_stores_nothing() {
    with_place(async |place| {
        let store = prepared(&place).await;
        let admin = place.admin().await;
        for (code, expected) in [
            ("40001", "unavailable"),
            ("40P01", "unavailable"),
            ("55P03", "unavailable"),
            ("57014", "unavailable"),
            ("57P03", "unavailable"),
            ("25006", "unavailable"),
            ("53100", "unavailable"),
            ("58030", "unavailable"),
            ("53200", "overloaded"),
            ("53300", "overloaded"),
            ("22003", "invalid"),
            ("23514", "invalid"),
            ("54000", "invalid"),
            ("42501", "denied"),
            ("XX001", "damaged"),
            ("XX002", "damaged"),
            ("XX000", "backend"),
            ("42883", "backend"),
        ] {
            raise(&admin, code, i64::MAX).await;
            let refused = store.apply(&acme(), vec![update(1), enter("b", 2)]).await.unwrap_err();
            assert_eq!(kind(&refused), expected, "{code}: {refused}");
            let commit = Commit::new(CommitId::draw()).with_entities(vec![update(1)]);
            let refused = store.commit(&acme(), commit).await.unwrap_err();
            let stores_nothing = !matches!(refused, Error::Uncertain { .. });
            assert!(stores_nothing, "{code}: {refused}");
            assert_eq!(version(&store).await, 1, "{code}");
        }
        assert_eq!(store.head().await.unwrap().number(), 0);
    });
}

#[test]
fn what_passes_by_itself_is_tried_again() {
    with_place(async |place| {
        let store = prepared(&place).await;
        let admin = place.admin().await;
        for (expected, code) in (1..).zip(["40001", "40P01", "25006"]) {
            raise(&admin, code, 2).await;
            store.apply(&acme(), vec![update(expected)]).await.unwrap();
        }
        raise(&admin, "40001", 2).await;
        store.commit(&acme(), Commit::new(CommitId::draw()).with_entities(vec![update(4)])).await.unwrap();
        assert_eq!(version(&store).await, 5);
    });
}

#[test]
fn a_lock_of_another_is_waited_for_and_then_given_up() {
    with_place(async |place| {
        let store = prepared(&place).await;
        let admin = place.admin().await;
        admin.batch_execute("BEGIN; SELECT FROM underlay_entities.member FOR UPDATE").await.unwrap();
        let refused = store.apply(&acme(), vec![update(1)]).await.unwrap_err();
        assert!(kind(&refused) == "unavailable" && refused.to_string().contains("lock"), "{refused}");
        admin.batch_execute("COMMIT").await.unwrap();
        store.apply(&acme(), vec![update(1)]).await.unwrap();
    });
}

#[test]
fn a_deadlock_with_others_is_tried_again() {
    with_place(async |place| {
        let store = prepared(&place).await;
        store.apply(&acme(), vec![enter("b", 2)]).await.unwrap();
        let (admin, watcher) = (place.admin().await, place.admin().await);
        // Somebody takes them in the other order, and waits for longer than the server lets the unit wait.
        let lock = |id: &str| format!("SELECT FROM underlay_entities.member WHERE key = '{id}' FOR UPDATE");
        let begun = format!("BEGIN; SET LOCAL deadlock_timeout = '1h'; {}", lock("b"));
        admin.batch_execute(&begun).await.unwrap();
        let tenant = acme();
        let both = vec![update(1), EntityChange::update(members(), "b", EntityVersion(1), member(2))];
        let applying = begin(store.apply(&tenant, both));
        let waiting = "SELECT FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while watcher.query_opt(waiting, &[]).await.unwrap().is_none() {}
        admin.batch_execute(&format!("{}; COMMIT", lock("a"))).await.unwrap();
        assert_eq!(applying.await.unwrap(), [EntityVersion(2), EntityVersion(2)]);
    });
}

#[test]
fn a_session_that_ends_in_a_unit_leaves_it_uncertain_and_the_store_goes_on() {
    with_place(async |place| {
        let store = prepared(&place).await;
        let (admin, watcher) = (place.admin().await, place.admin().await);
        admin.batch_execute("BEGIN; SELECT FROM underlay_entities.member FOR UPDATE").await.unwrap();
        let tenant = acme();
        let applying = begin(store.apply(&tenant, vec![update(1)]));
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while watcher.query_opt(kill, &[]).await.unwrap().is_none() {}
        let lost = applying.await.unwrap_err();
        assert_eq!(kind(&lost), "uncertain", "{lost}");
        admin.batch_execute("COMMIT").await.unwrap();
        assert_eq!(version(&store).await, 1);
        store.apply(&acme(), vec![update(1)]).await.unwrap();
    });
}

#[test]
fn a_server_that_only_reads_and_a_right_that_is_gone_are_told() {
    with_place(async |place| {
        let store = prepared(&place).await;
        let admin = place.admin().await;
        let role = place.config().role_prefix;
        admin
            .batch_execute(&format!("REVOKE UPDATE ON underlay_entities.member FROM {role}_writer"))
            .await
            .unwrap();
        let refused = store.apply(&acme(), vec![update(1)]).await.unwrap_err();
        assert_eq!(kind(&refused), "denied", "{refused}");
        admin
            .batch_execute(&format!("GRANT UPDATE ON underlay_entities.member TO {role}_writer"))
            .await
            .unwrap();
        store.apply(&acme(), vec![update(1)]).await.unwrap();
        let database = place.database();
        let only_reads = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
        admin.batch_execute(&only_reads).await.unwrap();
        let kill = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        admin.execute(kill, &[]).await.unwrap();
        let refused = loop {
            let refused = store.apply(&acme(), vec![update(2)]).await.unwrap_err();
            if kind(&refused) != "uncertain" {
                break refused;
            }
        };
        assert_eq!(kind(&refused), "unavailable", "{refused}");
        assert_eq!(version(&store).await, 2);
    });
}

#[test]
fn what_is_stored_and_is_no_member_is_damage_that_names_it() {
    with_place(async |place| {
        let store = prepared(&place).await;
        let admin = place.admin().await;
        for (column, damage) in [
            ("amount", "UPDATE underlay_entities.member SET amount = 'many'"),
            ("opened_at", "UPDATE underlay_entities.member SET opened_at = 9223372036854775807"),
            (
                "name",
                "ALTER TABLE underlay_entities.member ALTER COLUMN name DROP NOT NULL; \
                 UPDATE underlay_entities.member SET name = NULL",
            ),
            ("version", "UPDATE underlay_entities.member SET version = 0"),
        ] {
            admin.batch_execute(&format!("BEGIN; {damage}; COMMIT")).await.unwrap();
            let loaded = store.load(&members(), &acme(), &["a".to_owned()]).await.unwrap_err();
            assert!(matches!(loaded, Error::Damaged(_)), "{loaded}");
            let told = loaded.to_string();
            assert!(told.contains("member \"a\"") && told.contains(column), "{told}");
            let mend = EntityChange::update(members(), "a", EntityVersion(1), member(1));
            // What names no version that is stored is refused, not taken.
            let taken = store.apply(&acme(), vec![mend]).await;
            if column == "version" {
                assert!(matches!(taken, Err(Error::EntityConflict(_))), "{taken:?}");
            }
            let restore = "UPDATE underlay_entities.member SET version = 1";
            admin.batch_execute(restore).await.unwrap();
        }
        let never = Arc::new(EntitySchema::new("never", 1, Vec::new()));
        let unknown = store.apply(&acme(), vec![EntityChange::create(never, "a", Vec::new())]).await;
        assert!(matches!(unknown, Err(Error::NotFound(_))), "{unknown:?}");
    });
}
