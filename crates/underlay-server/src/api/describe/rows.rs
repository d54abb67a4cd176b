//! What is said of a view and of entities: their parameters and their rows, by their columns.

use serde_json::{Map, Value, json};
use underlay_core::{Column, ColumnType, Comparison, EntitySchema, RowSchema, RowsOf, ViewSchema};

use super::components::{Components, reference};
use crate::view_query::{COMPARISONS, key_of, reserved};

/// Decimals as queries and rows have them.
const DECIMAL_PATTERN: &str = "^-?[0-9]+(\\.[0-9]+)?$";

/// The parameters by which rows are filtered and sorted.
pub(super) fn parameters(schema: &RowSchema) -> Vec<Value> {
    let (reserved, rows) = (reserved(schema.of), told_rows(schema.of));
    let indexed: Vec<&Column> = schema.columns.iter().filter(|column| column.indexed).collect();
    let filters = indexed.iter().flat_map(|column| {
        let plain = (!reserved.contains(&column.name.as_str()))
            .then(|| filter(rows, column, column.name.clone(), "is this value"));
        let compared = COMPARISONS.iter().filter(|(_, comparison)| {
            *comparison != Comparison::Prefix || column.column_type == ColumnType::Text
        });
        let compared = compared.map(|(word, comparison)| {
            filter(rows, column, format!("{}[{word}]", column.name), told(*comparison))
        });
        plain.into_iter().chain(compared)
    });
    let mut parameters: Vec<Value> = filters.collect();
    let columns = indexed.iter().map(|column| column.name.as_str()).chain([key_of(schema.of)]);
    let sorts: Vec<String> = columns.flat_map(|column| [column.to_owned(), format!("-{column}")]).collect();
    parameters.push(json!({
        "name": "sort",
        "in": "query",
        "description": format!("The order of the {rows}; with `-` the largest come first."),
        "required": false,
        "schema": { "enum": sorts, "default": key_of(schema.of) },
    }));
    parameters
}

fn told_rows(of: RowsOf) -> &'static str {
    match of {
        RowsOf::View => "rows",
        RowsOf::Entity => "entities",
    }
}

fn filter(rows: &str, column: &Column, name: String, told: &str) -> Value {
    let mut schema = value_schema(column.column_type);
    if column.column_type == ColumnType::Boolean {
        // In a query string everything is text.
        schema = json!({ "enum": ["true", "false"] });
    }
    json!({
        "name": name,
        "in": "query",
        "description": format!("Only {rows} whose {} {told}.", column.name),
        "required": false,
        "schema": schema,
    })
}

fn told(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Eq => "is this value",
        Comparison::Lt => "is less than this",
        Comparison::Le => "is at most this",
        Comparison::Gt => "is more than this",
        Comparison::Ge => "is at least this",
        Comparison::Prefix => "starts with this",
    }
}

/// Takes in the schemas of a row and of a page of rows, and gives what refers to each.
pub(super) fn take(components: &mut Components, view: &ViewSchema) -> (Value, Value) {
    let mut properties = Map::from_iter([("key".to_owned(), json!({ "type": "string" }))]);
    for column in &view.columns {
        properties.insert(column.name.clone(), column_schema(column));
    }
    let row = components.put(
        &format!("row.{}", view.name),
        json!({
            "description": "Until a view is rebuilt whose columns have changed, its rows have the columns from before.",
            "type": "object",
            "properties": properties,
            "required": ["key"],
        }),
    );
    let page = components.put(
        &format!("rows.{}", view.name),
        json!({
            "type": "object",
            "properties": {
                "rows": { "type": "array", "items": row },
                "next": {
                    "description": "What `cursor` is for the next page; null where this is the last.",
                    "type": ["string", "null"],
                },
                "position": {
                    "description": "The rows reflect every event at or below it.",
                    "$ref": reference("Position")["$ref"],
                },
                "count": { "description": "The rows of all pages.", "type": "integer", "minimum": 0 },
            },
            "required": ["rows", "next", "position"],
            "additionalProperties": false,
        }),
    );
    (row, page)
}

/// The schemas of the entities of a name.
pub(super) struct OfEntity {
    /// One as it is stored.
    pub(super) entity: Value,
    pub(super) page: Value,
    /// A new one, with its id.
    pub(super) new: Value,
    /// Its values alone, and its id and version for whoever sends back what was read.
    pub(super) values: Value,
}

/// Takes in the schemas of entities of a name.
pub(super) fn take_entity(components: &mut Components, schema: &EntitySchema) -> OfEntity {
    let id = json!({ "type": "string", "minLength": 1 });
    let version = json!({
        "description": "How often it was written: 1 after it was created.", "type": "integer", "minimum": 1,
    });
    let columns: Vec<(String, Value)> =
        schema.columns.iter().map(|column| (column.name.clone(), column_schema(column))).collect();
    let of = |own: &[(&str, &Value)], required: Vec<&str>| {
        let own = own.iter().map(|(name, schema)| ((*name).to_owned(), (*schema).clone()));
        json!({
            "type": "object",
            "properties": own.chain(columns.iter().cloned()).collect::<Map<_, _>>(),
            "required": required,
            "additionalProperties": false,
        })
    };
    let all = schema.columns.iter().map(|column| column.name.as_str());
    let needed = schema.columns.iter().filter(|column| !column.nullable).map(|column| column.name.as_str());
    let name = &schema.name;
    let both = [("id", &id), ("version", &version)];
    let stored = of(&both, ["id", "version"].into_iter().chain(all).collect());
    let entity = components.put(&format!("entity.{name}"), stored);
    let new = components
        .put(&format!("new.{name}"), of(&[("id", &id)], ["id"].into_iter().chain(needed.clone()).collect()));
    let values = components.put(&format!("values.{name}"), of(&both, needed.collect()));
    let page = json!({
        "type": "object",
        "properties": {
            "entities": { "type": "array", "items": entity },
            "next": {
                "description": "What `cursor` is for the next page; null where this is the last.",
                "type": ["string", "null"],
            },
            "count": { "description": "The entities of all pages.", "type": "integer", "minimum": 0 },
        },
        "required": ["entities", "next"],
        "additionalProperties": false,
    });
    OfEntity { page: components.put(&format!("entities.{name}"), page), entity, new, values }
}

fn column_schema(column: &Column) -> Value {
    let mut schema = value_schema(column.column_type);
    if let Some(is) = schema.get_mut("type").filter(|_| column.nullable) {
        *is = json!([is.take(), "null"]);
    }
    schema
}

fn value_schema(column_type: ColumnType) -> Value {
    match column_type {
        ColumnType::Text => json!({ "type": "string" }),
        ColumnType::Integer => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        ColumnType::Decimal => json!({ "type": "string", "pattern": DECIMAL_PATTERN }),
        ColumnType::Boolean => json!({ "type": "boolean" }),
        ColumnType::Timestamp => json!({ "type": "string", "format": "date-time" }),
    }
}
