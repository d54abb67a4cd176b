//! The baseline of commits: an event a statement, a statement a transaction, on a connection each. The
//! table, its indexes and its flush are the same; versions, ids and outcomes are nobody's, and positions
//! come from a sequence, so they are out of order.

use std::sync::Arc;
use std::time::Instant;

use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use crate::Result;
use crate::bench::account::Bookings;
use crate::bench::commits::{Turn, Writer};
use crate::subject::PostgresPlace;

/// Connections; with more callers they share them.
const CONNECTIONS_MAX: u64 = 64;

#[derive(Clone)]
pub(super) struct PlainInserter {
    connections: Arc<Vec<(Client, Statement)>>,
    bookings: Arc<Bookings>,
}

impl PlainInserter {
    pub(super) async fn new(place: &PostgresPlace, callers: u64, bookings: &Arc<Bookings>) -> Result<Self> {
        let admin = place.admin().await?;
        admin.batch_execute("CREATE SEQUENCE plain_positions").await?;
        let mut connections = Vec::new();
        for _ in 0..callers.min(CONNECTIONS_MAX) {
            let client = place.admin().await?;
            let insert = client
                .prepare(
                    "INSERT INTO underlay.events (position, version, recorded_at, schema_version, event_id, \
                     commit_tail, tenant, stream, type, metadata, payload) VALUES \
                     (nextval('plain_positions'), $1, 0, 1, $2, 0, 'bench', $3, $4, '{}', $5::text::json)",
                )
                .await?;
            connections.push((client, insert));
        }
        Ok(Self { connections: Arc::new(connections), bookings: bookings.clone() })
    }
}

impl Writer for PlainInserter {
    async fn write(&self, turn: Turn<'_>) -> Result<Instant> {
        let (event_type, payload) = self.bookings.of(turn.number);
        let version = i64::try_from(turn.version + 1)?;
        let at = usize::try_from(turn.caller)? % self.connections.len();
        let (client, insert) = &self.connections[at];
        let start = Instant::now();
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&version, &Uuid::now_v7(), &turn.stream.as_str(), &event_type.as_str(), &payload.as_str()];
        client.execute(insert, &values).await?;
        Ok(start)
    }
}
