//! The table of one generation of a view: its SQL, and how values are stored in it.
//!
//! Values are always bound, names are always quoted, and a view's schema allows none that could end a
//! quote. Text is ordered by its bytes (`COLLATE "C"`); decimals are stored as their [`decimal_key`],
//! times as microseconds: of these types every comparison may be used under row-level security, so an
//! index on them is.

use std::borrow::Cow;
use std::fmt::Write as _;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use underlay_core::adapter::{sql_name, stored_time};
use underlay_core::{
    Column, ColumnType, RowAddress, RowValues, Value, ViewSchema, ViewTable, decimal_from_key, decimal_key,
};

use crate::error::Failure;

/// The name of the table, quoted. It is found in the schema for views.
pub(crate) fn name(table: &ViewTable) -> String {
    sql_name(&plain_name(&table.schema.name, table.generation))
}

/// The name of the index of a column, quoted.
pub(crate) fn index_name(table: &ViewTable, column: usize) -> String {
    // No name of a view holds a dot, so no index has the name of a table, and it stays below 64 bytes.
    sql_name(&format!("{}.{column}", plain_name(&table.schema.name, table.generation)))
}

/// Makes the table, its indexes and its policies; who runs it owns the table.
pub(crate) fn create(table: &ViewTable, views: &str, reader: &str, worker: &str) -> String {
    let place = format!("{}.{}", sql_name(views), name(table));
    let mut sql = format!(
        "CREATE TABLE {place} (tenant text COLLATE \"C\" NOT NULL CHECK (tenant <> ''), \
         \"key\" text COLLATE \"C\" NOT NULL, "
    );
    for column in &table.schema.columns {
        let null = if column.nullable { "" } else { " NOT NULL" };
        append(&mut sql, format_args!("{} {}{null}, ", sql_name(&column.name), column_type(column)));
    }
    append(&mut sql, format_args!("CONSTRAINT {} PRIMARY KEY (tenant, \"key\")); ", index_name(table, 0)));
    for (at, column) in (1..).zip(&table.schema.columns).filter(|(_, column)| column.indexed) {
        let (index, column) = (index_name(table, at), sql_name(&column.name));
        append(&mut sql, format_args!("CREATE INDEX {index} ON {place} (tenant, {column}, \"key\"); "));
    }
    append(
        &mut sql,
        format_args!(
            "ALTER TABLE {place} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
             CREATE POLICY worked ON {place} TO {worker} USING (true) WITH CHECK (true); \
             CREATE POLICY of_tenant ON {place} FOR SELECT TO {reader} \
             USING (tenant = current_setting('underlay.tenant', true)); \
             GRANT SELECT ON {place} TO {reader};",
            reader = sql_name(reader),
            worker = sql_name(worker)
        ),
    );
    sql
}

/// Drops the table of a generation.
pub(crate) fn drop(view: &str, generation: u32, views: &str) -> String {
    format!("DROP TABLE IF EXISTS {}.{}", sql_name(views), sql_name(&plain_name(view, generation)))
}

/// The columns a row is read by: the key, then those of the schema.
pub(crate) fn selected(schema: &ViewSchema) -> String {
    let mut sql = "rows.\"key\"".to_owned();
    for column in &schema.columns {
        append(&mut sql, format_args!(", rows.{}", sql_name(&column.name)));
    }
    sql
}

/// Reads rows by tenants and keys: the place of each among those asked for comes last.
///
/// Each is looked for by itself, as the first of a range in the order of the keys: only the index of the keys
/// has that order. Otherwise every index that begins with the tenant is as good to a server that takes the
/// tenant to have one row, since its statistics are older than the tenant.
pub(crate) fn select_rows(table: &ViewTable) -> String {
    format!(
        "SELECT {}, asked.place FROM unnest($1, $2) WITH ORDINALITY AS asked (tenant, \"key\", place) \
         CROSS JOIN LATERAL (SELECT * FROM {} AS there WHERE there.tenant = asked.tenant \
         AND there.\"key\" >= asked.\"key\" AND there.\"key\" <= asked.\"key\" \
         ORDER BY there.\"key\" LIMIT 1) AS rows",
        selected(&table.schema),
        name(table)
    )
}

/// Reads rows of all tenants above one, by tenant and key; the tenant comes last.
pub(crate) fn scan_rows(table: &ViewTable) -> String {
    format!(
        "SELECT {}, rows.tenant FROM {} AS rows WHERE (rows.tenant, rows.\"key\") > ($1, $2) \
         ORDER BY rows.tenant, rows.\"key\" LIMIT $3",
        selected(&table.schema),
        name(table)
    )
}

/// Writes whole rows, given as arrays: tenants, keys, then one array a column.
pub(crate) fn upsert_rows(table: &ViewTable) -> String {
    let columns: Vec<String> = table.schema.columns.iter().map(|column| sql_name(&column.name)).collect();
    let mut names = "tenant, \"key\"".to_owned();
    for column in &columns {
        append(&mut names, format_args!(", {column}"));
    }
    let mut sql = format!(
        "INSERT INTO {} ({names}) SELECT * FROM unnest({})",
        name(table),
        parameters(columns.len() + 2)
    );
    sql.push_str(" ON CONFLICT (tenant, \"key\") DO ");
    if columns.is_empty() {
        sql.push_str("NOTHING");
        return sql;
    }
    for (at, column) in columns.iter().enumerate() {
        let before = if at == 0 { "UPDATE SET " } else { ", " };
        append(&mut sql, format_args!("{before}{column} = excluded.{column}"));
    }
    sql
}

/// Writes some columns of rows, given as arrays: tenants, keys, then one array a column.
pub(crate) fn patch_rows(table: &ViewTable, columns: &[&str]) -> String {
    let mut sql = format!("UPDATE {} AS rows SET ", name(table));
    let mut given = "tenant, \"key\"".to_owned();
    for (at, column) in columns.iter().enumerate() {
        let before = if at == 0 { "" } else { ", " };
        append(&mut sql, format_args!("{before}{} = given.value_{at}", sql_name(column)));
        append(&mut given, format_args!(", value_{at}"));
    }
    if columns.is_empty() {
        // So that a patch of nothing is a statement too, and says whether the row is there.
        sql.push_str("\"key\" = given.\"key\"");
    }
    append(
        &mut sql,
        format_args!(
            " FROM unnest({}) AS given ({given}) WHERE rows.tenant = given.tenant \
             AND rows.\"key\" = given.\"key\" RETURNING rows.tenant, rows.\"key\"",
            parameters(columns.len() + 2)
        ),
    );
    sql
}

/// Removes rows, given as arrays: tenants and keys.
pub(crate) fn delete_rows(table: &ViewTable) -> String {
    format!(
        "DELETE FROM {} AS rows USING unnest($1, $2) AS given (tenant, \"key\") \
         WHERE rows.tenant = given.tenant AND rows.\"key\" = given.\"key\"",
        name(table)
    )
}

/// Rows to write, as arrays.
pub(crate) struct RowArrays<'v> {
    tenants: Vec<&'v str>,
    keys: Vec<&'v str>,
    columns: Vec<Array<'v>>,
}

impl<'v> RowArrays<'v> {
    pub(crate) fn new<'c>(columns: impl IntoIterator<Item = &'c Column>) -> Self {
        Self {
            tenants: Vec::new(),
            keys: Vec::new(),
            columns: columns.into_iter().map(|column| Array::new(column.column_type)).collect(),
        }
    }

    /// Adds a row; its values fit the columns.
    pub(crate) fn push(&mut self, address: &'v RowAddress, values: impl IntoIterator<Item = &'v Value>) {
        self.tenants.push(address.tenant.as_str());
        self.keys.push(&address.key);
        for (array, value) in self.columns.iter_mut().zip(values) {
            array.push(value);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Tenants and keys, in order.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&'v str, &'v str)> {
        self.tenants.iter().copied().zip(self.keys.iter().copied())
    }

    pub(crate) fn parameters(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> =
            vec![(&self.tenants, Type::TEXT_ARRAY), (&self.keys, Type::TEXT_ARRAY)];
        parameters.extend(self.columns.iter().map(Array::parameter));
        parameters
    }
}

/// The values of a column.
enum Array<'v> {
    Text(Vec<Option<Cow<'v, str>>>),
    Number(Vec<Option<i64>>),
    Boolean(Vec<Option<bool>>),
}

impl<'v> Array<'v> {
    fn new(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Text | ColumnType::Decimal => Self::Text(Vec::new()),
            ColumnType::Integer | ColumnType::Timestamp => Self::Number(Vec::new()),
            ColumnType::Boolean => Self::Boolean(Vec::new()),
        }
    }

    fn push(&mut self, value: &'v Value) {
        match (self, stored(value)) {
            (Self::Text(array), Stored::Text(text)) => array.push(Some(text)),
            (Self::Number(array), Stored::Number(number)) => array.push(Some(number)),
            (Self::Boolean(array), Stored::Boolean(truth)) => array.push(Some(truth)),
            // What does not fit was refused before it came here.
            (Self::Text(array), _) => array.push(None),
            (Self::Number(array), _) => array.push(None),
            (Self::Boolean(array), _) => array.push(None),
        }
    }

    fn parameter(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Text(array) => (array, Type::TEXT_ARRAY),
            Self::Number(array) => (array, Type::INT8_ARRAY),
            Self::Boolean(array) => (array, Type::BOOL_ARRAY),
        }
    }
}

/// A value as it is stored.
#[derive(Debug, PartialEq)]
pub(crate) enum Stored<'v> {
    Null,
    Text(Cow<'v, str>),
    Number(i64),
    Boolean(bool),
}

impl Stored<'_> {
    pub(crate) fn parameter(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Null => (&None::<&str>, Type::TEXT),
            Self::Text(text) => (text, Type::TEXT),
            Self::Number(number) => (number, Type::INT8),
            Self::Boolean(truth) => (truth, Type::BOOL),
        }
    }
}

/// How a value is stored.
pub(crate) fn stored(value: &Value) -> Stored<'_> {
    match value {
        Value::Null => Stored::Null,
        Value::Text(text) => Stored::Text(Cow::Borrowed(text)),
        Value::Integer(number) => Stored::Number(*number),
        Value::Decimal(number) => Stored::Text(Cow::Owned(decimal_key(*number))),
        Value::Boolean(truth) => Stored::Boolean(*truth),
        Value::Timestamp(time) => Stored::Number(time.as_microsecond()),
    }
}

/// Reads the values of a row that begins with its key.
pub(crate) fn values(row: &Row, table: &ViewTable) -> Result<RowValues, Failure> {
    let columns = table.schema.columns.iter().enumerate();
    columns
        .map(|(at, column)| {
            let damaged = || {
                Failure::damaged(format!(
                    "column {} of a row in {} does not hold {:?}",
                    column.name,
                    name(table),
                    column.column_type
                ))
            };
            value(row, at + 1, column.column_type)?.ok_or_else(damaged)
        })
        .collect()
}

fn value(row: &Row, at: usize, column_type: ColumnType) -> Result<Option<Value>, Failure> {
    Ok(match column_type {
        ColumnType::Text => match row.try_get::<_, Option<String>>(at)? {
            None => Some(Value::Null),
            Some(text) => Some(Value::Text(text)),
        },
        ColumnType::Decimal => match row.try_get::<_, Option<&str>>(at)? {
            None => Some(Value::Null),
            Some(key) => decimal_from_key(key).ok().map(Value::Decimal),
        },
        ColumnType::Integer => match row.try_get::<_, Option<i64>>(at)? {
            None => Some(Value::Null),
            Some(number) => Some(Value::Integer(number)),
        },
        ColumnType::Boolean => match row.try_get::<_, Option<bool>>(at)? {
            None => Some(Value::Null),
            Some(truth) => Some(Value::Boolean(truth)),
        },
        ColumnType::Timestamp => match row.try_get::<_, Option<i64>>(at)? {
            None => Some(Value::Null),
            Some(number) => stored_time(number).map(Value::Timestamp),
        },
    })
}

/// The type of a column, as the table is made with it.
pub(crate) fn column_type(column: &Column) -> &'static str {
    match column.column_type {
        ColumnType::Text | ColumnType::Decimal => "text COLLATE \"C\"",
        ColumnType::Integer | ColumnType::Timestamp => "bigint",
        ColumnType::Boolean => "boolean",
    }
}

/// The name of the table of a generation.
pub(crate) fn plain_name(view: &str, generation: u32) -> String {
    format!("{view}_{generation}")
}

/// `$1, $2, …` up to this number.
fn parameters(count: usize) -> String {
    (1..=count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

fn append(sql: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    sql.write_fmt(text).ok();
}
