use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;

use super::EVENT_STREAM;
use crate::edge::budget::Place;

/// Proxies pass a feed on as it comes.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Marks an answer that lasts: it has a place of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasting;

/// Where a feed puts what it says, one frame after the other.
pub(super) struct Outlet(Arc<Mutex<Option<Bytes>>>);

impl Outlet {
    /// Says something, and waits until it was taken.
    pub(super) async fn send(&self, frame: Bytes) {
        *lock(&self.0) = Some(frame);
        // Whoever takes it polls the feed again: nobody has to be woken.
        std::future::poll_fn(|_| if lock(&self.0).is_none() { Poll::Ready(()) } else { Poll::Pending }).await;
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
    feed: impl FnOnce(Outlet) -> F,
) -> Response {
    let outlet = Arc::new(Mutex::new(None));
    let feed = feed(Outlet(outlet.clone()));
    let body = Body::new(FeedBody { feed: Some(Box::pin(feed)), outlet, _place: place });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM)),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    let mut response = (headers, body).into_response();
    response.extensions_mut().insert(Lasting);
    response
}
