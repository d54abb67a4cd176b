//! Writes of the outer tier that go on. Whatever becomes of them, the process ends them.

use underlay_core::TenantId;

use super::TieredCache;
use super::local::{Local, Swept};
use super::writes::{Sweep, Write};

/// Keys that are written in the outer tier. Where it is dropped, the process has none of them.
pub(super) struct Writing {
    cache: TieredCache,
    tenant: TenantId,
    keys: Vec<String>,
    writes: Vec<Write>,
}

impl Writing {
    pub(super) fn begin(cache: &TieredCache, tenant: &TenantId, keys: Vec<String>) -> Self {
        let writes = cache.with(|local| {
            let begin = |key: &String| {
                local.take_away(tenant, key);
                local.writes.begin(tenant, key, false)
            };
            keys.iter().map(begin).collect()
        });
        Self { cache: cache.clone(), tenant: tenant.clone(), keys, writes }
    }

    /// Ends it with something that is done under the same lock, which is told of each whether it was alone.
    pub(super) fn end(mut self, act: impl FnOnce(&mut Local, Vec<bool>)) {
        let writes = std::mem::take(&mut self.writes);
        self.cache.with(|local| {
            let alone = writes.iter().map(|write| local.writes.end(write)).collect();
            act(local, alone);
        });
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let writes = std::mem::take(&mut self.writes);
        self.cache.with(|local| {
            for (key, write) in self.keys.iter().zip(writes) {
                local.writes.end(&write);
                local.take_away(&self.tenant, key);
            }
        });
    }
}

/// Values of a tenant that are taken away from the outer tier. Whatever comes to the process meanwhile goes with them.
pub(super) struct Sweeping {
    cache: TieredCache,
    tenant: TenantId,
    pub(super) swept: Swept,
    sweep: Sweep,
}

impl Sweeping {
    pub(super) fn begin(cache: &TieredCache, tenant: &TenantId, swept: Swept) -> Self {
        let sweep = cache.with(|local| {
            local.sweep(tenant, &swept);
            local.writes.begin_sweep(tenant)
        });
        Self { cache: cache.clone(), tenant: tenant.clone(), swept, sweep }
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.cache.with(|local| {
            local.sweep(&self.tenant, &self.swept);
            local.writes.end_sweep(&self.sweep);
        });
    }
}
