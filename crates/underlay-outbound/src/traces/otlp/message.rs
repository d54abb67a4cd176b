//! The messages of OTLP that spans are sent in, as `opentelemetry/proto/trace/v1/trace.proto` numbers their fields. They
//! are stable. Only those that are used here are written down.

use prost::Message;
use underlay_core::{Error, Span, SpanKind, SpanValue, Timestamp};

use super::super::OtlpConfig;
use super::super::config::pairs;

/// The name of the service where none is set.
const SERVICE_DEFAULT: &str = "underlay";
/// The status of what failed.
const STATUS_ERROR: i32 = 2;
/// The flag of what is sampled, as in a `traceparent`.
const FLAG_SAMPLED: u32 = 1;

#[derive(Clone, PartialEq, Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<ResourceMessage>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMessage {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<SpanMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct SpanMessage {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// What a collector answers.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportAnswer {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

/// That it has not taken all.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_spans: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

/// What is said of the process that sends spans.
pub(super) struct Resource(ResourceMessage);

impl Resource {
    pub(super) fn new(config: &OtlpConfig) -> Result<Self, Error> {
        let more = config.resource_attributes.as_deref().unwrap_or_default();
        let more = pairs(more).map_err(|wrong| Error::invalid(format!("resource attributes: {wrong}")))?;
        let named = more.iter().find(|(name, _)| name == "service.name").map(|(_, value)| value.as_str());
        let service = config.service_name.as_deref().or(named).unwrap_or(SERVICE_DEFAULT);
        let mut attributes = vec![
            text("service.name", service),
            text("telemetry.sdk.name", "underlay"),
            text("telemetry.sdk.language", "rust"),
            text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ];
        let others = more.iter().filter(|(name, _)| !attributes.iter().any(|known| known.key == *name));
        let others: Vec<KeyValue> = others.map(|(name, value)| text(name, value)).collect();
        attributes.extend(others);
        Ok(Self(ResourceMessage { attributes }))
    }

    /// A request with a batch of spans.
    pub(super) fn request(&self, batch: &[Span]) -> Vec<u8> {
        let scope = Scope { name: "underlay".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let spans = ScopeSpans { scope: Some(scope), spans: batch.iter().map(message).collect() };
        let resource_spans = vec![ResourceSpans { resource: Some(self.0.clone()), scope_spans: vec![spans] }];
        ExportRequest { resource_spans }.encode_to_vec()
    }
}

fn message(span: &Span) -> SpanMessage {
    let status = |reason: &String| Status { message: reason.clone(), code: STATUS_ERROR };
    SpanMessage {
        trace_id: span.context.trace_id.0.to_vec(),
        span_id: span.context.span_id.0.to_vec(),
        parent_span_id: span.parent.map_or_else(Vec::new, |parent| parent.0.to_vec()),
        name: span.name.clone(),
        kind: match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
            SpanKind::Producer => 4,
            SpanKind::Consumer => 5,
        },
        start_time_unix_nano: nanoseconds(span.begun),
        end_time_unix_nano: nanoseconds(span.ended),
        attributes: span.attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
        status: span.failure.as_ref().map(status),
        flags: FLAG_SAMPLED,
    }
}

fn nanoseconds(moment: Timestamp) -> u64 {
    u64::try_from(moment.as_nanosecond()).unwrap_or_default()
}

fn attribute(key: &str, value: &SpanValue) -> KeyValue {
    let value = match value {
        SpanValue::Text(text) => Value::Text(text.clone()),
        SpanValue::Number(number) => Value::Number(*number),
        SpanValue::Flag(flag) => Value::Flag(*flag),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn text(key: &str, text: &str) -> KeyValue {
    attribute(key, &SpanValue::from(text))
}
