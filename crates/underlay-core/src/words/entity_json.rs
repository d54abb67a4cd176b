//! Entities as JSON: how they come from the outside, and how they go there.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value as JsonValue};

use crate::words::{EntitySchema, EntityVersion, Error, StoredEntity, Value};

/// An entity with its shape. As JSON it is an object: its id, its version and its columns, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityJson {
    /// The shape.
    pub schema: Arc<EntitySchema>,
    /// What is stored.
    pub entity: StoredEntity,
}

impl Serialize for EntityJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + self.entity.values.len()))?;
        map.serialize_entry("id", &self.entity.id)?;
        map.serialize_entry("version", &self.entity.version)?;
        for (column, value) in self.schema.columns.iter().zip(&self.entity.values) {
            map.serialize_entry(&column.name, value)?;
        }
        map.end()
    }
}

/// What the JSON of an entity says that somebody gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenEntity {
    /// Its id, where it is said.
    pub id: Option<String>,
    /// The version it was read at, where it is said.
    pub version: Option<EntityVersion>,
    /// Its values, in the order of the columns. What can be empty and is left out is empty.
    pub values: Vec<Value>,
}

impl GivenEntity {
    /// Reads an object with a member for every column that cannot be empty. It may have the members `id` and `version`,
    /// so what was read can be given back.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the member, and says what would be right.
    pub fn parse(schema: &EntitySchema, text: &str) -> Result<Self, Error> {
        let mut members: Map<String, JsonValue> = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("the body is no JSON object: {error}")))?;
        let id = match members.remove("id") {
            None => None,
            Some(JsonValue::String(id)) => Some(id),
            Some(_) => return Err(Error::invalid("the member id is a string")),
        };
        let version = members.remove("version").map(|version| {
            let version = version.as_u64().map(EntityVersion);
            version.ok_or_else(|| Error::invalid("the member version is a whole number"))
        });
        let version = version.transpose()?;
        let mut values = Vec::with_capacity(schema.columns.len());
        for column in &schema.columns {
            let name = &column.name;
            let value = match members.remove(name) {
                None if column.nullable => Value::Null,
                None => return Err(Error::invalid(format!("the member {name} is missing"))),
                Some(JsonValue::Null) if !column.nullable => {
                    return Err(Error::invalid(format!(
                        "the member {name} is null, and has to have a value"
                    )));
                }
                Some(json) => Value::from_json(column.column_type, &json)
                    .map_err(|error| Error::invalid(format!("the member {name}: {error}")))?,
            };
            values.push(value);
        }
        if let Some(unknown) = members.keys().next() {
            let known: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
            return Err(Error::invalid(format!(
                "{} has no column {unknown:?}; there are: {}",
                schema.name,
                known.join(", ")
            )));
        }
        Ok(Self { id, version, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Column, ColumnType};

    #[test]
    fn what_is_written_is_read_again() {
        let column = |name: &str, column_type, nullable| Column {
            name: name.to_owned(),
            column_type,
            nullable,
            indexed: false,
        };
        let columns = vec![
            column("zeal", ColumnType::Integer, false),
            column("base", ColumnType::Text, true),
            column("rate", ColumnType::Decimal, false),
        ];
        let schema = Arc::new(EntitySchema::new("rate", 1, columns));
        let values =
            vec![Value::Integer(i64::MIN), Value::Null, Value::parse(ColumnType::Decimal, "1.10").unwrap()];
        let entity = StoredEntity { id: "a\"b".to_owned(), version: EntityVersion(3), values };
        let text =
            serde_json::to_string(&EntityJson { schema: schema.clone(), entity: entity.clone() }).unwrap();
        assert_eq!(
            text,
            format!(r#"{{"id":"a\"b","version":3,"zeal":{},"base":null,"rate":"1.10"}}"#, i64::MIN)
        );
        let given = GivenEntity::parse(&schema, &text).unwrap();
        assert_eq!(
            given,
            GivenEntity { id: Some(entity.id), version: Some(entity.version), values: entity.values }
        );
        let wrong = GivenEntity::parse(&schema, r#"{"zeal":1,"rate":1.1}"#).unwrap_err().to_string();
        assert!(wrong.starts_with("the member rate: "), "{wrong}");
    }
}
