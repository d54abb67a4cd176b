use std::sync::Arc;

use underlay_core::limits::{PAGE_ROWS_MAX, UNIT_CHANGES_MAX};
use underlay_core::{
    Atomicity, Column, ColumnType, Decimal, Entities, EntityChange, EntityConflict, EntityPage, EntitySchema,
    EntityVersion, Error, Query, RowValues, StoredEntity, TenantId, Timestamp, Value,
};

use crate::concurrent::together;
use crate::{EntitiesFixture, sample};

/// Changes that are under way at once where a store changes one entity at a time.
const AT_ONCE: usize = 16;

pub(super) fn column(name: &str, column_type: ColumnType, nullable: bool, indexed: bool) -> Column {
    Column { name: name.to_owned(), column_type, nullable, indexed }
}

/// A unique code, a column of each type that can be filtered and sorted by, and a nullable one of each.
pub(super) fn members() -> EntitySchema {
    use ColumnType::{Boolean, Decimal, Integer, Text, Timestamp};
    let indexed = |name, column_type| column(name, column_type, false, true);
    let nullable = |name, column_type| column(name, column_type, true, false);
    let columns = vec![
        indexed("code", Text),
        indexed("owner", Text),
        indexed("entries", Integer),
        indexed("balance", Decimal),
        indexed("open", Boolean),
        indexed("changed_at", Timestamp),
        nullable("note", Text),
        nullable("rank", Integer),
        nullable("floor", Decimal),
        nullable("frozen", Boolean),
        nullable("closed_at", Timestamp),
    ];
    EntitySchema::new("member", 1, columns).with_unique(["code"])
}

/// Another entity, so that units are of several.
pub(super) fn rates() -> EntitySchema {
    let columns = vec![
        column("base", ColumnType::Text, false, true),
        column("value", ColumnType::Decimal, false, false),
    ];
    EntitySchema::new("rate", 1, columns)
}

pub(super) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub(super) fn decimal(value: &str) -> Value {
    Value::Decimal(value.parse().expect("a decimal"))
}

pub(super) fn moment(microsecond: i64) -> Value {
    Value::Timestamp(Timestamp::from_microsecond(microsecond).expect("a time"))
}

/// The first and the last whole second there are.
pub(super) fn first_and_last_moments() -> [Value; 2] {
    [Timestamp::MIN, Timestamp::MAX].map(|time| moment(time.as_second() * 1_000_000))
}

/// Values of [`members`] without optional ones.
pub(super) fn member(code: &str, owner: &str, entries: i64) -> RowValues {
    member_of([
        text(code),
        text(owner),
        Value::Integer(entries),
        Value::Decimal(Decimal::from(entries)),
        Value::Boolean(true),
        moment(entries),
    ])
}

/// Values of [`members`] with these in the columns that must have one.
pub(super) fn member_of(required: [Value; 6]) -> RowValues {
    let mut values = required.to_vec();
    values.extend([const { Value::Null }; 5]);
    values
}

/// The entities under attack, those of [`members`] unless another schema is named. Its ways to ask panic where the
/// store cannot answer.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) entities: Arc<dyn Entities>,
    pub(super) schema: Arc<EntitySchema>,
    pub(super) tenant: TenantId,
}

impl Subject {
    pub(super) async fn of<F: EntitiesFixture>(fixture: &F) -> Self {
        Self::of_schema(fixture, &members()).await
    }

    /// The entities of another schema, which are prepared.
    pub(super) async fn of_schema<F: EntitiesFixture>(fixture: &F, schema: &EntitySchema) -> Self {
        let entities = fixture.entities();
        entities.prepare(schema).await.expect("an entity is prepared");
        Self { entities, schema: Arc::new(schema.clone()), tenant: sample::tenant("acme") }
    }

    /// The same entities, asked for by another tenant.
    pub(super) fn seen_by(&self, tenant: &str) -> Self {
        Self { tenant: sample::tenant(tenant), ..self.clone() }
    }

    /// Entities of another schema in the same store, which are prepared.
    pub(super) async fn with(&self, schema: EntitySchema) -> Self {
        self.entities.prepare(&schema).await.expect("an entity is prepared");
        Self { schema: Arc::new(schema), ..self.clone() }
    }

    pub(super) fn changes_units(&self) -> bool {
        self.entities.atomicity() == Atomicity::Unit
    }

    pub(super) fn create(&self, id: &str, values: RowValues) -> EntityChange {
        EntityChange::create(self.schema.clone(), id, values)
    }

    pub(super) fn update(&self, id: &str, expected: u64, values: RowValues) -> EntityChange {
        EntityChange::update(self.schema.clone(), id, EntityVersion(expected), values)
    }

    pub(super) fn delete(&self, id: &str, expected: Option<u64>) -> EntityChange {
        EntityChange::delete(self.schema.clone(), id, expected.map(EntityVersion))
    }

    pub(super) async fn try_apply(&self, changes: Vec<EntityChange>) -> Result<Vec<EntityVersion>, Error> {
        self.entities.apply(&self.tenant, changes).await
    }

    /// Stores one change that must be stored; the version after it.
    pub(super) async fn apply(&self, change: EntityChange) -> u64 {
        let versions = self.try_apply(vec![change]).await.expect("a sound change is stored");
        assert_eq!(versions.len(), 1, "one change has one version after it");
        versions[0].0
    }

    /// Stores changes that have nothing to do with each other.
    pub(super) async fn apply_each(&self, changes: Vec<EntityChange>) {
        let at_once = if self.changes_units() { UNIT_CHANGES_MAX } else { AT_ONCE };
        let mut changes = changes.into_iter();
        loop {
            let some: Vec<EntityChange> = changes.by_ref().take(at_once).collect();
            if some.is_empty() {
                return;
            }
            if self.changes_units() {
                self.try_apply(some).await.expect("sound changes are stored");
            } else {
                let apply = |change| {
                    let subject = self.clone();
                    async move { subject.apply(change).await }
                };
                together(some.into_iter().map(apply)).await;
            }
        }
    }

    /// Tries changes that must be refused as a conflict.
    pub(super) async fn conflict(&self, changes: Vec<EntityChange>) -> EntityConflict {
        match self.try_apply(changes).await {
            Err(Error::EntityConflict(conflict)) => *conflict,
            other => panic!("not a conflict: {other:?}"),
        }
    }

    /// Entities by id, in the order asked for.
    pub(super) async fn load(&self, ids: &[&str]) -> Vec<Option<StoredEntity>> {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let loaded = self.entities.load(&self.schema, &self.tenant, &ids).await.expect("load answers");
        assert_eq!(loaded.len(), ids.len(), "each id has its answer");
        loaded
    }

    pub(super) async fn get(&self, id: &str) -> Option<StoredEntity> {
        self.load(&[id]).await.remove(0)
    }

    pub(super) async fn query(&self, query: &Query) -> EntityPage {
        self.entities.query(&self.schema, &self.tenant, query).await.expect("query answers")
    }

    pub(super) async fn count(&self, query: &Query) -> u64 {
        self.entities.count(&self.schema, &self.tenant, query).await.expect("count answers")
    }

    /// Every entity of the tenant, by id.
    pub(super) async fn all(&self) -> Vec<StoredEntity> {
        let mut entities = Vec::new();
        let mut query = Query::default().limit(PAGE_ROWS_MAX);
        loop {
            let page = self.query(&query).await;
            entities.extend(page.entities);
            let Some(next) = page.next else { return entities };
            assert_ne!(query.after.as_ref(), Some(&next), "a page of entities moves on");
            query.after = Some(next);
        }
    }
}

/// An entity as it must be stored.
pub(super) fn stored(id: &str, version: u64, values: RowValues) -> StoredEntity {
    StoredEntity { id: id.to_owned(), version: EntityVersion(version), values }
}

/// A conflict as it must be told of a member.
pub(super) fn conflict_of(id: &str, expected: Option<u64>, actual: Option<u64>) -> EntityConflict {
    let (expected, actual) = (expected.map(EntityVersion), actual.map(EntityVersion));
    EntityConflict { entity: "member".to_owned(), id: id.to_owned(), expected, actual }
}

/// Asserts that a result is an [`Error::Invalid`] that shows a name.
pub(super) fn assert_invalid<T: std::fmt::Debug>(result: Result<T, Error>, name: &str, what: &str) {
    match result {
        Err(Error::Invalid(message)) => {
            assert!(message.contains(name), "{what}: {message:?} does not name {name}");
        }
        other => panic!("{what}: not invalid: {other:?}"),
    }
}
