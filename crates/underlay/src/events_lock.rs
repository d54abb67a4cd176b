//! The file that remembers the shape of every event type ever released: `events.lock`.
//!
//! It lies in the user's repository, beside the code. For each type and version it holds the shape of
//! the payload, as JSON Schema ([`SchemaShape`]): comments, names of Rust types and the order of fields
//! and variants are no part of it. A stored event lives for ever, so a shape that was released never
//! changes: a change is a new version, with an upcaster from the one before.
//!
//! The states of processes stand in it too, under `process NAME state`: instances in flight hold them.

use std::collections::BTreeMap;

use serde_json::Value;
use underlay_core::{Json, SchemaShape};
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
    for Declared { name, version, schema, of } in declared_shapes(registry) {
        let schema = schema.decode::<Value>().map_err(|error| format!("the schema of {name}: {error}"))?;
        let shape = SchemaShape::of(&schema);
        let versions = grown.entry(name.clone()).or_default();
        match versions.get(&version) {
            Some(released) if SchemaShape::of(released) == shape => {}
            Some(_) => broken.push(of.changed(&name, version)),
            None => {
                new.push(format!("{name} version {version}"));
                versions.insert(version, shape.into_value());
            }
        }
        declared.insert(name, version);
    }
    for (name, versions) in &locked {
        let newest = versions.keys().next_back().copied().unwrap_or_default();
        match declared.get(name) {
            None => broken.push(Of::released(name).gone(name)),
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

/// A shape that the code declares.
struct Declared {
    name: String,
    version: u32,
    schema: Json,
    of: Of,
}

/// What a shape is of.
#[derive(Clone, Copy)]
enum Of {
    Events,
    States,
}

fn declared_shapes(registry: &Registry) -> impl Iterator<Item = Declared> {
    let events = registry.event_schemas().into_iter().map(|(event, schema)| Declared {
        name: event.name.to_owned(),
        version: event.version,
        schema,
        of: Of::Events,
    });
    let states = registry.process_states().into_iter().map(|(process, schema)| Declared {
        name: format!("{PROCESS}{}{STATE}", process.name),
        version: process.version,
        schema,
        of: Of::States,
    });
    events.chain(states)
}

/// No type has a space in its name.
const PROCESS: &str = "process ";
const STATE: &str = " state";

impl Of {
    /// What a released shape is of.
    fn released(name: &str) -> Self {
        if name.starts_with(PROCESS) && name.ends_with(STATE) { Self::States } else { Self::Events }
    }

    fn changed(self, name: &str, version: u32) -> String {
        let next = version + 1;
        match self {
            Self::Events => format!(
                "{name} version {version}: its payload changed. Events of that shape are stored. Declare the new shape as \
                 version {next} with an upcaster from {version}, or take the change back."
            ),
            Self::States => format!(
                "{name} version {version}: its shape changed. Instances in flight hold states of that shape. Raise \
                 `VERSION` to {next} and lift older states in `Process::upcast`, or take the change back."
            ),
        }
    }

    fn gone(self, name: &str) -> String {
        match self {
            Self::Events => format!(
                "{name}: the type is no longer declared. Stored events of it could not be read. Declare it again."
            ),
            Self::States => format!(
                "{name}: the process is no longer there. Its instances in flight could not go on. Add it again; where \
                 none is open any more, take its entry out of the lock."
            ),
        }
    }
}
