use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::ports::{Clock, Lease, LeaseId, LeaseTerm, Leases, SystemClock, check_lease};
use crate::words::{Error, Timestamp};

/// Leases in memory.
#[derive(Clone)]
pub struct MemoryLeases {
    clock: Arc<dyn Clock>,
    leases: Arc<Mutex<HashMap<String, Lease>>>,
}

impl Default for MemoryLeases {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl std::fmt::Debug for MemoryLeases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLeases").finish_non_exhaustive()
    }
}

impl MemoryLeases {
    /// No leases yet; they run out by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, leases: Arc::default() }
    }

    /// Runs `write` while a term holds, so that nobody takes the lease meanwhile.
    pub(super) fn under<T>(
        &self,
        term: Option<&LeaseTerm>,
        write: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(term) = term else { return write() };
        let leases = self.lock();
        let now = self.clock.now();
        let holds = |lease: &Lease| lease.term() == *term && lease.expires_at > now;
        if !leases.get(&term.name).is_some_and(holds) {
            return Err(term.lost());
        }
        write()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lease>> {
        // Each change below is one call of the map, so a panic leaves none half done.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, duration: Duration) -> Timestamp {
        self.clock.now().saturating_add(duration).unwrap_or(Timestamp::MAX)
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn acquire(&self, name: &str, holder: &str, duration: Duration) -> Result<Option<Lease>, Error> {
        check_lease(name, holder, duration)?;
        let mut leases = self.lock();
        let before = leases.get(name);
        if before.is_some_and(|lease| lease.expires_at > self.clock.now()) {
            return Ok(None);
        }
        let lease = Lease {
            name: name.to_owned(),
            holder: holder.to_owned(),
            term: before.map_or(0, |lease| lease.term) + 1,
            id: LeaseId::draw(),
            expires_at: self.end(duration),
        };
        leases.insert(lease.name.clone(), lease.clone());
        Ok(Some(lease))
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, Error> {
        check_lease(&lease.name, &lease.holder, duration)?;
        let mut leases = self.lock();
        let now = self.clock.now();
        match leases.get_mut(&lease.name) {
            Some(there) if there.term() == lease.term() && there.expires_at > now => {
                there.expires_at = self.end(duration);
                Ok(there.clone())
            }
            _ => Err(lease.term().lost()),
        }
    }

    async fn find(&self, name: &str) -> Result<Option<Lease>, Error> {
        let now = self.clock.now();
        Ok(self.lock().get(name).filter(|lease| lease.expires_at > now).cloned())
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let mut leases = self.lock();
        if let Some(there) = leases.get_mut(&lease.name).filter(|there| there.term() == lease.term()) {
            // Kept, so that the next holder has a higher term.
            there.expires_at = Timestamp::MIN;
        }
        Ok(())
    }
}
