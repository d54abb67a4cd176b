use underlay_core::options::{OptionSpec, Options};

use super::settings::{DATABASE, Settings};
use crate::Adapters;
use crate::adapters::feature_of;
use crate::suggestion::nearest;

/// Every option that can be set, by its names in each of the sources.
pub(crate) struct Catalogue {
    keys: Vec<Key>,
    /// What the names of variables begin with.
    pub(super) prefix: String,
}

/// An option and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Its section in a file; empty at the top.
    pub(crate) section: &'static str,
    /// What it is.
    pub(crate) spec: OptionSpec,
    /// What it means, with the kinds of store there are where it is their address.
    pub(crate) meaning: String,
    /// The variable that sets it.
    pub(crate) variable: String,
}

impl Catalogue {
    /// The options of a program, then those of every adapter.
    pub(crate) fn new(defaults: &Settings, adapters: &Adapters, service: &str) -> Self {
        let prefix = format!("{}_", upper(service));
        let mut keys = Vec::new();
        let mut add = |section: &'static str, options: &dyn Options| {
            keys.extend(options.describe().into_iter().map(|spec| {
                let name = format!("{section}_{}", spec.name);
                let variable = format!("{prefix}{}", upper(name.trim_start_matches('_')));
                let meaning = match (section, spec.name) {
                    ("", DATABASE) => format!("{}: {}", spec.meaning, adapters.examples()),
                    _ => spec.meaning.to_owned(),
                };
                Key { section, spec, meaning, variable }
            }));
        };
        let mut sections = Vec::new();
        defaults.clone().each_part(|section, part| {
            sections.push(section);
            add(section, part);
        });
        for adapter in adapters.iter() {
            let name = adapter.name();
            assert!(!sections.contains(&name), "{name} is a section of the service");
            add(adapter.name(), &*adapter.options());
        }
        Self { keys, prefix }
    }

    /// Every option, in the order they are shown.
    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The option of a key, as a file has it.
    pub(super) fn find(&self, written: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.written() == written)
    }

    /// The option that a variable sets.
    pub(super) fn find_variable(&self, variable: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.variable == variable)
    }

    /// The variable that was probably meant.
    pub(super) fn nearest_variable(&self, variable: &str) -> Option<String> {
        let wrong = variable.strip_prefix(&self.prefix)?;
        let names = self.keys.iter().filter_map(|key| key.variable.strip_prefix(&self.prefix));
        nearest(wrong, names).map(|name| format!("{}{name}", self.prefix))
    }

    /// What is wrong with a key of a file that no option has.
    pub(super) fn unknown(&self, written: &str) -> String {
        let section = written.split_once('.').map_or(written, |(section, _)| section);
        if let Some(feature) = feature_of(section)
            && !self.keys.iter().any(|key| key.section == section)
        {
            return format!("this program was built without the feature `{feature}`");
        }
        let names: Vec<String> = self.keys.iter().map(Key::written).collect();
        let plain = written.replace('-', "_");
        let name_alone = || {
            let mut alike = names.iter().filter(|name| name.rsplit('.').next() == Some(plain.as_str()));
            alike.next().filter(|_| alike.next().is_none()).map(String::as_str)
        };
        match nearest(&plain, names.iter().map(String::as_str)).or_else(name_alone) {
            Some(meant) => format!("there is no such option; did you mean {meant}?"),
            None => "there is no such option; `config` prints those there are".to_owned(),
        }
    }
}

impl Key {
    /// The key as a file has it: `server.requests_max`.
    pub(crate) fn written(&self) -> String {
        match self.section {
            "" => self.spec.name.to_owned(),
            section => format!("{section}.{}", self.spec.name),
        }
    }

    /// The flag without its dashes: `server-requests-max`.
    pub(crate) fn flag(&self) -> String {
        self.written().replace(['.', '_'], "-")
    }
}

/// A name as a variable has it.
pub(super) fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}
