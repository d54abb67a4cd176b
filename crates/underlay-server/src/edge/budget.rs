//! What requests may hold at one time: in all, and those of one tenant.
//!
//! ```text
//!  request ─► enter ─► handler ─► answer ─► its body, written or dropped ─► given back
//!               │                    │
//!               └─ 429 or 503        └─ 429 or 503 in place of what was only read
//! ```
//!
//! A request holds its place until its answer is taken: a client that does not read holds memory as
//! much as one that asks. A command is never refused once it has run, so its answer may exceed the
//! bytes; those who come after it wait. An answer to whom nothing else is held always fits.
//!
//! A tenant that has reached a bound of its own is told 429 `too-many-requests`. Where all tenants together have reached
//! one, it is 503 `overloaded`. Either says when to come back, and that nothing was done.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use underlay_core::TenantId;
use underlay_runtime::{Counter, Exposition, Family, Kind};

use crate::ServerConfig;
use crate::app::App;
use crate::door::admission::Admission;
use crate::problem::Problem;

static REFUSED: Family = Family::new(
    "underlay_http_refused_total",
    Kind::Counter,
    &["bound"],
    "Requests that were refused with 429 or 503 since a bound was reached, by its name in the configuration.",
);
static ANSWER_BYTES: Family = Family::new(
    "underlay_http_answer_bytes",
    Kind::Gauge,
    &[],
    "Bytes of answers that clients have not taken yet.",
);

/// The bounds, and what is held.
pub(crate) struct Budgets {
    requests: Bound,
    tenant_requests: Bound,
    feeds: Bound,
    tenant_feeds: Bound,
    bytes: Bound,
    tenant_bytes: Bound,
    held: Mutex<Held>,
}

struct Bound {
    name: &'static str,
    max: usize,
    is_tenants: bool,
    refused: Counter,
}

impl Bound {
    fn reached(&self) -> Problem {
        self.refused.increment();
        let told = format!("there is too much to do: {} = {} is reached", self.name, self.max);
        let problem = if self.is_tenants { Problem::too_many(told) } else { Problem::overloaded(told, None) };
        problem
            // Whoever has too many requests open has too many connections.
            .with_header(CONNECTION, HeaderValue::from_static("close"))
    }
}

#[derive(Default)]
struct Held {
    all: Usage,
    /// Of tenants that hold anything.
    tenants: HashMap<TenantId, Usage>,
}

#[derive(Clone, Copy, Default)]
struct Usage {
    requests: usize,
    feeds: usize,
    /// Of answers that were not taken yet.
    bytes: usize,
}

impl Budgets {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let of_all = |name, max| Bound { name, max, is_tenants: false, refused: Counter::default() };
        let of_a_tenant = |name, max| Bound { name, max, is_tenants: true, refused: Counter::default() };
        Self {
            requests: of_all("requests_max", config.requests_max),
            tenant_requests: of_a_tenant("tenant_requests_max", config.tenant_requests_max),
            feeds: of_all("feed_clients_max", config.feed_clients_max),
            tenant_feeds: of_a_tenant("tenant_feed_clients_max", config.tenant_feed_clients_max),
            bytes: of_all("answer_bytes_max", config.answer_bytes_max),
            tenant_bytes: of_a_tenant("tenant_answer_bytes_max", config.tenant_answer_bytes_max),
            held: Mutex::default(),
        }
    }

    /// Takes a place for a request. Its own bound is looked at first, so that a tenant who is at it
    /// hears so.
    pub(crate) fn enter(self: Arc<Self>, tenant: &TenantId) -> Result<Arc<Place>, Problem> {
        let mut held = self.lock();
        let own = held.tenants.get(tenant).copied().unwrap_or_default();
        let full = [
            (own.requests, &self.tenant_requests),
            (own.bytes, &self.tenant_bytes),
            (held.all.requests, &self.requests),
            (held.all.bytes, &self.bytes),
        ];
        if let Some((_, bound)) = full.into_iter().find(|(used, bound)| *used >= bound.max) {
            return Err(bound.reached());
        }
        held.all.requests += 1;
        held.tenants.entry(tenant.clone()).or_default().requests += 1;
        drop(held);
        Ok(self.place(tenant, |usage| &mut usage.requests))
    }

    /// Takes a place for a feed, which lasts. It is none of those of requests; what it holds for its client alone
    /// counts with the answers of its tenant.
    pub(crate) fn follow(self: Arc<Self>, tenant: &TenantId) -> Result<Arc<Place>, Problem> {
        let mut held = self.lock();
        let own = held.tenants.get(tenant).copied().unwrap_or_default();
        let full = [(own.feeds, &self.tenant_feeds), (held.all.feeds, &self.feeds)];
        if let Some((_, bound)) = full.into_iter().find(|(used, bound)| *used >= bound.max) {
            return Err(bound.reached());
        }
        held.all.feeds += 1;
        held.tenants.entry(tenant.clone()).or_default().feeds += 1;
        drop(held);
        Ok(self.place(tenant, |usage| &mut usage.feeds))
    }

    /// A place that was counted.
    fn place(self: Arc<Self>, tenant: &TenantId, counted: fn(&mut Usage) -> &mut usize) -> Arc<Place> {
        Arc::new(Place { budgets: self, tenant: tenant.clone(), counted, bytes: AtomicUsize::new(0) })
    }

    /// Writes what was refused, with what those who ask who somebody is have refused, and what is held.
    pub(crate) fn write_metrics(&self, out: &mut Exposition, admission: &Admission) {
        let bounds = [
            &self.requests,
            &self.tenant_requests,
            &self.feeds,
            &self.tenant_feeds,
            &self.bytes,
            &self.tenant_bytes,
        ];
        let mut refused = out.begin(&REFUSED);
        for bound in bounds {
            refused.add(&[bound.name], bound.refused.get());
        }
        for (bound, count) in admission.refused() {
            refused.add(&[bound], count);
        }
        let bytes = self.lock().all.bytes;
        out.begin(&ANSWER_BYTES).add(&[], bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing below the lock can panic half way.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a request; given back when the last of its answer is gone.
pub(crate) struct Place {
    budgets: Arc<Budgets>,
    tenant: TenantId,
    /// Among what it is counted.
    counted: fn(&mut Usage) -> &mut usize,
    bytes: AtomicUsize,
}

impl Place {
    /// Says how many bytes the answer has now. Where they exceed a bound nothing is counted, unless
    /// `whatever_it_takes`.
    pub(crate) fn hold(&self, bytes: usize, whatever_it_takes: bool) -> Result<(), Problem> {
        let Budgets { tenant_bytes, bytes: all_bytes, .. } = &*self.budgets;
        let mut held = self.budgets.lock();
        let held = &mut *held;
        let before = self.bytes.load(Ordering::Relaxed);
        let own = held.tenants.entry(self.tenant.clone()).or_default();
        let others = [(own.bytes - before, tenant_bytes), (held.all.bytes - before, all_bytes)];
        if !whatever_it_takes && bytes > before {
            let exceeded =
                |(used, bound): &(usize, &Bound)| *used > 0 && used.saturating_add(bytes) > bound.max;
            if let Some((_, bound)) = others.into_iter().find(exceeded) {
                return Err(bound.reached());
            }
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        own.bytes = own.bytes - before + bytes;
        held.all.bytes = held.all.bytes - before + bytes;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        let mut held = self.budgets.lock();
        *(self.counted)(&mut held.all) -= 1;
        held.all.bytes -= bytes;
        if let Some(own) = held.tenants.get_mut(&self.tenant) {
            *(self.counted)(own) -= 1;
            own.bytes -= bytes;
            if own.requests == 0 && own.feeds == 0 {
                held.tenants.remove(&self.tenant);
            }
        }
    }
}

/// Whatever an answer may hold, its body keeps the place until it is taken.
pub(crate) fn keep(response: Response, place: Arc<Place>, only_read: bool) -> Response {
    let size = response.body().size_hint();
    // Every answer of this service has its whole body when it is made.
    let bytes = usize::try_from(size.lower()).unwrap_or_default();
    match place.hold(bytes, !only_read) {
        Ok(()) => response.map(|body| Body::new(HeldBody { body, place })),
        Err(problem) => problem.into_response(),
    }
}

/// A handler that takes it can say what it gathers before it answers.
#[derive(Clone)]
pub(crate) struct Room(pub(crate) Arc<Place>);

impl FromRequestParts<App> for Room {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::failed)
    }
}

/// A body that keeps its place, and so does each part of it that was handed on.
struct HeldBody {
    body: Body,
    place: Arc<Place>,
}

struct HeldBytes {
    bytes: Bytes,
    _place: Arc<Place>,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let keep = |bytes| Bytes::from_owner(HeldBytes { bytes, _place: self.place.clone() });
        polled.map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(keep))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
