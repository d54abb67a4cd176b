use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use underlay_runtime::{Counter, Exposition, Family, Kind};

static OPEN: Family = Family::new(
    "underlay_http_connections",
    Kind::Gauge,
    &[],
    "Connections of clients that are open, on the port that is asked.",
);
static ACCEPTED: Family = Family::new(
    "underlay_http_connections_accepted_total",
    Kind::Counter,
    &[],
    "Connections of clients that were accepted, on the port that is asked.",
);

/// The connections of a listener. They come with every request, so they are told where the request has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    accepted: Counter,
}

/// A connection, until it is dropped.
pub(crate) struct Connection(Connections);

impl Connections {
    /// A connection was accepted.
    pub(crate) fn opened(&self) -> Connection {
        self.0.accepted.increment();
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Connection(self.clone())
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        out.begin(&OPEN).add(&[], self.0.open.load(Ordering::Relaxed));
        out.begin(&ACCEPTED).add(&[], self.0.accepted.get());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
