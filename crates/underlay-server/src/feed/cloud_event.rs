//! Events as [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) has them, in its
//! JSON format.
//!
//! `source` and `id` together tell an event from all others: an event's id is its tenant's, so `source` names log and tenant.
//! `sequence` orders events as the log does, by comparing its texts.

use axum::http::HeaderMap;
use serde::Serialize;
use underlay_core::{
    CommitId, EventId, EventType, Json, Metadata, RecordedEvent, StoreId, StreamName, TenantId, Timestamp,
};
use uuid::Uuid;

use super::accepts;

/// The content type of a page of them.
pub(crate) const BATCH: &str = "application/cloudevents-batch+json";
/// Digits of the largest position there is.
const SEQUENCE_DIGITS: usize = 19;

/// Whether a page of them is asked for.
pub(crate) fn is_batch_asked_for(headers: &HeaderMap) -> bool {
    accepts(headers, BATCH)
}

/// Where a tenant's events come from.
fn source(store: StoreId, tenant: &TenantId) -> String {
    format!("urn:underlay:log:{store}:{tenant}")
}

/// An event. Names of attributes are small letters and digits.
#[derive(Debug, Serialize)]
pub(crate) struct CloudEvent<'a> {
    specversion: &'static str,
    id: EventId,
    source: String,
    #[serde(rename = "type")]
    event_type: &'a EventType,
    subject: &'a StreamName,
    time: Timestamp,
    datacontenttype: &'static str,
    dataschema: String,
    sequence: String,
    streamversion: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commandid: Option<CommitId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
    /// The encoding of a payload that is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    payloadencoding: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payloadkeyid: Option<&'a str>,
    data: &'a Json,
}

impl<'a> CloudEvent<'a> {
    pub(crate) fn of(event: &'a RecordedEvent, store: StoreId) -> Self {
        // What is no metadata of ours says nothing here; the plain form shows it as it is.
        let metadata: Metadata = event.metadata.decode().unwrap_or_default();
        let payload = &event.payload;
        let dataschema = format!("urn:underlay:event:{}:{}", event.event_type, event.schema_version);
        let sequence = format!("{:0width$}", event.position.number(), width = SEQUENCE_DIGITS);
        // An attribute that is there has a value.
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            specversion: "1.0",
            id: event.event_id,
            source: source(store, &event.tenant),
            event_type: &event.event_type,
            subject: &event.stream,
            time: event.recorded_at,
            datacontenttype: "application/json",
            dataschema,
            sequence,
            streamversion: event.version.0.to_string(),
            correlationid: metadata.correlation_id,
            causationid: metadata.causation_id,
            commandid: metadata.command_id,
            actor: text(metadata.actor),
            traceparent: text(metadata.traceparent),
            tracestate: text(metadata.tracestate),
            payloadencoding: (!payload.is_plain()).then(|| payload.encoding()),
            payloadkeyid: payload.key_id(),
            data: payload.text(),
        }
    }
}
