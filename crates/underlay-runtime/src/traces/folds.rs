//! A page of a view's work, as a span for each event of it that belongs to a trace.

use std::time::Duration;

use underlay_core::{RecordedEvent, SpanKind};

use super::{OpenSpan, Tracer, context_in};

/// How old an event may be whose fold is still a part of its trace. A view that is made anew folds the whole log, and
/// nobody looks for that in the traces of years.
const FOLD_AGE_MAX: Duration = Duration::from_secs(60 * 60);

impl Tracer {
    /// Begins the fold of a page by a view.
    pub(crate) fn folds(&self, view: &str, events: &[RecordedEvent]) -> Vec<OpenSpan> {
        let Some(clock) = self.clock() else { return Vec::new() };
        let oldest = clock.now().checked_sub(FOLD_AGE_MAX).ok();
        let recent = events.iter().filter(|event| oldest.is_none_or(|oldest| event.recorded_at >= oldest));
        let fold = |event: &RecordedEvent| {
            let stored = context_in(&event.metadata)?;
            let mut span = self.follow(SpanKind::Consumer, Some(&stored), || format!("fold {view}"));
            span.tell(|span| {
                span.set("underlay.view", view);
                span.set("underlay.tenant", event.tenant.as_str());
                span.set("underlay.stream", event.stream.as_str());
                span.set("underlay.event_type", event.event_type.as_str());
                span.set("underlay.position", event.position.to_string());
            });
            Some(span)
        };
        recent.filter_map(fold).collect()
    }
}
