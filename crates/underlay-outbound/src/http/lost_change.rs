//! What became of a change whose answer was lost, as its entity says.
//!
//! An entity that is as it was to become was made so by this change, or by another one that came to the same from the same
//! version: these two cannot be told apart, and both hear that it is so.

use hyper::header::HeaderValue;
use underlay_core::{Change, EntityChange, EntityVersion, Error, TenantId};

use super::HttpEntities;
use super::reading::Current;
use super::remote::Call;

/// What an entity says of a change whose answer was lost.
pub(super) enum Found {
    /// The change was made, or can no longer be made.
    Settled(Result<EntityVersion, Error>),
    /// It is as it was before.
    Unchanged,
    /// It tells nothing.
    Unknown,
}

impl HttpEntities {
    /// Reads the entity of a change whose answer was lost.
    pub(super) async fn find_out(
        &self,
        call: &Call<'_>,
        tenant: &TenantId,
        change: &EntityChange,
        sent: Option<&HeaderValue>,
    ) -> Found {
        let Ok(current) = self.current(call, &change.schema, tenant, &change.id).await else {
            return Found::Unknown;
        };
        let Some(Current { entity, etag }) = current else {
            return match &change.change {
                Change::Create(_) => Found::Unchanged,
                Change::Update { .. } => Found::Unknown,
                Change::Delete { .. } => Found::Settled(Ok(EntityVersion::NEW)),
            };
        };
        let version = entity.version;
        let is_next = self.is_next(change, version);
        if is_next && change.values().is_some_and(|values| entity.values == values) {
            return Found::Settled(Ok(version));
        }
        // Where versions do not count, only the ETag tells the state that was seen from one that came to be the same.
        if change.expected() == Some(version) && (self.shape.etag_is_version || etag.as_ref() == sent) {
            return Found::Unchanged;
        }
        // Where they count, one change alone makes the next: it was another, and this one comes too late.
        let is_late = match &change.change {
            Change::Create(_) | Change::Update { .. } => is_next,
            Change::Delete { expected } => expected.is_some_and(|expected| version > expected),
        };
        if self.shape.counts && is_late {
            return Found::Settled(change.check_version(Some(version)).map(|()| version));
        }
        Found::Unknown
    }
}
