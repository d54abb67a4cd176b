use std::sync::Arc;

use crate::error::Failure;

/// A step of the committer at which a test can make it fail as if its connection was lost, or take
/// another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before the batch is sent.
    Send,
    /// Its answer has come: it is stored.
    Answered,
    /// Before the fence that follows a lost answer.
    Fence,
    /// A commit alone in its batch is written as one that is not.
    Alone,
}

/// Says which steps fail; by default none.
#[derive(Clone, Default)]
pub(crate) struct FaultHook(Option<Arc<dyn Fn(Step) -> bool + Send + Sync>>);

impl FaultHook {
    pub(crate) fn new(hook: impl Fn(Step) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(crate) fn at(&self, step: Step) -> Result<(), Failure> {
        if self.asks(step) { Err(Failure::Lost(format!("injected at {step:?}"))) } else { Ok(()) }
    }

    pub(crate) fn asks(&self, step: Step) -> bool {
        self.0.as_ref().is_some_and(|hook| hook(step))
    }
}
