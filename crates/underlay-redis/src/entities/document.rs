//! Entities as their hashes hold them: a field for each column, and their version.

use underlay_core::{EntitySchema, EntityVersion, Error, StoredEntity, Value};

use super::definition::Definition;
use super::value::decoded;

/// The field of the version. No column has this name.
const VERSION: &[u8] = b"version";

/// The fields of a hash: names and values. They are few, so nothing is hashed.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn field<'f>(fields: &'f Fields, name: &[u8]) -> Option<&'f Vec<u8>> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// The values of the columns that the code has. One that cannot be read is empty: only what is answered must be whole.
pub(super) fn row(code: &EntitySchema, fields: &Fields) -> Vec<Value> {
    let value = |name: &str, column_type| {
        field(fields, name.as_bytes()).and_then(|bytes| decoded(column_type, bytes))
    };
    let values = code.columns.iter().map(|column| value(&column.name, column.column_type));
    values.map(|value| value.unwrap_or(Value::Null)).collect()
}

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
    if fields.is_empty() {
        return Err(damaged(
            "an index has it and its hash is gone; a Redis that keeps entities needs `maxmemory-policy noeviction`"
                .to_owned(),
        ));
    }
    let known = |name: &[u8]| {
        name == VERSION || definition.schema.columns.iter().any(|column| column.name.as_bytes() == name)
    };
    if let Some(unknown) = fields.iter().map(|(name, _)| name).find(|name| !known(name)) {
        let unknown = String::from_utf8_lossy(unknown);
        return Err(damaged(format!("column {unknown} is stored and not in its definition")));
    }
    let mut read = Vec::with_capacity(definition.schema.columns.len());
    for column in &definition.schema.columns {
        let Some(bytes) = field(fields, column.name.as_bytes()) else {
            return Err(damaged(format!("column {} is missing", column.name)));
        };
        match decoded(column.column_type, bytes) {
            Some(Value::Null) if !column.nullable => {
                return Err(damaged(format!("column {} is empty", column.name)));
            }
            Some(value) => read.push((&column.name, value)),
            None => return Err(damaged(format!("column {} holds no {:?}", column.name, column.column_type))),
        }
    }
    let value = |name: &String| read.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let values: Vec<Value> =
        code.columns.iter().map(|column| value(&column.name).unwrap_or(Value::Null)).collect();
    code.check_row(id, &values).map_err(|error| damaged(error.to_string()))?;
    let version = field(fields, VERSION).and_then(|bytes| version(bytes));
    let version = version.ok_or_else(|| damaged("its version is missing, or is no number".to_owned()))?;
    Ok(StoredEntity { id: id.to_owned(), version, values })
}

/// A version from its text; none where it is none that an entity can have.
pub(super) fn version(bytes: &[u8]) -> Option<EntityVersion> {
    let number: u64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (number > 0 && number.to_string().as_bytes() == bytes).then_some(EntityVersion(number))
}
