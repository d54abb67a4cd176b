use underlay_core::{Checkpoint, Column, ColumnType, Error, Query, Value, ViewInfo, ViewSchema, ViewTable};

use super::Subject;
use super::subject::{row, schema, text};
use crate::ReadModelsFixture;
use crate::concurrent::{Beside, finished};

/// Sentence 11: a generation is built beside the one that is read, and activated in one step.
pub async fn a_generation_is_built_beside<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    assert!(subject.table.generation >= 1, "generations count from 1");
    subject.apply(vec![subject.upsert("a", row("old", 1)), subject.upsert("b", row("old", 2))]).await;
    let old_rows = subject.rows().await;
    let old_place = subject.checkpoint().await;

    let unknown = ViewSchema { name: "unknown".to_owned(), ..schema() };
    let begun = subject.models.begin_generation(&unknown, old_place).await;
    assert!(matches!(begun, Err(Error::NotFound(_))), "a view never prepared has no generations: {begun:?}");
    let never = ViewTable { generation: subject.table.generation + 7, ..subject.table.clone() };
    let activated = subject.models.activate(&never).await;
    assert!(matches!(activated, Err(Error::NotFound(_))), "a generation never begun: {activated:?}");
    assert_gone(&subject.at_table(&never)).await;

    // A new definition, with a column more.
    let new_schema = changed_schema();
    let start = Checkpoint::start(subject.log);
    let abandoned = subject.models.begin_generation(&new_schema, start).await.expect("a generation is begun");
    subject.at_table(&abandoned).apply(vec![subject.upsert("x", new_row("abandoned", 1))]).await;
    let table =
        subject.models.begin_generation(&new_schema, start).await.expect("a generation is begun again");
    let building = subject.at_table(&table);
    assert!(table.generation > subject.table.generation, "generations count up");
    assert_eq!(table.schema, new_schema, "a generation has its own definition");
    assert_eq!(building.checkpoint().await, start, "a generation begun again is at its start");
    assert_eq!(building.rows().await, [], "without the rows of the one it replaces");
    // Whoever began the one replaced must find it gone, or it would store into this one, or swap it in.
    assert_gone(&subject.at_table(&abandoned)).await;
    let activated = subject.models.activate(&abandoned).await;
    assert!(matches!(activated, Err(Error::NotFound(_))), "a generation that was replaced: {activated:?}");

    building
        .apply(vec![building.upsert("a", new_row("new", 1)), building.upsert("c", new_row("new", 3))])
        .await;
    let new_place = building.checkpoint().await;
    let new_rows = building.rows().await;
    assert_eq!(subject.rows().await, old_rows, "what is built is not read");
    assert_eq!(subject.checkpoint().await, old_place, "the generation that is read keeps its place");
    let info = only_view(&subject).await;
    let expected = ViewInfo {
        name: "accounts".to_owned(),
        generation: subject.table.generation,
        fingerprint: schema().fingerprint(),
        checkpoint: old_place,
        building: Some((table.generation, new_place)),
    };
    assert_eq!(info, expected, "the catalogue shows both generations");
    let prepared = subject.models.prepare(&schema(), start).await.expect("the old definition is still read");
    assert_eq!(prepared, subject.table, "until the new one is activated");
    // The one that is read goes on meanwhile.
    subject.apply(vec![subject.delete("b")]).await;
    assert_eq!(building.rows().await, new_rows, "what the old one goes on with is not in the new one");

    subject.models.activate(&table).await.expect("the new generation is activated");
    let prepared = subject.models.prepare(&new_schema, start).await.expect("the new definition is read now");
    assert_eq!(prepared, table, "in the generation that was built");
    assert_eq!(building.rows().await, new_rows, "with the rows built beside");
    assert_eq!(building.checkpoint().await, new_place, "and their checkpoint");
    assert_gone(&subject).await;
    let back = subject.models.prepare(&schema(), start).await;
    assert!(matches!(back, Err(Error::ViewChanged { .. })), "the old definition is no longer read: {back:?}");
    let info = only_view(&subject).await;
    assert_eq!(
        (info.generation, info.building),
        (table.generation, None),
        "the catalogue shows one generation"
    );
    assert_eq!((info.fingerprint, info.checkpoint), (new_schema.fingerprint(), new_place), "the new one");

    one_step(&building).await;
}

/// The sample schema, with an indexed column more.
fn changed_schema() -> ViewSchema {
    let mut schema = schema();
    schema.version = 2;
    let (name, column_type) = ("branch".to_owned(), ColumnType::Text);
    schema.columns.insert(0, Column { name, column_type, nullable: false, indexed: true });
    schema
}

fn new_row(owner: &str, entries: i64) -> Vec<Value> {
    let mut values = row(owner, entries);
    values.insert(0, text("branch"));
    values
}

async fn only_view(subject: &Subject) -> ViewInfo {
    let mut views = subject.models.views().await.expect("views answers");
    assert_eq!(views.len(), 1, "there is one view");
    views.remove(0)
}

/// Nothing can be asked of a generation that is not there.
async fn assert_gone(subject: &Subject) {
    let Subject { models, table, tenant, log } = subject;
    let batch = underlay_core::ViewBatch {
        from: Checkpoint::start(*log),
        to: subject.place(1),
        changes: vec![subject.delete("late")],
        lease: None,
    };
    let query = Query::default();
    let answers = [
        ("checkpoint", models.checkpoint(table).await.map(|_| ())),
        ("load", models.load(table, &[subject.address("a")]).await.map(|_| ())),
        ("get", models.get(table, tenant, "a").await.map(|_| ())),
        ("query", models.query(table, tenant, &query).await.map(|_| ())),
        ("count", models.count(table, tenant, &query).await.map(|_| ())),
        ("apply", models.apply(table, batch).await),
    ];
    for (call, answer) in answers {
        assert!(
            matches!(answer, Err(Error::NotFound(_))),
            "{call} of a generation that is not there: {answer:?}"
        );
    }
}

/// A reader beside many activations sees one generation whole, or that it is gone.
async fn one_step(subject: &Subject) {
    let beside = Beside::default();
    let reader = |_| {
        let (subject, beside) = (subject.clone(), beside.clone());
        tokio::spawn(async move {
            let mut last = 0;
            while !beside.is_last_read().await {
                let start = Checkpoint::start(subject.log);
                let table =
                    subject.models.prepare(&changed_schema(), start).await.expect("the view is there");
                assert!(table.generation >= last, "the generation that is read never goes back");
                last = table.generation;
                match subject.models.query(&table, &subject.tenant, &Query::default()).await {
                    Ok(page) => assert_eq!(page.rows.len(), 2, "a generation is read whole: {:?}", page.rows),
                    Err(Error::NotFound(_)) => {}
                    Err(error) => panic!("neither the rows nor that they are gone: {error:?}"),
                }
            }
        })
    };
    let readers: Vec<_> = (0..3).map(reader).collect();
    let mut writes = 0;
    while beside.goes_on(writes, 20).await {
        writes += 1;
        let start = Checkpoint::start(subject.log);
        let table =
            subject.models.begin_generation(&changed_schema(), start).await.expect("a generation is begun");
        let building = subject.at_table(&table);
        for key in ["a", "b"] {
            building.apply(vec![building.upsert(key, new_row("built", writes as i64))]).await;
        }
        subject.models.activate(&table).await.expect("a generation is activated");
        let info = only_view(subject).await;
        assert_eq!((info.generation, info.building), (table.generation, None), "activated in one step");
    }
    beside.finish();
    for reader in readers {
        finished(reader).await;
    }
}
