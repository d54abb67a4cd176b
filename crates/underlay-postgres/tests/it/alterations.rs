//! Tables of views that a person has altered: each way is named.

use underlay_core::{Checkpoint, EventStore, ReadModels};

use crate::place::with_place;
use crate::sample::accounts;

const TABLE: &str = "underlay_views.accounts_1";

#[test]
fn every_way_to_alter_a_table_is_named() {
    with_place(async |place| {
        let store = place.open().await;
        let start = Checkpoint::start(store.store_id());
        let table = store.prepare(&accounts(), start).await.unwrap();
        let admin = place.admin().await;
        assert_eq!(store.alterations(&table).await.unwrap(), Vec::<String>::new());
        let column = &accounts().columns[0].name;
        for (sql, told) in [
            (format!("ALTER TABLE {TABLE} DROP COLUMN {column}"), format!("column {column:?} is missing")),
            (format!("ALTER TABLE {TABLE} ADD COLUMN more integer"), "column \"more\" was added".to_owned()),
            (
                format!("ALTER TABLE {TABLE} ALTER COLUMN {column} TYPE varchar(9)"),
                format!("column {column:?} is character varying(9)"),
            ),
            (
                format!("ALTER TABLE {TABLE} ALTER COLUMN {column} DROP NOT NULL"),
                format!("column {column:?} is text COLLATE C, and was made text COLLATE C NOT NULL"),
            ),
            (
                format!("ALTER TABLE {TABLE} ALTER COLUMN {column} SET DEFAULT 'x'"),
                format!("column {column:?} is text COLLATE C NOT NULL with a value of its own"),
            ),
            (
                "DROP INDEX underlay_views.\"accounts_1.1\"".to_owned(),
                "index \"accounts_1.1\" is missing".to_owned(),
            ),
            (
                format!(
                    "DROP INDEX underlay_views.\"accounts_1.1\"; \
                     CREATE INDEX \"accounts_1.1\" ON {TABLE} ({column})"
                ),
                "index \"accounts_1.1\" is btree".to_owned(),
            ),
            (format!("CREATE INDEX mine ON {TABLE} (key)"), "index \"mine\" was added".to_owned()),
            (
                format!("CREATE UNIQUE INDEX mine ON {TABLE} (key)"),
                "unique index \"mine\" was added".to_owned(),
            ),
            (
                format!("ALTER TABLE {TABLE} ADD CONSTRAINT mine CHECK ({column} <> 'ann')"),
                "constraint \"mine\" was added".to_owned(),
            ),
            (
                format!("ALTER TABLE {TABLE} ADD CONSTRAINT mine CHECK (tenant <> 'acme')"),
                "constraint".to_owned(),
            ),
            (
                format!(
                    "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
                     CREATE TRIGGER mine BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION mine()"
                ),
                "trigger \"mine\" was added".to_owned(),
            ),
            (
                format!("CREATE RULE mine AS ON DELETE TO {TABLE} DO INSTEAD NOTHING"),
                "rule \"mine\" was added".to_owned(),
            ),
            (format!("DROP POLICY of_tenant ON {TABLE}"), "policy \"of_tenant\" is missing".to_owned()),
            (format!("CREATE POLICY mine ON {TABLE} USING (true)"), "policy \"mine\" was added".to_owned()),
            (format!("ALTER TABLE {TABLE} SET UNLOGGED"), "another kind".to_owned()),
            (format!("DROP TABLE {TABLE}"), "the table is missing".to_owned()),
        ] {
            admin.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            let found = store.alterations(&table).await.unwrap();
            assert!(found.iter().any(|found| found.contains(&told)), "{sql}: {found:?}");
            admin
                .batch_execute(&format!("DROP TABLE IF EXISTS {TABLE}; DROP FUNCTION IF EXISTS mine()"))
                .await
                .unwrap();
            for statement in ["view_generations", "view_checkpoints", "views"] {
                admin.batch_execute(&format!("DELETE FROM underlay.{statement}")).await.unwrap();
            }
            let again = store.prepare(&accounts(), start).await.unwrap();
            assert_eq!(again, table);
            assert_eq!(store.alterations(&table).await.unwrap(), Vec::<String>::new(), "after {sql}");
        }
    });
}
