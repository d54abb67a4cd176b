//! Names of a service as messages list them.

use underlay_core::Error;

/// All of them, for people.
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Says of a name that nothing has it, and which names there are.
pub(crate) fn not_found<'n>(what: &str, name: &str, known: impl IntoIterator<Item = &'n str>) -> Error {
    Error::NotFound(format!("{what} {name:?} (there are: {})", listed(known)))
}
