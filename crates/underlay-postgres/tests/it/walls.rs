//! Walls of every table, whoever made it and whenever: row-level security, forced, with a policy; and
//! what they keep from those who own a table, or read beside others.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use underlay_core::{
    Checkpoint, Entities, EventStore, ExpectedVersion, Query, ReadModels, Swap, Version, ViewBatch,
};
use underlay_postgres::PostgresStore;

use crate::place::{Place, ROLE_PREFIX, connect, with_place};
use crate::sample::{accounts, acme, append, checkpoint_at, members, row, tenant};

/// Whatever holds rows and has not all of its walls.
async fn open_relations(admin: &Client) -> Vec<String> {
    let open = "SELECT n.nspname || '.' || c.relname FROM pg_class AS c \
                JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                WHERE n.nspname IN ('underlay', 'underlay_views', 'underlay_entities') AND c.relkind NOT IN ('i', 'I', 't', 'c') \
                AND NOT (c.relkind = 'r' AND c.relrowsecurity AND c.relforcerowsecurity \
                AND EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid) \
                AND NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND 0 = ANY (p.polroles))) \
                ORDER BY 1";
    admin.query(open, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// A view whose rows of two tenants reflect the first event, which is one of theirs.
async fn with_rows(store: &PostgresStore) -> underlay_core::ViewTable {
    for owner in ["globex", "acme"] {
        store.commit(&tenant(owner), append("a-1", ExpectedVersion::NoStream)).await.unwrap();
    }
    let start = Checkpoint::start(store.store_id());
    let table = ReadModels::prepare(store, &accounts(), start).await.unwrap();
    let changes = vec![row("acme", "k", 1), row("globex", "k", 2)];
    let batch = ViewBatch::new(start, checkpoint_at(start, 1), changes);
    ReadModels::apply(store, &table, batch).await.unwrap();
    table
}

#[test]
fn every_table_keeps_its_walls_through_rebuilds_and_one_without_is_found() {
    with_place(async |place| {
        let store = place.open().await;
        let admin = place.admin().await;
        with_rows(&store).await;
        Entities::prepare(&store, &members()).await.unwrap();
        let start = Checkpoint::start(store.store_id());
        let building = store.begin_generation(&accounts(), start).await.unwrap();
        assert_eq!(open_relations(&admin).await, [""; 0], "while a view is rebuilt");
        assert!(store.activate(&building, Swap::default()).await.unwrap());
        assert_eq!(open_relations(&admin).await, [""; 0], "after a view was rebuilt");
        let open = "CREATE TABLE underlay.bare (a integer); \
                    CREATE TABLE underlay.unforced (a integer); \
                    ALTER TABLE underlay.unforced ENABLE ROW LEVEL SECURITY; \
                    CREATE POLICY mine ON underlay.unforced TO CURRENT_USER USING (true); \
                    CREATE TABLE underlay_views.without_policy (a integer); \
                    ALTER TABLE underlay_views.without_policy ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
                    CREATE TABLE underlay_entities.bare (a integer); \
                    CREATE POLICY open ON underlay.events FOR SELECT USING (true); \
                    CREATE VIEW underlay.window AS SELECT * FROM underlay.events; \
                    CREATE SEQUENCE underlay.numbers";
        admin.batch_execute(open).await.unwrap();
        let expected = [
            "underlay.bare",
            "underlay.events",
            "underlay.numbers",
            "underlay.unforced",
            "underlay.window",
            "underlay_entities.bare",
            "underlay_views.without_policy",
        ];
        assert_eq!(open_relations(&admin).await, expected);
    });
}

#[test]
fn the_owner_of_the_tables_sees_no_row_of_a_tenant() {
    with_place(async |place| {
        let store = place.open().await;
        with_rows(&store).await;
        let owner = place.admin().await;
        owner.batch_execute(&format!("SET ROLE {ROLE_PREFIX}_owner")).await.unwrap();
        for setting in ["SELECT 1", "SET underlay.tenant = 'acme'"] {
            owner.batch_execute(setting).await.unwrap();
            for table in ["events", "commits", "snapshots", "view_checkpoints", "leases", "fences"] {
                let rows = owner.query(&format!("SELECT 1 FROM underlay.{table}"), &[]).await.unwrap();
                assert_eq!(rows.len(), 0, "{table}, {setting}");
            }
        }
    });
}

#[test]
fn a_reader_learns_how_far_a_view_is_and_not_by_whose_event() {
    with_place(async |place| {
        let store = place.open().await;
        let table = with_rows(&store).await;
        // The product's own reads need no more.
        let page = ReadModels::query(&store, &table, &acme(), &Query::default()).await.unwrap();
        assert_eq!((page.rows.len(), page.position.number()), (1, 1));
        assert!(store.get(&table, &acme(), "k").await.unwrap().is_some());
        let reader = reader(&place).await;
        let position = "SELECT position FROM underlay.view_checkpoints";
        assert_eq!(reader.query_one(position, &[]).await.unwrap().get::<_, i64>(0), 1);
        for attack in [
            "SELECT event_id FROM underlay.view_checkpoints",
            "SELECT * FROM underlay.view_checkpoints",
            "SELECT 1 FROM underlay.view_checkpoints WHERE event_id IS NOT NULL",
            "SELECT c FROM underlay.view_checkpoints AS c",
        ] {
            let refused = reader.batch_execute(attack).await.unwrap_err();
            assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{attack}");
        }
    });
}

#[test]
fn a_role_without_a_right_is_not_even_told_what_is_there() {
    with_place(async |place| {
        let store = place.open().await;
        with_rows(&store).await;
        let reader = reader(&place).await;
        // The same answer for a stream that another tenant has and for one that nobody has.
        for stream in ["a-1", "a-9"] {
            let there = "SELECT count(*) FROM underlay.events WHERE tenant = 'globex' AND stream = $1";
            assert_eq!(reader.query_one(there, &[&stream]).await.unwrap().get::<_, i64>(0), 0, "{stream}");
        }
        // A key that is taken by another tenant is refused by the policy, before its index is asked.
        let writer = connect(&place.login_address()).await;
        writer
            .batch_execute(&format!("SET ROLE {ROLE_PREFIX}_writer; SET underlay.tenant = 'acme'"))
            .await
            .unwrap();
        for conflict in
            ["", "ON CONFLICT DO NOTHING", "ON CONFLICT (tenant, stream) DO UPDATE SET version = 9"]
        {
            let insert = format!(
                "INSERT INTO underlay.snapshots VALUES ('globex', 'a-1', 1, gen_random_uuid(), '\\x00', '{{}}') {conflict}"
            );
            let refused = writer.batch_execute(&insert).await.unwrap_err();
            assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{insert}");
        }
        // Of its own it may write.
        let own =
            "INSERT INTO underlay.snapshots VALUES ('acme', 'a-1', 1, gen_random_uuid(), '\\x00', '{}')";
        writer.batch_execute(own).await.unwrap();
        assert_eq!(store.versions(&acme(), &[crate::sample::stream("a-1")]).await.unwrap(), [Version(1)]);
    });
}

async fn reader(place: &Place) -> Client {
    let reader = connect(&place.login_address()).await;
    reader
        .batch_execute(&format!("SET ROLE {ROLE_PREFIX}_reader; SET underlay.tenant = 'acme'"))
        .await
        .unwrap();
    reader
}
