//! The cache: in each process, and behind that in the store that the section `[cache]` names. Copies of entities are kept
//! there for the times that the section `[entities.cache]` says.

use std::collections::BTreeMap;
use std::time::Duration;

use underlay_core::Error;
use underlay_core::limits::CACHE_TTL_MAX;
use underlay_core::options::{ConfigOption, Configurable, OptionKind, OptionSpec, Options, Place};

use crate::config::{Config, check_named};
use crate::{Adapters, Store};

/// The section of the options, and that of the times of single entities.
pub(crate) const SECTION: &str = "cache";
pub(crate) const SECTION_OF_ENTITIES: &str = "entities.cache";
/// The option that names the store.
const STORE: &str = "store";
/// The option that a time is read by.
const TTL: &str = "ttl";

/// What stands behind the caches of the processes.
#[derive(Clone, Debug, Default)]
pub(crate) struct CacheSettings {
    address: Option<String>,
}

impl CacheSettings {
    /// The address, with the key that sets it.
    pub(crate) fn address(&self) -> Option<(String, &str)> {
        Some((format!("{SECTION}.{STORE}"), self.address.as_deref()?))
    }

    /// Opens the store that is named, and adds it to that of the service.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it keeps no cache; otherwise what it says.
    pub(crate) async fn open(
        &self,
        store: Store,
        config: &Config,
        adapters: &Adapters,
    ) -> Result<Store, Error> {
        let Some(address) = self.address.as_deref() else { return Ok(store) };
        let backend = adapters.open(address, &config.options_of(adapters, address)).await?;
        store.with_cache(adapters.shown(address), backend)
    }
}

impl Configurable for CacheSettings {
    const OPTIONS: &'static [ConfigOption<Self>] = &[ConfigOption::<Self>::new(
        STORE,
        "The store behind the caches of the processes, such as redis://HOST:PORT; none where it is not said",
        |settings| Place::Text(&mut settings.address),
    )
    .checked(check_named)
    .called("ADDRESS")
    .address()];
}

/// How long copies of entities are kept, by the names of entities.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntityTimes(BTreeMap<&'static str, Option<Ttl>>);

/// A time that is read as every other.
#[derive(Clone, Debug, Default)]
struct Ttl {
    time: Duration,
}

impl Configurable for Ttl {
    const OPTIONS: &'static [ConfigOption<Self>] = &[ConfigOption::<Self>::new(
        TTL,
        "How long copies of the entities of this name are kept; none are where it is not said",
        |ttl| Place::Time(&mut ttl.time),
    )
    .at_least(1)
    .at_most(CACHE_TTL_MAX.as_millis() as u64)];
}

impl EntityTimes {
    /// Adds an entity, with a time or without.
    pub(crate) fn add(&mut self, entity: &'static str, time: Option<Duration>) {
        self.0.insert(entity, time.map(|time| Ttl { time }));
    }

    /// The times that are set.
    pub(crate) fn times(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        self.0.iter().filter_map(|(entity, ttl)| Some((*entity, ttl.as_ref()?.time)))
    }
}

impl Options for EntityTimes {
    fn describe(&self) -> Vec<OptionSpec> {
        let spec = |(entity, ttl): (&&'static str, &Option<Ttl>)| {
            let name = *entity;
            let unset =
                Ttl::default().describe().into_iter().map(|spec| OptionSpec { default: None, ..spec });
            let specs = ttl.as_ref().map_or_else(|| unset.collect(), Ttl::describe);
            specs.into_iter().map(move |spec| OptionSpec { name, kind: OptionKind::Time, ..spec })
        };
        self.0.iter().flat_map(spec).collect()
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let ttl = self.0.get_mut(name).ok_or_else(|| format!("there is no option {name}"))?;
        let mut read = Ttl::default();
        read.set(TTL, text)?;
        *ttl = Some(read);
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), Error> {
        self.0.values().flatten().try_for_each(Ttl::check_bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_set_for_an_entity_there_is_and_within_its_bounds() {
        let mut times = EntityTimes::default();
        times.add("rate", None);
        times.add("note", Some(Duration::from_secs(5)));
        let defaults = |times: &EntityTimes| -> Vec<(&str, Option<String>)> {
            times.describe().into_iter().map(|spec| (spec.name, spec.default)).collect()
        };
        assert_eq!(defaults(&times), [("note", Some("5s".to_owned())), ("rate", None)]);
        assert_eq!(times.times().collect::<Vec<_>>(), [("note", Duration::from_secs(5))]);
        for (name, text) in [("rates", "5s"), ("rate", "soon"), ("rate", "0s"), ("rate", "31d")] {
            assert!(times.set(name, text).is_err(), "{name} = {text}");
        }
        times.set("rate", "30s").unwrap();
        assert_eq!(times.times().count(), 2);
    }
}
