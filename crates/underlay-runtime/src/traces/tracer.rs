use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use underlay_core::{Clock, Json, Span, SpanId, SpanKind, SpanValue, Spans, TraceContext, TraceId};

/// Why a span ended that nobody ended: its request was given up, say.
const DROPPED: &str = "it was given up before it ended";

/// Who records spans, and of how many traces.
#[derive(Clone)]
pub struct Traces {
    spans: Option<Arc<dyn Spans>>,
    /// Of the traces that begin here, the share that is recorded: 0 to 1. Of those that came from elsewhere,
    /// whoever began them says so.
    pub sample_ratio: f64,
}

impl Default for Traces {
    fn default() -> Self {
        Self { spans: None, sample_ratio: 1.0 }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces")
            .field("are_recorded", &self.spans.is_some())
            .field("sample_ratio", &self.sample_ratio)
            .finish()
    }
}

impl Traces {
    /// Has all spans recorded.
    #[must_use]
    pub fn recorded_by(spans: Arc<dyn Spans>) -> Self {
        Self { spans: Some(spans), ..Self::default() }
    }

    /// Sets how many of the traces that begin here are recorded.
    #[must_use]
    pub fn with_sample_ratio(mut self, ratio: f64) -> Self {
        self.sample_ratio = ratio;
        self
    }
}

/// Begins spans. A clone is a reference count.
#[derive(Clone)]
pub struct Tracer(Option<Arc<Recording>>);

struct Recording {
    spans: Arc<dyn Spans>,
    clock: Arc<dyn Clock>,
    sample_ratio: f64,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("is_recording", &self.0.is_some()).finish()
    }
}

impl Tracer {
    pub(crate) fn new(traces: &Traces, clock: &Arc<dyn Clock>) -> Self {
        let recording = |spans: &Arc<dyn Spans>| {
            let (spans, clock) = (spans.clone(), clock.clone());
            Arc::new(Recording { spans, clock, sample_ratio: traces.sample_ratio })
        };
        Self(traces.spans.as_ref().map(recording))
    }

    /// One that records nothing.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Whether anybody records spans.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span below the context that came with a request. Where none came, a trace begins with it.
    pub fn begin(&self, kind: SpanKind, came: Option<&str>, name: impl FnOnce() -> String) -> OpenSpan {
        let Some(recording) = &self.0 else { return OpenSpan::none() };
        if let Some(parent) = came.and_then(TraceContext::parse) {
            return recording.child(kind, parent, name);
        }
        let trace_id = TraceId::draw();
        let is_sampled = trace_id.is_within(recording.sample_ratio);
        let context = TraceContext::new(trace_id, SpanId::draw(), is_sampled);
        recording.open(kind, context, None, name)
    }

    /// Begins a span below a context that was stored, or that another span has. Where there is none, nothing begins.
    pub fn follow(&self, kind: SpanKind, stored: Option<&str>, name: impl FnOnce() -> String) -> OpenSpan {
        let Some(recording) = &self.0 else { return OpenSpan::none() };
        match stored.and_then(TraceContext::parse) {
            Some(parent) => recording.child(kind, parent, name),
            None => OpenSpan::none(),
        }
    }

    pub(super) fn clock(&self) -> Option<&dyn Clock> {
        self.0.as_ref().map(|recording| &*recording.clock)
    }
}

impl Recording {
    fn child(
        self: &Arc<Self>,
        kind: SpanKind,
        parent: TraceContext,
        name: impl FnOnce() -> String,
    ) -> OpenSpan {
        if !parent.is_sampled() {
            return OpenSpan::none();
        }
        self.open(kind, parent.with_span(SpanId::draw()), Some(parent.span_id), name)
    }

    fn open(
        self: &Arc<Self>,
        kind: SpanKind,
        context: TraceContext,
        parent: Option<SpanId>,
        name: impl FnOnce() -> String,
    ) -> OpenSpan {
        let span = context.is_sampled().then(|| {
            let span = Span::new(context, parent, kind, name(), self.clock.now());
            (self.clone(), Box::new(span))
        });
        OpenSpan { context: Some(context), span }
    }
}

/// A span that goes on. It is recorded when it ends; dropped before, it is recorded as one that was given up.
pub struct OpenSpan {
    /// What is passed on; none where what came is.
    context: Option<TraceContext>,
    span: Option<(Arc<Recording>, Box<Span>)>,
}

impl fmt::Debug for OpenSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSpan").field("context", &self.context).finish_non_exhaustive()
    }
}

impl OpenSpan {
    /// No span: what came goes on.
    #[must_use]
    pub fn none() -> Self {
        Self { context: None, span: None }
    }

    /// Where it stands, which is passed on in place of the context that came; `None` where that goes on as it is.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        self.context
    }

    /// The same, as it is stored.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.context.map(|context| context.to_string())
    }

    /// Says something of it, where it is recorded at all.
    pub fn tell(&mut self, tell: impl FnOnce(&mut Span)) {
        if let Some((_, span)) = &mut self.span {
            tell(span);
        }
    }

    /// Says one thing of it.
    pub fn set(&mut self, key: &'static str, value: impl Into<SpanValue>) {
        self.tell(|span| span.set(key, value));
    }

    /// Ends it.
    pub fn end(mut self) {
        self.record();
    }

    /// Ends it with what came of it.
    pub fn ended<T, E: fmt::Display>(mut self, came: &Result<T, E>) {
        if let Err(error) = came {
            self.tell(|span| span.fail(error.to_string()));
        }
        self.record();
    }

    /// Lets it go without a record: it did not come about.
    pub(crate) fn discard(mut self) {
        self.span = None;
    }

    fn record(&mut self) {
        if let Some((recording, mut span)) = self.span.take() {
            // A clock may have been set back meanwhile.
            span.ended = recording.clock.now().max(span.begun);
            recording.spans.record(*span);
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.tell(|span| span.fail(DROPPED));
        self.record();
    }
}

/// The context in stored metadata. What cannot be read is none.
pub(crate) fn context_in(metadata: &Json) -> Option<String> {
    #[derive(Deserialize)]
    struct Traced {
        traceparent: Option<String>,
    }
    // Most metadata has none where few traces are sampled.
    if !metadata.as_str().contains("\"traceparent\"") {
        return None;
    }
    metadata.decode::<Traced>().ok()?.traceparent
}
