//! Short ways to make what the tests are about.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use underlay_core::{
    Checkpoint, Column, ColumnType, Commit, CommitId, Decimal, EntityChange, EntitySchema, EventId,
    EventType, ExpectedVersion, Json, NewEvent, Position, RowAddress, RowChange, SchemaVersion, StreamName,
    TenantId, Timestamp, Value, ViewSchema,
};

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn acme() -> TenantId {
    tenant("acme")
}

pub(crate) fn stream(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

pub(crate) fn event(number: u64) -> NewEvent {
    let payload = Json::parse(format!("{{\"number\":{number}}}")).unwrap();
    NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), payload)
}

/// A commit of one event to a stream.
pub(crate) fn append(to: &str, expected: ExpectedVersion) -> Commit {
    append_many(to, expected, 1)
}

pub(crate) fn append_many(to: &str, expected: ExpectedVersion, events: u64) -> Commit {
    Commit::new(CommitId::draw()).append(stream(to), expected, (1..=events).map(event).collect())
}

/// Begins a call and gives the rest of it: a commit is then in the queue. Where nothing holds the call
/// up, it may have been answered already.
pub(crate) fn begin<'a, F>(call: F) -> Pin<Box<dyn Future<Output = F::Output> + Send + 'a>>
where
    F: Future<Output: Send> + Send + 'a,
{
    let mut call = Box::pin(call);
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
        Poll::Pending => call,
    }
}

/// Begins a call and goes away, whether it was answered at once or not.
pub(crate) fn abandon<F: Future>(call: F) {
    let mut call = std::pin::pin!(call);
    let _polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

/// A view with a column of every type, each of which queries can filter and sort by.
pub(crate) fn accounts() -> ViewSchema {
    let column = |name: &str, column_type| Column {
        name: name.to_owned(),
        column_type,
        nullable: false,
        indexed: true,
    };
    ViewSchema::new(
        "accounts",
        1,
        vec![
            column("name", ColumnType::Text),
            column("order", ColumnType::Integer),
            column("amount", ColumnType::Decimal),
            column("closed", ColumnType::Boolean),
            column("opened_at", ColumnType::Timestamp),
        ],
    )
}

pub(crate) fn row(owner: &str, key: &str, number: i64) -> RowChange {
    let address = RowAddress { tenant: tenant(owner), key: key.to_owned() };
    RowChange::Upsert(address, values(number))
}

/// A value for each column of [`accounts`].
fn values(number: i64) -> Vec<Value> {
    vec![
        Value::Text(format!("name {number}")),
        Value::Integer(number),
        Value::Decimal(Decimal::new(number, 2)),
        Value::Boolean(number % 2 == 0),
        Value::Timestamp(Timestamp::from_microsecond(number).unwrap()),
    ]
}

/// An entity with a column of every type, each of which queries can filter and sort by, a note that nobody looks for,
/// and a name that is there once.
pub(crate) fn members() -> Arc<EntitySchema> {
    let mut columns = accounts().rows.columns;
    columns.push(Column {
        name: "note".to_owned(),
        column_type: ColumnType::Text,
        nullable: true,
        indexed: false,
    });
    Arc::new(EntitySchema::new("member", 1, columns).with_unique(["name"]))
}

/// The values of a member.
pub(crate) fn member(number: i64) -> Vec<Value> {
    let mut values = values(number);
    values.push(if number % 3 == 0 { Value::Null } else { Value::Text(format!("note {number}")) });
    values
}

/// A new member.
pub(crate) fn enter(id: &str, number: i64) -> EntityChange {
    EntityChange::create(members(), id, member(number))
}

pub(crate) fn checkpoint_at(start: Checkpoint, position: u64) -> Checkpoint {
    let position = Position::from_number(position);
    Checkpoint { store: start.store, position, event_id: Some(EventId::draw()) }
}
