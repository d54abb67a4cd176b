use async_trait::async_trait;
use underlay_core::{Attempts, HandlerError, Timestamp, Work};

/// One attempt at a piece of work.
pub(crate) struct Attempt<'a> {
    /// The piece.
    pub(crate) work: &'a Work,
    /// Which attempt it is, from 1.
    pub(crate) number: u32,
    /// When it is given up, unless there is a heartbeat before.
    pub(crate) deadline: Timestamp,
    /// Tells that it goes on.
    pub(crate) heartbeats: &'a tokio::sync::Notify,
}

/// Why an attempt did not do a piece of work. It is the form of every receiver's failure: a reason, and whether
/// it is final.
pub(crate) type NotDone = HandlerError;

/// Does work of one kind for one name: a handler, the runner of stored commands, the runner of a process.
///
/// What follows from the work is stored by the receiver itself, in a commit whose id derives from that of the
/// work, before it says that the work is done: so a repeat stores nothing again.
#[async_trait]
pub(crate) trait Receiver: Send + Sync {
    /// How often and for how long it is tried.
    fn attempts(&self) -> Attempts;

    /// Whether work that is given up holds its key.
    fn holds_key(&self) -> bool;

    /// Makes one attempt.
    ///
    /// # Errors
    /// [`NotDone`].
    async fn attempt(&self, attempt: Attempt<'_>) -> Result<(), NotDone>;

    /// Stores what follows from the work being given up, before it becomes a dead letter; doing it again changes
    /// nothing.
    ///
    /// # Errors
    /// What the store says: the work is given up later.
    async fn give_up(&self, work: &Work, reason: &str) -> Result<(), underlay_core::Error> {
        let _ = (work, reason);
        Ok(())
    }
}
