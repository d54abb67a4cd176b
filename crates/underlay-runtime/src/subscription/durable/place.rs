//! Where a durable subscription is in the log: its checkpoint, and what is kept beside it.

use serde::{Deserialize, Deserializer, Serialize};
use underlay_core::{
    Checkpoint, Error, EventStore, EventStoreExt, Json, LeaseTerm, Position, ProcessStart, StoredCheckpoint,
    ViewStop,
};

use super::{Consumer, DurableSubscriptions};

/// How often a person's order to move a checkpoint is tried while it moves by itself.
const MOVES_MAX: u32 = 10;

/// What is stored beside a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept<D> {
    /// What the consumer was defined by when the checkpoint was last moved.
    #[serde(flatten)]
    pub(super) definition: D,
    /// What stopped it there; none where it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "stored_stop")]
    pub(super) stop: Option<ViewStop>,
}

fn stored_stop<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ViewStop>, D::Error> {
    let text: Option<Json> = Option::deserialize(deserializer)?;
    text.map(|text| ViewStop::from_stored(&text)).transpose().map_err(serde::de::Error::custom)
}

/// Where a consumer is in the log.
#[derive(Clone, Debug)]
pub(super) struct Place<D> {
    pub(super) stored: Checkpoint,
    pub(super) kept: Kept<D>,
    /// As far as the log was looked at; at or beyond `stored`.
    pub(super) scanned: Checkpoint,
}

impl<D> Place<D> {
    fn new(stored: Checkpoint, kept: Kept<D>) -> Self {
        Self { stored, kept, scanned: stored }
    }
}

impl DurableSubscriptions {
    /// The stored checkpoint of a consumer; `None` where the consumer is new.
    pub(super) async fn find<C: Consumer>(&self, consumer: &C) -> Result<Option<StoredCheckpoint>, Error> {
        self.checkpoints.find_checkpoint(&C::KIND.checkpoint_name(consumer.name())).await
    }

    /// A stored place.
    ///
    /// # Errors
    /// [`Error::CheckpointRefused`] where it does not fit the log; [`Error::Damaged`] where it cannot be read.
    pub(super) async fn place<C: Consumer>(
        &self,
        consumer: &C,
        stored: &StoredCheckpoint,
    ) -> Result<Place<C::Definition>, Error> {
        self.check_checkpoint(consumer, &stored.checkpoint).await?;
        Ok(Place::new(stored.checkpoint, self.kept(consumer, stored)?))
    }

    /// Makes the place of a consumer that is new.
    pub(super) async fn make_place<C: Consumer>(&self, consumer: &C) -> Result<Place<C::Definition>, Error> {
        let kept = Kept { definition: consumer.definition(), stop: None };
        let checkpoint = start_of(&*self.store, consumer.start()).await?;
        self.move_to(consumer, None, checkpoint, &kept, None).await?;
        Ok(Place::new(checkpoint, kept))
    }

    /// Refuses a checkpoint that does not fit the log.
    pub(super) async fn check_checkpoint<C: Consumer>(
        &self,
        consumer: &C,
        checkpoint: &Checkpoint,
    ) -> Result<(), Error> {
        let owner = format!("{} {}", C::KIND.word(), consumer.name());
        self.store.check_checkpoint(&owner, checkpoint, &consumer.repair(&self.program)).await
    }

    /// What is kept beside a checkpoint.
    pub(super) fn kept<C: Consumer>(
        &self,
        consumer: &C,
        stored: &StoredCheckpoint,
    ) -> Result<Kept<C::Definition>, Error> {
        stored.definition.decode().map_err(|error| {
            let (word, name, repair) = (C::KIND.word(), consumer.name(), consumer.repair(&self.program));
            Error::Damaged(format!(
                "what is kept beside the checkpoint of {word} {name} cannot be read: {error}; `{repair}` replaces it"
            ))
        })
    }

    /// Moves the checkpoint of an open place as far as `to`.
    pub(super) async fn store<C: Consumer>(
        &self,
        consumer: &C,
        lease: Option<&LeaseTerm>,
        place: &mut Place<C::Definition>,
        to: Checkpoint,
    ) -> Result<(), Error> {
        if to.position > place.stored.position {
            // It is past what stopped it.
            place.kept.stop = None;
        }
        self.move_to(consumer, Some(&place.stored), to, &place.kept, lease).await?;
        (place.stored, place.scanned) = (to, to);
        Ok(())
    }

    /// Moves a checkpoint, with what is kept beside it.
    pub(super) async fn move_to<C: Consumer>(
        &self,
        consumer: &C,
        from: Option<&Checkpoint>,
        to: Checkpoint,
        kept: &Kept<C::Definition>,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error> {
        let to = StoredCheckpoint { checkpoint: to, definition: Json::encode(kept)? };
        let name = C::KIND.checkpoint_name(consumer.name());
        self.checkpoints.move_checkpoint(&name, from, &to, lease).await
    }

    /// Takes away what stopped a consumer, in whatever process, by order of a person; whether something had.
    pub(crate) async fn retry<C: Consumer>(&self, consumer: &C) -> Result<bool, Error> {
        let Some(stored) = self.find(consumer).await? else { return Ok(false) };
        let mut kept = self.kept(consumer, &stored)?;
        let was_stopped = kept.stop.take().is_some();
        if was_stopped {
            let at = stored.checkpoint;
            self.move_to(consumer, Some(&at), at, &kept, None).await?;
        }
        self.running.look_again(consumer.name());
        Ok(was_stopped)
    }

    /// Moves the checkpoint of a consumer, in whatever process, by order of a person.
    pub(crate) async fn go_on_from<C: Consumer>(
        &self,
        consumer: &C,
        to: Checkpoint,
    ) -> Result<Position, Error> {
        let mut tries = 1;
        loop {
            let stored = self.find(consumer).await?;
            // What cannot be read is replaced: nothing else mends it.
            let kept = stored.as_ref().and_then(|stored| self.kept(consumer, stored).ok());
            let definition = kept.map_or_else(|| consumer.definition(), |kept| kept.definition);
            let from = stored.map(|stored| stored.checkpoint);
            let kept = Kept { definition, stop: None };
            match self.move_to(consumer, from.as_ref(), to, &kept, None).await {
                // Whoever follows the log has moved it between the two.
                Err(Error::CheckpointMoved { .. }) if tries < MOVES_MAX => tries += 1,
                moved => break moved?,
            }
        }
        let (kind, name) = (C::KIND.word(), consumer.name());
        tracing::warn!(kind, name, position = %to.position, "a checkpoint was moved by order of a person");
        self.running.look_again(consumer.name());
        Ok(to.position)
    }
}

/// The checkpoint that something begins at.
pub(crate) async fn start_of(store: &dyn EventStore, start: ProcessStart) -> Result<Checkpoint, Error> {
    match start {
        ProcessStart::Beginning => Ok(Checkpoint::start(store.store_id())),
        ProcessStart::Now => checkpoint_at(store, store.head().await?).await,
    }
}

/// A checkpoint at a position of the log.
pub(crate) async fn checkpoint_at(store: &dyn EventStore, position: Position) -> Result<Checkpoint, Error> {
    let start = Checkpoint::start(store.store_id());
    if position == Position::START {
        return Ok(start);
    }
    let event_id = store.event_id_at(position).await?;
    let event_id = event_id.ok_or_else(|| {
        Error::invalid(format!("the log has no event at position {position}; it ends before"))
    })?;
    Ok(Checkpoint { position, event_id: Some(event_id), ..start })
}
