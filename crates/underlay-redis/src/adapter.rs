use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::Error;
use underlay_core::adapter::{Adapter, Backend, Close, Migrations, OptionValues, without_password};
use underlay_core::options::{Options, set_all};

use crate::{RedisConfig, RedisStore, config};

/// Opens `redis://HOST:PORT`: entities, rows of views and a cache on one Redis.
#[derive(Clone, Debug, Default)]
pub struct RedisAdapter {
    config: RedisConfig,
}

impl RedisAdapter {
    /// Connects by this configuration, where neither an option nor the address says otherwise.
    #[must_use]
    pub fn new(config: RedisConfig) -> Self {
        Self { config }
    }
}

impl RedisStore {
    /// The ports of the store, and what closes it.
    #[must_use]
    pub fn backend(&self) -> Backend {
        let store = Arc::new(self.clone());
        Backend {
            read_models: Some(store.clone()),
            leases: Some(store.clone()),
            entities: Some(store.clone()),
            cache: Some(store.clone()),
            health: Some(store.clone()),
            closing: vec![store],
            ..Backend::default()
        }
    }
}

#[async_trait]
impl Close for RedisStore {
    async fn close(&self) -> Result<(), Error> {
        Self::close(self).await
    }
}

#[async_trait]
impl Adapter for RedisAdapter {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["redis", "rediss"]
    }

    fn example(&self) -> &'static str {
        "redis://HOST:PORT"
    }

    fn options(&self) -> Box<dyn Options> {
        Box::new(self.config.clone())
    }

    fn options_in(&self, address: &str) -> Result<OptionValues, Error> {
        config::options_in(address)
    }

    fn shown(&self, address: &str) -> String {
        without_password(address)
    }

    /// A server that is away fails nothing here: a cache goes on without it, and entities and views are prepared before they
    /// are used.
    async fn open(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        let mut config = self.config.clone();
        set_all(&mut config, options)?;
        let store = RedisStore::new(address, config)?;
        match store.check().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "Redis is away; it is asked again once it is needed");
            }
            answer => answer?,
        }
        Ok(store.backend())
    }

    async fn open_existing(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        // Connecting makes nothing.
        self.open(address, options).await
    }

    fn migrations(&self) -> Option<&dyn Migrations> {
        None
    }
}
