//! Short ways to make what the tests are about.

use std::sync::Arc;

use underlay_core::{
    Column, ColumnType, Decimal, EntityChange, EntitySchema, EntityVersion, RowValues, TenantId, Timestamp,
    Value,
};

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn acme() -> TenantId {
    tenant("acme")
}

/// A column of every type that can be filtered and sorted by, the name a unique one, and one that can be empty.
pub(crate) fn accounts() -> Arc<EntitySchema> {
    let column = |name: &str, column_type| Column {
        name: name.to_owned(),
        column_type,
        nullable: false,
        indexed: true,
    };
    let note = Column { nullable: true, indexed: false, ..column("note", ColumnType::Text) };
    let columns = vec![
        column("name", ColumnType::Text),
        column("entries", ColumnType::Integer),
        column("amount", ColumnType::Decimal),
        column("closed", ColumnType::Boolean),
        column("opened_at", ColumnType::Timestamp),
        note,
    ];
    Arc::new(EntitySchema::new("account", 1, columns).with_unique(["name"]))
}

/// Values of [`accounts`].
pub(crate) fn values(number: i64) -> RowValues {
    vec![
        Value::Text(format!("name {number:06}")),
        Value::Integer(number),
        Value::Decimal(Decimal::new(number, 2)),
        Value::Boolean(number % 2 == 0),
        Value::Timestamp(Timestamp::from_microsecond(number).unwrap()),
        Value::Null,
    ]
}

pub(crate) fn create(number: i64) -> EntityChange {
    EntityChange::create(accounts(), format!("key-{number:06}"), values(number))
}

/// Gives an account of this number the values of another.
pub(crate) fn update(number: i64, expected: u64, to: i64) -> EntityChange {
    EntityChange::update(accounts(), format!("key-{number:06}"), EntityVersion(expected), values(to))
}

pub(crate) fn id(number: i64) -> String {
    format!("key-{number:06}")
}
