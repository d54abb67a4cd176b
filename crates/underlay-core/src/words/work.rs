//! What a commit sends on: messages, commands, inputs and timers. It is stored with the events or not at all.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::words::commit;
use crate::words::limits::{WORK_KEY_BYTES_MAX, WORK_NAME_BYTES_MAX, WORK_RECEIVER_BYTES_MAX, WORK_SHARDS};
use crate::words::{
    CommitId, Error, Fingerprint, Json, Payload, SchemaVersion, StreamName, TenantId, Timestamp, Value,
    Version,
};

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

/// Where a piece of work stands in the order of all work: that of its commits, and in a commit that of
/// [`Commit::work`](crate::words::Commit::work). It is the store's own, and no part of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkPlace(u64);

impl WorkPlace {
    /// Before all work.
    pub const START: Self = Self(0);
    /// Places of one commit; [`COMMIT_WORK_MAX`](crate::words::limits::COMMIT_WORK_MAX) is less.
    const OF_COMMIT: u64 = 1 << 10;

    /// The place of the n-th piece of work of the commit that a store numbered `sequence`.
    #[must_use]
    pub fn of(sequence: u64, number: u32) -> Self {
        Self(sequence * Self::OF_COMMIT + u64::from(number))
    }

    /// Its place in its commit, from 0.
    #[must_use]
    pub fn in_commit(self) -> u32 {
        // Less than OF_COMMIT, which fits.
        (self.0 % Self::OF_COMMIT) as u32
    }

    /// For adapters: takes what was stored.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// For adapters: what is stored.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A part of all work, which one worker at a time does. Work of one tenant and one key is in one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shard(u16);

impl Shard {
    /// The shard of a tenant's key. It never changes: work is stored under it.
    #[must_use]
    pub fn of(tenant: &TenantId, key: &str) -> Self {
        let hash = Fingerprint::of([b"work-shard".as_slice(), tenant.as_str().as_bytes(), key.as_bytes()]).0;
        Self(u16::from_le_bytes([hash[0], hash[1]]) % WORK_SHARDS)
    }

    /// Every shard.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..WORK_SHARDS).map(Self)
    }

    /// For adapters: takes what was stored; `None` where there is no such shard.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        (number < WORK_SHARDS).then_some(Self(number))
    }

    /// For adapters: what is stored.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What goes first. Work of one key keeps its order within a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Before what is normal, however much of that waits.
    Urgent,
    /// In its turn.
    #[default]
    Normal,
}

impl Lane {
    /// Every lane, the first first.
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Normal];

    /// For adapters: takes what was stored; `None` where there is no such lane.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// For adapters: what is stored.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Urgent => 0,
            Self::Normal => 1,
        }
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
    /// What a process is given: an event, or how a command ended that it sent.
    Input,
    /// A timer of a process.
    Timer,
}

impl WorkKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Message, Self::Command, Self::Input, Self::Timer];

    /// The kind that stores keep this word for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The word stores keep for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Command => "command",
            Self::Input => "input",
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
    /// Work of one tenant with one receiver and one key is done one at a time, in order.
    pub key: String,
    /// What it is called: the type of a message, the name of a command or a timer.
    pub name: String,
    /// The version of the payload's shape.
    pub version: SchemaVersion,
    /// What the receiver is given.
    pub payload: Payload,
    /// The moment before which nobody begins it; none means at once. Until then it is in nobody's way.
    pub due_at: Option<Timestamp>,
    /// What goes first.
    pub lane: Lane,
}

impl NewWork {
    /// A piece of work that is due at once.
    #[must_use]
    pub fn new(
        kind: WorkKind,
        receiver: impl Into<String>,
        key: impl Into<String>,
        name: impl Into<String>,
        payload: impl Into<Payload>,
    ) -> Self {
        Self {
            kind,
            receiver: receiver.into(),
            key: key.into(),
            name: name.into(),
            version: SchemaVersion(1),
            payload: payload.into(),
            due_at: None,
            lane: Lane::default(),
        }
    }

    /// Sets the version of the payload's shape.
    #[must_use]
    pub fn with_version(mut self, version: SchemaVersion) -> Self {
        self.version = version;
        self
    }

    /// Puts it before what is normal.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.lane = Lane::Urgent;
        self
    }

    /// Sets the moment before which nobody begins it.
    #[must_use]
    pub fn with_due_at(mut self, due_at: Timestamp) -> Self {
        self.due_at = Some(due_at);
        self
    }

    /// About how many bytes it is; what byte limits count.
    pub(super) fn bytes(&self) -> usize {
        self.receiver.len() + self.key.len() + self.name.len() + self.payload.bytes()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let texts = [
            ("receiver", &self.receiver, "WORK_RECEIVER_BYTES_MAX", WORK_RECEIVER_BYTES_MAX),
            ("key", &self.key, "WORK_KEY_BYTES_MAX", WORK_KEY_BYTES_MAX),
            ("name", &self.name, "WORK_NAME_BYTES_MAX", WORK_NAME_BYTES_MAX),
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
        commit::check_payload(&self.payload)
    }

    /// What a repeat must match.
    pub(super) fn fingerprint_parts(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let due_at = self.due_at.map_or_else(String::new, |due_at| due_at.to_string());
        let numbers = [self.version.0.to_le_bytes().to_vec(), vec![self.lane.number()]];
        let key_id = self.payload.key_id().unwrap_or_default();
        let texts = [
            self.kind.name(),
            &self.receiver,
            &self.key,
            &self.name,
            self.payload.text().as_str(),
            self.payload.encoding(),
            key_id,
        ];
        texts.map(|text| text.as_bytes().to_vec()).into_iter().chain([due_at.into_bytes()]).chain(numbers)
    }
}

/// A piece of work as a store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Its identity.
    pub id: WorkId,
    /// Its owner.
    pub tenant: TenantId,
    /// The commit that sent it.
    pub commit_id: CommitId,
    /// Where it stands in the order of all work.
    pub place: WorkPlace,
    /// The part of all work it belongs to.
    pub shard: Shard,
    /// What was sent. `due_at` is the moment of the next attempt; `None` where it is ready, or stands behind
    /// another of its key.
    pub sent: NewWork,
    /// The metadata of its commit.
    pub metadata: Json,
    /// When its commit was stored.
    pub sent_at: Timestamp,
    /// The attempts that have failed.
    pub attempts: u32,
    /// How often it was begun without an end, as far as that was counted: see
    /// [`WorkQueue::begin`](crate::WorkQueue::begin).
    pub begun: u32,
    /// Why the last of them failed.
    pub last_error: Option<String>,
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

    #[test]
    fn a_key_has_the_same_shard_for_ever() {
        let acme = TenantId::new("acme").unwrap();
        // It is stored: no version of this program may give another.
        let shards = ["member-1", "member-2", "member-3"].map(|key| Shard::of(&acme, key).number());
        assert_eq!(shards, [15, 7, 8]);
        let all: std::collections::HashSet<_> =
            (0..1_000).map(|n: u32| Shard::of(&acme, &n.to_string())).collect();
        assert_eq!(all.len(), usize::from(WORK_SHARDS));
        assert_eq!(Shard::all().filter_map(|shard| Shard::from_number(shard.number())).count(), all.len());
        assert_eq!(Shard::from_number(WORK_SHARDS), None);
    }

    #[test]
    fn places_are_in_the_order_of_commits_and_of_what_they_send() {
        let last = crate::words::limits::COMMIT_WORK_MAX as u32 - 1;
        assert!(WorkPlace::START < WorkPlace::of(1, 0));
        assert!(WorkPlace::of(1, 0) < WorkPlace::of(1, last));
        assert!(WorkPlace::of(1, last) < WorkPlace::of(2, 0));
        assert_eq!([WorkPlace::of(1, last), WorkPlace::of(2, 0)].map(WorkPlace::in_commit), [last, 0]);
    }
}
