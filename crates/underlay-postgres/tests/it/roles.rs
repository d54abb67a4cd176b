//! Attacks with the roles a program has: on other tenants' rows, on the log, on the rules themselves.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use underlay_core::{
    Checkpoint, Entities, Error, EventId, EventStore, ExpectedVersion, Fingerprint, Json, NewWork,
    ReadModels, Schedules, Snapshot, Snapshots, Timestamp, Version, ViewBatch, WorkKind,
};
use underlay_postgres::{PostgresConfig, PostgresStore};

use crate::place::{Place, ROLE_PREFIX, connect, with_place};
use crate::sample::{accounts, acme, append, checkpoint_at, enter, members, row, stream, tenant};

/// Events, commits, snapshots and rows of two tenants.
async fn filled(place: &Place) -> PostgresStore {
    let store = place.open().await;
    let start = Checkpoint::start(store.store_id());
    let table = ReadModels::prepare(&store, &accounts(), start).await.unwrap();
    for owner in ["acme", "globex"] {
        for number in 0..3 {
            let to = format!("a-{number}");
            let piece = || NewWork::new(WorkKind::Message, "mail", "k", "x", Json::parse("{}").unwrap());
            let commit = append(&to, ExpectedVersion::NoStream).send(piece());
            store.commit(&tenant(owner), commit.send(piece().with_due_at(Timestamp::MAX))).await.unwrap();
        }
        store.put_schedule(&tenant(owner), "nightly", &Json::parse("{}").unwrap(), None).await.unwrap();
        let snapshot = Snapshot {
            version: Version(1),
            event_id: EventId::draw(),
            fingerprint: Fingerprint([7; 16]),
            state: Json::parse("{}").unwrap(),
        };
        store.store_snapshot(&tenant(owner), &stream("a-1"), snapshot).await.unwrap();
    }
    Entities::prepare(&store, &members()).await.unwrap();
    for owner in ["acme", "globex"] {
        Entities::apply(&store, &tenant(owner), vec![enter("a", 1)]).await.unwrap();
    }
    let changes = vec![row("acme", "k", 1), row("globex", "k", 2), row("globex", "l", 3)];
    ReadModels::apply(&store, &table, ViewBatch::new(start, checkpoint_at(start, 6), changes)).await.unwrap();
    store
}

/// The program's login, turned into one of its roles.
async fn acting_as(place: &Place, role: &str) -> Client {
    let client = connect(&place.login_address()).await;
    client.batch_execute(&format!("SET ROLE {ROLE_PREFIX}_{role}")).await.unwrap();
    client
}

async fn code(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => "done".to_owned(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |state| state.code().to_owned()),
    }
}

async fn count(client: &Client, table: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
}

const TENANT_TABLES: [&str; 9] = [
    "underlay.events",
    "underlay.commits",
    "underlay.snapshots",
    "underlay.work",
    "underlay.work_later",
    "underlay.dead_letters",
    "underlay.schedules",
    "underlay_views.accounts_1",
    "underlay_entities.member",
];

#[test]
fn every_table_has_forced_row_level_security_and_a_policy() {
    with_place(async |place| {
        let store = filled(&place).await;
        // A second view, so that this is not of one table alone.
        let other = accounts().named("others");
        ReadModels::prepare(&store, &other, Checkpoint::start(store.store_id())).await.unwrap();
        let open = "SELECT n.nspname || '.' || c.relname FROM pg_class AS c \
                    JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                    WHERE n.nspname IN ('underlay', 'underlay_views', 'underlay_entities') AND c.relkind IN ('r', 'p', 'm', 'f') \
                    AND NOT (c.relrowsecurity AND c.relforcerowsecurity \
                    AND EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid))";
        let admin = place.admin().await;
        let open: Vec<String> = admin.query(open, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(open, [""; 0], "tables without forced row-level security or a policy");
        let all = "SELECT count(*) FROM pg_tables WHERE schemaname IN ('underlay', 'underlay_views', 'underlay_entities')";
        assert_eq!(admin.query_one(all, &[]).await.unwrap().get::<_, i64>(0), 30);
        // Views and sequences would be ways around it; a composite type has no rows.
        let ways = "SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                    WHERE n.nspname IN ('underlay', 'underlay_views', 'underlay_entities') AND c.relkind NOT IN ('r', 'i', 't', 'c')";
        assert_eq!(admin.query_one(ways, &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}

#[test]
fn without_a_tenant_nothing_is_seen() {
    with_place(async |place| {
        let _store = filled(&place).await;
        // Nobody has asked for a role, nor for a tenant.
        let login = connect(&place.login_address()).await;
        for table in TENANT_TABLES {
            assert_eq!(count(&login, table).await, 0, "{table}");
        }
        for role in ["reader", "writer"] {
            let client = acting_as(&place, role).await;
            for setting in [
                "SELECT 1",
                "SET underlay.tenant = ''",
                "SET underlay.tenant = ' '",
                "SET underlay.tenant = '%'",
                "SET underlay.tenant = 'acme,globex'",
                "SET underlay.tenant = 'ACME'",
                "SET underlay.tenant = ''' OR true --'",
            ] {
                client.batch_execute(setting).await.unwrap();
                for table in TENANT_TABLES {
                    let seen = client.query(&format!("SELECT 1 FROM {table}"), &[]).await;
                    let rows = seen.map_or(0, |rows| rows.len());
                    assert_eq!(rows, 0, "{role}, {setting}, {table}");
                }
            }
            // What a transaction sets is empty afterwards, and empty is no tenant.
            client.batch_execute("RESET underlay.tenant").await.unwrap();
            client
                .batch_execute("BEGIN; SELECT set_config('underlay.tenant', 'acme', true); COMMIT")
                .await
                .unwrap();
            let seen = client.query("SELECT 1 FROM underlay.events", &[]).await;
            assert_eq!(seen.map_or(0, |rows| rows.len()), 0, "{role} after the transaction");
        }
    });
}

#[test]
fn a_reader_sees_its_tenant_alone() {
    with_place(async |place| {
        let _store = filled(&place).await;
        let reader = acting_as(&place, "reader").await;
        reader.batch_execute("SET underlay.tenant = 'acme'").await.unwrap();
        for (table, rows) in [
            ("underlay.events", 3),
            ("underlay.commits", 3),
            ("underlay.work", 3),
            ("underlay.work_later", 3),
            ("underlay.schedules", 1),
            ("underlay_views.accounts_1", 1),
            ("underlay_entities.member", 1),
        ] {
            assert_eq!(count(&reader, table).await, rows, "{table}");
            assert_eq!(count(&reader, &format!("{table} WHERE tenant = 'globex'")).await, 0, "{table}");
            assert_eq!(count(&reader, &format!("{table} WHERE tenant <> 'acme'")).await, 0, "{table}");
        }
        // A condition that leaks what it is shown is not shown others' rows.
        let leak = "CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS \
                    $$ BEGIN IF $1 <> 'acme' THEN RAISE EXCEPTION 'leaked %', $1; END IF; RETURN true; END $$";
        reader.batch_execute(leak).await.unwrap();
        assert_eq!(count(&reader, "underlay.events WHERE pg_temp.leak(tenant)").await, 3);
    });
}

#[test]
fn nobody_changes_or_removes_an_event() {
    with_place(async |place| {
        let store = filled(&place).await;
        let before = store.head().await.unwrap();
        let denied = SqlState::INSUFFICIENT_PRIVILEGE.code();
        let insert = "INSERT INTO underlay.events (position, version, recorded_at, schema_version, event_id, \
                      commit_tail, tenant, stream, type, metadata, payload) VALUES \
                      (7, 1, 1, 1, gen_random_uuid(), 0, 'acme', 'x-1', 'noted', '{}', '{}')";
        for role in ["reader", "writer", "worker", "app"] {
            let client = acting_as(&place, role).await;
            client.batch_execute("SET underlay.tenant = 'acme'").await.unwrap();
            for attack in [
                insert,
                "UPDATE underlay.events SET payload = '{}'",
                "UPDATE underlay.events SET tenant = 'globex'",
                "DELETE FROM underlay.events",
                "TRUNCATE underlay.events",
                "DROP TABLE underlay.events",
                "ALTER TABLE underlay.events DISABLE TRIGGER ALL",
                "ALTER TABLE underlay.events DISABLE ROW LEVEL SECURITY",
                "ALTER TABLE underlay.events NO FORCE ROW LEVEL SECURITY",
                "DROP POLICY of_tenant ON underlay.events",
                "CREATE POLICY mine ON underlay.events USING (true)",
                "DROP TRIGGER events_are_not_changed ON underlay.events",
                "DROP FUNCTION underlay.append",
                "DELETE FROM underlay.commits",
                "TRUNCATE underlay.commits",
                "UPDATE underlay.commits SET position = 0",
                "UPDATE underlay.store SET id = gen_random_uuid()",
                "DELETE FROM underlay.log_head",
                "SELECT FROM underlay.log_head FOR UPDATE",
                "UPDATE underlay.skipped_events SET skipped = '{}'",
                "DELETE FROM underlay.skipped_events",
                "TRUNCATE underlay.skipped_events",
                "DELETE FROM underlay.migrations",
                "CREATE TABLE underlay.mine (a integer)",
                "CREATE FUNCTION underlay.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            ] {
                assert_eq!(code(&client, attack).await, denied, "{role}: {attack}");
            }
        }
        let login = connect(&place.login_address()).await;
        for role in ["owner", "append"] {
            let attack = format!("SET ROLE {ROLE_PREFIX}_{role}");
            assert_eq!(code(&login, &attack).await, denied, "{attack}");
        }
        assert_eq!(code(&login, "SET session_replication_role = replica").await, denied);
        let granted = "SELECT acl.grantee::regrole::text || ' may ' || acl.privilege_type || ' ' || c.relname \
                       FROM pg_class AS c, aclexplode(c.relacl) AS acl \
                       WHERE c.relnamespace = 'underlay'::regnamespace \
                       AND (c.relname = 'events' AND acl.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE') \
                       OR c.relname = 'commits' AND acl.privilege_type IN ('DELETE', 'TRUNCATE'))";
        let admin = place.admin().await;
        let granted = admin.query(granted, &[]).await.unwrap();
        let granted: Vec<String> = granted.iter().map(|row| row.get(0)).collect();
        // It is for the function that forgets commits without events, and no policy shows it others.
        assert_eq!(granted, [format!("{ROLE_PREFIX}_append may DELETE commits")]);
        let commits = count(&admin, "underlay.commits").await;
        admin.batch_execute(&format!("SET ROLE {ROLE_PREFIX}_append")).await.unwrap();
        assert_eq!(
            admin.execute("DELETE FROM underlay.commits WHERE event_count > 0", &[]).await.unwrap(),
            0
        );
        admin.batch_execute("RESET ROLE").await.unwrap();
        assert_eq!(count(&admin, "underlay.commits").await, commits);
        assert_eq!(store.head().await.unwrap(), before);
    });
}

#[test]
fn the_log_refuses_also_who_was_given_the_right() {
    with_place(async |place| {
        let _store = filled(&place).await;
        let admin = place.admin().await;
        let refused = SqlState::RESTRICT_VIOLATION.code();
        for attack in [
            "UPDATE underlay.events SET payload = '{}' WHERE position = 1",
            "DELETE FROM underlay.events WHERE position = 1",
            "TRUNCATE underlay.events",
            "DELETE FROM underlay.commits WHERE position = 1",
            "TRUNCATE underlay.commits",
        ] {
            assert_eq!(code(&admin, attack).await, refused, "{attack}");
        }
    });
}

#[test]
fn a_writer_writes_through_the_function_and_sees_nothing() {
    with_place(async |place| {
        let store = filled(&place).await;
        let before = store.head().await.unwrap();
        let writer = acting_as(&place, "writer").await;
        let denied = SqlState::INSUFFICIENT_PRIVILEGE.code();
        for attack in
            ["SELECT FROM underlay.events", "SELECT FROM underlay.commits", "SELECT FROM underlay.fences"]
        {
            assert_eq!(code(&writer, attack).await, denied, "{attack}");
        }
        // What stands in the way of the function's names does not reach it.
        let shadows = "CREATE TEMP TABLE events (LIKE pg_class); CREATE TEMP TABLE log_head (one integer); \
                       CREATE TEMP TABLE commits (a integer); SET search_path = pg_temp, underlay";
        writer.batch_execute(shadows).await.unwrap();
        let batch = "SELECT (underlay.append(gen_random_uuid(), 1, NULL, ARRAY['acme'], \
                     ARRAY[gen_random_uuid()], ARRAY['\\x00'::bytea], ARRAY[1], ARRAY[1], NULL, NULL, NULL, \
                     ARRAY['{}'], ARRAY[1], ARRAY['b-1'], ARRAY[0::bigint], ARRAY[1], ARRAY[1], ARRAY[1], ARRAY[0], \
                     ARRAY[gen_random_uuid()], ARRAY['noted'], ARRAY[1::bigint], ARRAY['{}'])).head";
        let head: i64 = writer.query_one(batch, &[]).await.unwrap().get(0);
        assert_eq!(head, i64::try_from(before.number()).unwrap());
        let single = "SELECT (underlay.append_one(gen_random_uuid(), 1, NULL, 'acme', gen_random_uuid(), \
                      '\\x00', '{}', 'b-1', 1, gen_random_uuid(), 'noted', 1, '{}')).ended";
        let ended: i64 = writer.query_one(single, &[]).await.unwrap().get(0);
        assert_eq!(ended, head + 2);
        let versions = store.versions(&acme(), &[stream("b-1")]).await.unwrap();
        assert_eq!(versions, [Version(2)], "they are in the log and not in the shadow");
        // Snapshots are its own tenant's.
        writer.batch_execute("RESET search_path; SET underlay.tenant = 'acme'").await.unwrap();
        assert_eq!(count(&writer, "underlay.snapshots").await, 1);
        let foreign = "UPDATE underlay.snapshots SET tenant = 'globex'";
        assert_eq!(code(&writer, foreign).await, denied, "{foreign}");
    });
}

#[test]
fn a_login_that_would_pass_over_policies_is_refused() {
    with_place(async |place| {
        let admin = place.admin().await;
        let superuser = PostgresStore::connect(&place.admin_address(), place.config()).await;
        assert!(
            matches!(&superuser, Err(Error::Invalid(text)) if text.contains("superuser")),
            "{superuser:?}"
        );
        let allowed = place.config().with_superuser_allowed(true);
        let store = PostgresStore::connect(&place.admin_address(), allowed).await.unwrap();
        // Even so its reads go by the roles.
        store.commit(&acme(), append("a-1", ExpectedVersion::Any)).await.unwrap();
        let other = store.read_stream(&tenant("globex"), &stream("a-1"), Version::NONE, 10).await.unwrap();
        assert_eq!(other.version, Version::NONE);

        for (grants, attributes, part) in [
            (format!("{ROLE_PREFIX}_app"), "BYPASSRLS", "BYPASSRLS"),
            (format!("{ROLE_PREFIX}_app, {ROLE_PREFIX}_worker"), "", "every tenant"),
            (format!("{ROLE_PREFIX}_reader"), "", "may not use the store"),
        ] {
            let login = format!("underlay_test_{}", uuid::Uuid::now_v7().simple());
            let create =
                format!("CREATE ROLE {login} LOGIN {attributes} PASSWORD 'p'; GRANT {grants} TO {login}");
            admin.batch_execute(&create).await.unwrap();
            let opened = PostgresStore::connect(&place.address_of(&login, Some("p")), place.config()).await;
            admin.batch_execute(&format!("DROP ROLE {login}")).await.unwrap();
            let error = opened.expect_err("a login that must be refused").to_string();
            assert!(error.contains(part), "{error}");
        }
        a_login_that_could_take_the_walls_down_is_refused(&place, &admin).await;
        let stranger = PostgresConfig::default().with_role_prefix("underlay_nobody");
        let opened = PostgresStore::connect(&place.login_address(), stranger).await;
        assert!(matches!(&opened, Err(Error::Denied(text)) if text.contains("GRANT")), "{opened:?}");
    });
}

/// What is granted to a login beside the use of the store, and what it is told.
async fn a_login_that_could_take_the_walls_down_is_refused(place: &Place, admin: &Client) {
    let run = uuid::Uuid::now_v7().simple().to_string();
    let (login, between) = (format!("underlay_test_{run}"), format!("underlay_test_between_{run}"));
    let version: String = admin.query_one("SHOW server_version_num", &[]).await.unwrap().get(0);
    let newer = version.parse::<u32>().unwrap() >= 160_000;
    let by_superuser = format!("CREATE ROLE {between} SUPERUSER; GRANT {between} TO {login}");
    let through = |role: &str| {
        format!(
            "CREATE ROLE {between} NOINHERIT; GRANT {ROLE_PREFIX}_{role} TO {between}; GRANT {between} TO {login}"
        )
    };
    let mut cases = vec![
        (format!("GRANT {ROLE_PREFIX}_owner TO {login}"), format!("{ROLE_PREFIX}_owner")),
        (format!("GRANT {ROLE_PREFIX}_append TO {login}"), format!("{ROLE_PREFIX}_append")),
        (through("owner"), between.clone()),
        (through("append"), between.clone()),
        (by_superuser, between.clone()),
        (format!("CREATE ROLE {between} BYPASSRLS; GRANT {between} TO {login}"), between.clone()),
        (format!("GRANT pg_execute_server_program TO {login}"), "pg_execute_server_program".to_owned()),
        (
            format!("ALTER ROLE {login} SET role = {ROLE_PREFIX}_app; GRANT {ROLE_PREFIX}_owner TO {login}"),
            format!("{ROLE_PREFIX}_owner"),
        ),
    ];
    if newer {
        let only_admin = "WITH ADMIN TRUE, SET FALSE, INHERIT FALSE";
        cases.push((
            format!("GRANT {ROLE_PREFIX}_owner TO {login} {only_admin}"),
            format!("{ROLE_PREFIX}_owner"),
        ));
    } else {
        cases
            .push((format!("CREATE ROLE {between} CREATEROLE; GRANT {between} TO {login}"), between.clone()));
    }
    for (grants, through) in cases {
        let create =
            format!("CREATE ROLE {login} LOGIN PASSWORD 'p'; GRANT {ROLE_PREFIX}_app TO {login}; {grants}");
        admin.batch_execute(&create).await.unwrap();
        let address = place.address_of(&login, Some("p"));
        let opened = PostgresStore::connect(&address, place.config()).await;
        let revoke = format!("REVOKE \"{through}\" FROM \"{login}\"");
        let told = opened.map(drop).expect_err(&grants).to_string();
        assert!(told.contains(&revoke), "{grants}: {told}");
        // What it is told mends it.
        admin.batch_execute(&revoke).await.unwrap();
        let store = PostgresStore::connect(&address, place.config()).await.unwrap();
        store.close().await.unwrap();
        let drop = format!("DROP OWNED BY {login}; DROP ROLE {login}; DROP ROLE IF EXISTS {between}");
        admin.batch_execute(&drop).await.unwrap();
    }
    if !newer {
        admin
            .batch_execute(&format!(
                "CREATE ROLE {login} LOGIN CREATEROLE PASSWORD 'p'; GRANT {ROLE_PREFIX}_app TO {login}"
            ))
            .await
            .unwrap();
        let opened = PostgresStore::connect(&place.address_of(&login, Some("p")), place.config()).await;
        let told = opened.map(drop).unwrap_err().to_string();
        assert!(told.contains("may make roles"), "{told}");
        admin.batch_execute(&format!("DROP ROLE {login}")).await.unwrap();
    }
}

#[test]
fn walls_that_were_taken_down_are_found() {
    with_place(async |place| {
        let store = filled(&place).await;
        store.close().await.unwrap();
        let admin = place.admin().await;
        for (change, part) in [
            ("ALTER TABLE underlay.events DISABLE ROW LEVEL SECURITY", "underlay.events ENABLE"),
            ("ALTER TABLE underlay.commits NO FORCE ROW LEVEL SECURITY", "FORCE"),
            (
                "ALTER TABLE underlay_views.accounts_1 NO FORCE ROW LEVEL SECURITY",
                "underlay_views.accounts_1",
            ),
            (
                "ALTER TABLE underlay.events OWNER TO CURRENT_USER",
                "ALTER TABLE underlay.events OWNER TO underlay_test_owner",
            ),
            ("ALTER TABLE underlay_views.accounts_1 OWNER TO CURRENT_USER", "OWNER TO underlay_test_worker"),
            ("ALTER FUNCTION underlay.fence OWNER TO CURRENT_USER", "OWNER TO underlay_test_append"),
        ] {
            admin.batch_execute(change).await.unwrap();
            let opened = PostgresStore::connect(&place.login_address(), place.config()).await;
            let told = opened.map(drop).expect_err(change).to_string();
            assert!(told.contains(part), "{change}: {told}");
            // What it is told mends it.
            let mended_by = told.rsplit_once("mends it: ").unwrap().1;
            admin.batch_execute(mended_by).await.unwrap();
            place.open().await.close().await.unwrap();
        }
    });
}

#[test]
fn a_setting_that_would_break_a_guarantee_is_refused() {
    with_place(async |place| {
        let admin = place.admin().await;
        let database = admin.query_one("SELECT current_database()", &[]).await.unwrap();
        let database: String = database.get(0);
        for (setting, value) in [
            ("synchronous_commit", "off"),
            ("default_transaction_isolation", "'repeatable read'"),
            ("default_transaction_read_only", "on"),
        ] {
            let set = format!("ALTER DATABASE {database} SET {setting} = {value}");
            admin.batch_execute(&set).await.unwrap();
            let opened = PostgresStore::connect(&place.login_address(), place.config()).await;
            assert!(matches!(&opened, Err(Error::Invalid(text)) if text.contains(setting)), "{opened:?}");
            admin.batch_execute(&format!("ALTER DATABASE {database} RESET {setting}")).await.unwrap();
        }
        place.open().await;
    });
}
