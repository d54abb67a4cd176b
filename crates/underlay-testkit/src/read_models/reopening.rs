use underlay_core::{Checkpoint, Comparison, Decimal, Error, Query, Value, ViewBatch};

use super::Subject;
use super::subject::{decimal, first_and_last_moments, row, row_of, schema, text};
use crate::{ReadModelsFixture, sample};

/// Sentence 13: after reopening, rows and checkpoint are there.
pub async fn reopening_keeps_rows<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let globex = subject.seen_by("globex");
    let [_, last] = first_and_last_moments();
    let extremes = row_of([
        text("\u{10ffff}"),
        Value::Integer(i64::MIN),
        Value::Decimal(Decimal::MIN),
        Value::Boolean(false),
        last,
    ]);
    let mut changes = vec![subject.upsert("extremes", extremes), globex.upsert("extremes", row("globex", 1))];
    changes.extend(sample::HOSTILE_TEXTS.iter().map(|key| subject.upsert(key, row(key, 1))));
    subject.apply(changes).await;
    subject.apply(vec![subject.patch("extremes", "floor", decimal("-12.5")), subject.delete("%")]).await;

    // A generation half built is kept as it is.
    let start = Checkpoint::start(subject.log);
    let mut newer = schema();
    newer.version = 2;
    let table = subject.models.begin_generation(&newer, start).await.expect("a generation is begun");
    let building = subject.at_table(&table);
    building.apply(vec![building.upsert("half", row("half", 1))]).await;

    let (rows, globex_rows) = (subject.rows().await, globex.rows().await);
    let (checkpoint, built) = (subject.checkpoint().await, building.checkpoint().await);
    let (table, log) = (subject.table.clone(), subject.log);
    let views = subject.models.views().await.expect("views answers");
    drop((subject, globex, building));

    let fixture = fixture.reopen().await;
    let start = Checkpoint::start(log);
    let models = fixture.read_models();
    assert_eq!(models.views().await.expect("views answers"), views, "the catalogue is kept");
    let prepared = models.prepare(&schema(), start).await.expect("the view is there after reopening");
    assert_eq!(prepared, table, "the generation that is read is kept");
    let subject = Subject { models, table, tenant: sample::tenant("acme"), log };
    assert_eq!(subject.checkpoint().await, checkpoint, "the checkpoint is kept");
    assert_eq!(subject.rows().await, rows, "the rows are kept");
    assert_eq!(subject.seen_by("globex").rows().await, globex_rows, "every tenant's");
    let found = Query::default().filter("owner", Comparison::Eq, text("\u{10ffff}"));
    let expected = rows.iter().filter(|(_, row)| row[0] == text("\u{10ffff}")).count();
    assert_eq!(subject.query(&found).await.rows.len(), expected, "and found by their columns");
    let changed = subject.models.prepare(&newer, start).await;
    assert!(
        matches!(changed, Err(Error::ViewChanged { .. })),
        "a changed view is still refused: {changed:?}"
    );

    // Both generations go on where they stopped.
    let stale = ViewBatch::new(start, subject.place(9), vec![subject.delete("extremes")]);
    let refused = subject.models.apply(&subject.table, stale).await;
    assert!(matches!(refused, Err(Error::CheckpointMoved { .. })), "a batch from before: {refused:?}");
    subject.apply(vec![subject.upsert("after", row("after", 1))]).await;
    let generation = views[0].building.expect("a generation is being built").number;
    let building = subject.at_table(&underlay_core::ViewTable { schema: newer.clone(), generation });
    assert_eq!(building.checkpoint().await, built, "a generation half built keeps its checkpoint");
    building.apply(vec![building.upsert("whole", row("whole", 2))]).await;
    assert!(building.activate().await, "and can be activated");
    let whole = building.rows().await;
    let built = building.table.clone();
    drop((subject, building));

    let fixture = fixture.reopen().await;
    let models = fixture.read_models();
    let prepared = models.prepare(&newer, start).await.expect("the activated generation is read");
    assert_eq!(prepared, built, "after reopening too");
    let subject = Subject { models, table: prepared, tenant: sample::tenant("acme"), log };
    assert_eq!(subject.rows().await, whole, "with every row");
}
