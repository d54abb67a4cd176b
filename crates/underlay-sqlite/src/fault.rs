use std::sync::Arc;

use crate::error::Failure;

/// A step of the writer at which a test can make it fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before the transaction begins.
    Begin,
    /// The rows of the transaction are inserted.
    Inserted,
    /// Before COMMIT: it fails and nothing is in the file.
    Commit,
    /// After COMMIT: it is in the file, and reported as failed.
    Committed,
    /// Before the fence that follows a failed COMMIT.
    Fence,
    /// Before the file is opened again.
    Reopen,
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
            Some(hook) if hook(step) => Err(Failure::Injected(step)),
            _ => Ok(()),
        }
    }
}
