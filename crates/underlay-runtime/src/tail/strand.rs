use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Semaphore, watch};
use underlay_core::Position;

use super::Ring;

/// What is kept for those who follow one tenant.
pub(crate) struct Strand<T> {
    /// None until the keeper has found its place.
    ring: Mutex<Option<Ring<T>>>,
    changed: watch::Sender<()>,
    /// Why nobody can go on here.
    over: OnceLock<String>,
    readers: AtomicUsize,
    /// Of its readers that are behind.
    turns: Arc<Semaphore>,
}

impl<T> Strand<T> {
    pub(crate) fn new(floor: Option<Position>, reads_max: usize) -> Self {
        Self {
            ring: Mutex::new(floor.map(Ring::new)),
            changed: watch::Sender::new(()),
            over: OnceLock::new(),
            readers: AtomicUsize::new(0),
            turns: Arc::new(Semaphore::new(reads_max)),
        }
    }

    /// One more reads here.
    pub(crate) fn enter(&self) {
        self.readers.fetch_add(1, Ordering::Relaxed);
    }

    /// One reads here no more; whether it was the last. Both are called under the lock of who keeps the strands.
    pub(crate) fn leave(&self) -> bool {
        self.readers.fetch_sub(1, Ordering::Relaxed) == 1
    }

    pub(crate) fn ring(&self) -> MutexGuard<'_, Option<Ring<T>>> {
        // Nothing below the lock can panic half way.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn turns(&self) -> &Arc<Semaphore> {
        &self.turns
    }

    /// Wakes those who wait for more.
    pub(crate) fn tell(&self) {
        self.changed.send_replace(());
    }

    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Ends it for everybody who reads here.
    pub(crate) fn end(&self, why: &str) {
        // Why it ended first is what is told.
        let _told_before = self.over.set(why.to_owned());
        self.tell();
    }

    pub(crate) fn over(&self) -> Option<&str> {
        self.over.get().map(String::as_str)
    }
}
