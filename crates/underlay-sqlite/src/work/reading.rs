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
use crate::work::blocks::Blocks;
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

/// A page of ready work of a shard and lane. A block counts as looked at, whatever of it is another shard's.
pub(crate) fn ready_page(
    connection: &Connection,
    (shard, lane): (Shard, Lane),
    scope: &WorkScope,
    after: WorkPlace,
    limit: usize,
) -> Result<WorkPage, Failure> {
    let mut page = WorkPage { work: Vec::new(), scanned_to: after, at_end: true };
    let passed: HashSet<&str> = scope.passed().iter().map(TenantId::as_str).collect();
    let is_wanted = |tenant: &str| match scope {
        WorkScope::EveryTenantBut(_) => !passed.contains(tenant),
        WorkScope::Tenant(one) => one.as_str() == tenant,
    };
    let mut blocks = Blocks::after(connection, lane, after)?;
    let mut select = connection.prepare_cached(include_str!("../sql/work/select_ready_places.sql"))?;
    let mut pieces = Pieces::of(connection, Table::Ready)?;
    let mut scanned = 0;
    while let Some(block) = blocks.next()? {
        let is_full = page.work.len() >= limit || pieces.is_full();
        if !is_full {
            // Places only grow: before what is there nothing comes any more.
            page.scanned_to = page.scanned_to.max(block.before());
        }
        if scanned >= WORK_SCAN_MAX {
            page.at_end = false;
            return Ok(page);
        }
        scanned += 1;
        let from = stored_number(after.number());
        let mut places = select.query(params![lane.number(), block.0, shard.number(), from])?;
        while let Some(row) = places.next()? {
            if page.work.len() >= limit || scanned >= WORK_SCAN_MAX || pieces.is_full() {
                page.at_end = false;
                return Ok(page);
            }
            scanned += 1;
            page.scanned_to = work_row::place(row)?;
            if is_wanted(event_row::text(row, 1, AtPlace(page.scanned_to))?) {
                page.work.push(pieces.read(page.scanned_to)?);
            }
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
        if !passed.contains(event_row::text(row, 2, here)?) {
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

/// Adds the first places of a table that pass a filter.
fn places_of(
    connection: &Connection,
    table: Table,
    filter: &WorkFilter,
    after: WorkPlace,
    limit: usize,
    places: &mut Vec<(WorkPlace, Table)>,
) -> Result<(), Failure> {
    if let (Some(tenant), Table::Ready) = (&filter.tenant, table) {
        return ready_places_of(connection, tenant, filter, after, limit, places);
    }
    let (from, limit) = (stored_number(after.number()), stored_number(limit as u64));
    let (kind, receiver, key) = (filter.kind.map(WorkKind::name), &filter.receiver, &filter.key);
    let holds = filter.dead && filter.holds;
    let (mut select, mut rows);
    match (&filter.tenant, receiver, key) {
        (Some(tenant), Some(receiver), Some(key)) if holds => {
            select = connection.prepare_cached(include_str!("../sql/work/select_places_of_holders.sql"))?;
            rows = select.query(params![tenant.as_str(), receiver, key, from, kind, limit])?;
        }
        (Some(tenant), ..) => {
            select =
                table.prepare(connection, include_str!("../sql/work/select_places_of_work_of_tenant.sql"))?;
            rows = select.query(params![from, kind, receiver, key, limit, holds, tenant.as_str()])?;
        }
        (None, ..) => {
            select = table.prepare(connection, include_str!("../sql/work/select_places_of_work.sql"))?;
            rows = select.query(params![from, kind, receiver, key, limit, holds])?;
        }
    }
    while let Some(row) = rows.next()? {
        places.push((work_row::place(row)?, table));
    }
    Ok(())
}

/// Adds the first places of a tenant's ready work that pass a filter. They are among those of all tenants, so blocks are
/// looked through until one has filled the page.
fn ready_places_of(
    connection: &Connection,
    tenant: &TenantId,
    filter: &WorkFilter,
    after: WorkPlace,
    limit: usize,
    places: &mut Vec<(WorkPlace, Table)>,
) -> Result<(), Failure> {
    let (from, most) = (stored_number(after.number()), stored_number(limit as u64));
    let (kind, receiver, key) = (filter.kind.map(WorkKind::name), &filter.receiver, &filter.key);
    let shards: Vec<Shard> = match key {
        Some(key) => vec![Shard::of(tenant, key)],
        None => Shard::all().collect(),
    };
    let of_tenant = include_str!("../sql/work/select_places_of_ready_work_of_tenant.sql");
    let mut select = connection.prepare_cached(of_tenant)?;
    for lane in Lane::ALL {
        let mut blocks = Blocks::after(connection, lane, after)?;
        let mut found = 0;
        while found < limit
            && let Some(block) = blocks.next()?
        {
            for shard in &shards {
                let (lane, shard) = (lane.number(), shard.number());
                let values = params![from, kind, receiver, key, most, tenant.as_str(), lane, block.0, shard];
                let mut rows = select.query(values)?;
                while let Some(row) = rows.next()? {
                    places.push((work_row::place(row)?, Table::Ready));
                    found += 1;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::plans::file;

    /// The first place of a block, as the migration has it.
    fn block(number: i64) -> i64 {
        number << 16
    }

    fn send(connection: &Connection, shard: u16, tenant: &str, places: impl IntoIterator<Item = i64>) {
        let insert = "INSERT INTO work
                          (place, shard, lane, tenant, receiver, kind, key, name, version, work_id, commit_id, sent_at,
                           metadata, payload)
                      VALUES (?1, ?2, 1, ?3, 'mail', 'message', 'k', 'n', 1, zeroblob(16), zeroblob(16), 1, '{}', '{}')";
        let mut insert = connection.prepare(insert).unwrap();
        for place in places {
            insert.execute((place, shard, tenant)).unwrap();
        }
    }

    fn shard(number: u16) -> Shard {
        Shard::from_number(number).unwrap()
    }

    fn place(number: i64) -> WorkPlace {
        WorkPlace::from_number(number.unsigned_abs())
    }

    fn page(connection: &Connection, number: u16, scope: &WorkScope, after: i64, limit: usize) -> WorkPage {
        ready_page(connection, (shard(number), Lane::Normal), scope, place(after), limit).unwrap()
    }

    fn places(page: &WorkPage) -> Vec<i64> {
        page.work.iter().map(|read| read.work.place.number().cast_signed()).collect()
    }

    /// What a reading gives, and the steps it takes.
    fn steps<T>(connection: &mut Connection, read: impl FnOnce(&Connection) -> T) -> (T, usize) {
        let steps = Arc::new(AtomicUsize::new(0));
        let counted = steps.clone();
        let count = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        connection.progress_handler(1, Some(count)).unwrap();
        let read = read(connection);
        connection.progress_handler(0, None::<fn() -> bool>).unwrap();
        (read, steps.load(Ordering::Relaxed))
    }

    #[test]
    fn what_is_ready_is_read_across_blocks_from_any_place() {
        let connection = file();
        let own = [1, block(1) - 1, block(1), block(1) + 5, block(4), block(9) - 1, block(9)];
        send(&connection, 3, "acme", own);
        send(&connection, 3, "globex", own.map(|place| place + 2));
        send(&connection, 2, "acme", (0..12).map(|number| block(number) + 9));
        let scopes = [
            WorkScope::Tenant(TenantId::new("acme").unwrap()),
            WorkScope::EveryTenantBut(vec![TenantId::new("globex").unwrap()]),
        ];
        for scope in &scopes {
            for after in own.into_iter().flat_map(|place| [place - 1, place, place + 2]) {
                let rest: Vec<i64> = own.into_iter().filter(|place| *place > after).collect();
                for limit in 1..=own.len() {
                    let page = page(&connection, 3, scope, after, limit);
                    assert_eq!(places(&page), rest[..limit.min(rest.len())], "{limit} after {after}");
                    assert!(page.at_end || rest.len() >= limit, "{limit} after {after}");
                    let next = rest.get(limit).map(|next| place(*next));
                    assert!(next.is_none_or(|next| page.scanned_to < next), "{limit} after {after}");
                }
            }
        }
    }

    #[test]
    fn what_is_of_other_shards_is_passed_block_by_block_and_not_looked_at_again() {
        let mut connection = file();
        // Of every block two hundred pieces that are another's.
        for number in 0..60 {
            send(&connection, 7, "acme", (0..200).map(|place| block(number) + place));
        }
        let everybody = WorkScope::default();
        let (read, first) = steps(&mut connection, |connection| page(connection, 1, &everybody, 0, 100));
        assert!(read.work.is_empty() && read.at_end);
        assert_eq!(read.scanned_to, place(block(59) - 1), "what comes next may be in the last block");
        assert!(first < 60 * 60, "a block takes few steps, however much is in it: {first}");
        let after = read.scanned_to.number().cast_signed();
        let (_, again) = steps(&mut connection, |connection| page(connection, 1, &everybody, after, 100));
        assert!(again < 100, "only the last block is looked at again: {again} steps");
        send(&connection, 1, "acme", [block(59) + 300]);
        assert_eq!(places(&page(&connection, 1, &everybody, after, 100)), [block(59) + 300]);
    }

    #[test]
    fn a_reading_ends_after_so_many_blocks_and_the_next_goes_on() {
        let connection = file();
        let count = WORK_SCAN_MAX as i64 + 10;
        connection.execute_batch("BEGIN").unwrap();
        send(&connection, 7, "acme", (0..count).map(block));
        send(&connection, 1, "acme", [block(count)]);
        let first = page(&connection, 1, &WorkScope::default(), 0, 100);
        assert!(first.work.is_empty() && !first.at_end);
        let after = first.scanned_to.number().cast_signed();
        let second = page(&connection, 1, &WorkScope::default(), after, 100);
        assert_eq!((places(&second), second.at_end), (vec![block(count)], true));
    }
}
