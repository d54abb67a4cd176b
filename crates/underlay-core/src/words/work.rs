//! What a commit sends on: messages, commands and timers. It is stored with the events or not at all.
//!
//! The shape is decided here, so that no stored form changes when stores begin to keep it. None does yet:
//! a commit with work is refused as a whole, so nothing that was asked for is lost without a word.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::words::limits::{WORK_KEY_BYTES_MAX, WORK_RECEIVER_BYTES_MAX};
use crate::words::{CommitId, Error, Fingerprint, Payload, StreamName, TenantId, Timestamp, Value, Version};

/// The identity of a piece of work: of one commit, the n-th is always the same, also after a repeat, an export
/// and an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkId(pub Uuid);

impl WorkId {
    /// The id of the n-th piece of work of a tenant's commit, counted from 0.
    #[must_use]
    pub fn of(tenant: &TenantId, commit: CommitId, number: u32) -> Self {
        let parts =
            [b"work-id".as_slice(), tenant.as_str().as_bytes(), commit.0.as_bytes(), &number.to_le_bytes()];
        Self(Uuid::new_v8(Fingerprint::of(parts).0))
    }
}

impl fmt::Display for WorkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkKind {
    /// A message for a handler.
    Message,
    /// A command for an aggregate or an operation.
    Command,
    /// A timer of a process.
    Timer,
}

impl WorkKind {
    /// The word stores keep for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Command => "command",
            Self::Timer => "timer",
        }
    }
}

/// A piece of work on its way into a store. Its id follows from its place in the commit; see [`WorkId::of`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewWork {
    /// What it is.
    pub kind: WorkKind,
    /// Who does it: the name of a handler, of a category, of an operation or of a process.
    pub receiver: String,
    /// Work of one tenant with one receiver and one key is done in the order of the log.
    pub key: String,
    /// What the receiver is given.
    pub payload: Payload,
    /// The moment before which nobody begins it; none means at once.
    pub due_at: Option<Timestamp>,
}

impl NewWork {
    /// A piece of work that is due at once.
    #[must_use]
    pub fn new(
        kind: WorkKind,
        receiver: impl Into<String>,
        key: impl Into<String>,
        payload: impl Into<Payload>,
    ) -> Self {
        Self { kind, receiver: receiver.into(), key: key.into(), payload: payload.into(), due_at: None }
    }

    /// Sets the moment before which nobody begins it.
    #[must_use]
    pub fn with_due_at(mut self, due_at: Timestamp) -> Self {
        self.due_at = Some(due_at);
        self
    }

    /// About how many bytes it is; what byte limits count.
    pub(super) fn bytes(&self) -> usize {
        self.receiver.len() + self.key.len() + self.payload.bytes()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let texts = [
            ("receiver", &self.receiver, "WORK_RECEIVER_BYTES_MAX", WORK_RECEIVER_BYTES_MAX),
            ("key", &self.key, "WORK_KEY_BYTES_MAX", WORK_KEY_BYTES_MAX),
        ];
        for (what, text, limit, max) in texts {
            if text.is_empty() || text.len() > max || text.contains('\0') {
                return Err(Error::invalid(format!(
                    "the {what} of a {} has 1 to {limit} = {max} bytes and no NUL, this one has {}",
                    self.kind.name(),
                    text.len()
                )));
            }
        }
        Ok(())
    }

    /// What a repeat must match.
    pub(super) fn fingerprint_parts(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let due_at = self.due_at.map_or_else(String::new, |due_at| due_at.to_string());
        let key_id = self.payload.key_id().unwrap_or_default();
        let texts = [
            self.kind.name(),
            &self.receiver,
            &self.key,
            self.payload.text().as_str(),
            self.payload.encoding(),
            key_id,
        ];
        texts.map(|text| text.as_bytes().to_vec()).into_iter().chain([due_at.into_bytes()])
    }
}

/// A row that is stored with the commit itself: the state of one stream after the decision, for a view that
/// nobody has to wait for. Each view has at most one row for a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineRow {
    /// The view.
    pub view: String,
    /// The stream, which the commit writes.
    pub stream: StreamName,
    /// The version of the stream that the row shows; a store keeps the row of the highest one.
    pub version: Version,
    /// The row's values, in the order of the view's columns; none removes the row.
    pub values: Option<Vec<Value>>,
}

impl InlineRow {
    /// About how many bytes it is; what byte limits count.
    pub(super) fn bytes(&self) -> usize {
        let text = |value: &Value| if let Value::Text(text) = value { text.len() } else { 0 };
        let values: usize = self.values.iter().flatten().map(text).sum();
        self.view.len() + self.stream.as_str().len() + values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_the_place_in_the_commit() {
        let (acme, globex) = (TenantId::new("acme").unwrap(), TenantId::new("globex").unwrap());
        let (commit, another) = (CommitId::draw(), CommitId::draw());
        let id = WorkId::of(&acme, commit, 0);
        assert_eq!(id, WorkId::of(&acme, commit, 0));
        let others =
            [WorkId::of(&acme, commit, 1), WorkId::of(&globex, commit, 0), WorkId::of(&acme, another, 0)];
        assert!(!others.contains(&id));
    }
}
