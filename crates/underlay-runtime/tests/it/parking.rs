//! An event that a view cannot take: where it stops all, and where it is passed over for its tenant alone.

use underlay_core::limits::{INDEXED_TEXT_BYTES_MAX, PARKED_EVENTS_MAX};
use underlay_core::memory::{MemoryEventStore, MemoryReadModels, MemorySnapshots};
use underlay_core::{
    Commit, CommitId, EventStore, EventType, ExpectedVersion, Json, Keys, NewEvent, OnFault, ParkedEvent,
    Payload, Position, Query, ReadModels, Recorded, SchemaVersion, StreamName, TenantId, Value, View,
    ViewTable,
};
use underlay_derive::{event, row};
use underlay_runtime::{Engine, RebuildFrom, Registry, SubscriptionState};

use crate::bank::Bank;
use crate::views::{LONG, stopped};

#[event(crate = underlay_core)]
enum NoteEvent {
    #[event(name = "noted", version = 1)]
    Noted { text: String, also: Option<String> },
}

#[row(crate = underlay_core)]
struct NoteRow {
    #[column(indexed)]
    text: String,
    notes: i64,
}

/// The last text of every note; `PARKS` says what happens at an event it cannot take.
struct Notes<const PARKS: bool>;

impl<const PARKS: bool> View for Notes<PARKS> {
    const NAME: &'static str = "notes";
    const ON_FAULT: OnFault = if PARKS { OnFault::Park } else { OnFault::Pause };
    type Event = NoteEvent;
    type Key = String;
    type Row = NoteRow;

    fn route(&self, event: &Recorded<NoteEvent>, keys: &mut Keys<String>) {
        let NoteEvent::Noted { text, also } = &event.event;
        assert_ne!(text, "no route");
        keys.push(event.stream().id().to_owned());
        if let Some(also) = also {
            keys.push(also.clone());
        }
    }

    fn fold(&self, key: &String, row: Option<NoteRow>, event: &Recorded<NoteEvent>) -> Option<NoteRow> {
        let NoteEvent::Noted { text, .. } = &event.event;
        assert!(text != "no fold" || key != "late", "a bug in the domain");
        Some(NoteRow { text: text.clone(), notes: row.map_or(0, |row| row.notes) + 1 })
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn payload(text: &str) -> Json {
    Json::encode(&serde_json::json!({ "text": text })).unwrap()
}

fn written(note: &str, version: u32, payload: Json) -> Commit {
    let event = NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(version), payload);
    let stream = StreamName::parse(&format!("note-{note}")).unwrap();
    Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![event])
}

fn bank<const PARKS: bool>() -> Bank {
    Bank::over(
        MemoryEventStore::default(),
        MemoryReadModels::default(),
        MemorySnapshots::default(),
        Registry::default().view(Notes::<PARKS>),
    )
}

async fn note(bank: &Bank, owner: &str, note: &str, text: &str) {
    bank.store.commit(&tenant(owner), written(note, 1, payload(text))).await.unwrap();
}

async fn rows(engine: &Engine, owner: &str) -> Vec<(String, String, i64)> {
    let page = engine.query(&tenant(owner), "notes", &Query::default()).await.unwrap().page;
    let row = |(key, values): (String, Vec<Value>)| match values.as_slice() {
        [Value::Text(text), Value::Integer(notes)] => (key, text.clone(), *notes),
        other => panic!("{other:?}"),
    };
    page.rows.into_iter().map(row).collect()
}

async fn parked(bank: &Bank) -> Vec<ParkedEvent> {
    let generation = bank.read_models.views().await.unwrap().remove(0).active.number;
    let table = ViewTable { schema: Notes::<true>::schema(), generation };
    bank.read_models.parked(&table, Position::START, 10_000).await.unwrap()
}

async fn caught_up(bank: &Bank) {
    let head = bank.store.head().await.unwrap();
    bank.engine.wait_for_view("notes", head, LONG).await.unwrap();
}

fn one(key: &str, text: &str, notes: i64) -> (String, String, i64) {
    (key.to_owned(), text.to_owned(), notes)
}

/// Everything that a view cannot take, as one tenant may write it.
fn poisons() -> Vec<(&'static str, Commit)> {
    vec![
        ("missing field", written("a", 1, Json::encode(&1).unwrap())),
        ("NUL", written("a", 1, payload("a\0b"))),
        ("INDEXED_TEXT_BYTES_MAX", written("a", 1, payload(&"x".repeat(INDEXED_TEXT_BYTES_MAX + 1)))),
        ("`route` panicked", written("a", 1, payload("no route"))),
        ("`fold` panicked", written("late", 1, payload("no fold"))),
        (
            "ROW_KEY_BYTES_MAX",
            written(
                "a",
                1,
                Json::encode(&serde_json::json!({ "text": "", "also": "k".repeat(2_000) })).unwrap(),
            ),
        ),
    ]
}

#[tokio::test]
async fn what_no_store_may_hold_stops_the_view_at_the_event_on_every_store() {
    for (reason, poison) in poisons() {
        let bank = bank::<false>();
        note(&bank, "good", "a", "fine").await;
        bank.store.commit(&tenant("bad"), poison).await.unwrap();
        note(&bank, "good", "b", "late").await;
        let views = bank.engine.start_views();
        let state = stopped(&bank.engine).await;
        let error = state.error.unwrap();
        assert_eq!(state.status, SubscriptionState::Paused, "{error}");
        for part in ["position 2", "of tenant bad", "version 1"] {
            assert!(error.contains(part), "{reason}: {error}");
        }
        assert!(reason == "missing field" || error.contains(reason), "{reason}: {error}");
        assert_eq!(rows(&bank.engine, "good").await, [one("a", "fine", 1)], "{reason}: what came before");
        let rebuilt = bank.engine.rebuild_view("notes", RebuildFrom::default(), |_| {}).await.unwrap_err();
        assert!(rebuilt.to_string().contains("position 2"), "{reason}: {rebuilt}");
        views.stop().await;
    }
}

#[tokio::test]
async fn an_event_is_passed_over_for_its_tenant_alone() {
    let bank = bank::<true>();
    note(&bank, "good", "a", "fine").await;
    note(&bank, "bad", "a", "first").await;
    for (_, poison) in poisons() {
        bank.store.commit(&tenant("bad"), poison).await.unwrap();
        note(&bank, "good", "a", "fine").await;
    }
    note(&bank, "bad", "a", "last").await;
    let views = bank.engine.start_views();
    caught_up(&bank).await;
    assert_eq!(rows(&bank.engine, "good").await, [one("a", "fine", 7)]);
    assert_eq!(rows(&bank.engine, "bad").await, [one("a", "last", 2)]);
    let found = parked(&bank).await;
    assert_eq!(found.len(), poisons().len());
    for ((reason, _), parked) in poisons().iter().zip(&found) {
        assert_eq!(parked.tenant, tenant("bad"));
        assert!(*reason == "missing field" || parked.reason.contains(reason), "{reason}: {}", parked.reason);
    }
    // Live, one by one, it comes to the same as all at once; so does a rebuild.
    for (_, poison) in poisons() {
        bank.store.commit(&tenant("bad"), poison).await.unwrap();
        caught_up(&bank).await;
    }
    let (live, all) = (rows(&bank.engine, "bad").await, parked(&bank).await);
    assert_eq!(all.len(), 2 * poisons().len());
    bank.engine.rebuild_view("notes", RebuildFrom::Start, |_| {}).await.unwrap();
    assert_eq!((rows(&bank.engine, "bad").await, parked(&bank).await), (live, all));
    views.stop().await;
}

#[tokio::test]
async fn a_flood_of_such_events_is_passed_over_without_folding_each_page_for_each() {
    let bank = bank::<true>();
    for number in 0..3_000 {
        let text = if number % 3 == 0 { "fine" } else { "a\0b" };
        note(&bank, "bad", "a", text).await;
    }
    let views = bank.engine.start_views();
    caught_up(&bank).await;
    assert_eq!(rows(&bank.engine, "bad").await, [one("a", "fine", 1_000)]);
    assert_eq!(parked(&bank).await.len(), 2_000);
    views.stop().await;
}

#[tokio::test]
async fn what_is_kept_of_what_is_passed_over_has_a_limit_and_past_it_the_view_goes_on() {
    let bank = bank::<true>();
    let many = usize::try_from(PARKED_EVENTS_MAX).unwrap();
    let poison = || NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), payload("a\0b"));
    let stream = StreamName::parse("note-a").unwrap();
    let commit = Commit::new(CommitId::draw()).append(
        stream,
        ExpectedVersion::Any,
        (0..many).map(|_| poison()).collect(),
    );
    bank.store.commit(&tenant("bad"), commit).await.unwrap();
    for _ in 0..3 {
        bank.store.commit(&tenant("bad"), written("a", 1, payload("a\0b"))).await.unwrap();
        note(&bank, "good", "a", "fine").await;
    }
    let views = bank.engine.start_views();
    caught_up(&bank).await;
    assert_eq!(rows(&bank.engine, "good").await, [one("a", "fine", 3)], "nobody else is stopped");
    assert_eq!(parked(&bank).await.len(), many);
    views.stop().await;
}

#[tokio::test]
async fn an_event_of_a_newer_version_is_not_passed_over() {
    let bank = bank::<true>();
    note(&bank, "good", "a", "fine").await;
    bank.store.commit(&tenant("good"), written("a", 2, payload("from tomorrow"))).await.unwrap();
    let views = bank.engine.start_views();
    let state = stopped(&bank.engine).await;
    assert_eq!(state.status, SubscriptionState::Paused);
    assert!(state.error.unwrap().contains("newer version"));
    assert_eq!(parked(&bank).await, []);
    views.stop().await;
}

#[tokio::test]
async fn an_event_in_an_encoding_that_nobody_reads_here_is_not_passed_over() {
    let bank = bank::<true>();
    note(&bank, "good", "a", "fine").await;
    let mut sealed = written("a", 1, payload(""));
    sealed.writes[0].events[0].payload =
        Payload::encoded(Json::encode("c2VhbGVk").unwrap(), "aes-gcm", Some("member-42")).unwrap();
    bank.store.commit(&tenant("good"), sealed).await.unwrap();
    let views = bank.engine.start_views();
    let state = stopped(&bank.engine).await;
    assert_eq!(state.status, SubscriptionState::Paused);
    assert!(state.error.unwrap().contains("encoding \"aes-gcm\""));
    assert_eq!(parked(&bank).await, []);
    views.stop().await;
}

/// Takes the same events and one type more, as the next version of a service does.
mod next {
    use super::*;

    #[event(crate = underlay_core)]
    pub(super) enum NoteEvent {
        #[event(name = "noted", version = 1)]
        Noted { text: String, also: Option<String> },
        #[event(name = "erased", version = 1)]
        Erased,
    }

    pub(super) struct Notes;

    impl View for Notes {
        const NAME: &'static str = "notes";
        type Event = NoteEvent;
        type Key = String;
        type Row = NoteRow;
        fn route(&self, event: &Recorded<NoteEvent>, keys: &mut Keys<String>) {
            keys.push(event.stream().id().to_owned());
        }
        fn fold(&self, _: &String, row: Option<NoteRow>, event: &Recorded<NoteEvent>) -> Option<NoteRow> {
            match &event.event {
                NoteEvent::Noted { text, .. } => {
                    Some(NoteRow { text: text.clone(), notes: row.map_or(0, |row| row.notes) + 1 })
                }
                NoteEvent::Erased => None,
            }
        }
    }
}

#[tokio::test]
async fn a_process_that_does_not_know_a_type_does_not_pass_over_its_events_for_one_that_does() {
    let older = bank::<false>();
    note(&older, "good", "a", "fine").await;
    let older_views = older.engine.start_views();
    caught_up(&older).await;

    // A rolling deploy: the newer process writes an event of a type that the older does not know.
    let newer = Bank::over(
        older.store.clone(),
        older.read_models.clone(),
        MemorySnapshots::default(),
        Registry::default().view(next::Notes),
    );
    let erased = NewEvent::encode(&next::NoteEvent::Erased).unwrap();
    let stream = StreamName::parse("note-a").unwrap();
    let erase = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![erased]);
    older.store.commit(&tenant("good"), erase).await.unwrap();
    caught_up(&older).await;

    let newer_views = newer.engine.start_views();
    let state = stopped(&newer.engine).await;
    let error = state.error.unwrap();
    assert!(error.contains("events of type erased are folded in the code, not there"), "{error}");
    newer.engine.rebuild_view("notes", RebuildFrom::default(), |_| {}).await.unwrap();
    assert_eq!(rows(&newer.engine, "good").await, [], "the event is not lost");
    // The older one leaves the rows alone from then on.
    note(&older, "good", "b", "later").await;
    let head = older.store.head().await.unwrap();
    newer.engine.wait_for_view("notes", head, LONG).await.unwrap();
    assert_eq!(rows(&newer.engine, "good").await, [one("b", "later", 1)]);
    older_views.stop().await;
    newer_views.stop().await;
}
