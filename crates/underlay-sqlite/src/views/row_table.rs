//! The table of one generation of a view: its SQL, and how values are stored in it.
//!
//! Values are always bound; names are always quoted, and a view's schema allows none that could end a
//! quote. Decimals are stored as their [`decimal_key`], times as microseconds, booleans as 0 and 1.

use std::fmt::Write as _;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, Statement};
use underlay_core::adapter::{sql_name, stored_time};
use underlay_core::{
    ColumnType, RowAddress, RowValues, Value, ViewSchema, ViewTable, decimal_from_key, decimal_key,
};

use crate::error::Failure;

/// Rows that are removed at once of a table nobody reads any more: about as many as a batch writes.
const PIECE_ROWS: usize = 1_000;
/// Bytes of their texts.
const PIECE_BYTES: usize = 4 << 20;

/// The name of the table, quoted.
pub(crate) fn name(table: &ViewTable) -> String {
    sql_name(&plain_name(&table.schema.name, table.generation))
}

/// The name of the index of a column, quoted.
pub(crate) fn index_name(table: &ViewTable, column: &str) -> String {
    // No name of a view or column holds a dot, so no two indexes share a name.
    sql_name(&format!("{}.{column}", plain_name(&table.schema.name, table.generation)))
}

/// Makes the table and its indexes.
pub(crate) fn create(connection: &Connection, table: &ViewTable) -> Result<(), Failure> {
    let mut sql = format!("CREATE TABLE {} (tenant TEXT NOT NULL, \"key\" TEXT NOT NULL, ", name(table));
    for column in &table.schema.columns {
        let kind = match column.column_type {
            ColumnType::Text | ColumnType::Decimal => "TEXT",
            ColumnType::Integer | ColumnType::Boolean | ColumnType::Timestamp => "INTEGER",
        };
        let null = if column.nullable { "" } else { " NOT NULL" };
        append(&mut sql, format_args!("{} {kind}{null}, ", sql_name(&column.name)));
    }
    sql.push_str("PRIMARY KEY (tenant, \"key\")) STRICT, WITHOUT ROWID;");
    for column in table.schema.columns.iter().filter(|column| column.indexed) {
        let index = index_name(table, &column.name);
        let column = sql_name(&column.name);
        append(
            &mut sql,
            format_args!("CREATE INDEX {index} ON {} (tenant, {column}, \"key\");", name(table)),
        );
    }
    Ok(connection.execute_batch(&sql)?)
}

/// Removes some rows of the table of a generation, where it is there; false where it has none. Dropping
/// a large table at once would hold up every commit that waits meanwhile.
pub(crate) fn remove_some(connection: &Connection, view: &str, generation: u32) -> Result<bool, Failure> {
    let name = plain_name(view, generation);
    if !connection.table_exists(None, name.as_str())? {
        return Ok(false);
    }
    let table = sql_name(&name);
    let mut texts = connection.prepare("SELECT name FROM pragma_table_info(?1) WHERE type = 'TEXT'")?;
    let texts = texts.query_map([&name], |row| row.get::<_, String>(0))?;
    let mut bytes = "0".to_owned();
    for text in texts {
        append(&mut bytes, format_args!(" + coalesce(octet_length({}), 0)", sql_name(&text?)));
    }
    // At least one row, and then as many as the limits allow.
    let sql = format!(
        "DELETE FROM {table} WHERE (tenant, \"key\") IN (SELECT tenant, \"key\" FROM (SELECT tenant, \"key\", \
         sum({bytes}) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before \
         FROM (SELECT * FROM {table} LIMIT {PIECE_ROWS})) WHERE coalesce(before, 0) < {PIECE_BYTES})"
    );
    Ok(connection.execute(&sql, [])? > 0)
}

/// Drops the table of a generation.
pub(crate) fn drop(connection: &Connection, view: &str, generation: u32) -> Result<(), Failure> {
    let table = sql_name(&plain_name(view, generation));
    Ok(connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?)
}

/// The columns a row is read by: the key, then those of the schema.
pub(crate) fn selected(schema: &ViewSchema) -> String {
    let mut sql = "\"key\"".to_owned();
    for column in &schema.columns {
        append(&mut sql, format_args!(", {}", sql_name(&column.name)));
    }
    sql
}

/// Reads a row by tenant and key.
pub(crate) fn select_row(table: &ViewTable) -> String {
    format!("SELECT {} FROM {} WHERE tenant = ?1 AND \"key\" = ?2", selected(&table.schema), name(table))
}

/// Reads rows of all tenants above one, by tenant and key; the tenant comes last.
pub(crate) fn scan_rows(table: &ViewTable) -> String {
    format!(
        "SELECT {}, tenant FROM {} WHERE (tenant, \"key\") > (?1, ?2) ORDER BY tenant, \"key\" LIMIT ?3",
        selected(&table.schema),
        name(table)
    )
}

/// Writes a whole row: tenant, key, values.
pub(crate) fn upsert_row(table: &ViewTable) -> String {
    let columns = &table.schema.columns;
    let mut sql = format!("INSERT INTO {} (tenant, {}) VALUES (?1, ?2", name(table), selected(&table.schema));
    for at in 0..columns.len() {
        append(&mut sql, format_args!(", ?{}", at + 3));
    }
    sql.push_str(") ON CONFLICT (tenant, \"key\") DO ");
    if columns.is_empty() {
        sql.push_str("NOTHING");
        return sql;
    }
    for (at, column) in columns.iter().enumerate() {
        let column = sql_name(&column.name);
        let before = if at == 0 { "UPDATE SET " } else { ", " };
        append(&mut sql, format_args!("{before}{column} = excluded.{column}"));
    }
    sql
}

/// Writes some columns of a row: tenant, key, values.
pub(crate) fn patch_row(table: &ViewTable, patch: &[(String, Value)]) -> String {
    // The key is set to itself so that a patch of nothing is a statement too.
    let mut sql = format!("UPDATE {} SET ", name(table));
    for (at, (column, _)) in patch.iter().enumerate() {
        let before = if at == 0 { "" } else { ", " };
        append(&mut sql, format_args!("{before}{} = ?{}", sql_name(column), at + 3));
    }
    if patch.is_empty() {
        sql.push_str("\"key\" = \"key\"");
    }
    sql.push_str(" WHERE tenant = ?1 AND \"key\" = ?2");
    sql
}

/// Removes a row by tenant and key.
pub(crate) fn delete_row(table: &ViewTable) -> String {
    format!("DELETE FROM {} WHERE tenant = ?1 AND \"key\" = ?2", name(table))
}

/// Runs a statement on a row, with values after its tenant and key; how many rows it changed.
pub(crate) fn change_row<'v>(
    statement: &mut Statement<'_>,
    address: &RowAddress,
    values: impl IntoIterator<Item = &'v Value>,
) -> Result<usize, Failure> {
    statement.raw_bind_parameter(1, address.tenant.as_str())?;
    statement.raw_bind_parameter(2, address.key.as_str())?;
    for (at, value) in values.into_iter().enumerate() {
        statement.raw_bind_parameter(at + 3, Stored(value))?;
    }
    Ok(statement.raw_execute()?)
}

/// Reads the values of a row that begins with its key.
pub(crate) fn values(row: &Row<'_>, table: &ViewTable) -> Result<RowValues, Failure> {
    let columns = table.schema.columns.iter().enumerate();
    columns
        .map(|(at, column)| {
            let stored = row.get_ref(at + 1)?;
            value(stored, column.column_type, column.nullable).ok_or_else(|| {
                Failure::damaged(format!(
                    "column {} of a row in {} holds {:?}, not {:?}",
                    column.name,
                    name(table),
                    stored.data_type(),
                    column.column_type
                ))
            })
        })
        .collect()
}

/// A value as it is stored.
pub(crate) struct Stored<'v>(pub(crate) &'v Value);

impl ToSql for Stored<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Value::Decimal(number) => ToSqlOutput::Owned(decimal_key(*number).into()),
            Value::Boolean(truth) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*truth))),
            Value::Timestamp(time) => ToSqlOutput::Borrowed(ValueRef::Integer(time.as_microsecond())),
        })
    }
}

fn value(stored: ValueRef<'_>, column_type: ColumnType, nullable: bool) -> Option<Value> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    match (column_type, stored) {
        (_, ValueRef::Null) => nullable.then_some(Value::Null),
        (ColumnType::Text, ValueRef::Text(bytes)) => Some(Value::Text(text(bytes)?.to_owned())),
        (ColumnType::Decimal, ValueRef::Text(bytes)) => {
            decimal_from_key(text(bytes)?).ok().map(Value::Decimal)
        }
        (ColumnType::Integer, ValueRef::Integer(number)) => Some(Value::Integer(number)),
        (ColumnType::Boolean, ValueRef::Integer(number @ (0 | 1))) => Some(Value::Boolean(number == 1)),
        (ColumnType::Timestamp, ValueRef::Integer(number)) => stored_time(number).map(Value::Timestamp),
        _ => None,
    }
}

/// The name of the table of a generation.
pub(crate) fn plain_name(view: &str, generation: u32) -> String {
    format!("view_{view}_{generation}")
}

fn append(sql: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    sql.write_fmt(text).ok();
}
