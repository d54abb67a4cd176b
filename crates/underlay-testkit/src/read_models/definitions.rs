use underlay_core::{Checkpoint, Column, ColumnType, Error, ViewSchema};

use super::Subject;
use super::subject::{row, schema};
use crate::ReadModelsFixture;

/// Sentence 10: a view of another definition is `ViewChanged`.
pub async fn a_changed_view_is_refused<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    subject.apply(vec![subject.upsert("a", row("ada", 1))]).await;
    let checkpoint = subject.checkpoint().await;

    for (what, changed) in changed_schemas() {
        assert_ne!(changed.fingerprint(), schema().fingerprint(), "{what} is a change");
        for start in [Checkpoint::start(subject.log), checkpoint] {
            match subject.models.prepare(&changed, start).await {
                Err(Error::ViewChanged { view, reason }) => {
                    assert_eq!(view, "accounts", "{what}: the error names the view");
                    assert!(!reason.is_empty(), "{what}: the error says what differs");
                }
                other => panic!("{what}: a changed view was taken: {other:?}"),
            }
        }
        assert_eq!(subject.checkpoint().await, checkpoint, "{what}: the checkpoint stays");
        assert_eq!(subject.get("a").await, Some(row("ada", 1)), "{what}: the rows stay");
        let views = subject.models.views().await.expect("views answers");
        assert_eq!(views.len(), 1, "{what}: the catalogue stays");
        assert_eq!(
            views[0].active.fingerprint,
            schema().fingerprint(),
            "{what}: with the definition the rows were built by"
        );
    }

    // The definition the rows were built by is still taken, and preparing it again changes nothing.
    for start in [subject.place(99), Checkpoint::start(subject.log)] {
        let table = subject.models.prepare(&schema(), start).await.expect("the unchanged view is prepared");
        assert_eq!(table, subject.table, "preparing again gives the same table");
        assert_eq!(subject.checkpoint().await, checkpoint, "and leaves the checkpoint where it is");
        assert_eq!(subject.get("a").await, Some(row("ada", 1)), "and the rows");
    }

    // Another view is no change of this one, and keeps its own start.
    let mut beside = schema().named("accounts_2");
    beside.version = 9;
    let start = subject.place(5);
    let table = subject.models.prepare(&beside, start).await.expect("another view is prepared");
    let beside = subject.at_table(&table);
    assert_eq!(beside.checkpoint().await, start, "a view begins where it is told to");
    assert_eq!(beside.rows().await, [], "without rows");
    assert_eq!(subject.checkpoint().await, checkpoint, "the first view stays where it is");
    let names: Vec<String> =
        subject.models.views().await.expect("views answers").into_iter().map(|view| view.name).collect();
    assert_eq!(names, ["accounts", "accounts_2"], "the catalogue is ordered by name");
}

/// Everything a definition can differ in, one thing at a time.
fn changed_schemas() -> Vec<(&'static str, ViewSchema)> {
    let changed = |change: &dyn Fn(&mut ViewSchema)| {
        let mut schema = schema();
        change(&mut schema);
        schema
    };
    let extra =
        Column { name: "extra".to_owned(), column_type: ColumnType::Text, nullable: true, indexed: false };
    vec![
        ("a newer version", changed(&|schema| schema.version = 2)),
        ("an older version", changed(&|schema| schema.version = 0)),
        ("one column more", changed(&|schema| schema.columns.push(extra.clone()))),
        ("one column less", changed(&|schema| schema.columns.truncate(9))),
        ("another name", changed(&|schema| schema.columns[0].name = "holder".to_owned())),
        ("another type", changed(&|schema| schema.columns[1].column_type = ColumnType::Decimal)),
        ("another order", changed(&|schema| schema.columns.swap(0, 1))),
        ("an index less", changed(&|schema| schema.columns[0].indexed = false)),
        ("a column no longer nullable", changed(&|schema| schema.columns[5].nullable = false)),
    ]
}
