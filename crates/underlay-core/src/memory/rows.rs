//! Queries of rows in memory: of views and of entities.

use std::cmp::Ordering;

use crate::adapter::Walk;
use crate::domain::{Direction, Query, RowValues};
use crate::words::limits::QUERY_ROWS_SCANNED_MAX;
use crate::words::{Error, RowSchema, Value};

/// A row by its key.
pub(super) type Keyed<'r> = (&'r str, &'r RowValues);

/// Of all rows of a tenant those of a page, and one more where another page follows.
pub(super) fn page<'r>(
    schema: &RowSchema,
    rows: &[Keyed<'r>],
    query: &Query,
) -> Result<Vec<Keyed<'r>>, Error> {
    let walks = query.page_walks();
    walks.iter().find_map(|walk| page_along(schema, rows, query, walk)).ok_or_else(Error::page_too_broad)
}

/// How many of all rows of a tenant meet the query.
pub(super) fn count(schema: &RowSchema, rows: &[Keyed<'_>], query: &Query) -> Result<u64, Error> {
    let walks = query.count_walks();
    walks.iter().find_map(|walk| count_along(schema, rows, walk)).ok_or_else(Error::count_too_broad)
}

/// `None` where the walk looks at more rows than it may.
fn page_along<'r>(
    schema: &RowSchema,
    rows: &[Keyed<'r>],
    query: &Query,
    walk: &Walk<'_>,
) -> Option<Vec<Keyed<'r>>> {
    let directed = |order: Ordering| match query.sort.direction {
        Direction::Ascending => order,
        Direction::Descending => order.reverse(),
    };
    let last = query.after.as_ref().map(|cursor| (cursor.value.clone(), cursor.key.clone()));
    let beyond = |row: &Keyed<'_>| {
        let place = place(schema, query, *row);
        last.as_ref().is_none_or(|last| directed(place.cmp(last)) == Ordering::Greater)
    };
    let mut rows = between(schema, rows, walk);
    if walk.ordered {
        rows.retain(beyond);
    } else if rows.len() > QUERY_ROWS_SCANNED_MAX {
        return None;
    }
    rows.sort_by_cached_key(|row| place(schema, query, *row));
    if query.sort.direction == Direction::Descending {
        rows.reverse();
    }
    let mut page = Vec::new();
    for (looked, row) in rows.into_iter().enumerate() {
        if walk.ordered && looked == QUERY_ROWS_SCANNED_MAX {
            return None;
        }
        if walk.passes(schema, row.1) && (walk.ordered || beyond(&row)) {
            page.push(row);
        }
        if page.len() > query.limit {
            break;
        }
    }
    Some(page)
}

/// `None` where the walk looks at more rows than it may.
fn count_along(schema: &RowSchema, rows: &[Keyed<'_>], walk: &Walk<'_>) -> Option<u64> {
    let rows = between(schema, rows, walk);
    let passing = || rows.iter().filter(|(_, row)| walk.passes(schema, row)).count() as u64;
    (rows.len() <= QUERY_ROWS_SCANNED_MAX).then(passing)
}

/// The rows between the bounds of a walk.
fn between<'r>(schema: &RowSchema, rows: &[Keyed<'r>], walk: &Walk<'_>) -> Vec<Keyed<'r>> {
    rows.iter().filter(|(_, row)| walk.looks_at(schema, row)).copied().collect()
}

/// Where a row lies in the order asked for.
fn place(schema: &RowSchema, query: &Query, (key, row): Keyed<'_>) -> (Option<Value>, String) {
    let sort_at = query.sort.column.as_deref().and_then(|name| schema.column_at(name));
    (sort_at.map(|at| row[at].clone()), key.to_owned())
}
