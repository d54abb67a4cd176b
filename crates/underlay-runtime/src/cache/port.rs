use async_trait::async_trait;
use underlay_core::{Cache, CacheEntry, CachedValue, Error, TenantId, check_cache_pattern, check_cache_tag};

use super::TieredCache;
use super::local::Swept;

#[async_trait]
impl Cache for TieredCache {
    async fn get_many(&self, tenant: &TenantId, keys: &[String]) -> Result<Vec<Option<CachedValue>>, Error> {
        let found = self.find_many(tenant, keys).await?;
        let now = self.clock().now();
        Ok(found.into_iter().map(|item| item.map(|item| item.as_cached(now))).collect())
    }

    async fn exists(&self, tenant: &TenantId, key: &str) -> Result<bool, Error> {
        self.has(tenant, key).await
    }

    async fn set_many(&self, tenant: &TenantId, entries: &[CacheEntry]) -> Result<(), Error> {
        self.put(tenant, entries.to_vec(), Vec::new()).await
    }

    async fn delete_many(&self, tenant: &TenantId, keys: &[String]) -> Result<(), Error> {
        self.take_away(tenant, keys).await
    }

    async fn invalidate(&self, tenant: &TenantId, tag: &str) -> Result<(), Error> {
        check_cache_tag(tag)?;
        self.sweep(tenant, Swept::Tag(tag.to_owned())).await
    }

    async fn invalidate_matching(&self, tenant: &TenantId, pattern: &str) -> Result<(), Error> {
        check_cache_pattern(pattern)?;
        self.sweep(tenant, Swept::Matching(pattern.to_owned())).await
    }

    async fn clear(&self, tenant: &TenantId) -> Result<(), Error> {
        self.sweep(tenant, Swept::Everything).await
    }
}
