use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use underlay_core::adapter::stored_number;
use underlay_core::{Error, Lease, LeaseId, Leases, check_lease};

use crate::connections::session::{Parameter, SessionRole, Statement};
use crate::log::event_row;
use crate::store::PostgresStore;

#[async_trait]
impl Leases for PostgresStore {
    async fn acquire(&self, name: &str, holder: &str, duration: Duration) -> Result<Option<Lease>, Error> {
        check_lease(name, holder, duration)?;
        // Whoever may not write the log any more would keep others from what they can do.
        self.0.sessions.seen.check()?;
        let (span, stamp, id) = (microseconds(duration), self.0.stamp(), LeaseId::draw());
        let parameters: [Parameter<'_>; 5] = [
            (&name, Type::TEXT),
            (&holder, Type::TEXT),
            (&span, Type::INT8),
            (&stamp, Type::INT8),
            (&id.0, Type::UUID),
        ];
        // Not run again where its answer is lost: it may be held, by whom nobody knows, until it runs out.
        let sql = include_str!("sql/acquire_lease.sql");
        let rows = self.0.sessions.write_once(&SessionRole::Worker, sql, &parameters).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Lease {
            name: name.to_owned(),
            holder: holder.to_owned(),
            term: event_row::count(row, 0)?,
            id,
            expires_at: event_row::stamp(row, 1)?,
        }))
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, Error> {
        check_lease(&lease.name, &lease.holder, duration)?;
        self.0.sessions.seen.check()?;
        let (span, stamp) = (microseconds(duration), self.0.stamp());
        let term = stored_number(lease.term);
        let parameters: [Parameter<'_>; 5] = [
            (&lease.name, Type::TEXT),
            (&term, Type::INT8),
            (&span, Type::INT8),
            (&stamp, Type::INT8),
            (&lease.id.0, Type::UUID),
        ];
        let sql = include_str!("sql/renew_lease.sql");
        let rows = self.0.sessions.write_one(&SessionRole::Worker, sql, &parameters).await?;
        let row = rows.first().ok_or_else(|| lease.term().lost())?;
        Ok(Lease { expires_at: event_row::stamp(row, 0)?, ..lease.clone() })
    }

    async fn find(&self, name: &str) -> Result<Option<Lease>, Error> {
        let stamp = self.0.stamp();
        let parameters: [Parameter<'_>; 2] = [(&name, Type::TEXT), (&stamp, Type::INT8)];
        let select = Statement::new(include_str!("sql/select_lease.sql"), parameters);
        let read = |answers: Vec<Vec<Row>>| {
            let Some(row) = answers.first().and_then(|rows| rows.first()) else { return Ok(None) };
            Ok(Some(Lease {
                name: name.to_owned(),
                holder: row.try_get(0)?,
                term: event_row::count(row, 1)?,
                id: LeaseId(row.try_get(2)?),
                expires_at: event_row::stamp(row, 3)?,
            }))
        };
        Ok(self.0.sessions.read(&SessionRole::Worker, &[select], read).await?)
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let term = stored_number(lease.term);
        let parameters: [Parameter<'_>; 3] =
            [(&lease.name, Type::TEXT), (&term, Type::INT8), (&lease.id.0, Type::UUID)];
        let sql = include_str!("sql/release_lease.sql");
        self.0.sessions.write_one(&SessionRole::Worker, sql, &parameters).await?;
        Ok(())
    }
}

/// A limit of the core keeps it far below the end of the type.
fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
