//! Where entities are kept: in the store of the service, or where the section `[entities]` says.

use std::collections::BTreeMap;

use underlay_core::Error;
use underlay_core::options::{OptionKind, OptionSpec, Options};

use crate::cache::EntityTimes;
use crate::config::Config;
use crate::{Adapters, Store};

/// The section of the options, and that of the stores of single entities.
pub(crate) const SECTION: &str = "entities";
pub(crate) const SECTION_OF: &str = "entities.of";
/// The option that names the store of those that have none of their own.
const STORE: &str = "store";

/// Where entities are kept, as the configuration says.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntitySettings {
    /// The store of those that have none of their own; none takes that of the service.
    pub(crate) rest: EntityAddress,
    /// The entities there are, each with its own store where it has one.
    pub(crate) of: EntityAddresses,
    /// How long copies of them are kept.
    pub(crate) times: EntityTimes,
}

/// The store of the entities that have none of their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntityAddress {
    /// Whether the service has entities; otherwise there is nothing to set.
    pub(crate) has_entities: bool,
    pub(crate) address: Option<String>,
}

/// The stores of single entities, by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntityAddresses(pub(crate) BTreeMap<&'static str, Option<String>>);

impl EntitySettings {
    /// Adds an entity.
    pub(crate) fn add(&mut self, entity: &'static str) {
        self.rest.has_entities = true;
        self.of.0.entry(entity).or_default();
        self.times.add(entity, None);
    }

    /// Every address that is set, with the key that sets it.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (String, &str)> {
        let rest = self.rest.address.iter().map(|address| (format!("{SECTION}.{STORE}"), address.as_str()));
        let of =
            self.of.0.iter().filter_map(|(entity, address)| {
                Some((format!("{SECTION_OF}.{entity}"), address.as_deref()?))
            });
        rest.chain(of)
    }

    /// Opens the stores that are named, and adds them to that of the service.
    ///
    /// # Errors
    /// [`Error::Invalid`] where one keeps no entities; otherwise what it says.
    pub(crate) async fn open(
        &self,
        mut store: Store,
        config: &Config,
        adapters: &Adapters,
        makes_store: bool,
    ) -> Result<Store, Error> {
        for (address, entities) in self.stores(&config.settings.database) {
            if address == config.settings.database {
                store = store.with_entities_of_log(&entities);
                continue;
            }
            let options = config.options_of(adapters, address);
            let backend = match makes_store {
                true => adapters.open(address, &options).await?,
                false => adapters.open_existing(address, &options).await?,
            };
            store = store.with_entities(adapters.shown(address), &entities, backend)?;
        }
        Ok(store)
    }

    /// The addresses with the entities that each is named for, where that is not what holds anyway. Of the one that has the
    /// rest no entity is named.
    fn stores(&self, database: &str) -> BTreeMap<&str, Vec<&'static str>> {
        let mut stores: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
        let rest = self.rest.address.as_deref();
        if let Some(rest) = rest.filter(|rest| *rest != database) {
            stores.insert(rest, Vec::new());
        }
        for (entity, address) in &self.of.0 {
            let own = address.as_deref().filter(|address| *address != rest.unwrap_or(database));
            if let Some(address) = own {
                stores.entry(address).or_default().push(entity);
            }
        }
        stores
    }
}

/// An option that is the address of a store.
pub(crate) fn address_spec(
    name: &'static str,
    meaning: &'static str,
    address: Option<&String>,
) -> OptionSpec {
    OptionSpec {
        name,
        meaning,
        kind: OptionKind::Text,
        value_name: "ADDRESS",
        default: address.cloned(),
        secret: false,
        is_address: true,
    }
}

/// Reads one.
pub(crate) fn read_address(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty; name a store, or leave the option out".to_owned()),
        address => Ok(address.to_owned()),
    }
}

impl Options for EntityAddress {
    fn describe(&self) -> Vec<OptionSpec> {
        let meaning = "The store of the entities; that of the service where it is not said";
        let spec = address_spec(STORE, meaning, self.address.as_ref());
        self.has_entities.then_some(spec).into_iter().collect()
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        if name != STORE || !self.has_entities {
            return Err(format!("there is no option {name}"));
        }
        self.address = Some(read_address(text)?);
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Options for EntityAddresses {
    fn describe(&self) -> Vec<OptionSpec> {
        let meaning = "The store of the entities of this name; that of the others where it is not said";
        self.0.iter().map(|(entity, address)| address_spec(entity, meaning, address.as_ref())).collect()
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let address = self.0.get_mut(name).ok_or_else(|| format!("there is no option {name}"))?;
        *address = Some(read_address(text)?);
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rest: Option<&str>, of: &[(&'static str, Option<&str>)]) -> EntitySettings {
        let mut settings = EntitySettings::default();
        of.iter().for_each(|(entity, _)| settings.add(entity));
        if let Some(rest) = rest {
            settings.rest.set(STORE, rest).unwrap();
        }
        for (entity, address) in of {
            if let Some(address) = address {
                settings.of.set(entity, address).unwrap();
            }
        }
        settings
    }

    #[test]
    fn every_entity_is_in_one_store_and_every_store_is_opened_once() {
        let rates = |address| ("rate", Some(address));
        let all = |settings: &EntitySettings| -> Vec<(String, Vec<&str>)> {
            settings.stores("db:").into_iter().map(|(address, of)| (address.to_owned(), of)).collect()
        };
        assert_eq!(all(&settings(None, &[("rate", None)])), []);
        assert_eq!(all(&settings(Some("db:"), &[rates("db:")])), []);
        assert_eq!(
            all(&settings(None, &[rates("a:"), ("note", Some("a:"))])),
            [("a:".to_owned(), vec!["note", "rate"])]
        );
        // The rest goes elsewhere, and one stays.
        let stays = settings(Some("a:"), &[rates("db:"), ("note", Some("a:"))]);
        assert_eq!(all(&stays), [("a:".to_owned(), vec![]), ("db:".to_owned(), vec!["rate"])]);
    }

    #[test]
    fn only_what_there_is_can_be_set() {
        let mut settings = settings(None, &[("rate", None)]);
        assert!(settings.of.set("rates", "memory:").is_err());
        assert!(settings.of.set("rate", " ").unwrap_err().contains("leave the option out"));
        assert!(
            EntityAddress::default().set(STORE, "memory:").is_err()
                && EntityAddress::default().describe().is_empty()
        );
    }
}
