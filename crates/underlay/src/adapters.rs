use std::sync::Arc;

use underlay_core::Error;
use underlay_core::adapter::{Adapter, Backend, Migrations, OptionValues, without_password};
use underlay_core::memory::MemoryAdapter;

use crate::suggestion::nearest;

/// The schemes that adapters of this project have, each with the feature that builds it in.
const FEATURES: [(&str, &str, &str); 8] = [
    ("sqlite", "sqlite", "sqlite:PATH"),
    ("postgres", "postgres", "postgres://USER@HOST/DATABASE"),
    ("postgresql", "postgres", "postgres://USER@HOST/DATABASE"),
    ("mongodb", "mongodb", "mongodb://USER@HOST/DATABASE"),
    ("redis", "redis", "redis://HOST:PORT"),
    ("rediss", "redis", "redis://HOST:PORT"),
    ("https", "http", "https://HOST/PATH"),
    ("http", "http", "https://HOST/PATH"),
];

/// The kinds of store an address can name, by its scheme: those that are built in, and those that a program
/// adds.
///
/// ```
/// use underlay::memory::MemoryAdapter;
/// use underlay::{Adapters, Store};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), underlay::Error> {
/// let adapters = Adapters::default().with(MemoryAdapter::default());
/// let store = Store::open_with(&adapters, "memory:").await?;
/// # store.close().await }
/// ```
#[derive(Clone)]
pub struct Adapters(Vec<Arc<dyn Adapter>>);

impl Default for Adapters {
    /// Those that are built in.
    fn default() -> Self {
        let built_in: [Arc<dyn Adapter>; _] = [
            #[cfg(feature = "sqlite")]
            Arc::new(underlay_sqlite::SqliteAdapter::default()),
            #[cfg(feature = "postgres")]
            Arc::new(underlay_postgres::PostgresAdapter::default()),
            #[cfg(feature = "mongodb")]
            Arc::new(underlay_mongodb::MongoAdapter::default()),
            #[cfg(feature = "redis")]
            Arc::new(underlay_redis::RedisAdapter::default()),
            #[cfg(feature = "http")]
            Arc::new(underlay_outbound::http::HttpAdapter::default()),
            Arc::new(MemoryAdapter::default()),
        ];
        Self(Vec::from(built_in))
    }
}

impl std::fmt::Debug for Adapters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|adapter| adapter.name())).finish()
    }
}

impl Adapters {
    /// Adds an adapter. It takes the place of the one that has its name, where there is one.
    #[must_use]
    pub fn with(mut self, adapter: impl Adapter) -> Self {
        match self.0.iter_mut().find(|other| other.name() == adapter.name()) {
            Some(other) => *other = Arc::new(adapter),
            None => self.0.push(Arc::new(adapter)),
        }
        self
    }

    /// Every adapter, in the order they are shown.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Adapter> {
        self.0.iter().map(|adapter| &**adapter)
    }

    /// The adapter whose scheme an address has.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the schemes there are, or with the feature that the scheme needs. The address
    /// is not shown, since it may hold a password.
    pub fn of(&self, address: &str) -> Result<&dyn Adapter, Error> {
        let Some((scheme, _)) = address.split_once(':') else {
            return Err(Error::invalid(format!(
                "an address of a store begins with its kind, as in sqlite:ledger.db; there are: {}",
                self.examples()
            )));
        };
        if let Some(adapter) = self.iter().find(|adapter| adapter.schemes().contains(&scheme)) {
            return Ok(adapter);
        }
        if let Some(feature) = feature_of(scheme) {
            return Err(Error::invalid(format!(
                "this program was built without the feature `{feature}`, which stores of the kind {scheme} \
                 need; build it with it (cargo build --features {feature})"
            )));
        }
        let schemes = self.iter().flat_map(|adapter| adapter.schemes());
        let meant = match nearest(scheme, schemes.copied()) {
            Some(meant) => format!(", did you mean {meant}?"),
            None => ";".to_owned(),
        };
        Err(Error::invalid(format!(
            "there is no store of the kind {scheme:?}{meant} There are: {}",
            self.examples()
        )))
    }

    /// Opens the store of an address.
    ///
    /// # Errors
    /// [`Error::Invalid`] where no adapter knows the address; otherwise what the store says.
    pub async fn open(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        self.of(address)?.open(address, options).await
    }

    /// The same, of a store that is there: nothing is made.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none; otherwise as [`Adapters::open`].
    pub async fn open_existing(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        self.of(address)?.open_existing(address, options).await
    }

    /// How the schema of an address is brought up to date.
    ///
    /// # Errors
    /// [`Error::Invalid`] where opening the store does it.
    pub fn migrations(&self, address: &str) -> Result<&dyn Migrations, Error> {
        let adapter = self.of(address)?;
        adapter.migrations().ok_or_else(|| {
            Error::invalid(format!(
                "a store of the kind {} needs no migration: it is brought up to date when it is opened",
                adapter.name()
            ))
        })
    }

    /// An address without what is secret in it.
    #[must_use]
    pub fn shown(&self, address: &str) -> String {
        match self.of(address) {
            Ok(adapter) => adapter.shown(address),
            Err(_) => without_password(address),
        }
    }

    /// An address of every kind, and the features that bring more.
    pub(crate) fn examples(&self) -> String {
        let mut examples: Vec<String> = self.iter().map(|adapter| adapter.example().to_owned()).collect();
        for (scheme, feature, example) in FEATURES {
            let is_there = self.iter().any(|adapter| adapter.schemes().contains(&scheme));
            let told = format!("{example} (with the feature `{feature}`)");
            if !is_there && !examples.contains(&told) {
                examples.push(told);
            }
        }
        examples.join(", ")
    }
}

/// The feature that builds an adapter in, by a scheme of its addresses.
pub(crate) fn feature_of(scheme: &str) -> Option<&'static str> {
    FEATURES.iter().find(|(known, _, _)| *known == scheme).map(|(_, feature, _)| *feature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> String {
        Adapters::default().of(address).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn an_unknown_kind_is_told_with_those_there_are() {
        let told = refused("mysql://me:secret@h/d");
        assert!(
            told.contains("\"mysql\"") && told.contains("memory:") && told.contains("postgres://"),
            "{told}"
        );
        assert!(!told.contains("secret"), "{told}");
        let told = refused("host=h password=secret");
        assert!(told.contains("sqlite:ledger.db") && !told.contains("secret"), "{told}");
        assert!(refused("memroy:").contains("did you mean memory?"), "{}", refused("memroy:"));
    }

    #[cfg(not(feature = "mongodb"))]
    #[test]
    fn a_kind_that_was_not_built_in_is_told_with_its_feature() {
        let told = refused("mongodb://me:secret@h/d");
        assert!(told.contains("--features mongodb") && !told.contains("secret"), "{told}");
    }

    #[cfg(feature = "mongodb")]
    #[test]
    fn mongodb_has_a_row_and_its_options_a_section() {
        let adapters = Adapters::default();
        assert_eq!(adapters.of("mongodb://me:secret@h/d").map(Adapter::name).ok(), Some("mongodb"));
        assert_eq!(adapters.shown("mongodb://me:secret@h/d"), "mongodb://me:***@h/d");
    }

    #[test]
    fn the_adapter_of_a_program_takes_the_place_of_one_of_its_name() {
        let count = Adapters::default().iter().count();
        assert_eq!(Adapters::default().with(MemoryAdapter::default()).iter().count(), count);
    }
}
