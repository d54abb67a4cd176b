use std::sync::Arc;

use underlay_core::{EventId, Fingerprint, Json, Snapshot, Snapshots, StreamName, TenantId, Version};

use crate::{SnapshotsFixture, sample};

/// A snapshot at a version, taken by a definition; each has an event and a state of its own.
pub(super) fn snapshot(version: u64, definition: &str) -> Snapshot {
    let event_id = EventId::draw();
    Snapshot {
        version: Version(version),
        event_id,
        fingerprint: Fingerprint::of([definition.as_bytes()]),
        state: Json::encode(&format!("{definition} {version} {event_id}")).expect("text has a JSON form"),
    }
}

/// The store under attack, seen by one tenant. Its ways to ask panic where the store cannot answer.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) snapshots: Arc<dyn Snapshots>,
    pub(super) tenant: TenantId,
}

impl Subject {
    pub(super) fn of<F: SnapshotsFixture>(fixture: &F) -> Self {
        Self { snapshots: fixture.snapshots(), tenant: sample::tenant("acme") }
    }

    /// The same store, seen by another tenant.
    pub(super) fn seen_by(&self, tenant: &str) -> Self {
        Self { tenant: sample::tenant(tenant), ..self.clone() }
    }

    pub(super) async fn load(&self, stream: &StreamName) -> Option<Snapshot> {
        self.snapshots.load_snapshot(&self.tenant, stream).await.expect("load_snapshot answers")
    }

    pub(super) async fn store(&self, stream: &StreamName, snapshot: &Snapshot) {
        let stored = self.snapshots.store_snapshot(&self.tenant, stream, snapshot.clone()).await;
        stored.expect("store_snapshot answers");
    }

    pub(super) async fn remove(&self, stream: &StreamName) {
        self.snapshots.remove_snapshot(&self.tenant, stream).await.expect("remove_snapshot answers");
    }
}
