//! Entities as their hashes hold them: rows, and their version.

use underlay_core::{EntitySchema, EntityVersion, Error, StoredEntity};

use super::definition::Definition;
use crate::rows::{Fields, field, values};

/// The field of the version. No column has this name.
const VERSION: &[u8] = b"version";

/// The entity in a hash.
///
/// # Errors
/// [`Error::Damaged`] that names entity, id and column.
pub(super) fn entity(
    definition: &Definition,
    code: &EntitySchema,
    id: &str,
    fields: &Fields,
) -> Result<StoredEntity, Error> {
    let damaged = |reason: String| Error::damaged_entity(&code.name, id, reason);
    let values = values(&definition.schema, code, id, fields, VERSION).map_err(damaged)?;
    let version = field(fields, VERSION).and_then(|bytes| version(bytes));
    let version = version.ok_or_else(|| damaged("its version is missing, or is no number".to_owned()))?;
    Ok(StoredEntity { id: id.to_owned(), version, values })
}

/// A version from its text; none where it is none that an entity can have.
pub(super) fn version(bytes: &[u8]) -> Option<EntityVersion> {
    let number: u64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (number > 0 && number.to_string().as_bytes() == bytes).then_some(EntityVersion(number))
}
