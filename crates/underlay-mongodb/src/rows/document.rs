use mongodb::bson::{Bson, Document, doc};
use underlay_core::adapter::stored_time;
use underlay_core::{
    Column, ColumnType, RowSchema, RowValues, TenantId, Value, decimal_from_key, decimal_key,
};

/// A value as it is stored: a decimal as its key, which has its order, and a time as its microseconds since 1970.
pub(crate) fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Text(text) => Bson::String(text.clone()),
        Value::Integer(number) => Bson::Int64(*number),
        Value::Decimal(number) => Bson::String(decimal_key(*number)),
        Value::Boolean(truth) => Bson::Boolean(*truth),
        Value::Timestamp(time) => Bson::Int64(time.as_microsecond()),
    }
}

/// The values of a row by the names of their columns.
pub(crate) fn columns(schema: &RowSchema, values: &[Value]) -> Document {
    let named = schema.columns.iter().zip(values);
    named.map(|(column, value)| (column.name.clone(), bson(value))).collect()
}

/// The address of a row.
pub(crate) fn row_id(tenant: &TenantId, key: &str) -> Document {
    doc! { "t": tenant.as_str(), "k": key }
}

/// The key of a stored row.
pub(crate) fn key_of(row: &Document) -> Option<&str> {
    row.get_document("_id").ok()?.get_str("k").ok()
}

/// The tenant of a stored row.
pub(crate) fn tenant_of(row: &Document) -> Option<TenantId> {
    TenantId::new(row.get_document("_id").ok()?.get_str("t").ok()?).ok()
}

/// The [`text_bytes`](underlay_core::text_bytes) of a stored row.
pub(crate) fn stored_text_bytes(schema: &RowSchema, row: &Document) -> usize {
    let key = key_of(row).map_or(0, str::len);
    let Ok(stored) = row.get_document("c") else { return key };
    let texts = schema.columns.iter().filter(|column| column.column_type == ColumnType::Text);
    let bytes = texts.filter_map(|column| stored.get_str(&column.name).ok()).map(str::len);
    key + bytes.sum::<usize>()
}

/// The values of a stored row; an error names the column that does not fit.
pub(crate) fn values(schema: &RowSchema, row: &Document) -> Result<RowValues, String> {
    let stored = row.get_document("c").map_err(|_| "it has no columns (field c)".to_owned())?;
    if let Some(unknown) = stored.keys().find(|name| schema.column_at(name).is_none()) {
        return Err(format!("column {unknown} is stored and not in the code"));
    }
    schema.columns.iter().map(|column| value(column, stored.get(&column.name))).collect()
}

fn value(column: &Column, stored: Option<&Bson>) -> Result<Value, String> {
    let name = &column.name;
    let stored = stored.ok_or_else(|| format!("column {name} is missing"))?;
    let read = match (column.column_type, stored) {
        (_, Bson::Null) if column.nullable => Some(Value::Null),
        (ColumnType::Text, Bson::String(text)) => Some(Value::Text(text.clone())),
        (ColumnType::Integer, Bson::Int64(number)) => Some(Value::Integer(*number)),
        (ColumnType::Decimal, Bson::String(key)) => decimal_from_key(key).ok().map(Value::Decimal),
        (ColumnType::Boolean, Bson::Boolean(truth)) => Some(Value::Boolean(*truth)),
        (ColumnType::Timestamp, Bson::Int64(time)) => stored_time(*time).map(Value::Timestamp),
        _ => None,
    };
    read.ok_or_else(|| {
        format!("column {name} holds {:?}, which is no {:?}", stored.element_type(), column.column_type)
    })
}
