use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;

use super::EVENT_STREAM;
use super::end::End;
use super::following::Following;
use crate::edge::budget::Place;

/// Proxies pass a feed on as it comes.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Marks an answer that lasts: it has a place of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasting;

/// Where a feed puts what it says, one frame after the other.
pub(super) struct Outlet {
    frame: Arc<Mutex<Option<Bytes>>>,
    following: Following,
}

impl Outlet {
    /// Says something, and waits until it was taken.
    pub(super) async fn send(&self, frame: Bytes) {
        *lock(&self.frame) = Some(frame);
        let is_taken = |_: &mut Context<'_>| match *lock(&self.frame) {
            None => Poll::Ready(()),
            Some(_) => Poll::Pending,
        };
        // Whoever takes it polls the feed again: nobody has to be woken.
        std::future::poll_fn(is_taken).await;
    }

    /// Says what the feed is there for: an event or a row.
    pub(super) async fn give(&self, frame: Bytes) {
        // The poll in which it is said takes it too.
        self.following.gives();
        self.send(frame).await;
    }

    /// Says why the feed ends.
    pub(super) async fn end(mut self, end: End) {
        self.following.ends(end);
        self.send(end.frame()).await;
    }
}

fn lock(outlet: &Mutex<Option<Bytes>>) -> MutexGuard<'_, Option<Bytes>> {
    // Nothing below the lock can panic half way.
    outlet.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a feed: what polls it.
struct FeedBody {
    /// None once it has ended.
    feed: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    outlet: Arc<Mutex<Option<Bytes>>>,
    _place: Arc<Place>,
}

impl HttpBody for FeedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(feed) = &mut self.feed else { return Poll::Ready(None) };
        if feed.as_mut().poll(context).is_ready() {
            self.feed = None;
            return Poll::Ready(None);
        }
        match lock(&self.outlet).take() {
            Some(frame) => Poll::Ready(Some(Ok(Frame::data(frame)))),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.feed.is_none()
    }
}

/// The answer that a feed is, in a place of its own.
pub(super) fn answer<F: Future<Output = ()> + Send + 'static>(
    place: Arc<Place>,
    following: Following,
    feed: impl FnOnce(Outlet) -> F,
) -> Response {
    let outlet = Arc::new(Mutex::new(None));
    let feed = feed(Outlet { frame: outlet.clone(), following });
    let body = Body::new(FeedBody { feed: Some(Box::pin(feed)), outlet, _place: place });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM)),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    let mut response = (headers, body).into_response();
    response.extensions_mut().insert(Lasting);
    response
}
