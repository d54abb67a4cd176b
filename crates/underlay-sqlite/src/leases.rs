use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use underlay_core::adapter::{stored_number, stored_time};
use underlay_core::{Clock, Error, Lease, LeaseId, LeaseTerm, Leases, Timestamp, check_lease};
use uuid::Uuid;

use crate::error::Failure;
use crate::log::event_row;
use crate::log::intake::Flush;
use crate::store::SqliteStore;

#[async_trait]
impl Leases for SqliteStore {
    async fn acquire(&self, name: &str, holder: &str, duration: Duration) -> Result<Option<Lease>, Error> {
        check_lease(name, holder, duration)?;
        let (name, holder, clock) = (name.to_owned(), holder.to_owned(), self.0.clock.clone());
        let acquire = move |connection: &Connection| {
            let (now, expires_at) = span(&*clock, duration);
            let mut upsert = connection.prepare_cached(include_str!("sql/acquire_lease.sql"))?;
            let id = LeaseId::draw();
            let (end, now) = (expires_at.as_microsecond(), now.as_microsecond());
            let values = params![name, holder, id.0.as_bytes(), end, now];
            let term: Option<i64> = upsert.query_row(values, |row| row.get(0)).optional()?;
            Ok(term.map(|term| Lease { name, holder, term: term.unsigned_abs(), id, expires_at }))
        };
        self.write_beside(Flush::Now, acquire).await
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, Error> {
        check_lease(&lease.name, &lease.holder, duration)?;
        let (wanted, clock) = (lease.clone(), self.0.clock.clone());
        let renew = move |connection: &Connection| {
            let (now, expires_at) = span(&*clock, duration);
            let mut update = connection.prepare_cached(include_str!("sql/renew_lease.sql"))?;
            let renewed = update.execute(params![
                wanted.name,
                stored_number(wanted.term),
                wanted.id.0.as_bytes(),
                expires_at.as_microsecond(),
                now.as_microsecond()
            ])?;
            if renewed == 0 {
                return Err(Failure::Answer(wanted.term().lost()));
            }
            Ok(Lease { expires_at, ..wanted })
        };
        self.write_beside(Flush::Later, renew).await
    }

    async fn find(&self, name: &str) -> Result<Option<Lease>, Error> {
        let (name, now) = (name.to_owned(), self.0.clock.now());
        let find = move |connection: &Connection| {
            let mut select = connection.prepare_cached(include_str!("sql/select_lease.sql"))?;
            let mut rows = select.query(params![name, now.as_microsecond()])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let place = format_args!("lease {name:?}");
            let holder = event_row::text(row, 0, place)?.to_owned();
            let term = event_row::count(row, 1, place)?;
            let id = LeaseId(Uuid::from_bytes(row.get(2)?));
            // It lies ahead, so it is a time.
            let expires_at = stored_time(row.get(3)?).unwrap_or(Timestamp::MAX);
            Ok(Some(Lease { holder, term, id, expires_at, name: name.clone() }))
        };
        self.0.readers.read(None, find).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let lease = lease.clone();
        let release = move |connection: &Connection| {
            let mut update = connection.prepare_cached(include_str!("sql/release_lease.sql"))?;
            // The row stays, so that the next holder has a higher term.
            let (term, id) = (stored_number(lease.term), lease.id.0.as_bytes());
            update.execute(params![lease.name, term, id, i64::MIN])?;
            Ok(())
        };
        self.write_beside(Flush::Later, release).await
    }
}

/// Refuses a write under a lease that does not hold.
pub(crate) fn check(
    connection: &Connection,
    term: Option<&LeaseTerm>,
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(term) = term else { return Ok(()) };
    let mut select = connection.prepare_cached(include_str!("sql/exists_lease.sql"))?;
    let (number, id) = (stored_number(term.term), term.id.0.as_bytes());
    let holds = select.exists(params![term.name, number, id, now.as_microsecond()])?;
    if holds { Ok(()) } else { Err(Failure::Answer(term.lost())) }
}

/// The time now, and that at which what is taken now runs out.
pub(crate) fn span(clock: &dyn Clock, duration: Duration) -> (Timestamp, Timestamp) {
    let now = clock.now();
    (now, now.saturating_add(duration).unwrap_or(Timestamp::MAX))
}
