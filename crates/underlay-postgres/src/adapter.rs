use async_trait::async_trait;
use underlay_core::Error;
use underlay_core::adapter::{Adapter, Backend, Close, Migrations, OptionValues};
use underlay_core::options::{Options, set_all};

use crate::{PostgresConfig, PostgresStore, address_options, migrate, migration_script};

/// Opens `postgres://USER@HOST/DATABASE`: a database that was migrated before.
#[derive(Clone, Debug, Default)]
pub struct PostgresAdapter {
    config: PostgresConfig,
}

impl PostgresAdapter {
    /// Connects by this configuration, where neither an option nor the address says otherwise.
    #[must_use]
    pub fn new(config: PostgresConfig) -> Self {
        Self { config }
    }

    /// The address as PostgreSQL takes it, and the configuration that all of it comes to.
    fn configured(&self, address: &str, options: &OptionValues) -> Result<(String, PostgresConfig), Error> {
        let mut config = self.config.clone();
        set_all(&mut config, options)?;
        config.with_options_of(address)
    }
}

impl PostgresStore {
    /// Every port of the store, and what closes it.
    #[must_use]
    pub fn backend(&self) -> Backend {
        // The time of commits is the server's; a process goes by its own system's.
        Backend::of(self.clone())
    }
}

#[async_trait]
impl Close for PostgresStore {
    async fn close(&self) -> Result<(), Error> {
        Self::close(self).await
    }
}

#[async_trait]
impl Adapter for PostgresAdapter {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["postgres", "postgresql"]
    }

    fn example(&self) -> &'static str {
        "postgres://USER@HOST/DATABASE"
    }

    fn options(&self) -> Box<dyn Options> {
        Box::new(self.config.clone())
    }

    fn options_in(&self, address: &str) -> Result<OptionValues, Error> {
        address_options::options_in(address)
    }

    fn shown(&self, address: &str) -> String {
        address_options::shown(address)
    }

    async fn open(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        let (address, config) = self.configured(address, options)?;
        Ok(PostgresStore::connect(&address, config).await?.backend())
    }

    async fn open_existing(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        // Connecting makes nothing.
        self.open(address, options).await
    }

    fn migrations(&self) -> Option<&dyn Migrations> {
        Some(self)
    }
}

#[async_trait]
impl Migrations for PostgresAdapter {
    async fn migrate(
        &self,
        address: &str,
        options: &OptionValues,
        login: Option<&str>,
    ) -> Result<Vec<&'static str>, Error> {
        let (address, config) = self.configured(address, options)?;
        migrate(&address, &config, login).await
    }

    async fn migration_script(
        &self,
        address: &str,
        options: &OptionValues,
        login: Option<&str>,
    ) -> Result<String, Error> {
        let (address, config) = self.configured(address, options)?;
        migration_script(&address, &config, login).await
    }
}
