use mongodb::bson::{Document, doc};
use underlay_core::{EntitySchema, Error, Query, TenantId};

use super::pipeline;
use crate::MongoStore;
use crate::error::Failure;
use crate::units::collection_name;

impl MongoStore {
    /// For tests: how the server runs each way to a page of entities, with the index that the way is along.
    #[doc(hidden)]
    pub async fn explain(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<Vec<(String, Document)>, Error> {
        query.validate(schema)?;
        let mut explained = Vec::new();
        for walk in query.page_walks() {
            let way = pipeline::page(tenant, query, &walk);
            let aggregate = doc! {
                "aggregate": collection_name(&schema.name),
                "pipeline": way.stages,
                "cursor": {},
                "hint": &way.index,
            };
            let explain = doc! { "explain": aggregate, "verbosity": "executionStats" };
            let answer = self.0.database.run_command(explain).await.map_err(Failure::from)?;
            explained.push((way.index, answer));
        }
        Ok(explained)
    }
}
