use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::Error;
use underlay_core::adapter::{Adapter, Backend, Migrations, OptionValues, without_password};
use underlay_core::options::{Options, set_all};

use super::config::options_in;
use super::{HttpConfig, HttpEntities};

/// Opens `https://HOST/PATH`: entities that another service has.
#[derive(Clone, Debug, Default)]
pub struct HttpAdapter {
    config: HttpConfig,
}

impl HttpAdapter {
    /// Speaks by this configuration, where neither an option nor the address says otherwise.
    #[must_use]
    pub fn new(config: HttpConfig) -> Self {
        Self { config }
    }
}

impl HttpEntities {
    /// The ports of the store.
    #[must_use]
    pub fn backend(&self) -> Backend {
        let entities = Arc::new(self.clone());
        Backend { entities: Some(entities.clone()), health: Some(entities), ..Backend::default() }
    }
}

#[async_trait]
impl Adapter for HttpAdapter {
    fn name(&self) -> &'static str {
        "http"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["https", "http"]
    }

    fn example(&self) -> &'static str {
        "https://HOST/PATH"
    }

    fn options(&self) -> Box<dyn Options> {
        Box::new(self.config.clone())
    }

    fn options_in(&self, address: &str) -> Result<OptionValues, Error> {
        options_in(address)
    }

    fn shown(&self, address: &str) -> String {
        without_password(address)
    }

    /// Nobody is asked: a service that is away keeps nobody from starting.
    async fn open(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        let mut config = self.config.clone();
        set_all(&mut config, options)?;
        Ok(HttpEntities::new(address, config)?.backend())
    }

    async fn open_existing(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        // Opening makes nothing.
        self.open(address, options).await
    }

    fn migrations(&self) -> Option<&dyn Migrations> {
        None
    }
}
