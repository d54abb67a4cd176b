use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use underlay_core::adapter::stored_number;
use underlay_core::{
    Checkpoint, Checkpoints, Error, Json, LeaseTerm, StoredCheckpoint, check_checkpoint_name,
};

use crate::error::Failure;
use crate::leases;
use crate::log::event_row;
use crate::log::intake::Flush;
use crate::store::SqliteStore;
use crate::views::catalogue;

#[async_trait]
impl Checkpoints for SqliteStore {
    async fn find_checkpoint(&self, name: &str) -> Result<Option<StoredCheckpoint>, Error> {
        check_checkpoint_name(name)?;
        let name = name.to_owned();
        self.0.readers.read(None, move |connection| find(connection, &name)).await
    }

    async fn move_checkpoint(
        &self,
        name: &str,
        from: Option<&Checkpoint>,
        to: &StoredCheckpoint,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error> {
        check_checkpoint_name(name)?;
        let (name, from, to, lease) = (name.to_owned(), from.copied(), to.clone(), lease.cloned());
        let clock = self.0.clock.clone();
        let shift = move |connection: &Connection| {
            leases::check(connection, lease.as_ref(), clock.now())?;
            if find(connection, &name)?.map(|there| there.checkpoint) != from {
                return Err(Failure::Answer(Error::CheckpointMoved { owner: name }));
            }
            let sql = include_str!("sql/checkpoints/upsert_stored_checkpoint.sql");
            connection.prepare_cached(sql)?.execute(params![
                name,
                &to.checkpoint.store.0.as_bytes()[..],
                stored_number(to.checkpoint.position.number()),
                to.checkpoint.event_id.as_ref().map(|id| &id.0.as_bytes()[..]),
                to.definition.as_str(),
            ])?;
            Ok(())
        };
        // A power cut takes it back to where it was; what follows from the events after it is known by its id.
        self.write_beside(Flush::Later, shift).await
    }

    async fn list_checkpoints(&self) -> Result<Vec<(String, StoredCheckpoint)>, Error> {
        let list = move |connection: &Connection| {
            let sql = include_str!("sql/checkpoints/select_stored_checkpoints.sql");
            let mut select = connection.prepare_cached(sql)?;
            let mut rows = select.query([])?;
            let mut listed = Vec::new();
            while let Some(row) = rows.next()? {
                let name = event_row::text(row, 4, "a checkpoint")?.to_owned();
                let stored = checkpoint(row, &name)?;
                listed.push((name, stored));
            }
            Ok(listed)
        };
        self.0.readers.read(None, list).await
    }
}

fn find(connection: &Connection, name: &str) -> Result<Option<StoredCheckpoint>, Failure> {
    let sql = include_str!("sql/checkpoints/select_stored_checkpoint.sql");
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([name])?;
    rows.next()?.map(|row| checkpoint(row, name)).transpose()
}

fn checkpoint(row: &Row<'_>, name: &str) -> Result<StoredCheckpoint, Failure> {
    let here = format_args!("checkpoint {name:?}");
    let checkpoint = catalogue::read_checkpoint(row, 0).map_err(|failure| failure.within(here))?;
    Ok(StoredCheckpoint {
        checkpoint: checkpoint.ok_or_else(|| Failure::damaged(format!("{here} has no place")))?,
        definition: Json::from_stored(event_row::text(row, 3, here)?),
    })
}
