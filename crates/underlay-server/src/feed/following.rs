//! A feed that is followed, as it is counted and traced.
//!
//! The span of its request ends with the head of the answer, so that it says how long a request takes. The feed has a
//! span of its own below that, which ends with the feed, as those of streams do in the conventions of `OpenTelemetry`.

use std::sync::atomic::{AtomicU64, Ordering};

use underlay_core::{SpanKind, TenantId};
use underlay_runtime::OpenSpan;

use super::end::End;
use super::guard::Given;
use crate::app::App;
use crate::edge::asked;
use crate::metrics::{FeedKind, Followed, GONE};

/// A feed, until it is dropped.
pub(super) struct Following {
    counted: Followed,
    span: OpenSpan,
    /// The events and rows that it has given.
    given: AtomicU64,
    reason: &'static str,
}

impl Following {
    /// A feed begins.
    pub(super) fn begin(app: &App, tenant: &TenantId, given: &Given) -> Self {
        let (kind, of) = match given {
            Given::Log => (FeedKind::Events, "events"),
            Given::View(view) => (FeedKind::Rows, view.as_str()),
        };
        let tracer = app.engine().tracer();
        let mut span =
            tracer.follow(SpanKind::Internal, asked::traceparent().as_deref(), || format!("feed {of}"));
        span.set("underlay.tenant", tenant.as_str());
        let counted = app.metrics().feeds.begun(kind);
        Self { counted, span, given: AtomicU64::new(0), reason: GONE }
    }

    /// It gave an event or a row.
    pub(super) fn gives(&self) {
        self.given.fetch_add(1, Ordering::Relaxed);
    }

    /// It ends for this reason.
    pub(super) fn ends(&mut self, end: End) {
        self.reason = end.word();
        self.counted.ends(self.reason);
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut span = std::mem::replace(&mut self.span, OpenSpan::none());
        span.set("underlay.feed.end", self.reason);
        span.set("underlay.feed.given", self.given.load(Ordering::Relaxed));
        span.end();
    }
}
