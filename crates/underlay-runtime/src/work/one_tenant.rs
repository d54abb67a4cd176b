use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::{
    Error, EventStore, Query, RecordedEvent, RowPage, StreamName, TenantId, TenantReader, Value, Version,
};

use crate::views::Views;

/// What a handler may read: the data of the tenant whose message it was given.
pub(super) struct OneTenant {
    tenant: TenantId,
    store: Arc<dyn EventStore>,
    views: Arc<Views>,
}

impl OneTenant {
    pub(super) fn new(tenant: TenantId, store: Arc<dyn EventStore>, views: Arc<Views>) -> Self {
        Self { tenant, store, views }
    }
}

#[async_trait]
impl TenantReader for OneTenant {
    async fn row(&self, view: &str, key: &str) -> Result<Option<Vec<Value>>, Error> {
        Ok(self.views.find_row(&self.tenant, view, key).await?.map(|row| row.values))
    }

    async fn query(&self, view: &str, query: &Query) -> Result<RowPage, Error> {
        Ok(self.views.query(&self.tenant, view, query).await?.page)
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        Ok(self.store.read_stream(&self.tenant, stream, after, limit).await?.events)
    }
}
