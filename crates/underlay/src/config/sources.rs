//! The places an option can be set in, each read into a layer.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use config_crate::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::catalogue::{Catalogue, Key};
use super::{Mistake, Settings, credentials};
use crate::Adapters;

/// The flag, and the variable behind the prefix, that name the file.
pub(crate) const FILE: &str = "config";

/// Where the options of a program are looked for.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    /// The name of the service: of its file, and before its variables.
    pub(crate) service: &'a str,
    /// Where its file and `.env` are looked for.
    pub(crate) folder: &'a Path,
    /// The environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The command line.
    pub(crate) flags: &'a ArgMatches,
}

/// What one source sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(Vec<Given>);

#[derive(Clone, Debug)]
struct Given {
    /// The option, as a file writes it.
    key: String,
    text: String,
    /// Where the value comes from.
    origin: String,
    /// Where a mistake in it is.
    place: String,
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let value = |given: &Given| Value::new(Some(&given.origin), given.text.clone());
        Ok(self.0.iter().map(|given| (given.key.clone(), value(given))).collect())
    }
}

impl Layer {
    /// Keeps the values that fit; the others are mistakes.
    pub(super) fn keep_sound(
        &mut self,
        catalogue: &Catalogue,
        defaults: &Settings,
        adapters: &Adapters,
        mistakes: &mut Vec<Mistake>,
    ) {
        self.0.retain(|given| {
            let Some(key) = catalogue.find(&given.key) else { return false };
            let tried = match adapters.iter().find(|adapter| adapter.name() == key.section) {
                Some(adapter) => adapter.options().set(key.spec.name, &given.text),
                None => defaults.clone().set(key, &given.text),
            };
            let secret = key.spec.secret;
            let told =
                tried.map_err(|wrong| if secret { "its value does not fit".to_owned() } else { wrong });
            told.map_err(|wrong| mistakes.push(Mistake::new(&given.place, wrong))).is_ok()
        });
    }
}

impl Sources<'_> {
    /// Reads every source, the weakest first.
    pub(super) fn read(&self, catalogue: &Catalogue, mistakes: &mut Vec<Mistake>) -> [Layer; 4] {
        let in_file: Vec<(OsString, OsString)> = self.dotenv(mistakes);
        let file = match self.named_file(catalogue, &in_file) {
            Some((path, named_by)) => read_file(catalogue, &self.folder.join(path), &named_by, mistakes),
            None => {
                let path = self.folder.join(format!("{}.toml", self.service));
                if path.exists() { read_file(catalogue, &path, "", mistakes) } else { Layer::default() }
            }
        };
        let dotenv = variables(catalogue, &in_file, ".env", mistakes);
        let environment = variables(catalogue, &self.environment, "the environment", mistakes);
        [file, dotenv, environment, self.flags(catalogue)]
    }

    /// The file that is named, and by what.
    fn named_file(
        &self,
        catalogue: &Catalogue,
        dotenv: &[(OsString, OsString)],
    ) -> Option<(PathBuf, String)> {
        if let Some(path) = self.flags.get_one::<PathBuf>(FILE) {
            return Some((path.clone(), format!("--{FILE}")));
        }
        let variable = format!("{}{}", catalogue.prefix, super::catalogue::upper(FILE));
        let named = |variables: &[(OsString, OsString)], place: &str| {
            let found = variables.iter().find(|(name, path)| *name == *variable && !path.is_empty());
            found.map(|(_, path)| (PathBuf::from(path), format!("{variable} in {place}")))
        };
        named(&self.environment, "the environment").or_else(|| named(dotenv, ".env"))
    }

    /// The variables of `.env`, where there is one.
    fn dotenv(&self, mistakes: &mut Vec<Mistake>) -> Vec<(OsString, OsString)> {
        let mut text = match std::fs::read(self.folder.join(".env")) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                mistakes.push(Mistake::new(".env", error.to_string()));
                return Vec::new();
            }
        };
        // A last line without an end would be taken for one that goes on.
        text.push(b'\n');
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let mut found = Vec::new();
        for line in dotenvy::from_read_iter(text) {
            match line {
                Ok((name, value)) => found.push((name.into(), value.into())),
                Err(dotenvy::Error::LineParse(rest, _)) => mistakes.push(unreadable(text, &rest)),
                Err(error) => mistakes.push(Mistake::new(".env", error.to_string())),
            }
        }
        found
    }

    fn flags(&self, catalogue: &Catalogue) -> Layer {
        let given = |key: &Key| {
            let id = key.written();
            let values = self.flags.try_get_many::<String>(&id).ok().flatten()?;
            let text = values.map(String::as_str).collect::<Vec<_>>().join(",");
            let origin = format!("--{}", key.flag());
            Some(Given { key: id, text, place: origin.clone(), origin })
        };
        Layer(catalogue.keys().iter().filter_map(given).collect())
    }
}

/// A line of `.env` that cannot be read, by its number; what stands in it may be secret.
fn unreadable(text: &[u8], rest: &str) -> Mistake {
    let text = String::from_utf8_lossy(text);
    let at = text.lines().position(|line| line.trim_end().ends_with(rest.trim_end()));
    let place = at.map_or_else(|| ".env".to_owned(), |at| format!(".env, line {}", at + 1));
    Mistake::new(place, "it is not NAME=VALUE; a value with spaces or signs stands in quotes")
}

/// What variables set. Others share the environment, so only what is nearly an option is a mistake.
fn variables(
    catalogue: &Catalogue,
    variables: &[(OsString, OsString)],
    place: &str,
    mistakes: &mut Vec<Mistake>,
) -> Layer {
    let mut layer = Layer::default();
    let ours = variables.iter().filter_map(|(name, value)| Some((name.to_str()?, value)));
    for (name, value) in ours.filter(|(name, _)| name.starts_with(&catalogue.prefix)) {
        let origin = format!("{name} in {place}");
        match catalogue.find_variable(name) {
            // Whoever leaves one of the others empty wants the default. Of these the default lets everybody in.
            Some(key) if value == OsStr::new("") && !credentials::sets(key) => {}
            Some(key) => match value.to_str() {
                Some(text) => {
                    let (key, text) = (key.written(), text.to_owned());
                    layer.0.push(Given { key, text, place: origin.clone(), origin });
                }
                None => mistakes.push(Mistake::new(origin, "its value is not UTF-8")),
            },
            None => {
                if let Some(meant) = catalogue.nearest_variable(name) {
                    let text = format!("there is no such option; did you mean {meant}?");
                    mistakes.push(Mistake::new(origin, text));
                }
            }
        }
    }
    layer
}

/// What a file sets. All of it is ours, so whatever is unknown is a mistake.
fn read_file(catalogue: &Catalogue, path: &Path, named_by: &str, mistakes: &mut Vec<Mistake>) -> Layer {
    let shown =
        path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let place = if named_by.is_empty() { shown } else { named_by.to_owned() };
            mistakes.push(Mistake::new(place, format!("{}: {error}", path.display())));
            return Layer::default();
        }
    };
    let table = match File::from_str(&text, FileFormat::Toml).collect() {
        Ok(table) => table,
        Err(error) => {
            mistakes.push(Mistake::new(shown, without_lines(&error)));
            return Layer::default();
        }
    };
    let mut layer = Layer::default();
    for (key, value, _) in flattened(table) {
        let place = format!("{shown}, {key}");
        match (catalogue.find(&key), text_of(value)) {
            (None, _) => mistakes.push(Mistake::new(place, catalogue.unknown(&key))),
            (Some(_), Err(wrong)) => mistakes.push(Mistake::new(place, wrong)),
            (Some(_), Ok(text)) => layer.0.push(Given { key, text, origin: shown.clone(), place }),
        }
    }
    layer
}

/// An error of a file without the lines of the file that it shows, which may hold a password.
fn without_lines(error: &ConfigError) -> String {
    let text = match error {
        ConfigError::FileParse { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    let told: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.contains('|') && !line.is_empty()).collect();
    told.join(": ")
}

/// The values of a table by their keys, sections before a dot, in the order of the keys.
pub(super) fn flattened(table: Map<String, Value>) -> Vec<(String, Value, String)> {
    let mut flat = Vec::new();
    for (key, value) in table {
        match value.kind {
            ValueKind::Table(inner) => {
                flat.extend(
                    flattened(inner)
                        .into_iter()
                        .map(|(name, value, origin)| (format!("{key}.{name}"), value, origin)),
                );
            }
            _ => {
                let origin = value.origin().unwrap_or_default().to_owned();
                flat.push((key, value, origin));
            }
        }
    }
    flat.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    flat
}

/// A value as the text that a flag would have.
pub(super) fn text_of(value: Value) -> Result<String, String> {
    match value.kind {
        ValueKind::Array(values) => {
            let texts: Result<Vec<String>, String> = values.into_iter().map(text_of).collect();
            Ok(texts?.join(","))
        }
        ValueKind::Table(_) | ValueKind::Nil => Err("a value is expected here".to_owned()),
        ValueKind::String(text) => Ok(text),
        other => Ok(other.to_string()),
    }
}
