//! The streams of a connection of HTTP/2: how many go on, and how long each may leave its answer.
//!
//! ```text
//!  request ─► handler ─► answer, in pieces ─► window ─► socket ─► ended
//!                │              │                │
//!                │              │                └── later than grace + taken / rate_min ──► reset
//!                │              └─ no more than ANSWER_AHEAD_BYTES that have not left
//!                └─ reset by the client before there was an answer: counted
//! ```
//!
//! A client of HTTP/2 takes one answer and leaves another, as it opens the windows of streams. The socket has nothing
//! to write then, so its [pace](super::pace) does not see it. Therefore each stream has a pace of its own: it runs
//! while a piece of the answer is on its way, and stops when all of them have left. A stream that is too late is reset,
//! and the others of its connection go on: behind a proxy they are of other people.
//!
//! A client that resets streams costs a handler each, and has nothing of it. One that does so `RESETS_AHEAD_MAX` times
//! more often than it waits for an answer is cut off.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use hyper::rt::Executor;
use tokio::sync::watch;
use underlay_core::Clock;

use super::ServeLimits;
use super::pace::Allowance;

/// Bytes of a piece of an answer: as many as fit in a frame.
const PIECE_BYTES: usize = 16 << 10;
/// Bytes of an answer that may be on their way at one time.
const ANSWER_AHEAD_BYTES: usize = 64 << 10;
/// How many more requests a client may reset than it has waited for.
const RESETS_AHEAD_MAX: u64 = 100;

tokio::task_local! {
    static STREAM: Arc<StreamPace>;
}

/// The streams of one connection.
#[derive(Clone)]
pub(super) struct Streams {
    clock: Arc<dyn Clock>,
    grace: Duration,
    rate_min: u64,
    seen: Arc<watch::Sender<Seen>>,
}

/// What was seen of the streams of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    going_on: usize,
    begun: u64,
    /// Requests that were reset, beyond those that were answered.
    resets_ahead: u64,
}

impl Streams {
    pub(super) fn new(clock: Arc<dyn Clock>, limits: &ServeLimits) -> Self {
        let seen = Arc::new(watch::Sender::new(Seen::default()));
        Self { clock, grace: limits.answer_grace, rate_min: limits.answer_rate_min, seen }
    }

    /// Ends once no stream has gone on for so long.
    pub(super) async fn idle_for(&self, long: Duration) {
        let mut seen = self.seen.subscribe();
        loop {
            until(&mut seen, |seen| seen.going_on == 0).await;
            tokio::select! {
                biased;
                () = until(&mut seen, |seen| seen.going_on > 0) => {}
                () = self.clock.sleep(long) => return,
            }
        }
    }

    /// Ends once a stream begins later than so long from now.
    pub(super) async fn begun_after(&self, long: Duration) {
        self.clock.sleep(long).await;
        let mut seen = self.seen.subscribe();
        let before = seen.borrow().begun;
        until(&mut seen, |seen| seen.begun > before).await;
    }

    /// Ends once the client has reset too many requests.
    pub(super) async fn too_many_resets(&self) {
        let mut seen = self.seen.subscribe();
        until(&mut seen, |seen| seen.resets_ahead > RESETS_AHEAD_MAX).await;
    }

    /// Answers a request, in pieces of which some are ahead.
    pub(super) async fn answer(
        self,
        answering: impl Future<Output = Result<Response, Infallible>>,
    ) -> Result<Response, Infallible> {
        let mut request = OpenRequest { streams: &self, is_answered: false };
        let response = answering.await?;
        request.is_answered = true;
        drop(request);
        Ok(match STREAM.try_with(Arc::clone) {
            Ok(pace) => response.map(|body| Body::new(PacedBody::new(body, pace))),
            // Every stream is polled as a `PacedStream`.
            Err(_) => response,
        })
    }
}

/// Ends once it is so. Whoever waits holds the other side, so there is no other end.
async fn until(seen: &mut watch::Receiver<Seen>, is_so: impl FnMut(&Seen) -> bool) {
    if seen.wait_for(is_so).await.is_err() {
        pending::<()>().await;
    }
}

/// A request that was not answered yet.
struct OpenRequest<'a> {
    streams: &'a Streams,
    is_answered: bool,
}

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        self.streams.seen.send_modify(|seen| {
            seen.resets_ahead =
                if self.is_answered { seen.resets_ahead.saturating_sub(1) } else { seen.resets_ahead + 1 };
        });
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.seen.send_modify(|seen| {
            seen.going_on += 1;
            seen.begun += 1;
        });
        let going_on = GoingOn(self.seen.clone());
        let pace = Arc::<StreamPace>::default();
        let mut allowance = Allowance::new(self.clock.clone(), self.grace, self.rate_min);
        tokio::spawn(async move {
            let _going_on = going_on;
            let mut stream = pin!(stream);
            let mut episode = 0;
            poll_fn(|context| {
                let polled = STREAM.sync_scope(pace.clone(), || stream.as_mut().poll(context));
                if polled.is_ready() {
                    return Poll::Ready(());
                }
                let state = pace.lock();
                if state.ahead == 0 || state.episode != episode {
                    episode = state.episode;
                    allowance.end();
                }
                let (ahead, taken) = (state.ahead, state.taken);
                drop(state);
                if ahead > 0
                    && let Poll::Ready(due) = allowance.poll_late(context, taken)
                {
                    tracing::debug!("a stream is reset: its client took {taken} bytes in {due:?}");
                    return Poll::Ready(());
                }
                Poll::Pending
            })
            .await;
        });
    }
}

/// A stream that was begun and has not ended.
struct GoingOn(Arc<watch::Sender<Seen>>);

impl Drop for GoingOn {
    fn drop(&mut self) {
        self.0.send_modify(|seen| seen.going_on -= 1);
    }
}

/// How much of an answer is on its way.
#[derive(Debug, Default)]
struct StreamPace(Mutex<Way>);

#[derive(Debug, Default)]
struct Way {
    /// Bytes that were given and have not left.
    ahead: usize,
    /// Bytes that have left since there were none ahead.
    taken: u64,
    /// How often there were none.
    episode: u64,
    /// Who gives the next.
    giver: Option<Waker>,
}

impl StreamPace {
    fn lock(&self) -> MutexGuard<'_, Way> {
        // Nothing below the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece of an answer. When it is dropped, it has left, or nobody wants it.
struct Piece {
    bytes: Bytes,
    pace: Arc<StreamPace>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut way = self.pace.lock();
        way.ahead -= self.bytes.len();
        way.taken += self.bytes.len() as u64;
        if way.ahead == 0 {
            (way.taken, way.episode) = (0, way.episode + 1);
        }
        let giver = way.giver.take();
        drop(way);
        if let Some(giver) = giver {
            giver.wake();
        }
    }
}

/// A body that ends when all of it has left.
struct PacedBody {
    body: Body,
    /// Of a part of the body, what was not given yet.
    rest: Bytes,
    has_ended: bool,
    pace: Arc<StreamPace>,
}

impl PacedBody {
    fn new(body: Body, pace: Arc<StreamPace>) -> Self {
        let has_ended = body.is_end_stream();
        Self { body, rest: Bytes::new(), has_ended, pace }
    }
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let mut way = this.pace.lock();
        way.giver = (way.ahead > 0).then(|| context.waker().clone());
        let ahead = way.ahead;
        drop(way);
        if ahead >= ANSWER_AHEAD_BYTES {
            return Poll::Pending;
        }
        if this.rest.is_empty() && !this.has_ended {
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(failed) => return Poll::Ready(Some(failed)),
                None => this.has_ended = true,
            }
        }
        if this.rest.is_empty() && this.has_ended {
            // The end says that the stream is over: nothing of it may still be on its way.
            return if ahead > 0 { Poll::Pending } else { Poll::Ready(None) };
        }
        let bytes = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        this.pace.lock().ahead += bytes.len();
        let piece = Piece { bytes, pace: this.pace.clone() };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended && self.rest.is_empty() && self.pace.lock().ahead == 0
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
