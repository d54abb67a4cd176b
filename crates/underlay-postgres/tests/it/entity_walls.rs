//! Attacks on entities with the roles a program has: on the rows of other tenants, and on the tables themselves.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use underlay_core::{Entities, Query};
use underlay_postgres::PostgresStore;

use crate::place::{Place, ROLE_PREFIX, connect, with_place};
use crate::sample::{acme, enter, member, members, tenant};

const TABLE: &str = "underlay_entities.member";

/// Members of two tenants, with the same ids and names.
async fn filled(place: &Place) -> PostgresStore {
    let store = place.open().await;
    store.prepare(&members()).await.unwrap();
    for owner in ["acme", "globex"] {
        store.apply(&tenant(owner), vec![enter("a", 1), enter("b", 2)]).await.unwrap();
    }
    store
}

/// The program's login, turned into one of its roles, with a tenant named.
async fn acting_as(place: &Place, role: &str, owner: &str) -> Client {
    let client = connect(&place.login_address()).await;
    let set = format!("SET ROLE {ROLE_PREFIX}_{role}; SET underlay.tenant = '{owner}'");
    client.batch_execute(&set).await.unwrap();
    client
}

async fn code(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => "done".to_owned(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |state| state.code().to_owned()),
    }
}

async fn count(client: &Client, condition: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {TABLE} WHERE {condition}");
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

/// The rows of a tenant as the administrator sees them.
async fn rows_of(place: &Place, owner: &str) -> Vec<String> {
    let sql = format!("SELECT to_jsonb(t)::text FROM {TABLE} AS t WHERE tenant = $1 ORDER BY key");
    place.admin().await.query(&sql, &[&owner]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn readers_and_writers_reach_the_tenant_they_have_named_and_no_other() {
    with_place(async |place| {
        let _store = filled(&place).await;
        let before = rows_of(&place, "globex").await;
        assert_eq!(before.len(), 2);
        for role in ["reader", "writer"] {
            let client = acting_as(&place, role, "acme").await;
            assert_eq!(count(&client, "true").await, 2, "{role}");
            assert_eq!(count(&client, "tenant = 'globex'").await, 0, "{role}");
            for nobody in ["''", "' '", "'%'", "'ACME'", "'acme,globex'", "''' OR true --'"] {
                client.batch_execute(&format!("SET underlay.tenant = {nobody}")).await.unwrap();
                assert_eq!(count(&client, "true").await, 0, "{role} of {nobody}");
            }
            client.batch_execute("RESET underlay.tenant").await.unwrap();
            assert_eq!(count(&client, "true").await, 0, "{role} of nobody");
        }
        let denied = SqlState::INSUFFICIENT_PRIVILEGE.code();
        let writer = acting_as(&place, "writer", "acme").await;
        let foreign = format!(
            "INSERT INTO {TABLE} SELECT * FROM jsonb_populate_record(NULL::{TABLE}, '{}'::jsonb)",
            before[0].replace("\"a\"", "\"z\"").replace('\'', "''")
        );
        for attack in [
            format!("UPDATE {TABLE} SET tenant = 'globex'"),
            foreign.clone(),
            // One that is there is refused by the policy, before its index is asked.
            format!("{foreign} ON CONFLICT DO NOTHING"),
        ] {
            assert_eq!(code(&writer, &attack).await, denied, "{attack}");
        }
        for forgotten in [
            format!("UPDATE {TABLE} SET note = 'mine' WHERE tenant = 'globex'"),
            format!("DELETE FROM {TABLE} WHERE tenant = 'globex'"),
            format!("UPDATE {TABLE} SET note = 'mine'"),
            format!("DELETE FROM {TABLE}"),
        ] {
            assert_eq!(code(&writer, &forgotten).await, "done", "{forgotten}");
        }
        assert_eq!(rows_of(&place, "globex").await, before);
        assert_eq!(rows_of(&place, "acme").await, [""; 0], "of its own it may remove all");
    });
}

#[test]
fn nobody_but_a_writer_writes_and_the_owner_of_a_table_sees_no_row() {
    with_place(async |place| {
        let _store = filled(&place).await;
        let before = [rows_of(&place, "acme").await, rows_of(&place, "globex").await];
        let denied = SqlState::INSUFFICIENT_PRIVILEGE.code();
        let writes = [
            format!("INSERT INTO {TABLE} (tenant, key, version) VALUES ('acme', 'z', 1)"),
            format!("UPDATE {TABLE} SET note = 'mine'"),
            format!("DELETE FROM {TABLE}"),
            format!("SELECT FROM {TABLE} FOR UPDATE"),
        ];
        let shape = [
            format!("TRUNCATE {TABLE}"),
            format!("DROP TABLE {TABLE}"),
            format!("ALTER TABLE {TABLE} DISABLE ROW LEVEL SECURITY"),
            format!("ALTER TABLE {TABLE} NO FORCE ROW LEVEL SECURITY"),
            format!("DROP POLICY written ON {TABLE}"),
            format!("CREATE POLICY mine ON {TABLE} USING (true)"),
            format!(
                "CREATE TRIGGER mine BEFORE INSERT ON {TABLE} EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            ),
            "CREATE TABLE underlay_entities.mine (a integer)".to_owned(),
        ];
        for (role, attacks) in [
            ("reader", [&writes[..], &shape[..]].concat()),
            ("writer", shape.to_vec()),
            ("app", shape.to_vec()),
            ("worker", writes.to_vec()),
        ] {
            let client = acting_as(&place, role, "acme").await;
            for attack in attacks {
                assert_eq!(code(&client, &attack).await, denied, "{role}: {attack}");
            }
        }
        let worker = acting_as(&place, "worker", "acme").await;
        assert_eq!(code(&worker, &format!("SELECT FROM {TABLE}")).await, denied);
        // Even where it gives itself the right, no policy is its own.
        worker.batch_execute(&format!("GRANT ALL ON {TABLE} TO {ROLE_PREFIX}_worker")).await.unwrap();
        assert_eq!(count(&worker, "true").await, 0);
        assert_eq!(code(&worker, &writes[0]).await, denied);
        worker.batch_execute(&format!("{}; {}", writes[1], writes[2])).await.unwrap();
        for role in ["reader", "writer", "app"] {
            let client = acting_as(&place, role, "acme").await;
            let catalogue = code(&client, "SELECT FROM underlay.entities").await;
            assert_eq!(catalogue, denied, "{role}");
        }
        assert_eq!([rows_of(&place, "acme").await, rows_of(&place, "globex").await], before);
    });
}

#[test]
fn a_table_whose_walls_were_taken_down_is_found_when_a_store_is_opened() {
    with_place(async |place| {
        filled(&place).await.close().await.unwrap();
        let admin = place.admin().await;
        for (open, mended) in [
            ("NO FORCE ROW LEVEL SECURITY", "FORCE ROW LEVEL SECURITY"),
            ("DISABLE ROW LEVEL SECURITY", "ENABLE ROW LEVEL SECURITY"),
            ("OWNER TO CURRENT_USER", &format!("OWNER TO {ROLE_PREFIX}_worker")),
        ] {
            admin.batch_execute(&format!("ALTER TABLE {TABLE} {open}")).await.unwrap();
            let refused = PostgresStore::connect(&place.login_address(), place.config()).await.map(|_| ());
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(TABLE) && refused.contains("an administrator mends it"), "{refused}");
            admin.batch_execute(&format!("ALTER TABLE {TABLE} {mended}")).await.unwrap();
        }
        let store = place.open().await;
        assert_eq!(store.count(&members(), &acme(), &Query::default()).await.unwrap(), 2);
    });
}

#[test]
fn a_violation_tells_nothing_of_another_tenant() {
    with_place(async |place| {
        let store = filled(&place).await;
        // The id and the name are both taken by another tenant, and free for this one.
        store.apply(&tenant("initech"), vec![enter("a", 1)]).await.unwrap();
        let mut twin = enter("z", 9);
        if let underlay_core::Change::Create(values) = &mut twin.change {
            values[0] = member(2)[0].clone();
        }
        let refused = store.apply(&acme(), vec![twin]).await.unwrap_err().to_string();
        assert!(refused.contains("column name") && !refused.contains("name 2"), "{refused}");
        for told in ["globex", "acme", "\"b\""] {
            assert!(!refused.contains(told), "{refused}");
        }
    });
}
