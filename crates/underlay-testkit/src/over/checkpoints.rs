use async_trait::async_trait;
use underlay_core::{Checkpoint, Checkpoints, Error, LeaseTerm, StoredCheckpoint};

use crate::Over;

/// A call of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckpointsCall {
    /// [`Checkpoints::find_checkpoint`].
    Find,
    /// [`Checkpoints::move_checkpoint`].
    Move,
    /// [`Checkpoints::list_checkpoints`].
    List,
}

/// Lies over checkpoints. What it does not say itself is asked of the port below.
#[async_trait]
pub trait CheckpointsLayer: Send + Sync + 'static {
    /// The port below.
    type Below: Checkpoints;

    /// The port below.
    fn below(&self) -> &Self::Below;

    /// What happens around a call that is passed on: before its effect, after it, or in its place. A call that
    /// the layer answers itself does not come here.
    fn around<T: Send>(
        &self,
        _: CheckpointsCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        effect
    }

    /// [`Checkpoints::find_checkpoint`].
    async fn find_checkpoint(&self, name: &str) -> Result<Option<StoredCheckpoint>, Error> {
        self.around(CheckpointsCall::Find, self.below().find_checkpoint(name)).await
    }

    /// [`Checkpoints::move_checkpoint`].
    async fn move_checkpoint(
        &self,
        name: &str,
        from: Option<&Checkpoint>,
        to: &StoredCheckpoint,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error> {
        self.around(CheckpointsCall::Move, self.below().move_checkpoint(name, from, to, lease)).await
    }

    /// [`Checkpoints::list_checkpoints`].
    async fn list_checkpoints(&self) -> Result<Vec<(String, StoredCheckpoint)>, Error> {
        self.around(CheckpointsCall::List, self.below().list_checkpoints()).await
    }
}

#[async_trait]
impl<L: CheckpointsLayer> Checkpoints for Over<L> {
    async fn find_checkpoint(&self, name: &str) -> Result<Option<StoredCheckpoint>, Error> {
        self.0.find_checkpoint(name).await
    }
    async fn move_checkpoint(
        &self,
        name: &str,
        from: Option<&Checkpoint>,
        to: &StoredCheckpoint,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error> {
        self.0.move_checkpoint(name, from, to, lease).await
    }
    async fn list_checkpoints(&self) -> Result<Vec<(String, StoredCheckpoint)>, Error> {
        self.0.list_checkpoints().await
    }
}
