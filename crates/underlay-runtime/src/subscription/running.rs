use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Handle;

/// What the rest of a process knows of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Runner<S> {
    pub(crate) state: watch::Receiver<S>,
    pub(crate) handle: Handle,
}

/// The subscriptions that were started in this process, by name.
pub(crate) struct Running<S>(Mutex<BTreeMap<String, Runner<S>>>);

impl<S> Default for Running<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: Clone> Running<S> {
    pub(crate) fn insert(&self, name: &str, runner: Runner<S>) {
        self.lock().insert(name.to_owned(), runner);
    }

    pub(crate) fn find(&self, name: &str) -> Option<Runner<S>> {
        self.lock().get(name).cloned()
    }

    /// What they are doing, by name. One that has ended does nothing.
    pub(crate) fn states(&self) -> Vec<S> {
        let runners = self.lock();
        let going = runners.values().filter(|runner| runner.state.has_changed().is_ok());
        going.map(|runner| runner.state.borrow().clone()).collect()
    }

    /// Makes one look at once whether its place is still its own, or whether what stopped it is mended.
    pub(crate) fn look_again(&self, name: &str) {
        if let Some(runner) = self.lock().get(name) {
            runner.handle.look_again();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Runner<S>>> {
        // Each change is one call of the map, so a panic leaves none half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
