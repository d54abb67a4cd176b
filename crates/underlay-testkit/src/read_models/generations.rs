use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    Checkpoint, Column, ColumnType, Error, EventId, Generation, ParkedEvent, Position, Query, StreamName,
    Swap, Swept, Timestamp, Value, Version, ViewInfo, ViewSchema, ViewTable,
};

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

    let unknown = schema().named("unknown");
    let begun = subject.models.begin_generation(&unknown, old_place).await;
    assert!(matches!(begun, Err(Error::NotFound(_))), "a view never prepared has no generations: {begun:?}");
    let never = ViewTable { generation: subject.table.generation + 7, ..subject.table.clone() };
    let activated = subject.models.activate(&never, Swap::default()).await;
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
    let activated = subject.models.activate(&abandoned, Swap::default()).await;
    assert!(matches!(activated, Err(Error::NotFound(_))), "a generation that was replaced: {activated:?}");

    building
        .apply(vec![building.upsert("a", new_row("new", 1)), building.upsert("c", new_row("new", 3))])
        .await;
    let new_place = building.checkpoint().await;
    let new_rows = building.rows().await;
    assert_eq!(subject.rows().await, old_rows, "what is built is not read");
    assert_eq!(subject.checkpoint().await, old_place, "the generation that is read keeps its place");
    let info = only_view(&subject).await;
    let generation = |table: &ViewTable, checkpoint| Generation {
        number: table.generation,
        fingerprint: table.schema.fingerprint(),
        checkpoint,
        parked: 0,
        skipped: 0,
    };
    let expected = (generation(&subject.table, old_place), Some(generation(&table, new_place)), None);
    assert_eq!((info.active, info.building, info.replaced), expected, "the catalogue shows both generations");
    let prepared = subject.models.prepare(&schema(), start).await.expect("the old definition is still read");
    assert_eq!(prepared, subject.table, "until the new one is activated");
    // The one that is read goes on meanwhile.
    subject.apply(vec![subject.delete("b")]).await;
    assert_eq!(building.rows().await, new_rows, "what the old one goes on with is not in the new one");

    assert!(building.activate().await, "the new generation is activated");
    let activated = subject.models.activate(&table, Swap::default()).await;
    assert!(
        matches!(activated, Err(Error::NotFound(_))),
        "the one that is read is no more built: {activated:?}"
    );
    let prepared = subject.models.prepare(&new_schema, start).await.expect("the new definition is read now");
    assert_eq!(prepared, table, "in the generation that was built");
    assert_eq!(building.rows().await, new_rows, "with the rows built beside");
    assert_eq!(building.checkpoint().await, new_place, "and their checkpoint");
    assert_gone(&subject).await;
    let back = subject.models.prepare(&schema(), start).await;
    assert!(matches!(back, Err(Error::ViewChanged { .. })), "the old definition is no longer read: {back:?}");
    let info = only_view(&subject).await;
    assert_eq!((info.active, info.building), (generation(&table, new_place), None), "the new one is read");

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
    let changes = vec![subject.delete("late")];
    let batch = underlay_core::ViewBatch::new(Checkpoint::start(*log), subject.place(1), changes);
    let query = Query::default();
    let answers = [
        ("checkpoint", models.checkpoint(table).await.map(|_| ())),
        ("load", models.load(table, &[subject.address("a")]).await.map(|_| ())),
        ("get", models.get(table, tenant, "a").await.map(|_| ())),
        ("query", models.query(table, tenant, &query).await.map(|_| ())),
        ("count", models.count(table, tenant, &query).await.map(|_| ())),
        ("parked", models.parked(table, Position::START, 1).await.map(|_| ())),
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
        assert!(building.activate().await, "a generation is activated");
        let info = only_view(subject).await;
        assert_eq!((info.active.number, info.building), (table.generation, None), "activated in one step");
    }
    beside.finish();
    for reader in readers {
        finished(reader).await;
    }
}

/// A generation of another definition, beside the one that is read.
async fn begun(subject: &Subject) -> Subject {
    let start = Checkpoint::start(subject.log);
    let table =
        subject.models.begin_generation(&changed_schema(), start).await.expect("a generation is begun");
    subject.at_table(&table)
}

/// Sentence 14: a generation is swapped in together with its last changes, and only where the one that is
/// read has not come further than allowed.
pub async fn a_swap_takes_nothing_back<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let changes = vec![subject.upsert("a", row("read", 1))];
    let read = underlay_core::ViewBatch::new(subject.checkpoint().await, subject.place(7), changes);
    subject.models.apply(&subject.table, read).await.expect("a batch is stored");
    let (old_rows, old_place) = (subject.rows().await, subject.checkpoint().await);

    let building = begun(&subject).await;
    building.apply(vec![building.upsert("a", new_row("built", 1))]).await;
    let (rows, place) = (building.rows().await, building.checkpoint().await);
    let last = building.next_batch(vec![building.upsert("b", new_row("last", 2))]).await;
    let position = Position::from_number;
    for beyond in [0, 6] {
        let swap =
            Swap { last: Some(last.clone()), unless_beyond: Some(position(beyond)), ..Swap::default() };
        let swapped = building.models.activate(&building.table, swap).await.expect("activate answers");
        assert!(!swapped, "the generation that is read is at 7, beyond {beyond}");
        assert_eq!(
            (building.rows().await, building.checkpoint().await),
            (rows.clone(), place),
            "nor its last"
        );
        assert_eq!((subject.rows().await, subject.checkpoint().await), (old_rows.clone(), old_place));
        assert_eq!(only_view(&subject).await.active.number, subject.table.generation, "nothing is swapped");
    }
    // From another place than the generation is at, nothing is swapped either.
    let stale = Swap {
        last: Some(underlay_core::ViewBatch::new(subject.place(3), subject.place(4), Vec::new())),
        ..Swap::default()
    };
    let refused = building.models.activate(&building.table, stale).await;
    assert!(
        matches!(refused, Err(Error::CheckpointMoved { .. })),
        "last changes from elsewhere: {refused:?}"
    );
    assert_eq!(only_view(&subject).await.active.number, subject.table.generation, "nothing is swapped");

    let swap = Swap { last: Some(last.clone()), unless_beyond: Some(position(7)), ..Swap::default() };
    let swapped = building.models.activate(&building.table, swap).await.expect("activate answers");
    assert!(swapped, "the generation that is read is at 7, not beyond");
    assert_eq!(building.checkpoint().await, last.to, "the last changes came with the swap");
    assert_eq!(building.get("b").await, Some(new_row("last", 2)), "and their rows");
    assert_gone(&subject).await;
}

/// Sentence 15: a generation that was replaced answers nothing, and comes back with its rows and its
/// checkpoint.
pub async fn a_replaced_generation_comes_back<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let at = |second| Timestamp::from_second(second).expect("a time");
    let none = subject.models.revert(&schema(), at(1)).await;
    assert!(matches!(none, Err(Error::NotFound(_))), "nothing was replaced: {none:?}");
    subject.apply(vec![subject.upsert("a", row("old", 1))]).await;
    let (old_rows, old_place) = (subject.rows().await, subject.checkpoint().await);
    let building = begun(&subject).await;
    building.apply(vec![building.upsert("a", new_row("new", 1))]).await;
    let (new_rows, new_place) = (building.rows().await, building.checkpoint().await);
    let swap = Swap { at: at(5), ..Swap::default() };
    assert!(building.models.activate(&building.table, swap).await.expect("activate answers"));
    assert_gone(&subject).await;

    let (kept, since) = only_view(&subject).await.replaced.expect("the old generation is kept");
    assert_eq!((kept.number, kept.checkpoint, since), (subject.table.generation, old_place, at(5)));
    assert_eq!(kept.fingerprint, schema().fingerprint());
    let wrong = subject.models.revert(&changed_schema(), at(6)).await;
    assert!(matches!(wrong, Err(Error::ViewChanged { .. })), "it has another definition: {wrong:?}");
    assert_eq!(
        only_view(&subject).await.replaced.map(|(kept, _)| kept.number),
        Some(subject.table.generation)
    );

    let back = subject.models.revert(&schema(), at(7)).await.expect("it comes back");
    assert_eq!(back, subject.table);
    assert_eq!((subject.rows().await, subject.checkpoint().await), (old_rows, old_place), "as it was");
    assert_gone(&building).await;
    subject.apply(vec![subject.delete("a")]).await;
    let forth = subject.models.revert(&changed_schema(), at(8)).await.expect("so does the one that was read");
    assert_eq!(forth, building.table);
    assert_eq!((building.rows().await, building.checkpoint().await), (new_rows, new_place), "as it was");
    assert_gone(&subject).await;

    // A third one takes the place of the one that is kept.
    let third = begun(&subject).await;
    assert!(third.activate().await);
    let (kept, _) = only_view(&subject).await.replaced.expect("one generation is kept");
    assert_eq!(kept.number, building.table.generation, "the last that was read");
    let gone = subject.models.revert(&schema(), at(9)).await;
    assert!(matches!(gone, Err(Error::ViewChanged { .. })), "the first is gone for good: {gone:?}");
}

/// Sentence 16: what a discarded generation has left is removed piece by piece, beside readers and writers;
/// its number is never given again.
pub async fn discarded_generations_are_swept<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let name = "accounts";
    let active = subject.table.generation;
    let refused = subject.models.discard(name, active).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "the generation that is read stays: {refused:?}");
    for (view, generation) in [(name, active + 9), ("unknown", 1)] {
        let refused = subject.models.discard(view, generation).await;
        assert!(matches!(refused, Err(Error::NotFound(_))), "{view} {generation}: {refused:?}");
    }

    let begun_once = begun(&subject).await;
    subject.models.discard(name, begun_once.table.generation).await.expect("what is built is given up");
    assert_gone(&begun_once).await;
    assert_eq!(only_view(&subject).await.building, None);
    let replacing = begun(&subject).await;
    assert!(replacing.table.generation > begun_once.table.generation, "a number is given once");
    for number in 0..50 {
        replacing.apply(vec![replacing.upsert(&format!("k{number}"), new_row("built", number))]).await;
    }
    assert!(replacing.activate().await);
    subject.models.discard(name, active).await.expect("what was replaced is given up");
    assert_gone(&subject).await;
    assert_eq!(only_view(&subject).await.replaced, None);

    let mut pieces = 0;
    while subject.models.sweep().await.expect("sweep answers") != Swept::All {
        pieces += 1;
        assert!(pieces < 10_000, "a sweep comes to its end");
        replacing.apply(vec![replacing.upsert("a", new_row("beside", pieces))]).await;
    }
    assert_eq!(only_view(&subject).await.discarded, 0, "nothing is left");
    assert!(replacing.rows().await.len() >= 50, "the rows that are read are all there");
    let last = begun(&subject).await;
    assert!(last.table.generation > replacing.table.generation, "nor is a number given that was swept");
}

/// Sentence 17: events that were passed over are kept with the rows of their generation, in the order of
/// the log.
pub async fn parked_events_are_kept<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let parked = |tenant: &str, position: u64, reason: &str| ParkedEvent {
        tenant: crate::sample::tenant(tenant),
        position: Position::from_number(position),
        stream: StreamName::parse("account-a").expect("a stream"),
        version: Version(position),
        event_id: EventId::draw(),
        reason: reason.to_owned(),
    };
    let all = [
        parked("globex", 3, "a reason with 'quotes' and \u{2603}"),
        parked("acme", 4, ""),
        parked("acme", 9, "another"),
    ];
    let store = async |subject: &Subject, to: u64, events: &[ParkedEvent]| {
        let from = subject.checkpoint().await;
        let batch = underlay_core::ViewBatch::new(from, subject.place(to), Vec::new());
        subject.models.apply(&subject.table, batch.with_parked(events.to_vec())).await
    };
    let read = async |subject: &Subject, after: u64, limit: usize| {
        let found = subject.models.parked(&subject.table, Position::from_number(after), limit).await;
        found.expect("parked answers")
    };
    assert_eq!(read(&subject, 0, 10).await, []);
    store(&subject, 5, &[all[1].clone(), all[0].clone()]).await.expect("a batch is stored");
    store(&subject, 9, &all[2..]).await.expect("a batch is stored");
    assert_eq!(read(&subject, 0, PAGE_EVENTS_MAX).await, all, "in the order of the log");
    assert_eq!(read(&subject, 3, 1).await, all[1..2], "a page above a position");
    assert_eq!(only_view(&subject).await.active.parked, 3);
    for limit in [0, PAGE_EVENTS_MAX + 1] {
        let refused = subject.models.parked(&subject.table, Position::START, limit).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "a page of {limit}: {refused:?}");
    }

    // A batch that is not stored parks nothing.
    let misfit = underlay_core::ViewBatch::new(subject.place(1), subject.place(12), Vec::new())
        .with_parked(vec![parked("acme", 11, "late")]);
    let refused = subject.models.apply(&subject.table, misfit).await;
    assert!(matches!(refused, Err(Error::CheckpointMoved { .. })), "{refused:?}");
    assert_eq!(read(&subject, 0, 10).await.len(), 3);

    // A generation built anew has none of them, and one that comes back has its own.
    let building = begun(&subject).await;
    assert_eq!(read(&building, 0, 10).await, []);
    store(&building, 4, &all[1..2]).await.expect("a batch is stored");
    assert!(building.activate().await);
    assert_eq!(read(&building, 0, 10).await, all[1..2]);
    assert_eq!(only_view(&subject).await.active.parked, 1);
    subject.models.revert(&schema(), Timestamp::UNIX_EPOCH).await.expect("it comes back");
    assert_eq!(read(&subject, 0, 10).await, all);
}
