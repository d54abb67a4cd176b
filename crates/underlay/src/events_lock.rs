//! The file that remembers the shape of every event type ever released: `events.lock`.
//!
//! It lies in the user's repository, beside the code. For each type and version it holds the shape of
//! the payload, as JSON Schema ([`SchemaShape`]): comments, names of Rust types and the order of fields
//! and variants are no part of it. A stored event lives for ever, so a shape that was released never
//! changes: a change is a new version, with an upcaster from the one before.

use std::collections::BTreeMap;

use serde_json::Value;
use underlay_core::SchemaShape;
use underlay_runtime::Registry;

/// The name of a type, then its version.
type Locked = BTreeMap<String, BTreeMap<u32, Value>>;

/// What the lock says about the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockCheck {
    /// Every shape is as it was released.
    Fits,
    /// The code has types or versions the lock does not know; the text is the lock with them added.
    Grows {
        /// `type version`, for each that is new.
        new: Vec<String>,
        /// The lock to store.
        text: String,
    },
    /// A released shape changed or went away. Each line says of what type, and what to do.
    Broken(Vec<String>),
}

/// Holds the code against the text of a lock; empty where there is none yet.
///
/// # Errors
/// A sentence where the text is not a lock.
pub fn check_events_lock(registry: &Registry, text: &str) -> Result<LockCheck, String> {
    let locked: Locked = if text.trim().is_empty() {
        Locked::new()
    } else {
        serde_json::from_str(text).map_err(|error| format!("events.lock cannot be read: {error}"))?
    };
    let mut grown = locked.clone();
    let (mut new, mut broken) = (Vec::new(), Vec::new());
    let mut declared = BTreeMap::new();
    for (event, schema) in registry.event_schemas() {
        declared.insert(event.name, event.version);
        let schema =
            schema.decode::<Value>().map_err(|error| format!("the schema of {}: {error}", event.name))?;
        let shape = SchemaShape::of(&schema);
        let versions = grown.entry(event.name.to_owned()).or_default();
        match versions.get(&event.version) {
            Some(released) if SchemaShape::of(released) == shape => {}
            Some(_) => broken.push(format!(
                "{} version {}: its payload changed. Events of that shape are stored. Declare the new shape as \
                 version {} with an upcaster from {}, or take the change back.",
                event.name,
                event.version,
                event.version + 1,
                event.version
            )),
            None => {
                new.push(format!("{} version {}", event.name, event.version));
                versions.insert(event.version, shape.into_value());
            }
        }
    }
    for (name, versions) in &locked {
        let newest = versions.keys().next_back().copied().unwrap_or_default();
        match declared.get(name.as_str()) {
            None => broken.push(format!(
                "{name}: the type is no longer declared. Stored events of it could not be read. Declare it again."
            )),
            Some(version) if *version < newest => broken.push(format!(
                "{name}: the code declares version {version}, version {newest} was released. Declare version {newest}."
            )),
            Some(_) => {}
        }
    }
    if !broken.is_empty() {
        return Ok(LockCheck::Broken(broken));
    }
    if new.is_empty() {
        return Ok(LockCheck::Fits);
    }
    let text = serde_json::to_string_pretty(&grown).map_err(|error| error.to_string())?;
    Ok(LockCheck::Grows { new, text: text + "\n" })
}
