use std::sync::Arc;

use underlay_core::{Clock, HandlerError, RecordedEvent, Sink};

/// Brings a batch to a sink. A panic and a batch without end are failures that may pass.
pub(super) async fn bring(
    sink: &Arc<dyn Sink>,
    events: Arc<[RecordedEvent]>,
    clock: &dyn Clock,
) -> Result<(), HandlerError> {
    let timeout = sink.timeout();
    let mut taking = Aborted(tokio::spawn({
        let sink = sink.clone();
        async move { sink.take(&events).await }
    }));
    tokio::select! {
        biased;
        taken = &mut taking.0 => {
            taken.unwrap_or_else(|error| Err(HandlerError::passing(format!("the sink ended badly: {error}"))))
        }
        () = clock.sleep(timeout) => {
            Err(HandlerError::passing(format!("the sink did not take the batch within {timeout:?}")))
        }
    }
}

/// A task that goes on no longer than somebody waits for it.
struct Aborted(tokio::task::JoinHandle<Result<(), HandlerError>>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}
