//! What is known of a request while it is answered: its id, its trace, and who asks once that is known.
//!
//! It is told, and nothing is decided by it: it stands in the log, in the line of the access log and in the problems
//! that answer the request. It goes with the task, so that a problem knows its request wherever it is made.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;
use tracing::field::Empty;
use underlay_core::{TenantId, TraceContext, TraceState};
use underlay_runtime::OpenSpan;

use super::trace_context;
use crate::Principal;

/// Where a request says how it is called, and its answer repeats it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that comes with a request.
const REQUEST_ID_CHARS_MAX: usize = 128;

tokio::task_local! {
    static ASKED: Arc<Asked>;
}

/// One request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: RequestId,
    /// Where it stands in its trace: what follows from it is below that.
    trace: Option<TraceContext>,
    trace_state: Option<TraceState>,
    caller: OnceLock<(TenantId, Option<String>)>,
    /// The path of its host that the service is below.
    base_path: String,
}

/// How a request is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(String);

/// Gives names to the requests of a process that have none.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u64,
    drawn: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        // Each of these has keys of its own, which the system has drawn.
        Self { process: RandomState::new().hash_one("request ids"), drawn: AtomicU64::new(0) }
    }

    /// The id that the headers have, or another that no request has had. What is not well formed is no id: it would
    /// stand in logs and addresses.
    fn read(&self, headers: &HeaderMap) -> RequestId {
        let mut given = headers.get_all(REQUEST_ID).iter();
        let (first, more) = (given.next(), given.next());
        let text = first.filter(|_| more.is_none()).and_then(|value| value.to_str().ok());
        match text.filter(|text| is_request_id(text)) {
            Some(text) => RequestId(text.to_owned()),
            None => {
                let number = self.drawn.fetch_add(1, Ordering::Relaxed);
                RequestId(format!("{:016x}{number:016x}", self.process))
            }
        }
    }
}

/// Letters, digits, and what a URN may hold of signs.
fn is_request_id(text: &str) -> bool {
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'@' | b'/' | b'+' | b'=')
    };
    !text.is_empty() && text.len() <= REQUEST_ID_CHARS_MAX && text.bytes().all(is_plain)
}

impl RequestId {
    /// As a header has it.
    pub(crate) fn to_header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }

    /// As a problem has it.
    fn to_instance(&self) -> String {
        format!("urn:underlay:request:{}", self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Asked {
    /// Reads a request. Where it has a span, that stands in the place of the context that came.
    pub(crate) fn read(ids: &RequestIds, headers: &HeaderMap, span: &OpenSpan, base_path: &str) -> Arc<Self> {
        let trace = span.context().or_else(|| trace_context::read(headers));
        let trace_state = trace_context::read_state(headers);
        let (id, base_path) = (ids.read(headers), base_path.to_owned());
        Arc::new(Self { id, trace, trace_state, caller: OnceLock::new(), base_path })
    }

    /// The trace it is part of.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.trace.map(|context| context.trace_id.to_string())
    }

    /// Answers the request: whatever is told meanwhile knows which one it is about.
    pub(crate) async fn answer<T>(self: Arc<Self>, answering: impl Future<Output = T>) -> T {
        ASKED.scope(self, answering).await
    }

    /// What log lines of the request begin with.
    pub(crate) fn span(&self) -> Span {
        tracing::error_span!("request", id = %self.id, trace = self.trace_id(), tenant = Empty)
    }

    /// Who asks, once that is known.
    pub(crate) fn caller(&self) -> Option<(&TenantId, Option<&str>)> {
        self.caller.get().map(|(tenant, actor)| (tenant, actor.as_deref()))
    }
}

/// Notes who asks for what is answered just now.
pub(crate) fn note_caller(principal: &Principal) {
    // Whoever asks without the edge, as a test of a handler does, has nothing to note it in.
    let _noted = ASKED.try_with(|asked| {
        Span::current().record("tenant", principal.tenant.as_str());
        asked.caller.set((principal.tenant.clone(), principal.actor.name.clone()))
    });
}

/// Where what is asked just now stands in its trace, as it is stored and passed on.
pub(crate) fn traceparent() -> Option<String> {
    ASKED.try_with(|asked| asked.trace.map(|context| context.to_string())).ok().flatten()
}

/// What belongs to that, as it is stored and passed on.
pub(crate) fn tracestate() -> Option<String> {
    ASKED.try_with(|asked| asked.trace_state.as_ref().map(TraceState::to_string)).ok().flatten()
}

/// An address of the service as whoever asks just now reaches it.
pub(crate) fn address(path: &str) -> String {
    let base = ASKED.try_with(|asked| asked.base_path.clone()).unwrap_or_default();
    base + path
}

/// The instance of a problem that answers what is asked just now.
pub(crate) fn instance() -> Option<String> {
    ASKED.try_with(|asked| asked.id.to_instance()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ids: &RequestIds, values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(REQUEST_ID, HeaderValue::from_str(value).unwrap());
        }
        ids.read(&headers).to_string()
    }

    #[test]
    fn a_well_formed_id_is_taken_and_any_other_is_drawn() {
        let ids = RequestIds::new();
        let longest = "a".repeat(REQUEST_ID_CHARS_MAX);
        for good in ["a", "Root=1-67891233:x/y@z+~._", &longest] {
            assert_eq!(read(&ids, &[good]), good);
        }
        let mut drawn: Vec<String> = Vec::new();
        let long = format!("{longest}a");
        for bad in [&[][..], &[""], &["a b"], &["a\tb"], &["<script>"], &["a\"b"], &["a", "a"], &[&long]] {
            drawn.push(read(&ids, bad));
        }
        assert!(drawn.iter().all(|id| id.len() == 32 && is_request_id(id)), "{drawn:?}");
        let count = drawn.len();
        drawn.sort();
        drawn.dedup();
        assert_eq!(drawn.len(), count);
        assert_ne!(read(&RequestIds::new(), &[])[..16], read(&ids, &[])[..16], "two processes have two");
    }

    #[tokio::test]
    async fn an_instance_is_told_while_its_request_is_answered() {
        let asked = Asked::read(&RequestIds::new(), &HeaderMap::new(), &OpenSpan::none(), "/bank");
        let id = asked.id.to_string();
        let told = asked.answer(async { instance() }).await;
        assert_eq!(told, Some(format!("urn:underlay:request:{id}")));
        assert_eq!(instance(), None);
    }
}
