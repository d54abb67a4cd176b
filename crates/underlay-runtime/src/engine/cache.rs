//! The cache.

use super::Engine;
use crate::cache::{RunningFollower, TenantCache};
use crate::subscription::LiveLog;
use crate::{Exposition, Request};

impl Engine {
    /// The cache of the tenant of a request: what feature code is given.
    #[must_use]
    pub fn cache(&self, request: &Request) -> TenantCache {
        TenantCache::new(&self.0.cache, request.tenant.clone())
    }

    /// Follows the log for the cache of this process, where events take something away from it.
    pub(crate) fn start_cache(&self) -> Option<RunningFollower> {
        let ports = self.ports();
        let log = LiveLog {
            store: &ports.store,
            wakeups: &*ports.wakeups,
            clock: &ports.clock,
            config: self.config(),
        };
        Some(self.0.invalidator.as_ref()?.start(&log, &self.0.recent_log))
    }

    pub(crate) fn write_cache_metrics(&self, out: &mut Exposition) {
        self.0.cache.write_metrics(out);
    }
}
