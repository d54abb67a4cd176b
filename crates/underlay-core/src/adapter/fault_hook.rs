//! Where a test can make a step of an adapter fail.

use std::fmt;
use std::sync::Arc;

/// Says which steps fail; by default none. `S` names the steps of an adapter.
pub struct FaultHook<S>(Option<Arc<dyn Fn(S) -> bool + Send + Sync>>);

/// A step that failed since a test asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected<S>(pub S);

impl<S: Copy> FaultHook<S> {
    /// Makes those steps fail for which `hook` says true.
    pub fn new(hook: impl Fn(S) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Whether a test asks for this step.
    #[must_use]
    pub fn asks(&self, step: S) -> bool {
        self.0.as_ref().is_some_and(|hook| hook(step))
    }

    /// Passes a step.
    ///
    /// # Errors
    /// Where a test asks for it.
    pub fn at(&self, step: S) -> Result<(), Injected<S>> {
        if self.asks(step) { Err(Injected(step)) } else { Ok(()) }
    }
}

impl<S> Clone for FaultHook<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Default for FaultHook<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S> fmt::Debug for FaultHook<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "FaultHook(set)" } else { "FaultHook(none)" })
    }
}
