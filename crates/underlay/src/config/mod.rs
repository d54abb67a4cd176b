//! Configuration: every option of a service, in one place.
//!
//! An option is written down once, as a [`ConfigOption`](underlay_core::options::ConfigOption) beside the
//! struct it belongs to. [`settings`] lists those structs, each with its section; every adapter adds a
//! section of its own. Flags, variables, keys, help, checks and `config` are made from that list.
//!
//! ```text
//!  the program's defaults < SERVICE.toml < .env < environment < flags
//!                                 │          │         │          │
//!                                 └──── sources: a layer each ────┘
//!                                                │
//!                        every value of every layer is checked, also one that another covers
//!                                                │
//!                    mistakes, all of them ◄─────┴─────► merged, applied: `Config`
//! ```
//!
//! The file and the command line are ours alone, so whatever is unknown there is a mistake. The environment
//! belongs to others too (an orchestrator writes `BANK_SERVICE_HOST` of itself), so a variable counts as a
//! mistake only where it is nearly the name of an option. An empty variable is as good as none.
//!
//! What an address says in its own options, such as `underlay_schema`, goes before all of these.
//!
//! Nothing is shown of what is secret: not a value, nor the line of a file that cannot be read.

mod catalogue;
mod credentials;
mod mistakes;
mod own;
mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeMap;

use config_crate::Source as _;
use serde::Serialize;
use underlay_core::adapter::{OptionValues, without_password};
use underlay_core::options::OptionSpec;

pub(crate) use catalogue::{Catalogue, Key};
pub(crate) use credentials::CredentialsConfig;
pub(crate) use credentials::check_text as check_named;
pub(crate) use mistakes::{Mistake, Mistakes};
pub(crate) use own::OwnOptions;
pub(crate) use settings::{LogFormat, Settings};
pub(crate) use sources::{FILE, Sources};

use crate::Adapters;
use settings::DATABASE;
use sources::Layer;

/// Shown in the place of what is secret.
const HIDDEN: &str = "***";
/// Where a value comes from that nobody has set.
const DEFAULT: &str = "default";
/// Where a value comes from that the address of the store has.
const ADDRESS: &str = "the address of the database";

/// What a service is configured with.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The options of the program, each in its struct.
    pub(crate) settings: Settings,
    /// What was set of the options of each adapter.
    stores: BTreeMap<&'static str, OptionValues>,
    entries: Vec<Entry>,
}

/// An option with its value, for people and programs. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// The key, as a file has it.
    pub(crate) option: String,
    /// The value; none where it is not set.
    pub(crate) value: Option<String>,
    /// Where the value comes from.
    pub(crate) source: String,
    /// What it means.
    pub(crate) meaning: String,
    /// The value where nothing is said.
    pub(crate) default: Option<String>,
    /// The flag that sets it.
    pub(crate) flag: String,
    /// The variable that sets it.
    pub(crate) variable: String,
}

impl Config {
    /// Reads every source, and gives what they come to over the defaults of the program.
    ///
    /// # Errors
    /// Every mistake in any of them, each with where it is.
    pub(crate) fn read(
        defaults: &Settings,
        adapters: &Adapters,
        sources: &Sources<'_>,
    ) -> Result<Self, Mistakes> {
        let catalogue = Catalogue::new(defaults, adapters, sources.service);
        let mut mistakes = Vec::new();
        let mut layers = sources.read(&catalogue, &mut mistakes);
        for layer in &mut layers {
            layer.keep_sound(&catalogue, defaults, adapters, &mut mistakes);
        }
        let merged = merge(layers).map_err(|text| Mistakes(vec![Mistake::new("configuration", text)]))?;
        let mut config = Self {
            settings: defaults.clone(),
            stores: adapters.iter().map(|adapter| (adapter.name(), OptionValues::new())).collect(),
            entries: Vec::new(),
        };
        for key in catalogue.keys() {
            if let Some(value) = merged.get(&key.written())
                && let Err(wrong) = config.set(key, &value.text)
            {
                mistakes.push(Mistake::new(&value.origin, wrong));
            }
        }
        let database = config.settings.database.clone();
        let origin = merged.get(DATABASE).map_or(DEFAULT, |value| &value.origin);
        let found =
            adapters.of(&database).and_then(|adapter| Ok((adapter.name(), adapter.options_in(&database)?)));
        let in_address = found.unwrap_or_else(|error| {
            mistakes.push(Mistake::new(origin, error.to_string()));
            ("", OptionValues::new())
        });
        for (key, address) in config.settings.other_addresses() {
            let origin = merged.get(&key).map_or(DEFAULT, |value| &value.origin);
            let checked = adapters.of(address).and_then(|adapter| adapter.options_in(address));
            mistakes.extend(checked.err().map(|error| Mistake::new(origin, format!("{key}: {error}"))));
        }
        if !mistakes.is_empty() {
            return Err(Mistakes(mistakes));
        }
        let in_effect = config.in_effect(adapters, &in_address);
        let entries = catalogue.keys().iter().map(|key| {
            let (adapter, told) = &in_address;
            let source = match merged.get(&key.written()) {
                _ if key.section == *adapter && told.contains_key(key.spec.name) => ADDRESS,
                Some(value) => &value.origin,
                None => DEFAULT,
            };
            let value = in_effect.get(&(key.section, key.spec.name)).cloned().flatten();
            entry(key, value, source, adapters)
        });
        config.entries = entries.collect();
        Ok(config)
    }

    /// Every option, in the order they are shown.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What was set of the options of the adapter that opens the store.
    pub(crate) fn store_options(&self, adapters: &Adapters) -> OptionValues {
        self.options_of(adapters, &self.settings.database)
    }

    /// What was set of the options of the adapter that opens an address.
    pub(crate) fn options_of(&self, adapters: &Adapters, address: &str) -> OptionValues {
        let adapter = adapters.of(address).ok();
        adapter.and_then(|adapter| self.stores.get(adapter.name())).cloned().unwrap_or_default()
    }

    /// Every value as it counts, by section and name.
    fn in_effect(
        &self,
        adapters: &Adapters,
        (of, in_address): &(&'static str, OptionValues),
    ) -> BTreeMap<(&'static str, &'static str), Option<String>> {
        let mut settings = self.settings.clone();
        let mut described: Vec<(&'static str, OptionSpec)> = Vec::new();
        settings.each_part(|section, part| {
            described.extend(part.describe().into_iter().map(|spec| (section, spec)));
        });
        for adapter in adapters.iter() {
            let mut options = adapter.options();
            let told = in_address.iter().filter(|_| adapter.name() == *of);
            for (name, text) in self.stores.get(adapter.name()).into_iter().flatten().chain(told) {
                // Each was checked before, so it fits.
                let _fits = options.set(name, text);
            }
            described.extend(options.describe().into_iter().map(|spec| (adapter.name(), spec)));
        }
        described.into_iter().map(|(section, spec)| ((section, spec.name), spec.default)).collect()
    }

    fn set(&mut self, key: &Key, text: &str) -> Result<(), String> {
        if let Some(options) = self.stores.get_mut(key.section) {
            options.insert(key.spec.name.to_owned(), text.to_owned());
            return Ok(());
        }
        self.settings.set(key, text)
    }
}

fn entry(key: &Key, value: Option<String>, source: &str, adapters: &Adapters) -> Entry {
    let shown = |value: Option<String>| match value {
        Some(_) if key.spec.secret => Some(HIDDEN.to_owned()),
        Some(address) if key.written() == DATABASE => Some(adapters.shown(&address)),
        Some(address) if key.spec.is_address => Some(without_password(&address)),
        other => other,
    };
    Entry {
        option: key.written(),
        value: shown(value),
        source: source.to_owned(),
        meaning: key.meaning.clone(),
        default: shown(key.spec.default.clone()),
        flag: format!("--{}", key.flag()),
        variable: key.variable.clone(),
    }
}

/// A value that counts, with where it comes from.
struct Merged {
    text: String,
    origin: String,
}

/// Lays the layers over each other, the later ones above.
fn merge(layers: [Layer; 4]) -> Result<BTreeMap<String, Merged>, String> {
    let mut builder = config_crate::Config::builder();
    for layer in layers {
        builder = builder.add_source(layer);
    }
    let merged = builder.build().and_then(|merged| merged.collect()).map_err(|error| error.to_string())?;
    let mut values = BTreeMap::new();
    for (key, value, origin) in sources::flattened(merged) {
        let text = sources::text_of(value).map_err(|wrong| format!("{key}: {wrong}"))?;
        values.insert(key, Merged { text, origin });
    }
    Ok(values)
}

impl Settings {
    /// Sets an option of the program.
    fn set(&mut self, key: &Key, text: &str) -> Result<(), String> {
        // Several structs may share a section; the name is in one of them.
        let mut tried = Err(format!("there is no option {}", key.written()));
        self.each_part(|section, options| {
            if section == key.section && options.describe().iter().any(|spec| spec.name == key.spec.name) {
                tried = options.set(key.spec.name, text);
            }
        });
        tried
    }
}
