use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use underlay_core::adapter::stored_number;
use underlay_core::{Error, EventId, Json, Snapshot, Snapshots, StreamName, TenantId, Version};
use uuid::Uuid;

use crate::connections::session::{Parameter, SessionRole, Statement};
use crate::log::event_row::{self, RawJson};
use crate::log::known::fingerprint;
use crate::store::PostgresStore;

#[async_trait]
impl Snapshots for PostgresStore {
    async fn load_snapshot(&self, tenant: &TenantId, stream: &StreamName) -> Result<Option<Snapshot>, Error> {
        let (owner, name) = (tenant.as_str(), stream.as_str());
        let select = Statement::new(
            include_str!("sql/select_snapshot.sql"),
            [(&owner as _, Type::TEXT), (&name as _, Type::TEXT)],
        );
        let read = |answers: Vec<Vec<Row>>| {
            let Some(row) = answers.iter().flatten().next() else { return Ok(None) };
            Ok(Some(Snapshot {
                version: Version(event_row::count(row, 0)?),
                event_id: EventId(row.try_get::<_, Uuid>(1)?),
                fingerprint: fingerprint(row, 2, format_args!("the snapshot of {stream}"))?,
                state: Json::from_stored(row.try_get::<_, RawJson<'_>>(3)?.0),
            }))
        };
        Ok(self.0.sessions.read(&SessionRole::Writer(tenant.clone()), &[select], read).await?)
    }

    async fn store_snapshot(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        snapshot: Snapshot,
    ) -> Result<(), Error> {
        let (owner, name) = (tenant.as_str(), stream.as_str());
        let version = stored_number(snapshot.version.0);
        let (fingerprint, state) = (&snapshot.fingerprint.0[..], snapshot.state.as_str());
        let parameters: [Parameter<'_>; 6] = [
            (&owner, Type::TEXT),
            (&name, Type::TEXT),
            (&version, Type::INT8),
            (&snapshot.event_id.0, Type::UUID),
            (&fingerprint, Type::BYTEA),
            (&state, Type::TEXT),
        ];
        let sql = include_str!("sql/upsert_snapshot.sql");
        self.0.sessions.write_one(&SessionRole::Writer(tenant.clone()), sql, &parameters).await?;
        Ok(())
    }

    async fn remove_snapshot(&self, tenant: &TenantId, stream: &StreamName) -> Result<(), Error> {
        let (owner, name) = (tenant.as_str(), stream.as_str());
        let parameters: [Parameter<'_>; 2] = [(&owner, Type::TEXT), (&name, Type::TEXT)];
        let sql = include_str!("sql/delete_snapshot.sql");
        self.0.sessions.write_one(&SessionRole::Writer(tenant.clone()), sql, &parameters).await?;
        Ok(())
    }
}
