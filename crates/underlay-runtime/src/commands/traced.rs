//! A command as a span: what it was asked, and what came of it.

use std::borrow::Cow;

use underlay_core::{Refusal, SpanKind, StreamName, TraceContext};

use super::Commands;
use crate::registry::NotExecuted;
use crate::traces::OpenSpan;
use crate::{Executed, Request};

impl Request {
    /// The request below a span: what is stored of it has the context of that.
    pub(crate) fn below(&self, span: &OpenSpan) -> Cow<'_, Self> {
        match span.traceparent() {
            Some(traceparent) => {
                let mut below = self.clone();
                // Of a trace that begins with the span nobody has said anything yet.
                below.tracestate =
                    self.traceparent.as_deref().and_then(TraceContext::parse).and(below.tracestate);
                below.traceparent = Some(traceparent);
                Cow::Owned(below)
            }
            None => Cow::Borrowed(self),
        }
    }

    /// Says of a span what is asked.
    pub(crate) fn describe(&self, span: &mut OpenSpan, stream: Option<&StreamName>) {
        span.tell(|span| {
            span.set("underlay.tenant", self.tenant.as_str());
            if let Some(stream) = stream {
                span.set("underlay.stream", stream.as_str());
            }
            if let Some(correlation) = self.correlation_id {
                span.set("underlay.correlation_id", correlation.to_string());
            }
        });
    }
}

impl Commands {
    /// Begins the span of a command. Where its request is part of no trace yet, one begins.
    pub(super) fn begin_command(&self, request: &Request, name: impl FnOnce() -> String) -> OpenSpan {
        self.tracer.begin(SpanKind::Internal, request.traceparent.as_deref(), name)
    }

    /// Begins the span of a part of a command.
    pub(super) fn begin_part(&self, request: &Request, part: &str) -> OpenSpan {
        self.tracer.follow(SpanKind::Internal, request.traceparent.as_deref(), || part.to_owned())
    }
}

/// What log lines of a command begin with.
pub(super) fn logged(request: &Request, stream: Option<&StreamName>, command: &str) -> tracing::Span {
    tracing::error_span!(
        "command",
        command,
        stream = stream.map(tracing::field::display),
        correlation = request.correlation_id.map(tracing::field::display),
    )
}

/// Ends the span of a command with what came of it. A refusal is an answer, and no failure.
pub(super) fn end_command<R: Refusal>(mut span: OpenSpan, ended: &Result<Executed, NotExecuted<R>>) {
    span.tell(|span| match ended {
        Ok(executed) => {
            span.set("underlay.outcome", "accepted");
            span.set("underlay.command_id", executed.command_id.to_string());
            span.set("underlay.events", executed.events.len());
            span.set("underlay.repeated", executed.repeated);
        }
        Err(NotExecuted::Refused(refusal)) => {
            span.set("underlay.outcome", "refused");
            span.set("underlay.refusal", refusal.code());
        }
        Err(NotExecuted::RefusedBefore { code, .. }) => {
            span.set("underlay.outcome", "refused");
            span.set("underlay.refusal", code.as_str());
            span.set("underlay.repeated", true);
        }
        Err(NotExecuted::Failed(error)) => span.fail(error.to_string()),
    });
    span.end();
}
