use std::sync::Arc;

use underlay_core::{
    Checkpoint, Column, ColumnType, Decimal, Error, EventId, Position, Query, ReadModels, RowAddress,
    RowChange, RowPage, RowValues, StoreId, Swap, TenantId, Timestamp, Value, ViewBatch, ViewSchema,
    ViewTable,
};

use crate::{ReadModelsFixture, sample};

/// A column of each type that can be filtered and sorted by, and a nullable one of each.
pub(super) fn schema() -> ViewSchema {
    use ColumnType::{Boolean, Decimal, Integer, Text, Timestamp};
    let column = |name: &str, column_type, indexed: bool| Column {
        name: name.to_owned(),
        column_type,
        nullable: !indexed,
        indexed,
    };
    ViewSchema::new(
        "accounts",
        1,
        vec![
            column("owner", Text, true),
            column("entries", Integer, true),
            column("balance", Decimal, true),
            column("open", Boolean, true),
            column("changed_at", Timestamp, true),
            column("note", Text, false),
            column("rank", Integer, false),
            column("floor", Decimal, false),
            column("frozen", Boolean, false),
            column("closed_at", Timestamp, false),
        ],
    )
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

/// A row of [`schema`] without optional values.
pub(super) fn row(owner: &str, entries: i64) -> RowValues {
    row_of([
        text(owner),
        Value::Integer(entries),
        Value::Decimal(Decimal::from(entries)),
        Value::Boolean(true),
        moment(entries),
    ])
}

/// A row of [`schema`] with these values in the columns that must have one.
pub(super) fn row_of(required: [Value; 5]) -> RowValues {
    let mut values = required.to_vec();
    values.extend([const { Value::Null }; 5]);
    values
}

/// The read models under attack, with one table of [`schema`]. Its ways to ask panic where the store
/// cannot answer.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) models: Arc<dyn ReadModels>,
    pub(super) table: ViewTable,
    pub(super) tenant: TenantId,
    pub(super) log: StoreId,
}

impl Subject {
    pub(super) async fn of<F: ReadModelsFixture>(fixture: &F) -> Self {
        let models = fixture.read_models();
        let log = StoreId(EventId::draw().0);
        let table = models.prepare(&schema(), Checkpoint::start(log)).await.expect("a view is prepared");
        Self { models, table, tenant: sample::tenant("acme"), log }
    }

    /// The same rows, asked for by another tenant.
    pub(super) fn seen_by(&self, tenant: &str) -> Self {
        Self { tenant: sample::tenant(tenant), ..self.clone() }
    }

    /// The same read models, in another table.
    pub(super) fn at_table(&self, table: &ViewTable) -> Self {
        Self { table: table.clone(), ..self.clone() }
    }

    /// A place in the log, with an event of its own.
    pub(super) fn place(&self, position: u64) -> Checkpoint {
        let position = Position::from_number(position);
        Checkpoint { store: self.log, position, event_id: Some(EventId::draw()) }
    }

    pub(super) fn address(&self, key: &str) -> RowAddress {
        RowAddress { tenant: self.tenant.clone(), key: key.to_owned() }
    }

    pub(super) fn upsert(&self, key: &str, values: RowValues) -> RowChange {
        RowChange::Upsert(self.address(key), values)
    }

    pub(super) fn patch(&self, key: &str, column: &str, value: Value) -> RowChange {
        RowChange::Patch(self.address(key), vec![(column.to_owned(), value)])
    }

    pub(super) fn delete(&self, key: &str) -> RowChange {
        RowChange::Delete(self.address(key))
    }

    /// The values of rows, in the order asked for.
    pub(super) async fn load(&self, addresses: &[RowAddress]) -> Vec<Option<RowValues>> {
        let loaded = self.models.load(&self.table, addresses).await.expect("load answers");
        loaded.into_iter().map(|row| row.values).collect()
    }

    pub(super) async fn checkpoint(&self) -> Checkpoint {
        self.models.checkpoint(&self.table).await.expect("checkpoint answers")
    }

    /// The batch that goes on from where the table is now, to the next position.
    pub(super) async fn next_batch(&self, changes: Vec<RowChange>) -> ViewBatch {
        let from = self.checkpoint().await;
        ViewBatch::new(from, self.place(from.position.number() + 1), changes)
    }

    pub(super) async fn try_apply(&self, changes: Vec<RowChange>) -> Result<(), Error> {
        let batch = self.next_batch(changes).await;
        self.models.apply(&self.table, batch).await
    }

    pub(super) async fn apply(&self, changes: Vec<RowChange>) {
        self.try_apply(changes).await.expect("a sound batch is stored");
    }

    /// Makes the table the one that is read, wherever that one is.
    pub(super) async fn activate(&self) -> bool {
        self.models.activate(&self.table, Swap::default()).await.expect("a generation is activated")
    }

    pub(super) async fn get(&self, key: &str) -> Option<RowValues> {
        self.models.get(&self.table, &self.tenant, key).await.expect("get answers")
    }

    pub(super) async fn query(&self, query: &Query) -> RowPage {
        self.models.query(&self.table, &self.tenant, query).await.expect("query answers")
    }

    pub(super) async fn count(&self, query: &Query) -> u64 {
        self.models.count(&self.table, &self.tenant, query).await.expect("count answers")
    }

    /// Every row of the tenant, by key.
    pub(super) async fn rows(&self) -> Vec<(String, RowValues)> {
        let mut rows = Vec::new();
        let mut query = Query::default().limit(underlay_core::limits::PAGE_ROWS_MAX);
        loop {
            let page = self.query(&query).await;
            rows.extend(page.rows);
            let Some(next) = page.next else { return rows };
            assert_ne!(query.after.as_ref(), Some(&next), "a page of rows moves on");
            query.after = Some(next);
        }
    }
}
