use std::collections::BTreeMap;

use underlay_core::Timestamp;

use super::{Counter, Exposition, Family, Histogram, Kind};
use crate::Registry;

static EVENTS: Family = Family::new(
    "underlay_view_events_total",
    Kind::Counter,
    &["view"],
    "Events that this process folded into a view, those of a rebuild included.",
);
static PAGES: Family = Family::new(
    "underlay_view_page_duration_seconds",
    Kind::Histogram,
    &["view"],
    "How long it took to fold a page of events, while the next one was read.",
);

#[derive(Default)]
struct Measured {
    events: Counter,
    pages: Histogram,
}

/// What is counted of views.
pub(crate) struct ViewMetrics(BTreeMap<String, Measured>);

impl ViewMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self(registry.views().into_iter().map(|schema| (schema.rows.name, Measured::default())).collect())
    }

    /// A page of so many events was folded.
    pub(crate) fn folded(&self, view: &str, events: usize, [begun, now]: [Timestamp; 2]) {
        if let Some(measured) = self.0.get(view) {
            measured.events.add(events as u64);
            measured.pages.observe_between(begun, now);
        }
    }

    pub(crate) fn write(&self, out: &mut Exposition) {
        let mut events = out.begin(&EVENTS);
        for (view, measured) in &self.0 {
            events.add(&[view], measured.events.get());
        }
        let mut pages = out.begin(&PAGES);
        for (view, measured) in &self.0 {
            pages.add_histogram(&[view], &measured.pages);
        }
    }
}
