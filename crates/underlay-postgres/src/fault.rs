use std::sync::Arc;

use crate::error::Failure;

/// A step of the committer at which a test can make it fail as if its connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before the batch is sent.
    Send,
    /// Its answer has come: it is stored.
    Answered,
    /// Before the fence that follows a lost answer.
    Fence,
}

/// Says which steps fail; by default none.
#[derive(Clone, Default)]
pub(crate) struct FaultHook(Option<Arc<dyn Fn(Step) -> bool + Send + Sync>>);

impl FaultHook {
    pub(crate) fn new(hook: impl Fn(Step) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(crate) fn at(&self, step: Step) -> Result<(), Failure> {
        match &self.0 {
            Some(hook) if hook(step) => Err(Failure::Lost(format!("injected at {step:?}"))),
            _ => Ok(()),
        }
    }
}
