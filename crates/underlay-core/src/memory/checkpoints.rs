use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::MemoryLeases;
use crate::ports::{Checkpoints, LeaseTerm, StoredCheckpoint, check_checkpoint_name};
use crate::words::{Checkpoint, Error};

/// Checkpoints in memory, stored under leases in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryCheckpoints {
    leases: MemoryLeases,
    stored: Arc<Mutex<BTreeMap<String, StoredCheckpoint>>>,
}

impl MemoryCheckpoints {
    /// No checkpoints yet.
    #[must_use]
    pub fn new(leases: MemoryLeases) -> Self {
        Self { leases, stored: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, StoredCheckpoint>> {
        // Each change is one call of the map, so a panic leaves none half done.
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Checkpoints for MemoryCheckpoints {
    async fn find_checkpoint(&self, name: &str) -> Result<Option<StoredCheckpoint>, Error> {
        check_checkpoint_name(name)?;
        Ok(self.lock().get(name).cloned())
    }

    async fn move_checkpoint(
        &self,
        name: &str,
        from: Option<&Checkpoint>,
        to: &StoredCheckpoint,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error> {
        check_checkpoint_name(name)?;
        self.leases.under(lease, || {
            let mut stored = self.lock();
            if stored.get(name).map(|there| &there.checkpoint) != from {
                return Err(Error::CheckpointMoved { owner: name.to_owned() });
            }
            stored.insert(name.to_owned(), to.clone());
            Ok(())
        })
    }

    async fn list_checkpoints(&self) -> Result<Vec<(String, StoredCheckpoint)>, Error> {
        Ok(self.lock().iter().map(|(name, stored)| (name.clone(), stored.clone())).collect())
    }
}
