use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{HandlerError, ProcessStart};
use crate::ports::LogFilter;
use crate::words::RecordedEvent;

/// Takes the log to somewhere else: a broker, a search engine, another database. A pump brings it there.
///
/// A batch is in the order of the log, so in that of every stream. It comes at least once: after a failure, and
/// after a process ended or lost its lease in the middle of one, the same events come again, in a batch that may
/// begin elsewhere. An event is told from another by its tenant and its
/// [`event_id`](RecordedEvent::event_id), and what is newer from what is older by its
/// [`position`](RecordedEvent::position).
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a sink",
    label = "implement `Sink`: `take`, with `#[async_trait]`"
)]
pub trait Sink: Send + Sync + 'static {
    /// Takes a batch. Once it says that it is done, the batch is not brought again.
    ///
    /// # Errors
    /// [`HandlerError`]: a failure that may pass is tried again after a pause that doubles, and the pump stands
    /// there. A final one pauses the pump until somebody has looked; it tries again from time to time.
    async fn take(&self, events: &[RecordedEvent]) -> Result<(), HandlerError>;

    /// Which events it wants; all where it does not say.
    fn filter(&self) -> LogFilter {
        LogFilter::default()
    }

    /// Where its pump begins that has never run: with the first event of the log, so that nothing is left out,
    /// where it does not say otherwise.
    fn start(&self) -> ProcessStart {
        ProcessStart::Beginning
    }

    /// How long it may take for a batch before that counts as a failure. It is dropped then, at the point where it
    /// waits.
    fn timeout(&self) -> Duration {
        Duration::from_secs(30)
    }
}
