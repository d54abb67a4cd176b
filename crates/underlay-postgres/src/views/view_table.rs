//! The table of one generation of a view: its SQL.

use std::fmt::Write as _;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use underlay_core::adapter::sql_name;
use underlay_core::{Column, RowAddress, RowValues, Value, ViewTable};

use crate::connections::session::Parameter;
use crate::error::Failure;
use crate::rows::row_table::{RowTable, parameters};
use crate::rows::values::{self, Array, column_definition};

/// The table, as queries of rows name it.
pub(crate) fn rows(table: &ViewTable) -> RowTable<'_> {
    RowTable { name: name(table), schema: &table.schema, beside: &[] }
}

/// Reads the values of a row that begins with its key.
pub(crate) fn values(row: &Row, table: &ViewTable) -> Result<RowValues, Failure> {
    values::values(row, &table.schema.columns, |column| {
        Failure::damaged(format!(
            "column {} of a row in {} does not hold {:?}",
            column.name,
            name(table),
            column.column_type
        ))
    })
}

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
        append(&mut sql, format_args!("{}, ", column_definition(column)));
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

/// Reads rows of all tenants above one, by tenant and key; the tenant comes last.
pub(crate) fn scan_rows(table: &ViewTable) -> String {
    format!(
        "SELECT {}, rows.tenant FROM {} AS rows WHERE (rows.tenant, rows.\"key\") > ($1, $2) \
         ORDER BY rows.tenant, rows.\"key\" LIMIT $3",
        rows(table).selected(),
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
        parameters(1, columns.len() + 2)
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
            parameters(1, columns.len() + 2)
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

    pub(crate) fn parameters(&self) -> Vec<Parameter<'_>> {
        let mut parameters: Vec<Parameter<'_>> =
            vec![(&self.tenants, Type::TEXT_ARRAY), (&self.keys, Type::TEXT_ARRAY)];
        parameters.extend(self.columns.iter().map(Array::parameter));
        parameters
    }
}

/// The name of the table of a generation.
pub(crate) fn plain_name(view: &str, generation: u32) -> String {
    format!("{view}_{generation}")
}

fn append(sql: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    sql.write_fmt(text).ok();
}
