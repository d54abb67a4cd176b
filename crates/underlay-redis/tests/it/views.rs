//! Rows of views, past the sentences of their contract.

use std::sync::Arc;
use std::time::Duration;

use redis::cmd;
use tokio::sync::Notify;
use underlay_core::{
    Checkpoint, Column, ColumnType, Comparison, Condition, Error, EventId, Filter, Json, Position, Query,
    ReadModels, RowAddress, RowChange, StoreId, Swept, TenantId, Value, ViewBatch, ViewSchema, ViewTable,
};
use underlay_redis::RedisStore;
use uuid::Uuid;

use crate::place::{Place, column, place_or_skip, tenant, text};
use crate::silence::Lossy;

/// Accounts: their owner, which is indexed, and how many entries they have.
fn accounts() -> ViewSchema {
    let entries = Column { column_type: ColumnType::Integer, ..column("entries", false, false) };
    ViewSchema::new("accounts", 1, vec![column("owner", false, true), entries])
}

fn put(tenant: &TenantId, key: &str, entries: i64) -> RowChange {
    let address = RowAddress { tenant: tenant.clone(), key: key.to_owned() };
    RowChange::Upsert(address, vec![text("ann"), Value::Integer(entries)])
}

/// The next place in the log.
fn next(from: Checkpoint) -> Checkpoint {
    let position = Position::from_number(from.position.number() + 1);
    Checkpoint { position, event_id: Some(EventId::draw()), ..from }
}

async fn prepared(store: &RedisStore) -> ViewTable {
    store.prepare(&accounts(), Checkpoint::start(StoreId(Uuid::now_v7()))).await.unwrap()
}

async fn apply(store: &RedisStore, table: &ViewTable, changes: Vec<RowChange>) -> Result<Checkpoint, Error> {
    let from = store.checkpoint(table).await?;
    let to = next(from);
    store.apply(table, ViewBatch::new(from, to, changes)).await.map(|()| to)
}

async fn keys(place: &Place, rest: &str) -> Vec<String> {
    let mut keys: Vec<String> = place.ask(cmd("KEYS").arg(format!("{{{}}}:{rest}", place.prefix))).await;
    keys.sort();
    keys
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_is_found_to_be_stored() {
    let place = place_or_skip!(Place::start(&[]));
    let patient = place.store();
    let table = prepared(&patient).await;
    let lossy = Lossy::before(&place).await;
    let config = place.config().with_response_timeout(Duration::from_secs(1));
    let store = RedisStore::new(&lossy.address, config.clone()).unwrap();
    let from = apply(&store, &table, vec![put(&tenant(), "a", 1)]).await.unwrap();
    lossy.lose(true);
    let batch = ViewBatch::new(from, next(from), vec![put(&tenant(), "b", 2)]);
    let to = batch.to;
    store.apply(&table, batch).await.unwrap();
    assert_eq!(patient.checkpoint(&table).await.unwrap(), to);

    // Of what has no checkpoint the caller hears that it is uncertain.
    lossy.lose(false);
    let other = RedisStore::new(&lossy.address, config).unwrap();
    other.checkpoint(&table).await.unwrap();
    let order = Json::encode("rebuild").unwrap();
    // The server knows the script from then on.
    assert_eq!(patient.put_order("accounts", 0, &order).await.unwrap(), 1);
    lossy.lose(true);
    let lost = other.put_order("accounts", 1, &order).await.unwrap_err();
    assert!(lost.is_retryable() && lost.to_string().contains("uncertain"), "{lost}");
    assert_eq!(patient.views().await.unwrap()[0].order.as_ref().unwrap().number, 2);
}

#[tokio::test]
async fn a_server_without_memory_stores_nothing_of_a_batch() {
    let place = place_or_skip!(Place::start(&[]));
    let store = place.store();
    let table = prepared(&store).await;
    let from = apply(&store, &table, vec![put(&tenant(), "a", 1)]).await.unwrap();
    place.tell(&["config", "set", "maxmemory", "1"]);
    let changes = vec![put(&tenant(), "b", 1), put(&tenant(), "a", 2)];
    let refused = apply(&store, &table, changes.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { overloaded: true, .. }), "{refused:?}");
    assert_eq!(store.checkpoint(&table).await.unwrap(), from);
    assert_eq!(store.get(&table, &tenant(), "b").await.unwrap(), None);
    place.tell(&["config", "set", "maxmemory", "0"]);
    apply(&store, &table, changes).await.unwrap();
    assert_eq!(store.get(&table, &tenant(), "a").await.unwrap(), Some(vec![text("ann"), Value::Integer(2)]));
}

#[tokio::test]
async fn what_was_altered_by_hand_is_told() {
    let place = place_or_skip!(Place::find());
    let store = place.store();
    let table = prepared(&store).await;
    let other = TenantId::new("globex").unwrap();
    let changes = vec![put(&tenant(), "a", 1), put(&tenant(), "b", 2), put(&other, "a", 3)];
    apply(&store, &table, changes).await.unwrap();
    assert_eq!(store.alterations(&table).await.unwrap(), Vec::<String>::new());

    let rows = format!("{{{}}}:r:accounts:1:acme:", place.prefix);
    let member = "tann\0b";
    let removed: i64 = place.ask(cmd("ZREM").arg(format!("{rows}i:owner")).arg(member)).await;
    assert_eq!(removed, 1);
    let told = store.alterations(&table).await.unwrap();
    assert_eq!(told, ["the index of column \"owner\" has 1 of 2 rows of tenant acme"]);

    let _: i64 = place.ask(cmd("HDEL").arg(format!("{rows}e:a")).arg("entries")).await;
    let damaged = store.get(&table, &tenant(), "a").await.unwrap_err();
    assert!(matches!(damaged, Error::Damaged(_)), "{damaged:?}");
    let _: i64 = place.ask(cmd("HDEL").arg(format!("{rows}e:a")).arg("owner")).await;
    let missing = store.query(&table, &tenant(), &Query::default()).await.unwrap_err();
    assert!(missing.to_string().contains("noeviction"), "{missing}");
}

#[tokio::test]
async fn a_generation_that_was_swept_leaves_nothing() {
    let place = place_or_skip!(Place::find());
    let store = place.store();
    let read = prepared(&store).await;
    apply(&store, &read, vec![put(&tenant(), "a", 1)]).await.unwrap();
    let of_the_read = keys(&place, "[rpt]:*").await;
    let start = store.checkpoint(&read).await.unwrap();
    let table = store.begin_generation(&accounts(), start).await.unwrap();
    let tenants: Vec<TenantId> = (0..3).map(|at| TenantId::new(format!("t{at}")).unwrap()).collect();
    let rows = tenants.iter().flat_map(|tenant| (0..400).map(move |at| put(tenant, &at.to_string(), at)));
    apply(&store, &table, rows.collect()).await.unwrap();
    store.discard("accounts", table.generation).await.unwrap();
    assert_eq!(store.views().await.unwrap()[0].discarded, 1);
    let mut pieces = 0;
    while store.sweep().await.unwrap() != Swept::All {
        pieces += 1;
    }
    assert!((3..10).contains(&pieces), "1200 rows in {pieces} pieces");
    assert_eq!(keys(&place, "[rpt]:*").await, of_the_read);
    assert_eq!(store.views().await.unwrap()[0].discarded, 0);

    // The last row of a tenant takes all of the tenant with it.
    let gone = RowChange::Delete(RowAddress { tenant: tenant(), key: "a".to_owned() });
    apply(&store, &read, vec![gone]).await.unwrap();
    assert_eq!(keys(&place, "[rpt]:*").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_batch_changes_is_in_one_slot() {
    let place = place_or_skip!(Place::start(&["--cluster-enabled", "yes"]));
    let mut slots = Vec::new();
    for rest in ["views", "discarded", "v:a", "s:a", "p:a:1", "t:a:1", "r:a:1:acme:e:{x}", "l:view {a}"] {
        slots.push(place.tell(&["cluster", "keyslot", &format!("{{{}}}:{rest}", place.prefix)]));
    }
    slots.dedup();
    assert_eq!(slots.len(), 1);
}

/// Two rows that lie far apart always have the same number: a query that reads the first before a batch and the last
/// after it would show two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_of_several_chunks_is_of_one_moment() {
    const ROWS: i64 = 3_000;
    const ROUNDS: i64 = 40;
    let place = place_or_skip!(Place::find());
    let store = place.store();
    let table = prepared(&store).await;
    let all = (0..ROWS).map(|at| put(&tenant(), &format!("{at:04}"), -1)).collect();
    apply(&store, &table, all).await.unwrap();
    let ends = |number| vec![put(&tenant(), "0000", number), put(&tenant(), "2999", number)];
    apply(&store, &table, ends(0)).await.unwrap();

    let (asked, writer, at) = (Arc::new(Notify::new()), place.store(), table.clone());
    let begun = asked.clone();
    let writing = tokio::spawn(async move {
        for number in 1..=ROUNDS {
            begun.notified().await;
            apply(&writer, &at, ends(number)).await.unwrap();
        }
    });
    let filter =
        Filter { column: "entries".to_owned(), comparison: Comparison::Ge, value: Value::Integer(0) };
    let query = Query { condition: Condition::Compare(filter), ..Query::default() };
    let mut last = Position::START;
    loop {
        let is_last = writing.is_finished();
        // At most one batch is stored while the query runs, so the next try meets none.
        asked.notify_one();
        let page = store.query(&table, &tenant(), &query).await.unwrap();
        let numbers: Vec<&Value> = page.rows.iter().map(|(_, row)| &row[1]).collect();
        assert!(numbers.len() == 2 && numbers[0] == numbers[1], "{numbers:?}");
        assert!(page.position >= last, "the position of a page never goes back");
        last = page.position;
        if is_last {
            break;
        }
    }
    writing.await.unwrap();
    assert_eq!(last, store.checkpoint(&table).await.unwrap().position);
}
