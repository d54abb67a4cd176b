//! Connections: accepted up to a limit, ended in time.
//!
//! ```text
//!  serving ── shutdown ──► leaving ── shutdown_delay ──► stopping ── all ended, or shutdown_wait_max ──► done
//! ```
//!
//! While it serves, a connection that sends no request for `header_wait_max` is closed, and one that
//! does not take its answer is cut (see [`pace`](super::pace)). Where all `connections_max` are there
//! and another one comes, the oldest ones are told to end, one after another: an idle one is closed at
//! once, and one that is served after its answers.
//!
//! Leaving, it serves as before, and its readiness sends others elsewhere: a balancer that asks every few seconds
//! would otherwise send requests to a port where nobody listens. Stopping, no
//! connection is accepted, idle ones are closed at once, and the others after the answers they are
//! giving; what is still open at the end of `shutdown_wait_max` is cut. What lasts hears of it by
//! [`Stopping`](crate::edge::stopping::Stopping). A commit that was begun is
//! not undone by that: asking again with its key gives its answer.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use underlay_core::{Clock, SystemClock};

use super::open::{Server, open};
use crate::edge::stopping::Ending;
#[cfg(feature = "tls")]
use crate::edge::tls::CertificateFiles;

/// How long to leave accepting alone after it failed: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Between two connections that are told to end where there are too many.
const CROWDED_PAUSE: Duration = Duration::from_millis(10);
/// How often in a row accepting may fail before the service gives up.
const ACCEPT_FAILURES_MAX: u32 = 60;

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
    /// How long it goes on as before once it is asked to end, and says that it is not ready.
    pub shutdown_delay: Duration,
    /// How long connections may go on after that.
    pub shutdown_wait_max: Duration,
    /// Requests that one connection of HTTP/2 may have in progress.
    pub http2_streams_max: u32,
    /// After how long a silence a client of HTTP/2 is asked whether it is there.
    pub http2_ping_interval: Duration,
    /// How long it may take to say so.
    pub http2_ping_wait_max: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            header_wait_max: Duration::from_secs(30),
            answer_grace: Duration::from_secs(30),
            answer_rate_min: 64 << 10,
            shutdown_delay: Duration::ZERO,
            shutdown_wait_max: Duration::from_secs(10),
            http2_streams_max: 100,
            http2_ping_interval: Duration::from_secs(30),
            http2_ping_wait_max: Duration::from_secs(20),
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
    let (ends, server) = Server::new(limits, router);
    serve_all(server, ends, listener, shutdown).await
}

/// As [`serve_within`], over TLS. The handshake of a connection takes at most `header_wait_max`.
///
/// # Errors
/// As [`serve_within`].
#[cfg(feature = "tls")]
pub async fn serve_tls_within(
    limits: ServeLimits,
    listener: TcpListener,
    certificate: Arc<CertificateFiles>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (ends, server) = Server::new(limits, router);
    serve_all(Server { certificate: Some(certificate), ..server }, ends, listener, shutdown).await
}

async fn serve_all(
    server: Server,
    ends: watch::Sender<Ending>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let limits = server.limits;
    let server = Arc::new(server);
    let mut connections = JoinSet::new();
    let left = async {
        shutdown.await;
        ends.send_replace(Ending::Leaving);
        SystemClock.sleep(limits.shutdown_delay).await;
    };
    let served = tokio::select! {
        () = left => Ok(()),
        failed = accept_all(&server, &listener, &mut connections) => Err(failed),
    };
    drop(listener);
    ends.send_replace(Ending::Stopping);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.shutdown_wait_max, ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections are cut: they did not end in time");
        connections.shutdown().await;
    }
    served
}

/// Accepts connections until that fails for good.
async fn accept_all(
    server: &Arc<Server>,
    listener: &TcpListener,
    connections: &mut JoinSet<()>,
) -> io::Error {
    let places = Arc::new(Semaphore::new(server.limits.connections_max));
    let mut failures = 0;
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                failures = 0;
                let place = take_place(&places, &server.crowded).await;
                connections.spawn(open(server.clone(), socket, place));
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
