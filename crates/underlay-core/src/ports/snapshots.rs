use async_trait::async_trait;

use crate::words::{Error, EventId, Fingerprint, Json, StreamName, TenantId, Version};

/// A stored state: a shortcut past the events it was folded from, never the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of the stream it was taken at.
    pub version: Version,
    /// The event at that version: another event there means another history.
    pub event_id: EventId,
    /// The definition it was taken by; see [`SnapshotState::fingerprint`](crate::domain::SnapshotState::fingerprint).
    pub fingerprint: Fingerprint,
    /// The state.
    pub state: Json,
}

/// Stored states, one a stream. Losing them costs time, nothing else.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *A snapshot stored is read back.* `a_snapshot_is_read_back`
/// 2. *A snapshot replaces one of a lower or equal version or of another definition, and no other.* `a_later_snapshot_replaces_an_earlier`
/// 3. *A tenant reads its own alone.* `snapshots_belong_to_their_tenant`
#[async_trait]
pub trait Snapshots: Send + Sync + 'static {
    /// The last snapshot of a stream.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Damaged`] or [`Error::Backend`].
    async fn load_snapshot(&self, tenant: &TenantId, stream: &StreamName) -> Result<Option<Snapshot>, Error>;

    /// Stores a snapshot over an earlier one. One of a higher version and the same definition stays.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn store_snapshot(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        snapshot: Snapshot,
    ) -> Result<(), Error>;

    /// Removes the snapshot of a stream: it was found to be of no use.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn remove_snapshot(&self, tenant: &TenantId, stream: &StreamName) -> Result<(), Error>;
}
