use std::sync::Arc;

use underlay_core::{
    Column, ColumnType, EntityChange, EntitySchema, EntityVersion, Error, StoredEntity, TenantId, Value,
};
use uuid::Uuid;

use crate::Result;

/// Callers share counters: so many.
const SHARED: usize = 2;

/// Whose entities they are.
pub(super) fn tenant() -> std::result::Result<TenantId, Error> {
    TenantId::new("main")
}

/// What callers count in, with the key of the last change.
pub(super) fn counters() -> EntitySchema {
    EntitySchema::new("counter", 1, vec![column("last", ColumnType::Text, false)])
}

/// What a unit leaves: which versions two counters came to by it. The id is the key of the change.
pub(super) fn marks() -> EntitySchema {
    let columns = vec![
        column("place", ColumnType::Text, true),
        column("own", ColumnType::Text, true),
        column("own_version", ColumnType::Integer, false),
        column("shared", ColumnType::Text, true),
        column("shared_version", ColumnType::Integer, false),
    ];
    EntitySchema::new("mark", 1, columns).with_unique(["place"])
}

fn column(name: &str, column_type: ColumnType, indexed: bool) -> Column {
    Column { name: name.to_owned(), column_type, nullable: false, indexed }
}

/// The counter of a caller.
pub(super) fn own_id(caller: usize) -> String {
    format!("caller-{caller}")
}

/// The counter that a caller shares with others.
pub(super) fn shared_id(caller: usize) -> String {
    format!("shared-{}", caller % SHARED)
}

/// Every counter that callers share.
pub(super) fn shared_ids() -> Vec<String> {
    (0..SHARED).map(shared_id).collect()
}

/// Whether the change that takes a counter past a version is one by itself, and leaves no mark.
pub(super) fn is_alone(version: u64) -> bool {
    version % 4 == 3
}

/// The next change of a counter: it is made where it is not there yet.
pub(super) fn count(counter: &str, version: u64, key: &str) -> EntityChange {
    let (schema, values) = (Arc::new(counters()), vec![Value::Text(key.to_owned())]);
    match version {
        0 => EntityChange::create(schema, counter, values),
        version => EntityChange::update(schema, counter, EntityVersion(version), values),
    }
}

/// A mark: of which unit, and what two counters came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) key: Uuid,
    pub(super) own: (String, u64),
    pub(super) shared: (String, u64),
}

impl Mark {
    pub(super) fn change(&self) -> EntityChange {
        let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let values = vec![
            Value::Text(format!("{}:{}", self.own.0, self.own.1)),
            Value::Text(self.own.0.clone()),
            number(self.own.1),
            Value::Text(self.shared.0.clone()),
            number(self.shared.1),
        ];
        EntityChange::create(Arc::new(marks()), self.key.to_string(), values)
    }

    /// What is stored of one.
    pub(super) fn of(stored: &StoredEntity) -> Result<Self> {
        match stored.values.as_slice() {
            [
                _,
                Value::Text(own),
                Value::Integer(own_version),
                Value::Text(shared),
                Value::Integer(shared_version),
            ] => Ok(Self {
                key: stored.id.parse()?,
                own: (own.clone(), own_version.unsigned_abs()),
                shared: (shared.clone(), shared_version.unsigned_abs()),
            }),
            _ => Err(format!("{stored:?} is no mark").into()),
        }
    }
}
