use crate::words::limits::{SPAN_ATTRIBUTES_MAX, SPAN_TEXT_BYTES_MAX};
use crate::words::{SpanId, Timestamp, TraceContext};

/// The port for what is recorded of a trace. Whoever implements it takes the spans somewhere else, or leaves them out.
///
/// A trace is told and nothing is decided by it. So a span that is lost is no failure of what it tells of, and nobody
/// waits for one.
pub trait Spans: Send + Sync + 'static {
    /// Takes a span that has ended. It never waits and never fails: where there is no room, the span is left out and
    /// counted.
    fn record(&self, span: Span);
}

/// One thing that was done, as a part of a trace.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// The trace, and the id of this span.
    pub context: TraceContext,
    /// The span it is a part of, or follows from; none where the trace begins with it.
    pub parent: Option<SpanId>,
    /// What was done, in at most [`SPAN_TEXT_BYTES_MAX`] bytes. There are few such names: ids are attributes.
    pub name: String,
    /// Its side of a call.
    pub kind: SpanKind,
    /// When it began.
    pub begun: Timestamp,
    /// When it ended: not before it began.
    pub ended: Timestamp,
    /// What is known of it, in the order it was said.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// Why it failed, where it did.
    pub failure: Option<String>,
}

/// On which side of a call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpanKind {
    /// It calls nobody.
    Internal,
    /// It answers a request.
    Server,
    /// It asks another service.
    Client,
    /// It leaves work for later.
    Producer,
    /// It does work that was left.
    Consumer,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum SpanValue {
    /// A text, of at most [`SPAN_TEXT_BYTES_MAX`] bytes.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl Span {
    /// A span that begins.
    #[must_use]
    pub fn new(
        context: TraceContext,
        parent: Option<SpanId>,
        kind: SpanKind,
        name: impl Into<String>,
        begun: Timestamp,
    ) -> Self {
        let (name, attributes) = (cut(name.into()), Vec::new());
        Self { context, parent, name, kind, begun, ended: begun, attributes, failure: None }
    }

    /// Says something of it. What is more than [`SPAN_ATTRIBUTES_MAX`] is left out, and a long text is cut.
    pub fn set(&mut self, key: &'static str, value: impl Into<SpanValue>) {
        if self.attributes.len() < SPAN_ATTRIBUTES_MAX {
            self.attributes.push((key, value.into()));
        }
    }

    /// Says why it failed.
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.failure = Some(cut(reason.into()));
    }

    /// What was said of it, under a key.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&SpanValue> {
        self.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

/// A text as a span keeps it.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(SPAN_TEXT_BYTES_MAX));
    text
}

impl From<String> for SpanValue {
    fn from(text: String) -> Self {
        Self::Text(cut(text))
    }
}

impl From<&str> for SpanValue {
    fn from(text: &str) -> Self {
        // Only what is kept of it is copied.
        Self::Text(text[..text.floor_char_boundary(SPAN_TEXT_BYTES_MAX)].to_owned())
    }
}

impl From<u64> for SpanValue {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for SpanValue {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for SpanValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::TraceId;

    #[test]
    fn what_a_span_holds_is_bounded() {
        let context = TraceContext::new(TraceId::draw(), SpanId::draw(), true);
        let long = "ä".repeat(SPAN_TEXT_BYTES_MAX);
        let mut span = Span::new(context, None, SpanKind::Internal, long.clone(), Timestamp::UNIX_EPOCH);
        for _ in 0..2 * SPAN_ATTRIBUTES_MAX {
            span.set("text", long.as_str());
        }
        span.fail(long);
        assert_eq!(span.attributes.len(), SPAN_ATTRIBUTES_MAX);
        let Some(SpanValue::Text(kept)) = span.attribute("text") else { panic!("{span:?}") };
        let reason = span.failure.as_ref().unwrap();
        assert!([kept, reason, &span.name].iter().all(|text| text.len() == SPAN_TEXT_BYTES_MAX));
    }
}
