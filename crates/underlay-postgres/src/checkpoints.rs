use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use underlay_core::adapter::stored_number;
use underlay_core::{
    Checkpoint, Checkpoints, Error, EventId, Json, LeaseTerm, Position, StoreId, StoredCheckpoint,
    check_checkpoint_name,
};
use uuid::Uuid;

use crate::connections::session::{Parameter, SessionRole, Statement};
use crate::error::{Failure, raised};
use crate::log::event_row::{self, RawJson};
use crate::store::PostgresStore;

#[async_trait]
impl Checkpoints for PostgresStore {
    async fn find_checkpoint(&self, name: &str) -> Result<Option<StoredCheckpoint>, Error> {
        check_checkpoint_name(name)?;
        let select = Statement::new(include_str!("sql/select_subscription.sql"), [(&name as _, Type::TEXT)]);
        let read = |answers: Vec<Vec<Row>>| {
            answers.iter().flatten().next().map(|row| stored_checkpoint(row, 0)).transpose()
        };
        Ok(self.0.sessions.read(&SessionRole::Worker, &[select], read).await?)
    }

    async fn move_checkpoint(
        &self,
        name: &str,
        from: Option<&Checkpoint>,
        to: &StoredCheckpoint,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error> {
        check_checkpoint_name(name)?;
        let stamp = self.0.stamp();
        let from_place = from.map(Place::of);
        let from_store = from_place.as_ref().map(|place| place.store);
        let from_position = from_place.as_ref().map(|place| place.position);
        let from_event = from_place.as_ref().and_then(|place| place.event);
        let (to_place, definition) = (Place::of(&to.checkpoint), to.definition.as_str());
        let lease_name = lease.map(|lease| lease.name.as_str());
        let lease_term = lease.map(|lease| stored_number(lease.term));
        let lease_id = lease.map(|lease| lease.id.0);
        let parameters: [Parameter<'_>; 12] = [
            (&name, Type::TEXT),
            (&from_store, Type::UUID),
            (&from_position, Type::INT8),
            (&from_event, Type::UUID),
            (&to_place.store, Type::UUID),
            (&to_place.position, Type::INT8),
            (&to_place.event, Type::UUID),
            (&definition, Type::TEXT),
            (&lease_name, Type::TEXT),
            (&lease_term, Type::INT8),
            (&lease_id, Type::UUID),
            (&stamp, Type::INT8),
        ];
        let sql = include_str!("sql/move_subscription.sql");
        match self.0.sessions.write_anew(&SessionRole::Worker, sql, &parameters).await {
            // It may have been moved: the checkpoint tells.
            Err(failure)
                if failure.is_lost()
                    && from != Some(&to.checkpoint)
                    && self.find_checkpoint(name).await?.as_ref() == Some(to) =>
            {
                Ok(())
            }
            Err(failure) => Err(moved(failure, name, lease).into()),
            Ok(_) => Ok(()),
        }
    }

    async fn list_checkpoints(&self) -> Result<Vec<(String, StoredCheckpoint)>, Error> {
        let select = Statement::new(include_str!("sql/select_subscriptions.sql"), []);
        let read = |answers: Vec<Vec<Row>>| {
            answers.iter().flatten().map(|row| Ok((row.try_get(0)?, stored_checkpoint(row, 1)?))).collect()
        };
        Ok(self.0.sessions.read(&SessionRole::Worker, &[select], read).await?)
    }
}

/// A checkpoint in columns.
struct Place {
    store: Uuid,
    position: i64,
    event: Option<Uuid>,
}

impl Place {
    fn of(checkpoint: &Checkpoint) -> Self {
        Self {
            store: checkpoint.store.0,
            position: stored_number(checkpoint.position.number()),
            event: checkpoint.event_id.map(|event| event.0),
        }
    }
}

fn stored_checkpoint(row: &Row, at: usize) -> Result<StoredCheckpoint, Failure> {
    let event: Option<Uuid> = row.try_get(at + 2)?;
    let definition: RawJson<'_> = row.try_get(at + 3)?;
    let checkpoint = Checkpoint {
        store: StoreId(row.try_get(at)?),
        position: Position::from_number(event_row::count(row, at + 1)?),
        event_id: event.map(EventId),
    };
    Ok(StoredCheckpoint { checkpoint, definition: Json::from_stored(definition.0) })
}

/// Why a checkpoint does not move.
fn moved(failure: Failure, name: &str, lease: Option<&LeaseTerm>) -> Failure {
    if let Some(lease) = lease.filter(|_| failure.is_raised(raised::LEASE_LOST)) {
        return Failure::Answer(lease.lost());
    }
    if failure.is_raised(raised::CHECKPOINT_MOVED) {
        return Failure::Answer(Error::CheckpointMoved { owner: name.to_owned() });
    }
    failure
}
