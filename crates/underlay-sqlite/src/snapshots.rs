use async_trait::async_trait;
use rusqlite::Connection;
use underlay_core::adapter::stored_number;
use underlay_core::{Error, Fingerprint, Json, Snapshot, Snapshots, StreamName, TenantId, Version};

use crate::error::Failure;
use crate::log::event_row;
use crate::log::intake::Flush;
use crate::store::SqliteStore;

#[async_trait]
impl Snapshots for SqliteStore {
    async fn load_snapshot(&self, tenant: &TenantId, stream: &StreamName) -> Result<Option<Snapshot>, Error> {
        let (owner, stream) = (tenant.clone(), stream.clone());
        let load = move |connection: &Connection| {
            let mut select = connection.prepare_cached(include_str!("sql/select_snapshot.sql"))?;
            let mut rows = select.query((owner.as_str(), stream.as_str()))?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let place = format_args!("the snapshot of {stream}");
            let fingerprint = row.get(2).map_err(|error| Failure::from(error).within(place))?;
            Ok(Some(Snapshot {
                version: Version(event_row::count(row, 0, place)?),
                event_id: event_row::event_id(row, 1, place)?,
                fingerprint: Fingerprint(fingerprint),
                state: Json::from_stored(event_row::text(row, 3, place)?),
            }))
        };
        self.0.readers.read(Some(tenant), load).await
    }

    async fn store_snapshot(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        snapshot: Snapshot,
    ) -> Result<(), Error> {
        let (tenant, stream) = (tenant.clone(), stream.clone());
        let store = move |connection: &Connection| {
            let mut upsert = connection.prepare_cached(include_str!("sql/upsert_snapshot.sql"))?;
            upsert.execute((
                tenant.as_str(),
                stream.as_str(),
                stored_number(snapshot.version.0),
                &snapshot.event_id.0.as_bytes()[..],
                &snapshot.fingerprint.0[..],
                snapshot.state.as_str(),
            ))?;
            Ok(())
        };
        // A snapshot that a power cut takes back is taken again.
        self.write_beside(Flush::Later, store).await
    }

    async fn remove_snapshot(&self, tenant: &TenantId, stream: &StreamName) -> Result<(), Error> {
        let (tenant, stream) = (tenant.clone(), stream.clone());
        let remove = move |connection: &Connection| {
            let mut delete = connection.prepare_cached(include_str!("sql/delete_snapshot.sql"))?;
            delete.execute((tenant.as_str(), stream.as_str()))?;
            Ok(())
        };
        self.write_beside(Flush::Later, remove).await
    }
}
