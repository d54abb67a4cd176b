//! Connections: accepted up to a limit, ended in time.
//!
//! ```text
//!  listening ── shutdown ──► draining ── all connections ended, or shutdown_wait_max ──► done
//! ```
//!
//! While it listens, a connection that sends no request for `header_wait_max` is closed, and one that
//! does not take its answer is cut (see [`pace`](super::pace)). Where all `connections_max` are there
//! and another one comes, the oldest ones are told to end, one after another: an idle one is closed at
//! once, and one that is served after its answer. Draining, no
//! connection is accepted, idle ones are closed at once, and the others after the answer they are
//! giving; what is still open at the end of `shutdown_wait_max` is cut. A commit that was begun is
//! not undone by that: asking again with its key gives its answer.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use underlay_core::{Clock, SystemClock};

use super::pace::Paced;
use super::stopping::{Ending, Stopping};

/// How long to leave accepting alone after it failed: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Between two connections that are told to end where there are too many.
const CROWDED_PAUSE: Duration = Duration::from_millis(10);
/// How often in a row accepting may fail before the service gives up.
const ACCEPT_FAILURES_MAX: u32 = 60;
/// Bytes of request line and headers.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// The bounds of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// Connections that are served at one time; more wait until one has ended.
    pub connections_max: usize,
    /// How long a connection may take to send the head of a request, idle time included.
    pub header_wait_max: Duration,
    /// How long a client may take nothing of its answer.
    pub answer_grace: Duration,
    /// Bytes a second a client takes of its answer, beyond the grace; a slower one is cut.
    pub answer_rate_min: u64,
    /// How long connections may go on after the shutdown.
    pub shutdown_wait_max: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            header_wait_max: Duration::from_secs(30),
            answer_grace: Duration::from_secs(30),
            answer_rate_min: 64 << 10,
            shutdown_wait_max: Duration::from_secs(10),
        }
    }
}

/// Serves a router within the default [`ServeLimits`] until `shutdown` ends.
///
/// # Errors
/// As [`serve_within`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_within(ServeLimits::default(), listener, router, shutdown).await
}

/// Serves a router until `shutdown` ends, and then for as long as its connections need, within limits.
///
/// # Errors
/// Where the listener fails again and again.
pub async fn serve_within(
    limits: ServeLimits,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let (ends, stopping) = Stopping::new();
    let router = router.layer(Extension(stopping));
    let mut connections = JoinSet::new();
    let served = tokio::select! {
        () = shutdown => Ok(()),
        failed = accept_all(&limits, &listener, &router, &stopped, &mut connections) => Err(failed),
    };
    drop(listener);
    ends.send_replace(Ending::Stopping);
    stop.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.shutdown_wait_max, ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections are cut: they did not end in time");
        connections.shutdown().await;
    }
    served
}

/// Accepts connections until that fails for good.
async fn accept_all(
    limits: &ServeLimits,
    listener: &TcpListener,
    router: &Router,
    stopped: &watch::Receiver<bool>,
    connections: &mut JoinSet<()>,
) -> io::Error {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let crowded = Arc::new(Notify::new());
    let mut failures = 0;
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                failures = 0;
                let place = take_place(&places, &crowded).await;
                let (router, stopped, crowded) = (router.clone(), stopped.clone(), crowded.clone());
                connections.spawn(connect(*limits, socket, router, stopped, crowded, place));
            }
            // The client went away before it was accepted.
            Err(error) if is_of_client(&error) => {}
            Err(error) if failures < ACCEPT_FAILURES_MAX => {
                failures += 1;
                tracing::error!(%error, "a connection cannot be accepted");
                SystemClock.sleep(ACCEPT_PAUSE).await;
            }
            Err(error) => return error,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// A place for a connection, once there is one; until then others are told to end.
async fn take_place(places: &Arc<Semaphore>, crowded: &Notify) -> Option<OwnedSemaphorePermit> {
    let mut waiting = pin!(places.clone().acquire_owned());
    loop {
        tokio::select! {
            biased;
            place = waiting.as_mut() => {
                // Where all had been told, this word would be for somebody who has only come.
                pin!(crowded.notified()).enable();
                // The semaphore is never closed.
                return place.ok();
            }
            () = SystemClock.sleep(CROWDED_PAUSE) => crowded.notify_one(),
        }
    }
}

fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connect(
    limits: ServeLimits,
    socket: TcpStream,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    crowded: Arc<Notify>,
    _place: Option<OwnedSemaphorePermit>,
) {
    // Answers are written whole; waiting to fill a packet only delays them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a connection went away");
        return;
    }
    let clock = Arc::new(SystemClock);
    let socket = Paced::new(socket, clock, limits.answer_grace, limits.answer_rate_min);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_wait_max)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    let mut served = pin!(served);
    let told_to_end = async {
        tokio::select! {
            _ = stopped.changed() => {}
            // Who waits longest is told first.
            () = crowded.notified() => {}
        }
    };
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = told_to_end => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
