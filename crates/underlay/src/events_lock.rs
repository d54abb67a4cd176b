//! The file that remembers the shape of every event type ever released: `events.lock`.
//!
//! It lies in the user's repository, beside the code. For each type and version it holds the JSON
//! Schema of the payload, without titles and descriptions. A stored event lives for ever, so a shape
//! that was released never changes: a change is a new version, with an upcaster from the one before.

use std::collections::BTreeMap;

use serde_json::Value;
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
        let mut schema =
            schema.decode::<Value>().map_err(|error| format!("the schema of {}: {error}", event.name))?;
        strip_prose(&mut schema);
        let versions = grown.entry(event.name.to_owned()).or_default();
        match versions.get(&event.version) {
            Some(released) if *released == schema => {}
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
                versions.insert(event.version, schema);
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

/// Removes what explains a schema and does not shape a payload.
fn strip_prose(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            // A property may be called `title`; prose is a string, a property's schema is not.
            members.retain(|name, value| {
                !(matches!(name.as_str(), "title" | "description" | "$comment") && value.is_string())
            });
            members.values_mut().for_each(strip_prose);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_prose),
        _ => {}
    }
}
