//! Changes of entities, inside a transaction of the writer.

use std::collections::HashMap;
use std::iter;
use std::mem::discriminant;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql};
use underlay_core::adapter::{safe_order, sql_name, stored_number};
use underlay_core::{Change, EntityChange, EntityVersion, Error, TenantId, Value};

use crate::entities::catalogue;
use crate::error::Failure;
use crate::log::event_row;
use crate::log::unit_flight::Unit;
use crate::rows::row_table::{RowTable, Stored, change_row};

/// Stores changes that were checked, in their safe order. Where it fails, the caller takes back what was stored before.
///
/// # Errors
/// [`Failure::Answer`] of what is refused; everything else is of the file.
pub(crate) fn store(
    connection: &Connection,
    tenant: &TenantId,
    changes: &[EntityChange],
) -> Result<(), Failure> {
    let order = safe_order(changes);
    for alike in order.chunk_by(|a, b| is_alike(&changes[*a], &changes[*b])) {
        let alike = || alike.iter().map(|at| &changes[*at]);
        let Some(first) = alike().next() else { continue };
        let table = RowTable::of_entity(&first.schema);
        let mut statement = connection
            .prepare_cached(&statement(&table, &first.change))
            .map_err(|error| catalogue::explain(connection, &first.schema, error.into()))?;
        for change in alike() {
            let stored = store_one(connection, &table, &mut statement, tenant, change);
            stored.map_err(|failure| refusal(connection, &table, tenant, change, failure))?;
        }
    }
    Ok(())
}

/// Whether the units that a transaction took are stored, where nobody else has written since. An entity tells that only
/// one of them changes; none where there is no such entity.
pub(crate) fn are_stored<'u>(
    connection: &Connection,
    taken: impl Iterator<Item = &'u Unit>,
) -> Result<Option<bool>, Failure> {
    let mut touched = HashMap::new();
    for unit in taken {
        for change in &unit.commit.entities {
            let place = (&unit.tenant, change.entity(), change.id.as_str());
            touched.entry(place).and_modify(|only| *only = None).or_insert(Some(change));
        }
    }
    let only = touched.into_iter().find_map(|((tenant, ..), only)| Some((tenant, only?)));
    let Some((tenant, change)) = only else { return Ok(None) };
    let after = Some(change.version_after()).filter(|version| *version != EntityVersion::NEW);
    let actual = version(connection, &RowTable::of_entity(&change.schema), tenant, &change.id)?;
    Ok(Some(actual == after))
}

/// Whether one statement stores both.
fn is_alike(a: &EntityChange, b: &EntityChange) -> bool {
    Arc::ptr_eq(&a.schema, &b.schema) && discriminant(&a.change) == discriminant(&b.change)
}

/// The statement that stores a change: tenant, id, values, and of a creation the version, of an update the versions
/// after it and before it, of a removal the one before it or none.
pub(crate) fn statement(table: &RowTable<'_>, change: &Change) -> String {
    let columns = table.schema.columns.iter().map(|column| column.name.as_str());
    match change {
        Change::Create(_) => table.insert_row() + " ON CONFLICT (tenant, \"key\") DO NOTHING",
        Change::Update { .. } => {
            let expected = columns.len() + 4;
            table.update_row(columns.chain(iter::once("version"))) + &format!(" AND version = ?{expected}")
        }
        Change::Delete { .. } => table.delete_row() + " AND (?3 IS NULL OR version = ?3)",
    }
}

fn store_one(
    connection: &Connection,
    table: &RowTable<'_>,
    statement: &mut CachedStatement<'_>,
    tenant: &TenantId,
    change: &EntityChange,
) -> Result<(), Failure> {
    let number = |version: EntityVersion| Value::Integer(stored_number(version.0));
    let versions: Vec<Value> = match &change.change {
        Change::Create(_) => vec![number(change.version_after())],
        Change::Update { expected, .. } => vec![number(change.version_after()), number(*expected)],
        Change::Delete { expected } => vec![expected.map_or(Value::Null, number)],
    };
    let values = change.values().unwrap_or_default().iter().chain(&versions);
    if change_row(statement, tenant, &change.id, values)? == 1 {
        return Ok(());
    }
    let actual = version(connection, table, tenant, &change.id)?;
    change.check_version(actual)?;
    // It has the version that is expected, and no row was written.
    Err(Failure::damaged(format!("{} {:?}: it cannot be changed", change.entity(), change.id)))
}

/// The version that is stored.
fn version(
    connection: &Connection,
    table: &RowTable<'_>,
    tenant: &TenantId,
    id: &str,
) -> Result<Option<EntityVersion>, Failure> {
    let sql = format!("SELECT version FROM {} WHERE tenant = ?1 AND \"key\" = ?2", table.name());
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query((tenant.as_str(), id))?;
    let version = |row| event_row::count(row, 0, format_args!("{} {id:?}", table.schema.name));
    Ok(rows.next()?.map(version).transpose()?.map(EntityVersion))
}

/// What a failure of a change comes from: the answer to it, unless the file is at fault.
fn refusal(
    connection: &Connection,
    table: &RowTable<'_>,
    tenant: &TenantId,
    change: &EntityChange,
    failure: Failure,
) -> Failure {
    let taken = if failure.is_not_unique() { not_unique(connection, table, tenant, change) } else { Ok(()) };
    match taken {
        Ok(()) => catalogue::explain(connection, &change.schema, failure),
        Err(refused) => refused,
    }
}

/// Refuses a change because of the value that another entity has already; where it was to be created and is there, for
/// that.
fn not_unique(
    connection: &Connection,
    table: &RowTable<'_>,
    tenant: &TenantId,
    change: &EntityChange,
) -> Result<(), Failure> {
    if let Change::Create(_) = change.change {
        change.check_version(version(connection, table, tenant, &change.id)?)?;
    }
    // What is unique is what the table was made by: the schema at hand may be an older one.
    let Some(stored) = catalogue::find(connection, change.entity())? else { return Ok(()) };
    for column in &stored.unique {
        let value =
            change.schema.column_at(column).zip(change.values()).and_then(|(at, values)| values.get(at));
        let Some(value) = value else { continue };
        let sql = format!(
            "SELECT 1 FROM {} INDEXED BY {} WHERE tenant = ?1 AND {} = ?2 AND \"key\" <> ?3",
            table.name(),
            table.index_name(column),
            sql_name(column)
        );
        let bound: [&dyn ToSql; 3] = [&tenant.as_str(), &Stored(value), &change.id];
        if connection.prepare_cached(&sql)?.query_row(bound, |_| Ok(())).optional()?.is_some() {
            return Err(Failure::Answer(Error::not_unique(change.entity(), column)));
        }
    }
    Ok(())
}
