use mongodb::bson::{Bson, Document, doc};
use underlay_core::{ColumnType, RowSchema};

/// What MongoDB calls the types that values are stored as.
fn bson_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text | ColumnType::Decimal => "string",
        ColumnType::Integer | ColumnType::Timestamp => "long",
        ColumnType::Boolean => "bool",
    }
}

/// What a document of a collection has to be. A field of another name, one that is missing, and a value of another type
/// are refused by the server, whoever writes it.
pub(crate) fn validator(schema: &RowSchema, versioned: bool) -> Document {
    let text = || doc! { "bsonType": "string" };
    let mut columns = object(schema.columns.iter().map(|column| {
        let held = bson_type(column.column_type);
        let types = if column.nullable { Bson::from(vec![held, "null"]) } else { Bson::from(held) };
        (column.name.clone(), doc! { "bsonType": types })
    }));
    columns.insert("title", "columns");
    let address = object([("t".to_owned(), text()), ("k".to_owned(), text())]);
    let mut fields = vec![("_id".to_owned(), address)];
    if versioned {
        fields.push(("v".to_owned(), doc! { "bsonType": "long", "minimum": 1_i64 }));
    }
    fields.push(("c".to_owned(), columns));
    doc! { "$jsonSchema": object(fields) }
}

/// An object that has these fields, all of them, and no others.
fn object(fields: impl IntoIterator<Item = (String, Document)>) -> Document {
    let properties: Document =
        fields.into_iter().map(|(name, shape)| (name, Bson::Document(shape))).collect();
    let required: Vec<Bson> = properties.keys().map(|name| Bson::from(name.as_str())).collect();
    let mut object = doc! { "bsonType": "object", "additionalProperties": false };
    if !required.is_empty() {
        object.insert("required", required);
    }
    object.insert("properties", properties);
    object
}

/// The name of the index that has the order of a column; of the keys where none is named.
pub(crate) fn index_of(column: Option<&str>) -> String {
    column.map_or_else(|| "_id_".to_owned(), |column| format!("by.{column}"))
}

/// The name of the index by which the values of a column are unique in a tenant.
pub(crate) fn unique_index_of(column: &str) -> String {
    format!("one.{column}")
}

/// The indexes that have the order of columns.
pub(crate) fn index_specs<'a>(columns: impl IntoIterator<Item = &'a str>) -> Vec<Document> {
    let spec = |column: &str| {
        let field = format!("c.{column}");
        doc! { "key": { "_id.t": 1, field: 1, "_id.k": 1 }, "name": index_of(Some(column)) }
    };
    columns.into_iter().map(spec).collect()
}

/// The index by which the values of a column are unique in a tenant.
pub(crate) fn unique_spec(column: &str) -> Document {
    let field = format!("c.{column}");
    doc! { "key": { "_id.t": 1, field: 1 }, "name": unique_index_of(column), "unique": true }
}
