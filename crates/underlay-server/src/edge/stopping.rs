//! How what lasts longer than an answer hears that the service ends.
//!
//! ```text
//!  serving ── asked to end ──► leaving ── shutdown_delay ──► stopping
//! ```
//!
//! While it is leaving, a service serves as before, and its readiness says that others should be asked. Once it is
//! stopping, no connection is accepted, and what lasts ends: a feed with a last event, a wait with what there is.
//!
//! The signal comes with every request, from [`serve_within`](crate::serve_within): so it is there for every router
//! that is served by it. A request that another server has accepted has none, and to it the service never ends.

use std::convert::Infallible;
use std::future::pending;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::watch;

/// How far the end of a service has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// It serves.
    Serving,
    /// It serves, and wants nothing new to be sent here.
    Leaving,
    /// It accepts nothing, and finishes what it has.
    Stopping,
}

/// Says when the service ends.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(watch::Receiver<Ending>);

impl Stopping {
    /// The signal of a service that serves, and what moves it.
    pub(crate) fn new() -> (watch::Sender<Ending>, Self) {
        let (ends, signal) = watch::channel(Ending::Serving);
        (ends, Self(signal))
    }

    /// Whether others should be asked.
    pub(crate) fn is_leaving(&self) -> bool {
        *self.0.borrow() >= Ending::Leaving
    }

    /// Whether what lasts has to end.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.0.borrow() >= Ending::Stopping
    }

    /// Ends once what lasts has to end.
    pub(crate) async fn stopped(&self) {
        let mut signal = self.0.clone();
        // Whoever holds the other side moves it before it is dropped.
        if signal.wait_for(|ending| *ending >= Ending::Stopping).await.is_err() {
            pending::<()>().await;
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Stopping {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self::new().1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_lasts_ends_with_the_stop_and_not_before() {
        let (ends, signal) = Stopping::new();
        assert!(!signal.is_leaving() && !signal.is_stopping());
        let mut stopped = Box::pin(signal.stopped());
        for ending in [Ending::Serving, Ending::Leaving] {
            ends.send_replace(ending);
            assert_eq!(signal.is_leaving(), ending == Ending::Leaving);
            tokio::select! {
                biased;
                () = stopped.as_mut() => panic!("it ends while the service is {ending:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        ends.send_replace(Ending::Stopping);
        stopped.await;
        assert!(signal.is_leaving() && signal.is_stopping());
        drop(ends);
        signal.stopped().await;
    }
}
