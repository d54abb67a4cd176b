//! The table of one generation of a view, or of an entity: its SQL, and how values are stored in it.
//!
//! Values are always bound; names are always quoted, and a schema allows none that could end a quote.
//! Decimals are stored as their [`decimal_key`], times as microseconds, booleans as 0 and 1.

use std::fmt::Write as _;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, Statement};
use underlay_core::adapter::{sql_name, stored_time};
use underlay_core::{
    Column, ColumnType, EntitySchema, RowSchema, RowValues, TenantId, Value, ViewTable, decimal_from_key,
    decimal_key,
};

use crate::error::Failure;

/// Rows that are removed at once of a table nobody reads any more: about as many as a batch writes.
const PIECE_ROWS: usize = 1_000;
/// Bytes of their texts.
const PIECE_BYTES: usize = 4 << 20;

/// A table of rows: of one generation of a view, or of an entity.
#[derive(Debug)]
pub(crate) struct RowTable<'s> {
    pub(crate) schema: &'s RowSchema,
    plain_name: String,
    /// Indexed columns whose values are unique within a tenant.
    unique: &'s [String],
    /// Whether each row has a version.
    has_versions: bool,
}

impl<'s> RowTable<'s> {
    pub(crate) fn of_view(table: &'s ViewTable) -> Self {
        let plain_name = name_of_generation(&table.schema.name, table.generation);
        Self { schema: &table.schema, plain_name, unique: &[], has_versions: false }
    }

    pub(crate) fn of_entity(schema: &'s EntitySchema) -> Self {
        let plain_name = format!("entity_{}", schema.name);
        Self { schema, plain_name, unique: &schema.unique, has_versions: true }
    }

    /// The name of the table, quoted.
    pub(crate) fn name(&self) -> String {
        sql_name(&self.plain_name)
    }

    pub(crate) fn plain_name(&self) -> &str {
        &self.plain_name
    }

    /// The name of the index of a column, quoted.
    pub(crate) fn index_name(&self, column: &str) -> String {
        // No name of a view, an entity or a column holds a dot, so no two indexes share a name.
        sql_name(&format!("{}.{column}", self.plain_name))
    }

    /// How many columns a row is read by.
    pub(crate) fn width(&self) -> usize {
        self.schema.columns.len() + 1 + usize::from(self.has_versions)
    }

    /// Makes the table and its indexes.
    pub(crate) fn create(&self, connection: &Connection) -> Result<(), Failure> {
        let version = if self.has_versions { "version INTEGER NOT NULL, " } else { "" };
        let mut sql =
            format!("CREATE TABLE {} (tenant TEXT NOT NULL, \"key\" TEXT NOT NULL, {version}", self.name());
        for column in &self.schema.columns {
            append(&mut sql, format_args!("{}, ", definition(column)));
        }
        sql.push_str("PRIMARY KEY (tenant, \"key\")) STRICT, WITHOUT ROWID;");
        connection.execute_batch(&sql)?;
        let mut indexed = self.schema.columns.iter().filter(|column| column.indexed);
        indexed.try_for_each(|column| self.create_index(connection, &column.name))
    }

    /// Adds a column that can be empty.
    pub(crate) fn add_column(&self, connection: &Connection, column: &Column) -> Result<(), Failure> {
        let sql = format!("ALTER TABLE {} ADD COLUMN {}", self.name(), definition(column));
        Ok(connection.execute_batch(&sql)?)
    }

    /// Makes the index of a column. Of a unique one it fails where two rows of a tenant have the same value.
    pub(crate) fn create_index(&self, connection: &Connection, column: &str) -> Result<(), Failure> {
        let unique = self.unique.iter().any(|unique| unique == column);
        let (kind, key) = if unique { ("UNIQUE INDEX", "") } else { ("INDEX", ", \"key\"") };
        let (index, table, column) = (self.index_name(column), self.name(), sql_name(column));
        Ok(connection.execute_batch(&format!("CREATE {kind} {index} ON {table} (tenant, {column}{key})"))?)
    }

    /// Drops the index of a column.
    pub(crate) fn drop_index(&self, connection: &Connection, column: &str) -> Result<(), Failure> {
        Ok(connection.execute_batch(&format!("DROP INDEX {}", self.index_name(column)))?)
    }

    /// The columns a row is read by: the key, then those of the schema, and of an entity its version.
    pub(crate) fn selected(&self) -> String {
        let mut sql = "\"key\"".to_owned();
        for column in &self.schema.columns {
            append(&mut sql, format_args!(", {}", sql_name(&column.name)));
        }
        if self.has_versions {
            sql.push_str(", version");
        }
        sql
    }

    /// Reads a row by tenant and key.
    pub(crate) fn select_row(&self) -> String {
        format!("SELECT {} FROM {} WHERE tenant = ?1 AND \"key\" = ?2", self.selected(), self.name())
    }

    /// Reads rows of all tenants above one, by tenant and key; the tenant comes last.
    pub(crate) fn scan_rows(&self) -> String {
        format!(
            "SELECT {}, tenant FROM {} WHERE (tenant, \"key\") > (?1, ?2) ORDER BY tenant, \"key\" LIMIT ?3",
            self.selected(),
            self.name()
        )
    }

    /// Writes a whole new row: tenant, key, values, and of an entity its version.
    pub(crate) fn insert_row(&self) -> String {
        let mut sql = format!("INSERT INTO {} (tenant, {}) VALUES (?1", self.name(), self.selected());
        for at in 0..self.width() {
            append(&mut sql, format_args!(", ?{}", at + 2));
        }
        sql.push(')');
        sql
    }

    /// Writes a whole row, also over one that is there: tenant, key, values.
    pub(crate) fn upsert_row(&self) -> String {
        let mut sql = self.insert_row() + " ON CONFLICT (tenant, \"key\") DO ";
        if self.schema.columns.is_empty() {
            sql.push_str("NOTHING");
            return sql;
        }
        for (at, column) in self.schema.columns.iter().enumerate() {
            let column = sql_name(&column.name);
            let before = if at == 0 { "UPDATE SET " } else { ", " };
            append(&mut sql, format_args!("{before}{column} = excluded.{column}"));
        }
        sql
    }

    /// Writes these columns of a row: tenant, key, values.
    pub(crate) fn update_row<'c>(&self, columns: impl IntoIterator<Item = &'c str>) -> String {
        let written = |(at, column): (usize, &str)| format!("{} = ?{}", sql_name(column), at + 3);
        let mut written: Vec<String> = columns.into_iter().enumerate().map(written).collect();
        if written.is_empty() {
            // The key is set to itself so that a change of nothing is a statement too.
            written.push("\"key\" = \"key\"".to_owned());
        }
        format!("UPDATE {} SET {} WHERE tenant = ?1 AND \"key\" = ?2", self.name(), written.join(", "))
    }

    /// Removes a row by tenant and key.
    pub(crate) fn delete_row(&self) -> String {
        format!("DELETE FROM {} WHERE tenant = ?1 AND \"key\" = ?2", self.name())
    }
}

/// A column as a table is made with it.
fn definition(column: &Column) -> String {
    let kind = match column.column_type {
        ColumnType::Text | ColumnType::Decimal => "TEXT",
        ColumnType::Integer | ColumnType::Boolean | ColumnType::Timestamp => "INTEGER",
    };
    let null = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {kind}{null}", sql_name(&column.name))
}

/// Removes some rows of the table of a generation, where it is there; false where it has none. Dropping
/// a large table at once would hold up every commit that waits meanwhile.
pub(crate) fn remove_some(connection: &Connection, view: &str, generation: u32) -> Result<bool, Failure> {
    let name = name_of_generation(view, generation);
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
    let table = sql_name(&name_of_generation(view, generation));
    Ok(connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?)
}

/// Runs a statement on a row, with values after its tenant and key; how many rows it changed.
pub(crate) fn change_row<'v>(
    statement: &mut Statement<'_>,
    tenant: &TenantId,
    key: &str,
    values: impl IntoIterator<Item = &'v Value>,
) -> Result<usize, Failure> {
    statement.raw_bind_parameter(1, tenant.as_str())?;
    statement.raw_bind_parameter(2, key)?;
    for (at, value) in values.into_iter().enumerate() {
        statement.raw_bind_parameter(at + 3, Stored(value))?;
    }
    Ok(statement.raw_execute()?)
}

/// Reads the values of a row that begins with its key.
///
/// # Errors
/// `Damaged`, which names the column.
pub(crate) fn values(row: &Row<'_>, schema: &RowSchema) -> Result<RowValues, Failure> {
    let columns = schema.columns.iter().enumerate();
    columns
        .map(|(at, column)| {
            let stored = row.get_ref(at + 1)?;
            value(stored, column.column_type, column.nullable).ok_or_else(|| {
                let (name, found) = (&column.name, stored.data_type());
                Failure::damaged(format!("column {name} holds {found:?}, not {:?}", column.column_type))
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
pub(crate) fn name_of_generation(view: &str, generation: u32) -> String {
    format!("view_{view}_{generation}")
}

fn append(sql: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    sql.write_fmt(text).ok();
}
