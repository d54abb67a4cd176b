//! Conditions as JSON, as they come from the outside and go there:
//!
//! ```json
//! {"all": [{"column": "base", "eq": "EUR"},
//!          {"any": [{"column": "value", "gt": "1.05"}, {"not": {"column": "note", "is_null": true}}]},
//!          {"column": "quote", "in": ["USD", "CHF"]}]}
//! ```

use serde_json::{Map, Value as JsonValue, json};

use crate::domain::{Comparison, Condition, Filter};
use crate::words::limits::CONDITION_DEPTH_MAX;
use crate::words::{Error, RowSchema, Value};

const COMPARISONS: [(&str, Comparison); 6] = [
    ("eq", Comparison::Eq),
    ("lt", Comparison::Lt),
    ("le", Comparison::Le),
    ("gt", Comparison::Gt),
    ("ge", Comparison::Ge),
    ("prefix", Comparison::Prefix),
];

impl Condition {
    /// Reads a condition on rows of this shape.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what would be right.
    pub fn from_json(schema: &RowSchema, json: &JsonValue) -> Result<Self, Error> {
        let condition = read(schema, json, 1)?;
        condition.validate(schema)?;
        Ok(condition)
    }

    /// As JSON that [`Condition::from_json`] reads.
    #[must_use]
    pub fn to_json(&self) -> JsonValue {
        let all = |parts: &[Self]| parts.iter().map(Self::to_json).collect::<JsonValue>();
        match self {
            Self::All(parts) => json!({ "all": all(parts) }),
            Self::Any(parts) => json!({ "any": all(parts) }),
            Self::Not(part) => json!({ "not": part.to_json() }),
            Self::Compare(Filter { column, comparison, value }) => {
                json!({ "column": column, name_of(*comparison): value })
            }
            Self::In { column, values } => json!({ "column": column, "in": values }),
            Self::IsNull { column } => json!({ "column": column, "is_null": true }),
        }
    }
}

fn name_of(comparison: Comparison) -> &'static str {
    COMPARISONS.iter().find(|(_, known)| *known == comparison).map_or("", |(name, _)| name)
}

fn read(schema: &RowSchema, json: &JsonValue, depth: usize) -> Result<Condition, Error> {
    if depth > CONDITION_DEPTH_MAX {
        return Err(Error::invalid(format!(
            "conditions within each other exceed CONDITION_DEPTH_MAX = {CONDITION_DEPTH_MAX}"
        )));
    }
    let object = json.as_object().ok_or_else(no_condition)?;
    if let Some(column) = object.get("column") {
        let column = column.as_str().filter(|_| object.len() == 2).ok_or_else(no_condition)?;
        return read_of_column(schema, column, object);
    }
    let parts = |parts: &JsonValue| {
        let parts = parts.as_array().ok_or_else(no_condition)?;
        parts.iter().map(|part| read(schema, part, depth + 1)).collect::<Result<Vec<_>, Error>>()
    };
    let mut members = object.iter();
    match (members.next(), members.next()) {
        (Some((name, inner)), None) => match name.as_str() {
            "all" => Ok(Condition::All(parts(inner)?)),
            "any" => Ok(Condition::Any(parts(inner)?)),
            "not" => Ok(read(schema, inner, depth + 1)?.negated()),
            _ => Err(no_condition()),
        },
        _ => Err(no_condition()),
    }
}

fn read_of_column(
    schema: &RowSchema,
    column: &str,
    object: &Map<String, JsonValue>,
) -> Result<Condition, Error> {
    let column_type = schema.column(column)?.column_type;
    let (name, given) = object.iter().find(|(name, _)| *name != "column").ok_or_else(no_condition)?;
    let value = |given: &JsonValue| Value::from_json(column_type, given);
    let owned = column.to_owned();
    if let Some((_, comparison)) = COMPARISONS.iter().find(|(known, _)| known == name) {
        return Ok(Condition::compare(owned, *comparison, value(given)?));
    }
    match (name.as_str(), given) {
        ("in", JsonValue::Array(values)) => {
            let values = values.iter().map(value).collect::<Result<_, Error>>()?;
            Ok(Condition::In { column: owned, values })
        }
        ("is_null", JsonValue::Bool(true)) => Ok(Condition::IsNull { column: owned }),
        ("is_null", JsonValue::Bool(false)) => Ok(Condition::IsNull { column: owned }.negated()),
        _ => Err(no_condition()),
    }
}

fn no_condition() -> Error {
    Error::invalid(
        "a condition is {\"column\": …, and one of \"eq\", \"lt\", \"le\", \"gt\", \"ge\", \"prefix\", \"in\" (a list) \
         and \"is_null\" (true or false)}, or {\"all\": […]}, {\"any\": […]} or {\"not\": …} of conditions",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Column, ColumnType, RowsOf};

    fn rates() -> RowSchema {
        let column = |name: &str, column_type, nullable| Column {
            name: name.to_owned(),
            column_type,
            nullable,
            indexed: false,
        };
        let columns = vec![
            column("base", ColumnType::Text, false),
            column("value", ColumnType::Decimal, false),
            column("note", ColumnType::Text, true),
        ];
        RowSchema::new(RowsOf::Entity, "rate", 1, columns)
    }

    #[test]
    fn a_condition_is_read_as_it_was_written() {
        let text = r#"{"all":[{"column":"base","eq":"EUR"},{"any":[{"column":"value","gt":"1.05"},
            {"not":{"column":"note","is_null":true}}]},{"column":"base","in":["USD","CHF"]},
            {"column":"note","prefix":"a"}]}"#;
        let json: JsonValue = serde_json::from_str(text).unwrap();
        let condition = Condition::from_json(&rates(), &json).unwrap();
        assert_eq!(condition.to_json(), json);
        let some_note = json!({"column": "note", "is_null": false});
        let some_note = Condition::from_json(&rates(), &some_note).unwrap();
        assert_eq!(some_note.to_json(), json!({"not": {"column": "note", "is_null": true}}));
    }

    #[test]
    fn what_is_no_condition_is_told() {
        let deep = (0..CONDITION_DEPTH_MAX).fold(json!({"all": []}), |inner, _| json!({ "not": inner }));
        for (json, named) in [
            (json!(1), "a condition is"),
            (json!({}), "a condition is"),
            (json!({"all": 1}), "a condition is"),
            (json!({"all": [], "any": []}), "a condition is"),
            (json!({"column": "base"}), "a condition is"),
            (json!({"column": "base", "eq": "a", "ne": "b"}), "a condition is"),
            (json!({"column": "base", "like": "a"}), "a condition is"),
            (json!({"column": "other", "eq": "a"}), "no column \"other\""),
            (json!({"column": "value", "eq": "a"}), "not a decimal"),
            (json!({"column": "value", "prefix": "1"}), "prefix is for text"),
            (json!({"column": "base", "eq": null}), "column base"),
            (deep, "CONDITION_DEPTH_MAX"),
        ] {
            let error = Condition::from_json(&rates(), &json).unwrap_err().to_string();
            assert!(error.contains(named), "{json}: {error} does not say {named}");
        }
    }
}
