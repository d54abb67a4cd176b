use async_trait::async_trait;

use crate::ports::LeaseTerm;
use crate::words::limits::LEASE_NAME_BYTES_MAX;
use crate::words::{Checkpoint, Error, Json};

/// How far a subscription has come, as a store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The place.
    pub checkpoint: Checkpoint,
    /// What it was defined by when it was last stored; the store does not read it.
    pub definition: Json,
}

/// How far those have come that follow the log and keep no rows: processes and pumps.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *What is stored is found as it was stored, also after reopening; under another name there is none.* `a_checkpoint_is_kept`
/// 2. *A checkpoint moves from the expected place alone; otherwise it is `CheckpointMoved`, and stays. Of several who move it from one place, one does.* `a_checkpoint_moves_from_where_it_was`
/// 3. *Under a lease that is lost it does not move.* `a_lost_lease_moves_no_checkpoint`
/// 4. *Checkpoints are listed in the order of their names.* `checkpoints_are_listed`
/// 5. *A name that exceeds its limit is `Invalid` with the limit's name.* `limits_of_checkpoints_are_named`
#[async_trait]
pub trait Checkpoints: Send + Sync + 'static {
    /// Finds a checkpoint by the name of its subscription: 1 to [`LEASE_NAME_BYTES_MAX`]
    /// bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name exceeds its limit; [`Error::Unavailable`].
    async fn find_checkpoint(&self, name: &str) -> Result<Option<StoredCheckpoint>, Error>;

    /// Moves a checkpoint from where it was: `None` where there was none. The lease is of the same store.
    ///
    /// # Errors
    /// [`Error::CheckpointMoved`], [`Error::LeaseLost`], [`Error::Invalid`], [`Error::Unavailable`].
    async fn move_checkpoint(
        &self,
        name: &str,
        from: Option<&Checkpoint>,
        to: &StoredCheckpoint,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error>;

    /// Every checkpoint with its name, in the order of names.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn list_checkpoints(&self) -> Result<Vec<(String, StoredCheckpoint)>, Error>;
}

/// Checks the name of a checkpoint. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_checkpoint_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > LEASE_NAME_BYTES_MAX || name.contains('\0') {
        return Err(Error::invalid(format!(
            "the name of a checkpoint has 1 to LEASE_NAME_BYTES_MAX = {LEASE_NAME_BYTES_MAX} bytes and no NUL, this \
             one has {}",
            name.len()
        )));
    }
    Ok(())
}
