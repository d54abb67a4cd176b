use std::sync::Arc;
use std::time::Duration;

use underlay_core::{Cache, CacheEntry, CacheExt, TenantId};

use crate::{CacheFixture, sample};

/// Longer than any case takes.
pub(super) const LONG: Duration = Duration::from_secs(60 * 60);

/// The cache under attack, seen by one tenant. Its ways to ask panic where the cache cannot answer.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) cache: Arc<dyn Cache>,
    pub(super) tenant: TenantId,
}

impl Subject {
    pub(super) fn of<F: CacheFixture>(fixture: &F) -> Self {
        Self { cache: fixture.cache(), tenant: sample::tenant("acme") }
    }

    /// The same cache, seen by another tenant.
    pub(super) fn seen_by(&self, tenant: &str) -> Self {
        Self { tenant: sample::tenant(tenant), ..self.clone() }
    }

    pub(super) async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let found = self.cache.get(&self.tenant, key).await.expect("get answers");
        let exists = self.cache.exists(&self.tenant, key).await.expect("exists answers");
        assert_eq!(exists, found.is_some(), "{key:?} exists where it is found");
        found
    }

    /// Whether the value is the text of a key, as [`Subject::fill`] sets it.
    pub(super) async fn has(&self, key: &str) -> bool {
        let found = self.get(key).await;
        assert!(found.as_deref().is_none_or(|value| value == key.as_bytes()), "{key:?} has its own value");
        found.is_some()
    }

    /// Sets values that are the texts of their keys.
    pub(super) async fn fill(&self, keys: &[&str]) {
        for key in keys {
            self.set(CacheEntry::new(*key, *key, LONG)).await;
        }
    }

    pub(super) async fn set(&self, entry: CacheEntry) {
        self.cache.set(&self.tenant, entry).await.expect("set answers");
    }

    pub(super) async fn delete(&self, key: &str) {
        self.cache.delete(&self.tenant, key).await.expect("delete answers");
    }

    pub(super) async fn invalidate(&self, tag: &str) {
        self.cache.invalidate(&self.tenant, tag).await.expect("invalidate answers");
    }

    pub(super) async fn invalidate_matching(&self, pattern: &str) {
        self.cache.invalidate_matching(&self.tenant, pattern).await.expect("invalidate_matching answers");
    }

    pub(super) async fn clear(&self) {
        self.cache.clear(&self.tenant).await.expect("clear answers");
    }
}
