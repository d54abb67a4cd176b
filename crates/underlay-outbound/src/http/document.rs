//! Entities as JSON: what a service gives is held against the schema, member by member. Nothing is filled in.

use std::collections::BTreeMap;
use std::fmt;

use hyper::body::Bytes;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::{RawValue, to_raw_value};
use underlay_core::{
    Column, ColumnType, Decimal, EntitySchema, EntityVersion, Error, Fingerprint, StoredEntity, Value,
};

use super::HttpConfig;
use super::config::Api;

/// Bits of a version that is a hash: every program can hold so large a number.
const HASH_BITS: u32 = 53;

/// The members of an object, as they are written. None is there twice.
#[derive(Debug)]
pub(super) struct Members(BTreeMap<String, Box<RawValue>>);

impl Members {
    pub(super) fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.0.remove(name)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if members.contains_key(&name) {
                        return Err(de::Error::custom(format!("member {name} is there twice")));
                    }
                    members.insert(name, value);
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(Reader)
    }
}

/// Where an entity has its id and its version.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    id: String,
    /// None where a version is a hash of the values.
    version: Option<String>,
    decimal_numbers: bool,
    /// Whether versions are 1 after the creation and one more with each update.
    pub(super) counts: bool,
    /// Whether the ETag of an entity is its version in quotes.
    pub(super) etag_is_version: bool,
}

impl Shape {
    pub(super) fn of(config: &HttpConfig) -> Self {
        match config.api {
            Api::Underlay => Self {
                id: "id".to_owned(),
                version: Some("version".to_owned()),
                decimal_numbers: false,
                counts: true,
                etag_is_version: true,
            },
            Api::Plain => Self {
                id: config.plain.id.clone(),
                version: Some(config.plain.version.clone()).filter(|member| !member.is_empty()),
                decimal_numbers: config.plain.decimal_numbers,
                counts: false,
                etag_is_version: config.plain.etag_is_version,
            },
        }
    }

    /// The member that has the version, for messages.
    pub(super) fn version_member(&self) -> &str {
        self.version.as_deref().unwrap_or("version")
    }

    /// Whether a version is a hash of the values.
    pub(super) fn has_hashes(&self) -> bool {
        self.version.is_none()
    }

    /// The version of what was sent, where the service does not say; none where only it knows.
    pub(super) fn version_of(&self, schema: &EntitySchema, values: &[Value]) -> Option<EntityVersion> {
        self.has_hashes().then(|| hash(schema, values))
    }

    /// Reads an entity; that of the id that was asked for, where one was.
    ///
    /// # Errors
    /// [`Error::Damaged`] that names entity, id and member.
    pub(super) fn read(
        &self,
        schema: &EntitySchema,
        mut members: Members,
        asked: Option<&str>,
    ) -> Result<StoredEntity, Error> {
        let id = members.take(&self.id).and_then(|raw| id_of(&raw));
        let damaged = |reason: String| {
            let id = asked.or(id.as_deref()).unwrap_or("?");
            Error::damaged_entity(&schema.name, id, reason)
        };
        let Some(id) = id.clone() else {
            return Err(damaged(format!("member {} is missing, or no text", self.id)));
        };
        if let Some(asked) = asked.filter(|asked| *asked != id) {
            return Err(damaged(format!("member {} is {id:?}, and {asked:?} was asked for", self.id)));
        }
        let version = match &self.version {
            None => None,
            Some(member) => {
                let raw =
                    members.take(member).ok_or_else(|| damaged(format!("member {member} is missing")))?;
                let version = raw.get().parse().ok().filter(|version| *version > 0);
                let version =
                    version.ok_or_else(|| damaged(format!("member {member} is no version of an entity")))?;
                Some(EntityVersion(version))
            }
        };
        let mut values = Vec::with_capacity(schema.columns.len());
        for column in &schema.columns {
            let raw = members
                .take(&column.name)
                .ok_or_else(|| damaged(format!("member {} is missing", column.name)))?;
            let value = self
                .value(column, &raw)
                .ok_or_else(|| damaged(format!("member {} is no {:?}", column.name, column.column_type)))?;
            values.push(value);
        }
        if let Some(unknown) = members.0.keys().next() {
            return Err(damaged(format!("member {unknown} is none of its columns")));
        }
        schema.check_row(&id, &values).map_err(|error| damaged(error.to_string()))?;
        let version = version.unwrap_or_else(|| hash(schema, &values));
        Ok(StoredEntity { id, version, values })
    }

    fn value(&self, column: &Column, raw: &RawValue) -> Option<Value> {
        let text = raw.get();
        if column.column_type == ColumnType::Decimal && self.decimal_numbers && text != "null" {
            // Not by way of a float, which would round it.
            let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            let exact = || Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok();
            return is_number.then(exact).flatten().map(Value::Decimal);
        }
        Value::from_json(column.column_type, &serde_json::from_str(text).ok()?).ok()
    }

    /// Writes an entity, without its version; with its id where nothing else says it.
    ///
    /// # Errors
    /// Where a value has no form in JSON.
    pub(super) fn write(
        &self,
        schema: &EntitySchema,
        values: &[Value],
        id: Option<&str>,
    ) -> Result<Bytes, serde_json::Error> {
        let mut members: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
        if let Some(id) = id {
            members.insert(&self.id, to_raw_value(id)?);
        }
        for (column, value) in schema.columns.iter().zip(values) {
            let raw = match value {
                Value::Decimal(number) if self.decimal_numbers => RawValue::from_string(number.to_string())?,
                value => to_raw_value(value)?,
            };
            members.insert(&column.name, raw);
        }
        serde_json::to_vec(&members).map(Bytes::from)
    }
}

/// An id is a text; of some APIs it is a whole number.
fn id_of(raw: &RawValue) -> Option<String> {
    match serde_json::from_str(raw.get()).ok()? {
        serde_json::Value::String(id) => Some(id),
        serde_json::Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        _ => None,
    }
}

/// What tells the values of an entity from others, whatever order the columns have.
fn hash(schema: &EntitySchema, values: &[Value]) -> EntityVersion {
    let mut columns: Vec<(&str, &Value)> =
        schema.columns.iter().map(|column| column.name.as_str()).zip(values).collect();
    columns.sort_unstable_by_key(|(name, _)| *name);
    let text = |value: &Value| match value {
        // Equal ones may be written with more zeros.
        Value::Decimal(number) => number.normalize().to_string(),
        value => serde_json::to_string(value).unwrap_or_default(),
    };
    let parts: Vec<String> = columns.iter().map(|(name, value)| format!("{name} {}", text(value))).collect();
    let Fingerprint(bytes) = Fingerprint::of(parts.iter().map(String::as_bytes));
    let [a, b, c, d, e, f, g, h, ..] = bytes;
    let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> (u64::BITS - HASH_BITS);
    EntityVersion(number.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, column_type: ColumnType, nullable: bool) -> Column {
        Column { name: name.to_owned(), column_type, nullable, indexed: false }
    }

    fn rates() -> EntitySchema {
        let columns = vec![
            column("base", ColumnType::Text, false),
            column("value", ColumnType::Decimal, false),
            column("note", ColumnType::Text, true),
        ];
        EntitySchema::new("rate", 1, columns)
    }

    fn shape(set: impl FnOnce(&mut HttpConfig)) -> Shape {
        let mut config = HttpConfig::default();
        set(&mut config);
        Shape::of(&config)
    }

    fn read(shape: &Shape, text: &str) -> Result<StoredEntity, Error> {
        let members = serde_json::from_str(text).map_err(|error| Error::Damaged(error.to_string()))?;
        shape.read(&rates(), members, Some("eur"))
    }

    const SOUND: &str = r#"{"id":"eur","version":3,"base":"EUR","value":"1.08","note":null}"#;

    #[test]
    fn an_entity_is_read_as_it_is_and_anything_else_is_damage() {
        let shape = shape(|_| ());
        let entity = read(&shape, SOUND).unwrap();
        assert_eq!((entity.version.0, entity.values.len()), (3, 3));
        for (text, named) in [
            (SOUND.replace(r#""id":"eur""#, r#""id":"usd""#), "id"),
            (SOUND.replace(r#""id":"eur","#, ""), "id"),
            (SOUND.replace("3", "0"), "version"),
            (SOUND.replace("3", "-3"), "version"),
            (SOUND.replace("3", "\"3\""), "version"),
            (SOUND.replace(r#""version":3,"#, ""), "version"),
            (SOUND.replace(r#","note":null"#, ""), "note"),
            (SOUND.replace(r#""EUR""#, "null"), "base"),
            (SOUND.replace(r#""EUR""#, "7"), "base"),
            (SOUND.replace(r#""1.08""#, "1.08"), "value"),
            (SOUND.replace(r#""1.08""#, r#""x""#), "value"),
            (SOUND.replace("null", r#"null,"stray":1"#), "stray"),
            (SOUND.replace("null", r#"null,"base":"USD""#), "base"),
        ] {
            let error = read(&shape, &text).unwrap_err();
            let told = error.to_string();
            assert!(matches!(error, Error::Damaged(_)) && told.contains(named), "{text}: {told}");
        }
        let nested = SOUND.replace(r#""EUR""#, &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
        assert!(read(&shape, &nested).unwrap_err().to_string().contains("base"));
    }

    #[test]
    fn numbers_are_decimals_where_the_api_has_them_so_and_are_not_rounded() {
        let shape = shape(|config| {
            config.api = Api::Plain;
            config.plain.decimal_numbers = true;
        });
        let text = |value: &str| format!(r#"{{"id":"eur","base":"EUR","value":{value},"note":null}}"#);
        let value = |written: &str| read(&shape, &text(written)).map(|entity| entity.values[1].clone());
        let exact = "1234567890.1234567890123456";
        assert_eq!(value(exact).unwrap(), Value::Decimal(exact.parse().unwrap()));
        assert_eq!(value("1.5e2").unwrap(), Value::Decimal("150".parse().unwrap()));
        for wrong in [r#""1.08""#, "null", "true", "1.00000000000000000000000000000000001"] {
            assert!(value(wrong).is_err(), "{wrong}");
        }
        let written = shape.write(&rates(), &read(&shape, &text("1.50")).unwrap().values, None).unwrap();
        assert_eq!(written, r#"{"base":"EUR","note":null,"value":1.50}"#);
    }

    #[test]
    fn a_version_that_is_a_hash_tells_values_apart() {
        let shape = shape(|config| config.api = Api::Plain);
        let text = |value: &str| format!(r#"{{"id":"eur","base":"EUR","value":"{value}","note":null}}"#);
        let version = |value: &str| read(&shape, &text(value)).unwrap().version;
        assert_eq!(version("1.5"), version("1.50"));
        assert_ne!(version("1.5"), version("1.6"));
        assert!(version("1.5").0 > 0 && version("1.5").0 < 1 << HASH_BITS);
    }
}
