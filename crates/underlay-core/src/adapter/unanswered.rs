//! The commits a store was given and has not answered, by their ids. Every adapter with a committer
//! keeps them here; see [`EventStore::underway`](crate::ports::EventStore::underway).
//!
//! States of a commit: `Pending` from the call to its answer. `InDoubt` from when the store lost sight of
//! it until that is known, past an answer that said so. It is bounded by the queue of the store and what
//! the store writes at one time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ports::Underway;
use crate::words::{CommitId, TenantId};

/// The commits a store has not answered. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Unanswered(Arc<Mutex<HashMap<(TenantId, CommitId), Place>>>);

#[derive(Debug, Default)]
struct Place {
    /// Calls that wait for an answer: repeats have the same id.
    calls: usize,
    in_doubt: bool,
}

impl Unanswered {
    /// Notes a call. It waits until what comes back is dropped.
    #[must_use]
    pub fn enter(&self, tenant: TenantId, id: CommitId) -> Ticket {
        let key = (tenant, id);
        self.lock().entry(key.clone()).or_default().calls += 1;
        Ticket { unanswered: self.clone(), key }
    }

    /// What is noted of a commit.
    #[must_use]
    pub fn find(&self, tenant: &TenantId, id: CommitId) -> Option<Underway> {
        let places = self.lock();
        let place = places.get(&(tenant.clone(), id))?;
        Some(if place.in_doubt { Underway::InDoubt } else { Underway::Pending })
    }

    /// Ends every doubt: whatever is not stored by now never will be.
    pub fn end_doubts(&self) {
        self.lock().retain(|_, place| {
            place.in_doubt = false;
            place.calls > 0
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantId, CommitId), Place>> {
        // Each change is a plain one, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that waits for an answer. Dropped, it has it.
#[derive(Debug)]
pub struct Ticket {
    unanswered: Unanswered,
    key: (TenantId, CommitId),
}

impl Ticket {
    /// Notes that nobody knows how the commit ended, until [`Unanswered::end_doubts`].
    pub fn doubt(&self) {
        if let Some(place) = self.unanswered.lock().get_mut(&self.key) {
            place.in_doubt = true;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Entry::Occupied(mut place) = self.unanswered.lock().entry(self.key.clone()) {
            place.get_mut().calls -= 1;
            if place.get().calls == 0 && !place.get().in_doubt {
                place.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_pending_until_its_last_repeat_is_answered() {
        let (unanswered, tenant, id) =
            (Unanswered::default(), TenantId::new("acme").unwrap(), CommitId::draw());
        let other = TenantId::new("globex").unwrap();
        let first = unanswered.enter(tenant.clone(), id);
        let repeat = unanswered.enter(tenant.clone(), id);
        assert_eq!(unanswered.find(&tenant, id), Some(Underway::Pending));
        assert_eq!(unanswered.find(&other, id), None);
        drop(first);
        assert_eq!(unanswered.find(&tenant, id), Some(Underway::Pending));
        drop(repeat);
        assert_eq!(unanswered.find(&tenant, id), None);
        assert!(unanswered.lock().is_empty());
    }

    #[test]
    fn a_doubt_stays_past_the_answer_until_it_is_ended() {
        let (unanswered, tenant) = (Unanswered::default(), TenantId::new("acme").unwrap());
        let (lost, waits) = (CommitId::draw(), CommitId::draw());
        let ticket = unanswered.enter(tenant.clone(), lost);
        ticket.doubt();
        drop(ticket);
        let ticket = unanswered.enter(tenant.clone(), waits);
        ticket.doubt();
        assert_eq!(unanswered.find(&tenant, lost), Some(Underway::InDoubt));
        assert_eq!(unanswered.find(&tenant, waits), Some(Underway::InDoubt));
        unanswered.end_doubts();
        assert_eq!(unanswered.find(&tenant, lost), None);
        assert_eq!(unanswered.find(&tenant, waits), Some(Underway::Pending), "it is not answered yet");
        drop(ticket);
        assert!(unanswered.lock().is_empty());
    }
}
