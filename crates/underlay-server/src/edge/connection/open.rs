//! One connection, from the moment it was accepted.
//!
//! ```text
//!  preface ─┬─ HTTP/1.1 ─► idle ⇄ answering ──────────────────────────┐
//!           │                                                         ├─► told to end ─► ended
//!           └─ HTTP/2 ───► idle ⇄ streams, at most http2_streams_max ─┘        └─ HTTP/2: no answer to that within
//!                                                                                 GOODBYE_WAIT_MAX ─► cut
//! ```
//!
//! What is idle for `header_wait_max` ends, in either protocol, and so does what has not said by then which one it
//! speaks. A client of HTTP/2 is also asked now and then whether it is there. One that resets more than it waits for is
//! cut; see [`streams`](super::streams).

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
#[cfg(feature = "tls")]
use tokio_rustls::TlsAcceptor;
use underlay_core::{Clock, SystemClock};

use super::ServeLimits;
use super::pace::Paced;
use super::preface::Prefaced;
use super::streams::Streams;
use crate::edge::stopping::{Ending, Stopping};
#[cfg(feature = "tls")]
use crate::edge::tls::CertificateFiles;
use crate::metrics::Connections;

/// Bytes of request line and headers.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Requests of HTTP/2 that were reset before they were looked at; with one more the connection ends.
const RESETS_UNSEEN_MAX: usize = 20;
/// How many streams may be reset for a mistake of the client; with one more the connection ends.
const MISTAKES_MAX: usize = 100;
/// Bytes of a request's body that may be on their way before its handler has taken any.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
/// The same, of all requests of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;
/// Bytes of an answer that are kept beyond what the client takes.
const SEND_BYTES_MAX: usize = 64 << 10;
/// How long a client of HTTP/2 may take to hear that its connection ends: to say so where it has no request in
/// progress, and to begin no more.
const GOODBYE_WAIT_MAX: Duration = Duration::from_secs(2);

/// What all connections share.
pub(super) struct Server {
    pub(super) limits: ServeLimits,
    pub(super) router: Router,
    pub(super) stopping: Stopping,
    /// Counts them.
    pub(super) connections: Connections,
    /// Tells one connection to end, where another waits for its place.
    pub(super) crowded: Arc<Notify>,
    /// What connections are opened with; none where they are open to read.
    #[cfg(feature = "tls")]
    pub(super) certificate: Option<Arc<CertificateFiles>>,
}

impl Server {
    /// A server, and what says that it ends.
    pub(super) fn new(limits: ServeLimits, router: Router) -> (watch::Sender<Ending>, Self) {
        let (ends, stopping) = Stopping::new();
        let server = Self {
            limits,
            router,
            stopping,
            connections: Connections::default(),
            crowded: Arc::default(),
            #[cfg(feature = "tls")]
            certificate: None,
        };
        (ends, server)
    }
}

/// Speaks on a connection until it ends.
pub(super) async fn open(server: Arc<Server>, socket: TcpStream, _place: Option<OwnedSemaphorePermit>) {
    let _counted = server.connections.opened();
    // Answers are written whole; waiting to fill a packet only delays them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a connection went away");
        return;
    }
    let limits = server.limits;
    let socket = Paced::new(socket, Arc::new(SystemClock), limits.answer_grace, limits.answer_rate_min);
    let told_to_end = async {
        tokio::select! {
            () = server.stopping.stopped() => {}
            // Who waits longest is told first.
            () = server.crowded.notified() => {}
        }
    };
    let mut told_to_end = pin!(told_to_end);
    #[cfg(feature = "tls")]
    if let Some(certificate) = &server.certificate {
        let shaken = async { TlsAcceptor::from(certificate.config().await).accept(socket).await };
        let shaken = tokio::select! {
            shaken = shaken => shaken,
            () = told_to_end.as_mut() => return,
            () = SystemClock.sleep(limits.header_wait_max) => return,
        };
        return match shaken {
            Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                speak_http2(&server, stream, told_to_end).await;
            }
            Ok(stream) => speak_http1(&server, stream, told_to_end).await,
            Err(error) => tracing::debug!(%error, "a connection was not opened over TLS"),
        };
    }
    let prefaced = tokio::select! {
        prefaced = Prefaced::read(socket) => prefaced,
        () = told_to_end.as_mut() => return,
        () = SystemClock.sleep(limits.header_wait_max) => return,
    };
    match prefaced {
        Ok(stream) if stream.is_http2() => speak_http2(&server, stream, told_to_end).await,
        Ok(stream) => speak_http1(&server, stream, told_to_end).await,
        Err(error) => tracing::debug!(%error, "a connection broke off"),
    }
}

async fn speak_http1(
    server: &Server,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    told_to_end: Pin<&mut impl Future<Output = ()>>,
) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(server.limits.header_wait_max)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), Requests::of(server));
    let mut served = pin!(served);
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

async fn speak_http2(
    server: &Server,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    told_to_end: Pin<&mut impl Future<Output = ()>>,
) {
    let limits = &server.limits;
    let streams = Streams::new(Arc::new(SystemClock), limits);
    let requests = StreamRequests { requests: Requests::of(server), streams: streams.clone() };
    let served = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams_max)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_UNSEEN_MAX)
        .max_local_error_reset_streams(MISTAKES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .keep_alive_interval(limits.http2_ping_interval)
        .keep_alive_timeout(limits.http2_ping_wait_max)
        .serve_connection(TokioIo::new(stream), requests);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => Some(ended),
        () = told_to_end => None,
        () = streams.idle_for(limits.header_wait_max) => None,
        () = streams.too_many_resets() => return,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            served.as_mut().graceful_shutdown();
            tokio::select! {
                ended = served.as_mut() => ended,
                // A client that says nothing to it would stay for ever, and so would one that goes on asking.
                () = streams.idle_for(GOODBYE_WAIT_MAX) => Ok(()),
                () = streams.begun_after(GOODBYE_WAIT_MAX) => Ok(()),
                () = streams.too_many_resets() => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// With a request that came over TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverTls;

/// The requests of a connection, each with what the router is told of how it came.
#[derive(Clone)]
struct Requests {
    router: TowerToHyperService<Router>,
    stopping: Stopping,
    connections: Connections,
    is_over_tls: bool,
}

impl Requests {
    fn of(server: &Server) -> Self {
        #[cfg(feature = "tls")]
        let is_over_tls = server.certificate.is_some();
        #[cfg(not(feature = "tls"))]
        let is_over_tls = false;
        Self {
            router: TowerToHyperService::new(server.router.clone()),
            stopping: server.stopping.clone(),
            connections: server.connections.clone(),
            is_over_tls,
        }
    }
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.stopping.clone());
        request.extensions_mut().insert(self.connections.clone());
        if self.is_over_tls {
            request.extensions_mut().insert(OverTls);
        }
        self.router.call(request)
    }
}

/// The same, where they go on beside each other.
struct StreamRequests {
    requests: Requests,
    streams: Streams,
}

impl Service<Request<Incoming>> for StreamRequests {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answering = self.requests.call(request);
        Box::pin(self.streams.clone().answer(answering))
    }
}
