use async_trait::async_trait;
use underlay_core::Error;
use underlay_core::adapter::{Adapter, Backend, Close, Migrations, OptionValues};
use underlay_core::options::{Options, set_all};

use crate::{SqliteConfig, SqliteStore};

/// Opens `sqlite:PATH`: a store in one file.
#[derive(Clone, Debug, Default)]
pub struct SqliteAdapter {
    config: SqliteConfig,
}

impl SqliteAdapter {
    /// Opens files by this configuration, where no option says otherwise.
    #[must_use]
    pub fn new(config: SqliteConfig) -> Self {
        Self { config }
    }

    async fn open_by(
        &self,
        address: &str,
        options: &OptionValues,
        open: fn(&str, SqliteConfig) -> Result<SqliteStore, Error>,
    ) -> Result<Backend, Error> {
        let path = match address.split_once(':') {
            Some((_, path)) if !path.is_empty() => path.to_owned(),
            _ => return Err(Error::invalid("sqlite: needs a path, as in sqlite:ledger.db")),
        };
        let mut config = self.config.clone();
        set_all(&mut config, options)?;
        let leases = config.leases;
        // Opening waits for the disk, and for other processes.
        let opening = tokio::task::spawn_blocking(move || open(&path, config)).await;
        let store = opening.map_err(|error| Error::backend("opening the SQLite file", error))??;
        let backend = store.backend();
        // Where one process is the rule, renewing would wake the disk for ever, and after a kill the next
        // start would wait for a lease that nobody holds any more.
        Ok(if leases { backend } else { Backend { leases: None, ..backend } })
    }
}

impl SqliteStore {
    /// Every port of the store, and what closes it.
    #[must_use]
    pub fn backend(&self) -> Backend {
        Backend { clock: Some(self.0.clock.clone()), ..Backend::of(self.clone()) }
    }
}

#[async_trait]
impl Close for SqliteStore {
    async fn close(&self) -> Result<(), Error> {
        Self::close(self).await
    }
}

#[async_trait]
impl Adapter for SqliteAdapter {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["sqlite"]
    }

    fn example(&self) -> &'static str {
        "sqlite:PATH"
    }

    fn options(&self) -> Box<dyn Options> {
        Box::new(self.config.clone())
    }

    fn options_in(&self, _: &str) -> Result<OptionValues, Error> {
        Ok(OptionValues::new())
    }

    fn shown(&self, address: &str) -> String {
        address.to_owned()
    }

    async fn open(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        self.open_by(address, options, |path, config| SqliteStore::open(path, config)).await
    }

    async fn open_existing(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        self.open_by(address, options, |path, config| SqliteStore::open_existing(path, config)).await
    }

    fn migrations(&self) -> Option<&dyn Migrations> {
        None
    }
}
