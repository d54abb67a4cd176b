use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::bson::{Bson, Document, doc};
use underlay_core::adapter::check_unit;
use underlay_core::{
    Atomicity, Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, Query, StoredEntity,
    TenantId, check_entity_ids,
};

use crate::error::Failure;
use crate::rows::{count_rows, key_of, page_of_rows, row_id, values, whole_batch};
use crate::store::{MongoStore, check_server};
use crate::units::{self, apply, check_prepared, collection, told, version_of};

#[async_trait]
impl Entities for MongoStore {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        schema.validate()?;
        check_server(&self.0).await?;
        units::prepare(self, schema).await
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        check_entity_ids(ids)?;
        let _turn = self.0.turn(Some(tenant)).await?;
        check_prepared(&self.0, &schema.name).await?;
        let addresses: Vec<Bson> = ids.iter().map(|id| Bson::Document(row_id(tenant, id))).collect();
        let rows = collection(&self.0, &schema.name);
        let find = async {
            let found = rows.find(doc! { "_id": { "$in": addresses } }).batch_size(whole_batch(ids.len()));
            let found = found.await?;
            found.try_collect::<Vec<Document>>().await
        };
        let found = self.0.read(Box::pin(find)).await?;
        let found = told(&self.0, schema, entities(schema, &found)).await?;
        let by_id: HashMap<String, StoredEntity> =
            found.into_iter().map(|entity| (entity.id.clone(), entity)).collect();
        Ok(ids.iter().map(|id| by_id.get(id).cloned()).collect())
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        query.validate(schema)?;
        let _turn = self.0.query_turn(tenant).await?;
        check_prepared(&self.0, &schema.name).await?;
        let rows = collection(&self.0, &schema.name);
        let found = page_of_rows(&self.0, &rows, schema, tenant, query).await;
        let found = found.and_then(|found| entities(schema, &found));
        Ok(EntityPage::of(told(&self.0, schema, found).await?, query, schema))
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(schema)?;
        let _turn = self.0.query_turn(tenant).await?;
        check_prepared(&self.0, &schema.name).await?;
        let rows = collection(&self.0, &schema.name);
        told(&self.0, schema, count_rows(&self.0, &rows, tenant, query).await).await
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        check_unit(self.atomicity(), &changes)?;
        let _turn = self.0.turn(Some(tenant)).await?;
        for change in &changes {
            check_prepared(&self.0, change.entity()).await?;
        }
        apply(&self.0, tenant, changes).await
    }

    fn atomicity(&self) -> Atomicity {
        Atomicity::Unit
    }
}

fn entities(schema: &EntitySchema, rows: &[Document]) -> Result<Vec<StoredEntity>, Failure> {
    rows.iter().map(|row| Ok(entity(schema, row)?)).collect()
}

/// An entity as it is stored, where it is one of this shape.
fn entity(schema: &EntitySchema, row: &Document) -> Result<StoredEntity, Error> {
    let id = key_of(row).ok_or_else(|| {
        Error::Damaged(format!("{}: a document has no id of a tenant and a key", schema.name))
    })?;
    let damaged = |reason: String| Error::damaged_entity(&schema.name, id, reason);
    let values = values(schema, row).map_err(damaged)?;
    schema.check_row(id, &values).map_err(|error| damaged(error.to_string()))?;
    Ok(StoredEntity { id: id.to_owned(), version: version_of(row, &schema.name, id)?, values })
}
