use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::adapter::{Adapter, OptionValues};
use underlay_core::memory::MemoryAdapter;
use underlay_core::{
    Column, ColumnType, Comparison, Direction, Entities, EntityChange, EntitySchema, EntityVersion, Query,
    TenantId, Value,
};

use super::{Keeper, PAGE, Rate, base, id};
use crate::Result;
use crate::bench::account::tenant;

/// A store by its port.
pub(super) struct Ours {
    entities: Arc<dyn Entities>,
    schema: Arc<EntitySchema>,
    tenant: TenantId,
}

impl Ours {
    pub(super) async fn of(entities: Option<Arc<dyn Entities>>) -> Result<Self> {
        let entities = entities.ok_or("the store keeps no entities")?;
        let column = |name: &str, column_type, indexed| Column {
            name: name.to_owned(),
            column_type,
            nullable: false,
            indexed,
        };
        let columns = vec![
            column("base", ColumnType::Text, true),
            column("value", ColumnType::Integer, false),
            column("note", ColumnType::Text, false),
        ];
        let schema = Arc::new(EntitySchema::new("rate", 1, columns));
        entities.prepare(&schema).await?;
        Ok(Self { entities, schema, tenant: tenant()? })
    }

    pub(super) async fn in_memory() -> Result<Self> {
        let backend = MemoryAdapter::default().open("memory:", &OptionValues::new()).await?;
        Self::of(backend.entities).await
    }

    /// Opens an address by an adapter.
    pub(super) async fn at(adapter: &dyn Adapter, address: &str) -> Result<Self> {
        Self::of(adapter.open(address, &OptionValues::new()).await?.entities).await
    }

    async fn apply(&self, changes: Vec<EntityChange>) -> Result<()> {
        self.entities.apply(&self.tenant, changes).await?;
        Ok(())
    }
}

fn values(rate: Rate) -> Vec<Value> {
    vec![Value::Text(rate.base), Value::Integer(rate.value), Value::Text(rate.note)]
}

#[async_trait]
impl Keeper for Ours {
    async fn create(&self, numbers: Range<u64>) -> Result<()> {
        let create = |number| {
            let rate = Rate::of(number, 1);
            EntityChange::create(self.schema.clone(), rate.id.clone(), values(rate))
        };
        self.apply(numbers.map(create).collect()).await
    }

    async fn get(&self, number: u64) -> Result<u64> {
        let found = self.entities.load(&self.schema, &self.tenant, &[id(number)]).await?.pop().flatten();
        Ok(found.map_or(0, |found| found.version.0))
    }

    async fn update(&self, numbers: Range<u64>, version: u64) -> Result<()> {
        let update = |number| {
            let rate = Rate::of(number, version + 1);
            EntityChange::update(self.schema.clone(), rate.id.clone(), EntityVersion(version), values(rate))
        };
        self.apply(numbers.map(update).collect()).await
    }

    async fn page(&self, number: u64) -> Result<usize> {
        let query = Query::default()
            .filter("base", Comparison::Eq, Value::Text(base(number)))
            .sort("base", Direction::Ascending)
            .limit(PAGE);
        Ok(self.entities.query(&self.schema, &self.tenant, &query).await?.entities.len())
    }
}
