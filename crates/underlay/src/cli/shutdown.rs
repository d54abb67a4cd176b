//! How a process that serves or works is told to end.

use std::future::pending;

use tokio::sync::watch;

use crate::ExitError;

/// What a second signal ends with.
const AT_ONCE: &str =
    "ended at once, by a second signal; what was begun is begun again by whoever comes next";

/// Runs something until it ends by itself. At ctrl-c, or where the machine asks the program to end, what it was given
/// ends, and it has the time it takes to end in good order; at the second such signal it is given up.
///
/// # Errors
/// Its own, or that it was given up.
pub(super) async fn until_told<F: Future<Output = Result<(), ExitError>>>(
    run: impl FnOnce(Told) -> F,
) -> Result<(), ExitError> {
    let (tell, told) = watch::channel(0_u32);
    let mut twice = told.clone();
    let counting = async {
        let mut signals = Signals::new();
        loop {
            signals.next().await;
            tell.send_modify(|signals| *signals += 1);
        }
    };
    tokio::select! {
        ended = run(Told(told)) => ended,
        _ = twice.wait_for(|signals| *signals > 1) => Err(ExitError::failed(AT_ONCE)),
        never = counting => never,
    }
}

/// Whether it was a second signal that ended it.
pub(super) fn is_at_once(error: &ExitError) -> bool {
    error.message == AT_ONCE
}

/// Says when to end.
#[derive(Clone)]
pub(super) struct Told(watch::Receiver<u32>);

impl Told {
    /// Ends with the first signal.
    pub(super) async fn wait(mut self) {
        if self.0.wait_for(|signals| *signals > 0).await.is_err() {
            pending::<()>().await;
        }
    }
}

/// The signals that ask a program to end.
#[cfg(unix)]
struct Signals([Option<tokio::signal::unix::Signal>; 2]);

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        Self([SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok()))
    }

    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            () = received(interrupt) => {}
            () = received(terminate) => {}
        }
    }
}

#[cfg(unix)]
async fn received(signal: &mut Option<tokio::signal::unix::Signal>) {
    let Some(signal) = signal else { return pending().await };
    if signal.recv().await.is_none() {
        pending().await
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    }
}
