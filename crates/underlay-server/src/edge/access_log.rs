//! One line for every request, in the log of the service with the target `access`.
//!
//! ```text
//!  begun ─► answered ─► its body taken to the end ──► line
//!    │          └────── its body left where it is ──► line, cut
//!    └───── the client went away, or the time was up ─► line, cut, without a status
//! ```
//!
//! A line names the route and never the path: the addresses of links have secrets in them, and those of streams have
//! what is a tenant's. For the same reason no query and no header is in it. A client that goes away midway leaves its
//! line too, so who only begins requests is seen.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use underlay_core::{Clock, Timestamp};

use super::asked::Asked;
use crate::app::App;

/// The target of the lines that requests leave in the log, at the level `INFO`.
pub const ACCESS_LOG_TARGET: &str = "access";

/// The line of a request, written when it is dropped.
pub(crate) struct AccessLine {
    asked: Arc<Asked>,
    clock: Arc<dyn Clock>,
    begun: Timestamp,
    method: &'static str,
    route: Option<MatchedPath>,
    status: Option<StatusCode>,
    bytes: u64,
    is_whole: bool,
}

impl AccessLine {
    /// Begins the line of a request; none where nobody reads it.
    pub(crate) fn begin(app: &App, request: &Request, asked: &Arc<Asked>) -> Option<Self> {
        if !app.config().access_log || !tracing::enabled!(target: ACCESS_LOG_TARGET, tracing::Level::INFO) {
            return None;
        }
        let clock = app.engine().clock().clone();
        Some(Self {
            asked: asked.clone(),
            begun: clock.now(),
            clock,
            method: method_name(request.method()),
            route: request.extensions().get::<MatchedPath>().cloned(),
            status: None,
            bytes: 0,
            is_whole: false,
        })
    }

    /// The answer is there. The line is written with the end of its body.
    pub(crate) fn answered(mut self, response: Response) -> Response {
        self.status = Some(response.status());
        self.is_whole = self.method == "HEAD";
        response.map(|body| Body::new(LoggedBody { body, line: self }))
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        let milliseconds = self.clock.now().duration_since(self.begun).as_millis_f64();
        let caller = self.asked.caller();
        tracing::info!(
            target: ACCESS_LOG_TARGET,
            method = self.method,
            route = self.route.as_ref().map_or("none", |route| route.as_str()),
            status = self.status.map(|status| status.as_u16()),
            milliseconds,
            bytes = self.bytes,
            cut = !self.is_whole,
            tenant = caller.map(|(tenant, _)| tenant.as_str()),
            actor = caller.and_then(|(_, actor)| actor),
            request = %self.asked.id,
            trace = self.asked.trace_id().as_deref(),
            "request"
        );
    }
}

/// A method that the API has or HTTP knows. Any other text is the client's, and may be as long as a header.
pub(crate) fn method_name(method: &Method) -> &'static str {
    let known = [
        (Method::GET, "GET"),
        (Method::HEAD, "HEAD"),
        (Method::POST, "POST"),
        (Method::PUT, "PUT"),
        (Method::PATCH, "PATCH"),
        (Method::DELETE, "DELETE"),
        (Method::OPTIONS, "OPTIONS"),
    ];
    known.into_iter().find(|(one, _)| one == method).map_or("other", |(_, name)| name)
}

/// A body that counts what is taken of it.
struct LoggedBody {
    body: Body,
    line: AccessLine,
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.line.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Poll::Ready(None) => self.line.is_whole = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for LoggedBody {
    fn drop(&mut self) {
        // Nobody asks for more of a body that says itself that it has ended.
        self.line.is_whole |= self.body.is_end_stream();
    }
}
