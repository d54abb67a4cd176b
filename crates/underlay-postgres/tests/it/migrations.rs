//! The schema: made once, by one of several, and never by the wrong program.

use std::time::Duration;

use underlay_core::{Error, EventStore, WaitsFor, WorkQueue, Worker};
use underlay_postgres::{PostgresStore, migrate, migrate_up_to, migration_script};

use crate::place::{Place, connect, with_empty_place, with_place};

#[test]
fn of_several_that_migrate_one_does_it() {
    with_empty_place(async |place| {
        let _turn = place.prepare_login().await;
        let config = place.config();
        let address = place.admin_address();
        let (a, b, c) = tokio::join!(
            migrate(&address, &config, None),
            migrate(&address, &config, None),
            migrate(&address, &config, None)
        );
        let mut counts = [a, b, c].map(|applied| applied.unwrap().len());
        counts.sort_unstable();
        assert_eq!((counts[0], counts[1]), (0, 0), "{counts:?}");
        assert!(counts[2] > 0);
        assert_eq!(migrate(&address, &config, None).await.unwrap(), [""; 0], "again without effect");
    });
}

#[test]
fn the_script_for_an_administrator_makes_the_same() {
    with_empty_place(async |place| {
        let turn = place.prepare_login().await;
        let config = place.config();
        let login = place.login();
        let script = migration_script(&place.admin_address(), &config, Some(login)).await.unwrap();
        let admin = place.admin().await;
        admin.batch_execute(&script).await.unwrap();
        drop(turn);
        let store = place.open().await;
        assert_eq!(store.head().await.unwrap().number(), 0);
        let again = migration_script(&place.admin_address(), &config, None).await.unwrap();
        assert_eq!(again, "", "nothing is left to do");
    });
}

#[test]
fn a_database_without_the_schema_says_how_to_make_it() {
    with_empty_place(async |place| {
        let opened = PostgresStore::connect(&place.admin_address(), place.config()).await;
        assert!(matches!(&opened, Err(Error::Invalid(text)) if text.contains("migrate")), "{opened:?}");
    });
}

/// Changes what is remembered of the migrations, and expects both doors to be closed.
async fn refused_after(place: &Place, change: &str, part: &str) {
    let admin = place.admin().await;
    admin.batch_execute(change).await.unwrap();
    let opened = PostgresStore::connect(&place.login_address(), place.config()).await.map(|_| ());
    let migrated = migrate(&place.admin_address(), &place.config(), None).await.map(|_| ());
    for answer in [opened, migrated] {
        let error = answer.expect_err("it must be refused").to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    with_place(async |place| {
        let change =
            "INSERT INTO underlay.migrations (number, name, checksum) VALUES (999, 'later', '\\x00')";
        refused_after(&place, change, "newer program").await;
    });
}

#[test]
fn a_migration_with_other_content_is_refused() {
    with_place(async |place| {
        let change = "UPDATE underlay.migrations SET checksum = '\\x00' WHERE number = 2";
        refused_after(&place, change, "other content").await;
    });
}

#[test]
fn a_migration_that_is_missing_in_between_is_damage() {
    with_place(async |place| {
        refused_after(&place, "DELETE FROM underlay.migrations WHERE number = 2", "is missing").await;
    });
}

#[test]
fn an_older_schema_is_brought_up_to_date_by_migrate_alone() {
    with_empty_place(async |place| {
        let turn = place.prepare_login().await;
        let (address, config) = (place.admin_address(), place.config());
        migrate_up_to(&address, &config, Some(place.login()), 4).await.unwrap();
        let opened = PostgresStore::connect(&place.login_address(), place.config()).await;
        assert!(matches!(&opened, Err(Error::Invalid(text)) if text.contains("older")), "{opened:?}");
        let later = migrate(&address, &config, None).await.unwrap();
        assert_eq!(later.first(), Some(&"reads"));
        drop(turn);
        place.open().await;
    });
}

/// How many migrations the first release had.
const FIRST_RELEASE: usize = 9;

/// What the oldest program may send to store an event, and a checkpoint under a lease: it names nothing
/// that may be left out.
#[test]
fn a_program_that_is_older_goes_on_until_it_is_replaced() {
    with_empty_place(async |place| {
        let turn = place.prepare_login().await;
        let (address, config) = (place.admin_address(), place.config());
        migrate_up_to(&address, &config, Some(place.login()), FIRST_RELEASE).await.unwrap();
        let older = connect(&place.login_address()).await;
        let acts = async |role: &str, sql: &str| {
            older.batch_execute(&format!("SET ROLE {}_{role}; {sql}; RESET ROLE", config.role_prefix)).await
        };
        let commit = "SELECT underlay.append_one(gen_random_uuid(), 1, NULL, 'acme', gen_random_uuid(), '\\x00', '{}', \
                      'a-1', -1, gen_random_uuid(), 'noted', 1, '{}')";
        let start = "SET search_path = pg_catalog, underlay; \
                     INSERT INTO views (name, generation) VALUES ('v', 1); \
                     INSERT INTO view_generations (name, generation, fingerprint, definition) \
                     VALUES ('v', 1, '\\x01', '{}'); \
                     INSERT INTO view_checkpoints (name, generation, move, store_id, position, event_id) \
                     SELECT 'v', 1, 0, id, 0, NULL FROM store";
        let acquire = "INSERT INTO leases AS there (name, holder, term, expires_at) VALUES ('l', 'me', 1, 1) \
                       ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, term = there.term + 1, \
                       expires_at = excluded.expires_at";
        let fold = |from: u64| {
            format!(
                "SELECT move_checkpoint('v', 1, '\\x01', s.id, {from}, NULL, s.id, {from} + 1, NULL, 'l', term, 0) \
                 FROM store AS s, leases"
            )
        };
        acts("writer", commit).await.unwrap();
        acts("worker", start).await.unwrap();
        acts("worker", acquire).await.unwrap();
        acts("worker", &fold(0)).await.unwrap();
        migrate(&address, &config, None).await.unwrap();
        acts("writer", commit).await.unwrap();
        acts("worker", &fold(1)).await.unwrap();
        acts("worker", acquire).await.unwrap();
        acts("worker", &fold(2)).await.unwrap();
        drop(turn);
        assert_eq!(place.open().await.head().await.unwrap().number(), 2);
    });
}

/// How many migrations a program had that knew of no schedulers.
const WITHOUT_SCHEDULERS: usize = 16;

#[test]
fn a_worker_of_an_older_program_shares_the_work_with_those_that_are_embedded() {
    const TERM: Duration = Duration::from_secs(1_000);
    with_empty_place(async |place| {
        let turn = place.prepare_login().await;
        let (address, config) = (place.admin_address(), place.config());
        migrate_up_to(&address, &config, Some(place.login()), WITHOUT_SCHEDULERS).await.unwrap();
        let older = connect(&place.login_address()).await;
        older.batch_execute(&format!("SET ROLE {}_worker", config.role_prefix)).await.unwrap();
        let id = "00000000-0000-0000-0000-000000000001";
        let share = format!(
            "SELECT shards, terms, part FROM underlay.share_work('{id}', 'older', 1000000000, NULL, '{{}}', '{{}}', \
             '{{}}', NULL, NULL)"
        );
        let ask = async || {
            let row = older.query_one(&share, &[]).await.unwrap();
            (row.get::<_, Vec<i16>>(0), row.get::<_, Vec<i64>>(1), row.get::<_, i64>(2))
        };
        let held = ask().await;
        assert_eq!((held.0.len(), held.2), (16, 16));
        migrate(&address, &config, None).await.unwrap();
        assert_eq!(ask().await, held, "it keeps what it had");

        drop(turn);
        let store = place.open().await;
        let newer = Worker { scheduler: "another".to_owned(), ..Worker::embedded("newer") };
        let waiting = store.share(&newer, TERM, &[]).await.unwrap();
        let waits_for = WaitsFor { scheduler: Worker::EMBEDDED.to_owned(), holder: "older".to_owned() };
        assert_eq!((waiting.held, waiting.waits_for), (Vec::new(), Some(waits_for)));
        let embedded = Worker::embedded("embedded");
        let beside = store.share(&embedded, TERM, &[]).await.unwrap();
        assert_eq!((beside.held, beside.waits_for), (Vec::new(), None));
        assert_eq!(ask().await, (held.0.clone(), held.1.clone(), 8), "the two share the work");
        store.leave(&embedded).await.unwrap();
        older.batch_execute(&format!("SELECT underlay.leave_work('{id}')")).await.unwrap();
        assert_eq!(store.share(&newer, TERM, &[]).await.unwrap().held.len(), 16);
        // It waits too, though it cannot be told whom for.
        let row = older.query_one(&share, &[]).await.unwrap();
        assert_eq!((row.get::<_, Option<Vec<i16>>>(0), row.get::<_, i64>(2)), (None, 0));
    });
}

#[test]
fn who_may_not_make_roles_is_told_so() {
    with_empty_place(async |place| {
        let _turn = place.prepare_login().await;
        let config = place.config().with_role_prefix("underlay_never_made");
        let answer = migrate(&place.login_address(), &config, None).await;
        assert!(matches!(answer, Err(Error::Denied(_))), "{answer:?}");
        let admin = connect(&place.admin_address()).await;
        let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'underlay%'";
        assert_eq!(
            admin.query_one(schemas, &[]).await.unwrap().get::<_, i64>(0),
            0,
            "nothing is left behind"
        );
    });
}

#[test]
fn two_installations_share_a_database() {
    with_place(async |place| {
        let turn = place.prepare_login().await;
        let config = place.config().with_schema("second");
        migrate(&place.admin_address(), &config, Some(place.login())).await.unwrap();
        drop(turn);
        let (first, second) = (place.open().await, place.open_with(config).await);
        assert_ne!(first.store_id(), second.store_id());
        let tenant = crate::sample::acme();
        let commit = crate::sample::append("a-1", underlay_core::ExpectedVersion::NoStream);
        first.commit(&tenant, commit.clone()).await.unwrap();
        assert_eq!(second.head().await.unwrap().number(), 0);
        assert!(!second.commit(&tenant, commit).await.unwrap().repeated);
    });
}
