use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use crate::domain::HandlerError;
use crate::ports::{Clock, Subscriber};
use crate::words::RecordedEvent;

/// Gives an event to a subscriber once. A panic and an attempt without end are failures like others.
pub(super) async fn attempt(
    subscriber: &dyn Subscriber,
    event: &RecordedEvent,
    timeout: Duration,
    clock: &dyn Clock,
) -> Result<(), HandlerError> {
    let mut taking = Some(Box::pin(async { subscriber.take(event).await }));
    let mut deadline = clock.sleep(timeout);
    let taken = poll_fn(|context| {
        let Some(future) = &mut taking else { return Poll::Pending };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => deadline
                .as_mut()
                .poll(context)
                .map(|()| Err(HandlerError::passing(format!("there was no end within {timeout:?}")))),
            Ok(ready) => ready,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text");
                Poll::Ready(Err(HandlerError::passing(format!("it panicked: {text}"))))
            }
        }
    })
    .await;
    // What it holds may panic as it is dropped, too.
    match catch_unwind(AssertUnwindSafe(|| drop(taking.take()))) {
        Ok(()) => taken,
        Err(_) => taken.and(Err(HandlerError::passing("it panicked as it ended"))),
    }
}
