//! Rows as their hashes hold them: a field for each column.

use underlay_core::{RowSchema, RowValues, Value};

use super::value::decoded;

/// The fields of a hash: names and values. They are few, so nothing is hashed.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The value of a field.
pub(crate) fn field<'f>(fields: &'f Fields, name: &[u8]) -> Option<&'f Vec<u8>> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// The values of the columns that the code has. One that cannot be read is empty: only what is answered must be whole.
pub(super) fn row(code: &RowSchema, fields: &Fields) -> Vec<Value> {
    let value = |name: &str, column_type| {
        field(fields, name.as_bytes()).and_then(|bytes| decoded(column_type, bytes))
    };
    let values = code.columns.iter().map(|column| value(&column.name, column.column_type));
    values.map(|value| value.unwrap_or(Value::Null)).collect()
}

/// The values in a hash that is stored by one shape and read by another, which has no other columns. `beside` is a field
/// that is no column.
///
/// # Errors
/// What is wrong with it, for a person.
pub(crate) fn values(
    stored: &RowSchema,
    code: &RowSchema,
    key: &str,
    fields: &Fields,
    beside: &[u8],
) -> Result<RowValues, String> {
    if fields.is_empty() {
        return Err("an index has it and its hash is gone; a Redis that keeps what must last needs \
                    `maxmemory-policy noeviction`"
            .to_owned());
    }
    let known =
        |name: &[u8]| name == beside || stored.columns.iter().any(|column| column.name.as_bytes() == name);
    if let Some(unknown) = fields.iter().map(|(name, _)| name).find(|name| !known(name)) {
        let unknown = String::from_utf8_lossy(unknown);
        return Err(format!("column {unknown} is stored and not in its definition"));
    }
    let mut read = Vec::with_capacity(stored.columns.len());
    for column in &stored.columns {
        let Some(bytes) = field(fields, column.name.as_bytes()) else {
            return Err(format!("column {} is missing", column.name));
        };
        match decoded(column.column_type, bytes) {
            Some(Value::Null) if !column.nullable => {
                return Err(format!("column {} is empty", column.name));
            }
            Some(value) => read.push((&column.name, value)),
            None => return Err(format!("column {} holds no {:?}", column.name, column.column_type)),
        }
    }
    let value = |name: &String| read.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let values: RowValues =
        code.columns.iter().map(|column| value(&column.name).unwrap_or(Value::Null)).collect();
    code.check_row(key, &values).map_err(|error| error.to_string())?;
    Ok(values)
}
