use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use underlay_runtime::{Counter, Exposition, Family, Kind};

static CLIENTS: Family = Family::new(
    "underlay_feed_clients",
    Kind::Gauge,
    &["feed"],
    "Clients that follow a feed of events or of rows of a view.",
);
static ENDED: Family = Family::new(
    "underlay_feeds_ended_total",
    Kind::Counter,
    &["feed", "reason"],
    "Feeds that ended, by the reason their client was told; gone where the client went away.",
);

/// Why feeds end. The last is for clients that went away.
const REASONS: [&str; 6] = ["slow", "stopping", "credentials", "reset", "failed", GONE];
/// The reason where the client went away.
pub(crate) const GONE: &str = "gone";

/// What a feed gives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FeedKind {
    Events,
    Rows,
}

impl FeedKind {
    const WORDS: [&str; 2] = ["events", "rows"];
}

/// What is counted of feeds, by [`FeedKind`].
#[derive(Default)]
pub(crate) struct Feeds([OfKind; 2]);

#[derive(Default)]
struct OfKind {
    clients: AtomicUsize,
    ended: [Counter; REASONS.len()],
}

/// A feed, until it is dropped.
pub(crate) struct Followed {
    feeds: Arc<Feeds>,
    kind: FeedKind,
    reason: usize,
}

impl Feeds {
    /// A client follows a feed.
    pub(crate) fn begun(self: &Arc<Self>, kind: FeedKind) -> Followed {
        self.0[kind as usize].clients.fetch_add(1, Ordering::Relaxed);
        Followed { feeds: self.clone(), kind, reason: REASONS.len() - 1 }
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        let of_kinds = || FeedKind::WORDS.iter().zip(&self.0);
        let mut clients = out.begin(&CLIENTS);
        for (feed, of_kind) in of_kinds() {
            clients.add(&[feed], of_kind.clients.load(Ordering::Relaxed));
        }
        let mut ended = out.begin(&ENDED);
        for (feed, of_kind) in of_kinds() {
            for (reason, count) in REASONS.iter().zip(&of_kind.ended) {
                ended.add(&[feed, reason], count.get());
            }
        }
    }
}

impl Followed {
    /// It ends for this reason, by the place it has among [`REASONS`].
    pub(crate) fn ends(&mut self, reason: &str) {
        self.reason = REASONS.iter().position(|one| *one == reason).unwrap_or(self.reason);
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let of_kind = &self.feeds.0[self.kind as usize];
        of_kind.clients.fetch_sub(1, Ordering::Relaxed);
        of_kind.ended[self.reason].increment();
    }
}
