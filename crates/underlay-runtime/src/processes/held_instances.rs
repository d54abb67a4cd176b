//! Instances that are kept in memory, so that a step reads nothing. They may be old: a commit that expects their
//! version says so, and what is decided without a commit is decided over an instance that was read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use underlay_core::{StreamName, TenantId};

use super::instance::Instance;

/// Bytes of instances that are kept, about.
const INSTANCES_BYTES_MAX: usize = 16 << 20;
/// About what an instance takes beside what is stored of it.
const ENTRY_BYTES: usize = 512;

type Key = (TenantId, StreamName);

/// Two halves: the younger takes what is used, and where it is full it becomes the older, whose place is free.
#[derive(Default)]
pub(crate) struct HeldInstances(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    younger: HashMap<Key, (Arc<Instance>, usize)>,
    younger_bytes: usize,
    older: HashMap<Key, (Arc<Instance>, usize)>,
}

impl HeldInstances {
    pub(crate) fn get(&self, tenant: &TenantId, stream: &StreamName) -> Option<Arc<Instance>> {
        let key = (tenant.clone(), stream.clone());
        let mut halves = self.lock();
        if let Some((instance, _)) = halves.younger.get(&key) {
            return Some(instance.clone());
        }
        let (instance, bytes) = halves.older.remove(&key)?;
        halves.insert(key, instance.clone(), bytes);
        Some(instance)
    }

    /// Keeps an instance of which so many bytes are stored.
    pub(crate) fn keep(&self, tenant: &TenantId, stream: &StreamName, instance: Arc<Instance>, bytes: usize) {
        self.lock().insert((tenant.clone(), stream.clone()), instance, bytes + ENTRY_BYTES);
    }

    pub(crate) fn forget(&self, tenant: &TenantId, stream: &StreamName) {
        let key = (tenant.clone(), stream.clone());
        let mut halves = self.lock();
        halves.older.remove(&key);
        if let Some((_, bytes)) = halves.younger.remove(&key) {
            halves.younger_bytes -= bytes;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Halves> {
        // A panic between two changes leaves a count that is wrong by one instance at most, until the next turn.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Halves {
    fn insert(&mut self, key: Key, instance: Arc<Instance>, bytes: usize) {
        self.older.remove(&key);
        if let Some((_, before)) = self.younger.insert(key, (instance, bytes)) {
            self.younger_bytes -= before;
        }
        self.younger_bytes += bytes;
        if self.younger_bytes > INSTANCES_BYTES_MAX / 2 {
            self.older = std::mem::take(&mut self.younger);
            self.younger_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_makes_room() {
        let held = HeldInstances::default();
        let tenant = TenantId::new("acme").unwrap();
        let stream = |number: usize| StreamName::new("process_payment", number).unwrap();
        let large = INSTANCES_BYTES_MAX / 16;
        for number in 0..100 {
            held.keep(&tenant, &stream(number), Arc::default(), large);
            assert!(held.get(&tenant, &stream(0)).is_some(), "it was used a moment ago ({number})");
        }
        let kept = (0..100).filter(|number| held.get(&tenant, &stream(*number)).is_some()).count();
        assert!((8..=17).contains(&kept), "{kept}");
        held.forget(&tenant, &stream(0));
        assert!(held.get(&tenant, &stream(0)).is_none());
        let other = TenantId::new("globex").unwrap();
        held.keep(&tenant, &stream(1), Arc::default(), 1);
        assert!(held.get(&other, &stream(1)).is_none(), "it is another tenant's");
    }
}
