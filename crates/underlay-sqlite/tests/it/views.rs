//! Views: what the contract leaves to the adapter.

use underlay_core::{
    Checkpoint, Column, ColumnType, Comparison, Decimal, Direction, Error, EventId, EventStore, Position,
    Query, ReadModels, RowAddress, RowChange, Swap, Swept, Timestamp, Value, ViewBatch, ViewSchema,
};

use crate::sample::{Place, tenant};

pub(crate) fn balances() -> ViewSchema {
    let column = |name: &str, column_type| Column {
        name: name.to_owned(),
        column_type,
        nullable: false,
        indexed: true,
    };
    ViewSchema::new(
        "balances",
        1,
        vec![
            column("amount", ColumnType::Decimal),
            column("order", ColumnType::Integer),
            column("opened_at", ColumnType::Timestamp),
            Column { name: "note".into(), column_type: ColumnType::Text, nullable: true, indexed: false },
        ],
    )
}

pub(crate) fn checkpoint_at(start: Checkpoint, position: u64) -> Checkpoint {
    let position = Position::from_number(position);
    Checkpoint { store: start.store, position, event_id: Some(EventId::draw()) }
}

pub(crate) fn address(key: &str) -> RowAddress {
    RowAddress { tenant: tenant(), key: key.to_owned() }
}

pub(crate) fn upsert(key: &str, number: i64) -> RowChange {
    RowChange::Upsert(
        address(key),
        vec![
            Value::Decimal(Decimal::new(number, 2)),
            Value::Integer(number),
            Value::Timestamp(Timestamp::from_microsecond(number).unwrap()),
            Value::Null,
        ],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_in_a_definition_is_named() {
    let place = Place::new();
    let store = place.open();
    let start = Checkpoint::start(store.store_id());
    store.prepare(&balances(), start).await.unwrap();
    let mut version = balances();
    version.version = 2;
    let mut fewer = balances();
    fewer.columns.pop();
    let mut more = balances();
    more.rows.columns.push(Column { name: "extra".into(), ..more.rows.columns[3].clone() });
    let mut other = balances();
    other.columns[1].indexed = false;
    let mut order = balances();
    order.columns.swap(0, 1);
    for (schema, part) in [
        (version, "version 1 there, 2 in the code"),
        (fewer, "column note is not in the code"),
        (more, "column extra is new in the code"),
        (other, "column order"),
        (order, "another order"),
    ] {
        match store.prepare(&schema, start).await {
            Err(Error::ViewChanged { view, reason }) => {
                assert!(view == "balances" && reason.contains(part), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_begun_again_is_closed_to_who_began_it_before() {
    let place = Place::new();
    let store = place.open();
    let start = Checkpoint::start(store.store_id());
    store.prepare(&balances(), start).await.unwrap();
    let mut second = balances();
    second.version = 2;
    let begun = store.begin_generation(&second, start).await.unwrap();
    second.version = 3;
    store.begin_generation(&second, start).await.unwrap();
    let batch = ViewBatch::new(start, checkpoint_at(start, 1), vec![upsert("k", 1)]);
    let answer = store.apply(&begun, batch).await;
    assert!(matches!(answer, Err(Error::NotFound(_))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_leave_no_table_behind_but_the_one_that_can_come_back() {
    let place = Place::new();
    let store = place.open();
    let start = Checkpoint::start(store.store_id());
    store.prepare(&balances(), start).await.unwrap();
    for _ in 0..3 {
        store.begin_generation(&balances(), start).await.unwrap();
        let next = store.begin_generation(&balances(), start).await.unwrap();
        assert!(store.activate(&next, Swap::default()).await.unwrap());
    }
    while store.sweep().await.unwrap() != Swept::All {}
    let tables: Vec<String> = {
        let other = place.connect();
        let mut select = other
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'view_balances*'")
            .unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(tables, ["view_balances_5", "view_balances_7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_extremes_of_every_type_sort_and_page() {
    let place = Place::new();
    let store = place.open();
    let start = Checkpoint::start(store.store_id());
    let table = store.prepare(&balances(), start).await.unwrap();
    let time = |microseconds| Value::Timestamp(Timestamp::from_microsecond(microseconds).unwrap());
    // To the microsecond, as every store keeps them.
    let latest = Value::Timestamp(Timestamp::new(Timestamp::MAX.as_second(), 999_999_000).unwrap());
    let extremes = [
        (Decimal::MIN, i64::MIN, Value::Timestamp(Timestamp::MIN)),
        (Decimal::new(-1, 28), -1, time(-1)),
        (Decimal::ZERO, 0, time(0)),
        (Decimal::new(1, 28), 1, time(1)),
        (Decimal::MAX, i64::MAX, latest),
    ];
    let changes = extremes
        .iter()
        .enumerate()
        .map(|(at, (amount, order, opened_at))| {
            let values =
                vec![Value::Decimal(*amount), Value::Integer(*order), opened_at.clone(), Value::Null];
            RowChange::Upsert(address(&format!("k{at}")), values)
        })
        .collect();
    let to = checkpoint_at(start, 1);
    store.apply(&table, ViewBatch::new(start, to, changes)).await.unwrap();
    for column in ["amount", "order", "opened_at"] {
        for direction in [Direction::Ascending, Direction::Descending] {
            let mut query = Query::default().sort(column, direction).limit(2);
            let mut keys = Vec::new();
            loop {
                let page = store.query(&table, &tenant(), &query).await.unwrap();
                assert_eq!(page.position, to.position);
                keys.extend(page.rows.into_iter().map(|(key, _)| key));
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
            if direction == Direction::Descending {
                keys.reverse();
            }
            assert_eq!(keys, ["k0", "k1", "k2", "k3", "k4"], "{column} {direction:?}");
        }
    }
    let last = store.get(&table, &tenant(), "k4").await.unwrap().unwrap();
    assert_eq!(last[..2], [Value::Decimal(Decimal::MAX), Value::Integer(i64::MAX)]);
    assert_eq!(last[2], extremes[4].2);
    let below = Query::default().filter("amount", Comparison::Lt, Value::Decimal(Decimal::ZERO));
    assert_eq!(store.count(&table, &tenant(), &below).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_column_that_is_gone_is_no_value() {
    let place = Place::new();
    let store = place.open();
    let start = Checkpoint::start(store.store_id());
    let table = store.prepare(&balances(), start).await.unwrap();
    store.apply(&table, ViewBatch::new(start, checkpoint_at(start, 1), vec![upsert("k", 1)])).await.unwrap();
    place.connect().execute_batch("ALTER TABLE view_balances_1 DROP COLUMN note").unwrap();
    let read = store.load(&table, &[address("k")]).await;
    assert!(matches!(&read, Err(Error::Backend { .. })), "{read:?}");
}
