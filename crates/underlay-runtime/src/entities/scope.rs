use std::fmt;

use underlay_core::{Error, SpanKind, TenantId};

use crate::Tracer;

/// Whose entities they are, and the trace in which they are asked for.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(super) tenant: TenantId,
    pub(super) traceparent: Option<String>,
    pub(super) tracer: Tracer,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tenant.fmt(f)
    }
}

impl Scope {
    /// Runs a call of a store as a span, named by what it does and what it is about.
    pub(super) async fn traced<T>(
        &self,
        operation: &str,
        entity: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let name = || format!("{operation} {entity}");
        let mut span = self.tracer.follow(SpanKind::Client, self.traceparent.as_deref(), name);
        span.set("underlay.tenant", self.tenant.as_str());
        let answer = call.await;
        span.ended(&answer);
        answer
    }
}
