use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::ports::{Snapshot, Snapshots};
use crate::words::{Error, StreamName, TenantId};

/// Stored states, in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySnapshots(Arc<Mutex<HashMap<(TenantId, StreamName), Snapshot>>>);

impl MemorySnapshots {
    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantId, StreamName), Snapshot>> {
        // Each change below is one call of the map, so a panic leaves none half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Snapshots for MemorySnapshots {
    async fn load_snapshot(&self, tenant: &TenantId, stream: &StreamName) -> Result<Option<Snapshot>, Error> {
        Ok(self.lock().get(&(tenant.clone(), stream.clone())).cloned())
    }

    async fn store_snapshot(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        snapshot: Snapshot,
    ) -> Result<(), Error> {
        let mut snapshots = self.lock();
        let key = (tenant.clone(), stream.clone());
        let stays =
            |there: &Snapshot| there.version > snapshot.version && there.fingerprint == snapshot.fingerprint;
        if !snapshots.get(&key).is_some_and(stays) {
            snapshots.insert(key, snapshot);
        }
        Ok(())
    }

    async fn remove_snapshot(&self, tenant: &TenantId, stream: &StreamName) -> Result<(), Error> {
        self.lock().remove(&(tenant.clone(), stream.clone()));
        Ok(())
    }
}
