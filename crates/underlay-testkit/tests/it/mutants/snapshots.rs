use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::memory::MemorySnapshots;
use underlay_core::{Error, Snapshot, Snapshots, StreamName, TenantId};
use underlay_testkit::{Fixture, Skip, SnapshotsFixture};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Stream names are compared without regard to case, as by a collation.
    FoldsCase,
    /// What was removed is still read.
    ForgetsRemovals,
    /// Whoever writes last wins, also where it is late.
    LastWriterWins,
    /// A snapshot of another definition stays where it is later.
    IgnoresDefinitions,
    /// The tenant is not part of the key.
    SharesStates,
}

struct States {
    inner: MemorySnapshots,
    mutation: Mutation,
}

struct Mutant(Arc<States>);

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        Self(Arc::new(States { inner: MemorySnapshots::default(), mutation }))
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl SnapshotsFixture for Mutant {
    fn snapshots(&self) -> Arc<dyn Snapshots> {
        self.0.clone()
    }
}

impl States {
    fn key(&self, tenant: &TenantId, stream: &StreamName) -> (TenantId, StreamName) {
        match self.mutation {
            Mutation::SharesStates => (TenantId::new("everyone").unwrap(), stream.clone()),
            Mutation::FoldsCase => {
                (tenant.clone(), StreamName::parse(&stream.as_str().to_lowercase()).unwrap())
            }
            _ => (tenant.clone(), stream.clone()),
        }
    }
}

#[async_trait]
impl Snapshots for States {
    async fn load_snapshot(&self, tenant: &TenantId, stream: &StreamName) -> Result<Option<Snapshot>, Error> {
        let (tenant, stream) = self.key(tenant, stream);
        self.inner.load_snapshot(&tenant, &stream).await
    }

    async fn store_snapshot(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        snapshot: Snapshot,
    ) -> Result<(), Error> {
        let (tenant, stream) = self.key(tenant, stream);
        let there = self.inner.load_snapshot(&tenant, &stream).await?;
        match self.mutation {
            Mutation::LastWriterWins => self.inner.remove_snapshot(&tenant, &stream).await?,
            Mutation::IgnoresDefinitions if there.is_some_and(|there| there.version > snapshot.version) => {
                return Ok(());
            }
            _ => {}
        }
        self.inner.store_snapshot(&tenant, &stream, snapshot).await
    }

    async fn remove_snapshot(&self, tenant: &TenantId, stream: &StreamName) -> Result<(), Error> {
        if self.mutation == Mutation::ForgetsRemovals {
            return Ok(());
        }
        let (tenant, stream) = self.key(tenant, stream);
        self.inner.remove_snapshot(&tenant, &stream).await
    }
}

underlay_testkit::conformance!(snapshots, Mutant);

caught! { snapshots;
    one_case_of_names: a_snapshot_is_read_back fails on FoldsCase;
    removals_forgotten: a_snapshot_is_read_back fails on ForgetsRemovals;
    a_late_writer: a_later_snapshot_replaces_an_earlier fails on LastWriterWins;
    definitions_ignored: a_later_snapshot_replaces_an_earlier fails on IgnoresDefinitions;
    states_of_everyone: snapshots_belong_to_their_tenant fails on SharesStates;
}
