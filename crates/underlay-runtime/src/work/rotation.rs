use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use underlay_core::TenantId;

use super::lines::LineName;

/// Lines that could be begun. Receivers take turns, and with each the tenants, and of each the lines.
#[derive(Default)]
pub(super) struct Rotation(Ring<String, Ring<TenantId, VecDeque<Arc<LineName>>>>);

/// Whoever was served goes to the end.
struct Ring<K, T> {
    order: VecDeque<K>,
    of: HashMap<K, T>,
}

impl<K, T> Default for Ring<K, T> {
    fn default() -> Self {
        Self { order: VecDeque::new(), of: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash, T: Default> Ring<K, T> {
    fn entry(&mut self, key: &K) -> &mut T {
        if !self.of.contains_key(key) {
            self.order.push_back(key.clone());
        }
        self.of.entry(key.clone()).or_default()
    }

    /// Takes from the first that gives something. `take` says also whether more is there.
    fn next<R>(&mut self, mut take: impl FnMut(&K, &mut T) -> (Option<R>, bool)) -> Option<R> {
        for _ in 0..self.order.len() {
            let key = self.order.pop_front()?;
            let Some(of) = self.of.get_mut(&key) else { continue };
            let (taken, has_more) = take(&key, of);
            match has_more {
                true => self.order.push_back(key),
                false => drop(self.of.remove(&key)),
            }
            if taken.is_some() {
                return taken;
            }
        }
        None
    }
}

impl Rotation {
    /// Puts a line at the end of those of its tenant.
    pub(super) fn push(&mut self, line: Arc<LineName>) {
        self.0.entry(&line.receiver).entry(&line.tenant).push_back(line);
    }

    /// Whether nothing waits for its turn.
    pub(super) fn is_empty(&self) -> bool {
        self.0.order.is_empty()
    }

    /// Takes the next line whose receiver and whose tenant have room.
    pub(super) fn next(
        &mut self,
        receiver_may: impl Fn(&str) -> bool,
        tenant_may: impl Fn(&str, &TenantId) -> bool,
    ) -> Option<Arc<LineName>> {
        self.0.next(|receiver, tenants| {
            if !receiver_may(receiver) {
                return (None, true);
            }
            let line = tenants.next(|tenant, lines| {
                if !tenant_may(receiver, tenant) {
                    return (None, true);
                }
                let line = lines.pop_front();
                (line, !lines.is_empty())
            });
            (line, !tenants.order.is_empty())
        })
    }
}
