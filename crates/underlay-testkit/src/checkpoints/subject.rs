use std::sync::Arc;

use underlay_core::{
    Checkpoint, Checkpoints, Error, EventId, Json, LeaseTerm, Position, StoreId, StoredCheckpoint,
};

use crate::CheckpointsFixture;

/// A place in some log.
pub(super) fn place(number: u64) -> Checkpoint {
    let store = StoreId(EventId::draw().0);
    Checkpoint { store, position: Position::from_number(number), event_id: Some(EventId::draw()) }
}

/// A checkpoint to be stored.
pub(super) fn at(checkpoint: Checkpoint, definition: &str) -> StoredCheckpoint {
    StoredCheckpoint { checkpoint, definition: Json::encode(&[definition]).expect("text has a JSON form") }
}

/// The checkpoints under attack. Their ways to ask panic where the store cannot answer.
#[derive(Clone)]
pub(super) struct Subject(pub(super) Arc<dyn Checkpoints>);

impl Subject {
    pub(super) fn of<F: CheckpointsFixture>(fixture: &F) -> Self {
        Self(fixture.checkpoints())
    }

    pub(super) async fn find(&self, name: &str) -> Option<StoredCheckpoint> {
        self.0.find_checkpoint(name).await.expect("find_checkpoint answers")
    }

    pub(super) async fn list(&self) -> Vec<(String, StoredCheckpoint)> {
        self.0.list_checkpoints().await.expect("list_checkpoints answers")
    }

    /// Moves what must move.
    pub(super) async fn move_on(
        &self,
        name: &str,
        from: Option<&Checkpoint>,
        to: &StoredCheckpoint,
        lease: Option<&LeaseTerm>,
    ) {
        self.0.move_checkpoint(name, from, to, lease).await.expect("a checkpoint moves from where it was");
    }

    /// Asks for a move that must be refused because the checkpoint is elsewhere.
    pub(super) async fn assert_moved(&self, name: &str, from: Option<&Checkpoint>, to: &StoredCheckpoint) {
        let before = self.list().await;
        match self.0.move_checkpoint(name, from, to, None).await {
            Err(Error::CheckpointMoved { owner }) => {
                assert!(owner.contains(name), "{owner:?} does not say whose checkpoint it is: {name}");
            }
            other => panic!("{name} is not at {from:?}, and moving it from there gave {other:?}"),
        }
        assert_eq!(self.list().await, before, "every checkpoint stays");
    }
}
