//! Reading work: what is ready, what is due, and what a person looks at. Nothing is written.
//!
//! A read walks over places, which an index holds with all it has to test, and then looks up the pieces
//! that are asked for.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use underlay_core::adapter::{PAGE_BYTES_MAX, StoredNames, stored_number, work_bytes};
use underlay_core::limits::WORK_SCAN_MAX;
use underlay_core::{
    CommitId, DueLook, DuePage, DuePlace, Lane, ReadWork, Shard, TenantId, Timestamp, Work, WorkFilter,
    WorkInfo, WorkKind, WorkList, WorkPage, WorkPlace, WorkScope, WorkStanding,
};

use crate::error::Failure;
use crate::log::event_row;
use crate::work::sending::place_of;
use crate::work::table::Table;
use crate::work::work_row::{self, AtPlace, IS_BLOCKED};

/// Looks pieces up by their places.
struct Pieces<'c> {
    select: CachedStatement<'c>,
    names: StoredNames,
    /// What those that were read come to.
    bytes: usize,
}

impl<'c> Pieces<'c> {
    fn of(connection: &'c Connection, table: Table) -> Result<Self, Failure> {
        let select = table.prepare(connection, include_str!("../sql/work/select_work.sql"))?;
        Ok(Self { select, names: StoredNames::default(), bytes: 0 })
    }

    /// The piece at a place, with what `further` makes of the rest of its row.
    fn find<T>(
        &mut self,
        place: WorkPlace,
        further: impl FnOnce(&Row<'_>) -> Result<T, Failure>,
    ) -> Result<Option<(Work, T)>, Failure> {
        let mut rows = self.select.query([stored_number(place.number())])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let work = work_row::work(row, &mut self.names)?;
        self.bytes += work_bytes(&work);
        Ok(Some((work, further(row)?)))
    }

    /// The piece at a place that an index names.
    fn read(&mut self, place: WorkPlace) -> Result<ReadWork, Failure> {
        let is_blocked = |row: &Row<'_>| work_row::flag(row, IS_BLOCKED, AtPlace(place));
        let found = self.find(place, is_blocked)?;
        let (work, is_blocked) = found.ok_or_else(|| missing(place))?;
        Ok(ReadWork { work, is_blocked })
    }

    fn is_full(&self) -> bool {
        self.bytes >= PAGE_BYTES_MAX
    }
}

fn missing(place: WorkPlace) -> Failure {
    Failure::damaged(format!("{} is missing, an index has it", AtPlace(place)))
}

/// A page of ready work of a shard and lane.
pub(crate) fn ready_page(
    connection: &Connection,
    (shard, lane): (Shard, Lane),
    scope: &WorkScope,
    after: WorkPlace,
    limit: usize,
) -> Result<WorkPage, Failure> {
    let mut page = WorkPage { work: Vec::new(), scanned_to: after, at_end: true };
    let (number, lane, from) = (shard.number(), lane.number(), stored_number(after.number()));
    let (mut select, passed);
    let mut places = match scope {
        WorkScope::EveryTenantBut(tenants) => {
            passed = tenants.iter().map(TenantId::as_str).collect();
            select = connection.prepare_cached(include_str!("../sql/work/select_ready_places.sql"))?;
            select.query(params![number, lane, from])?
        }
        WorkScope::Tenant(tenant) => {
            passed = HashSet::new();
            select =
                connection.prepare_cached(include_str!("../sql/work/select_ready_places_of_tenant.sql"))?;
            select.query(params![number, lane, from, tenant.as_str()])?
        }
    };
    let mut pieces = Pieces::of(connection, Table::Ready)?;
    let mut scanned = 0;
    while let Some(row) = places.next()? {
        if page.work.len() >= limit || scanned >= WORK_SCAN_MAX || pieces.is_full() {
            page.at_end = false;
            break;
        }
        scanned += 1;
        page.scanned_to = work_row::place(row)?;
        let here = AtPlace(page.scanned_to);
        if passed.is_empty() || !passed.contains(event_row::text(row, 1, here)?) {
            page.work.push(pieces.read(page.scanned_to)?);
        }
    }
    Ok(page)
}

/// What is due of a shard, and how long until the next is.
pub(crate) fn due_page(
    connection: &Connection,
    shard: Shard,
    look: &DueLook,
    limit: usize,
    now: Timestamp,
) -> Result<DuePage, Failure> {
    let except: HashSet<WorkPlace> = look.except.iter().copied().collect();
    let mut page = DuePage { work: Vec::new(), scanned_to: look.after, at_end: true, next_due_in: None };
    let (number, moment) = (shard.number(), now.as_microsecond());
    let after = (look.after.due_at.as_microsecond(), stored_number(look.after.place.number()));
    let (mut select, passed);
    let mut places = match &look.scope {
        WorkScope::EveryTenantBut(tenants) => {
            passed = tenants.iter().map(TenantId::as_str).collect();
            select = connection.prepare_cached(include_str!("../sql/work/select_due_places.sql"))?;
            select.query(params![number, after.0, after.1, moment])?
        }
        WorkScope::Tenant(tenant) => {
            passed = HashSet::new();
            select =
                connection.prepare_cached(include_str!("../sql/work/select_due_places_of_tenant.sql"))?;
            select.query(params![number, after.0, after.1, moment, tenant.as_str()])?
        }
    };
    let mut pieces = Pieces::of(connection, Table::Later)?;
    let mut scanned = 0;
    while let Some(row) = places.next()? {
        let place = work_row::place(row)?;
        let here = AtPlace(place);
        if except.contains(&place) {
            continue;
        }
        if page.work.len() >= limit || scanned >= WORK_SCAN_MAX || pieces.is_full() {
            (page.at_end, page.next_due_in) = (false, Some(Duration::ZERO));
            return Ok(page);
        }
        scanned += 1;
        let due_at = event_row::time(row, 1, here)?.unwrap_or(Timestamp::MIN);
        page.scanned_to = DuePlace { due_at, place };
        if passed.is_empty() || !passed.contains(event_row::text(row, 2, here)?) {
            page.work.push(pieces.read(place)?);
        }
    }
    let mut next = connection.prepare_cached(include_str!("../sql/work/select_next_due.sql"))?;
    let mut rows = next.query(params![number, moment])?;
    while let Some(row) = rows.next()? {
        let place = work_row::place(row)?;
        if !except.contains(&place) {
            let next = event_row::time(row, 1, AtPlace(place))?;
            page.next_due_in = next.map(|next| now.duration_until(next).try_into().unwrap_or_default());
            break;
        }
    }
    Ok(page)
}

/// Finds a tenant's piece of work by its commit, which stays at least as long.
pub(crate) fn find(
    connection: &Connection,
    tenant: &TenantId,
    commit: CommitId,
    number: u32,
) -> Result<Option<WorkInfo>, Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/work/select_commit_sequence.sql"))?;
    let sequence: Option<i64> =
        select.query_row((tenant.as_str(), &commit.0.as_bytes()[..]), |row| row.get(0)).optional()?;
    let Some(sequence) = sequence else { return Ok(None) };
    let place = place_of(sequence, number)?;
    for table in [Table::Ready, Table::Later, Table::Dead] {
        if let Some(info) = info(&mut Pieces::of(connection, table)?, table, place)? {
            // A number past what a commit sends is a place of another.
            let is_it = info.work.tenant == *tenant && info.work.commit_id == commit;
            return Ok(Some(info).filter(|_| is_it));
        }
    }
    Ok(None)
}

fn info(pieces: &mut Pieces<'_>, table: Table, place: WorkPlace) -> Result<Option<WorkInfo>, Failure> {
    let found = pieces.find(place, |row| match table {
        Table::Ready | Table::Later => Ok(None),
        Table::Dead => work_row::dead(row, place).map(Some),
    })?;
    Ok(found.map(|(work, dead)| {
        let standing = match (table, work.sent.due_at) {
            (Table::Ready | Table::Dead, _) => WorkStanding::Ready,
            (Table::Later, Some(_)) => WorkStanding::Later,
            (Table::Later, None) => WorkStanding::Behind,
        };
        WorkInfo { work, standing: dead.unwrap_or(standing) }
    }))
}

/// Lists work in the order of places.
pub(crate) fn list(
    connection: &Connection,
    filter: &WorkFilter,
    after: WorkPlace,
    limit: usize,
) -> Result<WorkList, Failure> {
    let tables: &[Table] = if filter.dead { &[Table::Dead] } else { &[Table::Ready, Table::Later] };
    let mut places: Vec<(WorkPlace, Table)> = Vec::new();
    for table in tables {
        // One more tells whether more follows.
        places_of(connection, *table, filter, after, limit + 1, &mut places)?;
    }
    places.sort_unstable_by_key(|(place, _)| *place);
    let mut pieces = tables
        .iter()
        .map(|table| Ok((*table, Pieces::of(connection, *table)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let mut list = WorkList { work: Vec::with_capacity(places.len().min(limit)), at_end: true };
    for (place, table) in places {
        let bytes: usize = pieces.iter().map(|(_, pieces)| pieces.bytes).sum();
        if list.work.len() >= limit || bytes >= PAGE_BYTES_MAX {
            list.at_end = false;
            break;
        }
        let of_table = pieces.iter_mut().find(|(of, _)| *of == table);
        let found = of_table.map(|(_, pieces)| info(pieces, table, place)).transpose()?.flatten();
        list.work.push(found.ok_or_else(|| missing(place))?);
    }
    Ok(list)
}

/// Adds the first places of a table that pass a filter. Ready work of a tenant is found by shard and lane.
fn places_of(
    connection: &Connection,
    table: Table,
    filter: &WorkFilter,
    after: WorkPlace,
    limit: usize,
    places: &mut Vec<(WorkPlace, Table)>,
) -> Result<(), Failure> {
    let (from, limit) = (stored_number(after.number()), stored_number(limit as u64));
    let (kind, receiver, key) = (filter.kind.map(WorkKind::name), &filter.receiver, &filter.key);
    let mut add = |mut rows: rusqlite::Rows<'_>| -> Result<(), Failure> {
        while let Some(row) = rows.next()? {
            places.push((work_row::place(row)?, table));
        }
        Ok(())
    };
    let Some(tenant) = &filter.tenant else {
        let places = include_str!("../sql/work/select_places_of_work.sql");
        let mut select = table.prepare(connection, places)?;
        return add(select.query(params![from, kind, receiver, key, limit])?);
    };
    let owner = tenant.as_str();
    if table != Table::Ready {
        let places = include_str!("../sql/work/select_places_of_work_of_tenant.sql");
        let mut select = table.prepare(connection, places)?;
        return add(select.query(params![from, kind, receiver, key, limit, owner])?);
    }
    let places = include_str!("../sql/work/select_places_of_ready_work_of_tenant.sql");
    let mut select = connection.prepare_cached(places)?;
    let of_key = key.as_ref().map(|key| Shard::of(tenant, key));
    for shard in Shard::all().filter(|shard| of_key.is_none_or(|of_key| of_key == *shard)) {
        for lane in Lane::ALL {
            let (shard, lane) = (shard.number(), lane.number());
            add(select.query(params![from, kind, receiver, key, limit, owner, shard, lane])?)?;
        }
    }
    Ok(())
}
