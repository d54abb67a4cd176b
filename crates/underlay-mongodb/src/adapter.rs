use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::adapter::{Adapter, Backend, Close, Migrations, OptionValues, without_password};
use underlay_core::options::{Options, set_all};
use underlay_core::{Error, Health};

use crate::store::check_server;
use crate::{MongoConfig, MongoStore, address_options};

/// Opens `mongodb://USER@HOST/DATABASE`: a database of a replica set, for entities and the rows of views. It has no log.
#[derive(Clone, Debug, Default)]
pub struct MongoAdapter {
    config: MongoConfig,
}

impl MongoAdapter {
    /// Connects by this configuration, where neither an option nor the address says otherwise.
    #[must_use]
    pub fn new(config: MongoConfig) -> Self {
        Self { config }
    }

    /// The address as MongoDB takes it, and the configuration that all of it comes to.
    fn configured(&self, address: &str, options: &OptionValues) -> Result<(String, MongoConfig), Error> {
        let mut config = self.config.clone();
        set_all(&mut config, options)?;
        config.with_options_of(address)
    }
}

impl MongoStore {
    /// Every port of the store, and what closes it.
    #[must_use]
    pub fn backend(&self) -> Backend {
        let store = Arc::new(self.clone());
        Backend {
            read_models: Some(store.clone()),
            leases: Some(store.clone()),
            entities: Some(store.clone()),
            health: Some(store.clone()),
            closing: vec![store],
            ..Backend::default()
        }
    }
}

#[async_trait]
impl Health for MongoStore {
    async fn check(&self) -> Result<(), Error> {
        Ok(check_server(&self.0).await?)
    }

    /// None: the majority of the servers has each answer on its disks, whatever they are configured to.
    async fn weaknesses(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Close for MongoStore {
    async fn close(&self) -> Result<(), Error> {
        Self::close(self).await
    }
}

#[async_trait]
impl Adapter for MongoAdapter {
    fn name(&self) -> &'static str {
        "mongodb"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["mongodb"]
    }

    fn example(&self) -> &'static str {
        "mongodb://USER@HOST/DATABASE"
    }

    fn options(&self) -> Box<dyn Options> {
        Box::new(self.config.clone())
    }

    fn options_in(&self, address: &str) -> Result<OptionValues, Error> {
        address_options::options_in(address)
    }

    fn shown(&self, address: &str) -> String {
        without_password(address)
    }

    /// A server that is away fails nothing here: what is kept in it is prepared before it is used.
    async fn open(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        let (address, config) = self.configured(address, options)?;
        let store = MongoStore::new(&address, config).await?;
        match store.check().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "MongoDB is away; it is asked again once it is needed");
            }
            answer => answer?,
        }
        Ok(store.backend())
    }

    async fn open_existing(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        let (address, config) = self.configured(address, options)?;
        Ok(MongoStore::connect_existing(&address, config).await?.backend())
    }

    fn migrations(&self) -> Option<&dyn Migrations> {
        None
    }
}
