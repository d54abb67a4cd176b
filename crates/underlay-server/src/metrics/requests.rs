use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use underlay_core::{Clock, Timestamp};
use underlay_runtime::{Counter, Exposition, Family, Histogram, Kind};

use crate::app::App;
use crate::edge::method_name;

static REQUESTS: Family = Family::new(
    "underlay_http_requests_total",
    Kind::Counter,
    &["route", "method", "status"],
    "Requests that ended, by the class of their status; none where the client went away before its answer.",
);
static DURATION: Family = Family::new(
    "underlay_http_request_duration_seconds",
    Kind::Histogram,
    &["route", "method"],
    "How long it took from the head of a request to the head of its answer.",
);
static IN_PROGRESS: Family = Family::new(
    "underlay_http_requests_in_progress",
    Kind::Gauge,
    &[],
    "Requests whose answer has not begun.",
);

/// The classes that statuses are told in. The last is for requests without an answer.
pub(super) const STATUSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

/// The place of a status in [`STATUSES`].
pub(super) fn status_class(status: Option<StatusCode>) -> usize {
    let class = status.map_or(usize::MAX, |status| usize::from(status.as_u16() / 100).saturating_sub(1));
    class.min(STATUSES.len() - 1)
}

/// The name of what is at no route.
const NO_ROUTE: &str = "none";

/// Of one method at one route.
#[derive(Default)]
struct Measured {
    statuses: [Counter; STATUSES.len()],
    duration: Histogram,
}

/// The methods of a route that were asked for. There are as many as HTTP knows, and one for all others.
type Methods = BTreeMap<&'static str, Arc<Measured>>;

/// What is counted of requests. Routes are those of the router, so there is an end to them.
#[derive(Default)]
pub(crate) struct Requests {
    routes: RwLock<BTreeMap<String, Methods>>,
    in_progress: Arc<AtomicUsize>,
}

/// A request that goes on. It is counted when it is dropped, so one whose client went away is counted too.
pub(crate) struct Counted {
    measured: Arc<Measured>,
    in_progress: Arc<AtomicUsize>,
    clock: Arc<dyn Clock>,
    begun: Timestamp,
    status: Option<StatusCode>,
}

impl Requests {
    /// A request has come.
    pub(crate) fn begun(&self, app: &App, request: &Request) -> Counted {
        let route = request.extensions().get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str);
        let clock = app.engine().clock().clone();
        self.in_progress.fetch_add(1, Ordering::Relaxed);
        Counted {
            measured: self.measured(route, method_name(request.method())),
            in_progress: self.in_progress.clone(),
            begun: clock.now(),
            clock,
            status: None,
        }
    }

    fn measured(&self, route: &str, method: &'static str) -> Arc<Measured> {
        // Nothing below the lock can panic half way.
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(measured) = routes.get(route).and_then(|methods| methods.get(method)) {
            return measured.clone();
        }
        drop(routes);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.entry(route.to_owned()).or_default().entry(method).or_default().clone()
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let all = || {
            routes.iter().flat_map(|(route, methods)| {
                methods.iter().map(move |(method, measured)| (route.as_str(), *method, measured))
            })
        };
        let mut counts = out.begin(&REQUESTS);
        for (route, method, measured) in all() {
            for (status, count) in STATUSES.iter().zip(&measured.statuses) {
                counts.add(&[route, method, status], count.get());
            }
        }
        let mut durations = out.begin(&DURATION);
        for (route, method, measured) in all() {
            durations.add_histogram(&[route, method], &measured.duration);
        }
        out.begin(&IN_PROGRESS).add(&[], self.in_progress.load(Ordering::Relaxed));
    }
}

impl Counted {
    /// Its answer begins.
    pub(crate) fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.in_progress.fetch_sub(1, Ordering::Relaxed);
        self.measured.statuses[status_class(self.status)].increment();
        self.measured.duration.observe_between(self.begun, self.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_of_the_class_of_its_first_digit() {
        for (status, class) in
            [(100, "1xx"), (204, "2xx"), (399, "3xx"), (429, "4xx"), (599, "5xx"), (999, "none")]
        {
            assert_eq!(STATUSES[status_class(StatusCode::from_u16(status).ok())], class);
        }
        assert_eq!(STATUSES[status_class(None)], "none");
    }
}
