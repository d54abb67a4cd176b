//! Pages and counts of rows, along the ways that lead to them.

use rusqlite::{Connection, Row, params_from_iter};
use underlay_core::adapter::Walk;
use underlay_core::limits::QUERY_ROWS_SCANNED_MAX;
use underlay_core::{Error, PageEnd, PagedRow, Query, TenantId};

use crate::error::Failure;
use crate::rows::query;
use crate::rows::row_table::{RowTable, Stored};

/// The rows of a page, and one more where another page follows.
///
/// # Errors
/// `TooBroad` where every way looks at more rows than it may.
pub(crate) fn page<R: PagedRow>(
    connection: &Connection,
    table: &RowTable<'_>,
    tenant: &TenantId,
    query: &Query,
    read: impl Fn(&Row<'_>) -> Result<R, Failure>,
) -> Result<Vec<R>, Failure> {
    for walk in query.page_walks() {
        if let Some(rows) = walk_page(connection, table, tenant, query, &walk, &read)? {
            return Ok(rows);
        }
    }
    Err(Failure::Answer(Error::page_too_broad()))
}

/// How many rows meet a query.
///
/// # Errors
/// As [`page`].
pub(crate) fn count(
    connection: &Connection,
    table: &RowTable<'_>,
    tenant: &TenantId,
    query: &Query,
) -> Result<u64, Failure> {
    for walk in query.count_walks() {
        if let Some(count) = count_passing(connection, table, tenant, &walk)? {
            return Ok(count);
        }
    }
    Err(Failure::Answer(Error::count_too_broad()))
}

/// How many rows between the bounds of a walk pass its tests; `None` where there are too many to look at.
fn count_passing(
    connection: &Connection,
    table: &RowTable<'_>,
    tenant: &TenantId,
    walk: &Walk<'_>,
) -> Result<Option<u64>, Failure> {
    let select = query::select_passing(table, tenant, walk);
    let mut statement = connection.prepare_cached(&select.sql)?;
    let mut found = statement.query(params_from_iter(select.values.iter().map(Stored)))?;
    let (mut looked, mut passed) = (0, 0);
    while let Some(row) = found.next()? {
        looked += 1;
        passed += u64::from(row.get::<_, bool>(0)?);
    }
    Ok((looked <= QUERY_ROWS_SCANNED_MAX).then_some(passed))
}

/// The rows of a page, and one more where another page follows; `None` where the walk looks at more rows
/// than it may.
fn walk_page<R: PagedRow>(
    connection: &Connection,
    table: &RowTable<'_>,
    tenant: &TenantId,
    query: &Query,
    walk: &Walk<'_>,
    read: impl Fn(&Row<'_>) -> Result<R, Failure>,
) -> Result<Option<Vec<R>>, Failure> {
    // What sorts takes all between its bounds; the index alone says how many that are.
    if !walk.ordered && count_passing(connection, table, tenant, &walk.without_tests())?.is_none() {
        return Ok(None);
    }
    let select = query::select_page(table, tenant, query, walk);
    let mut statement = connection.prepare_cached(&select.sql)?;
    let mut found = statement.query(params_from_iter(select.values.iter().map(Stored)))?;
    let tested = walk.ordered && walk.has_tests();
    let mut rows = Vec::new();
    let mut looked = 0;
    let (mut end, mut is_past) = (PageEnd::of(query), false);
    while !is_past && let Some(row) = found.next()? {
        looked += 1;
        if tested && looked > QUERY_ROWS_SCANNED_MAX {
            return Ok(None);
        }
        if !tested || row.get::<_, bool>(table.width())? {
            let row = read(row)?;
            is_past = end.is_past(&row);
            rows.push(row);
        }
    }
    Ok(Some(rows))
}
