//! Stored states: taken every so many events, used to load a stream by its tail.
//!
//! A snapshot is never trusted. It is passed over, and replaced by the next one, where its definition
//! is not the code's, its text cannot be read, or the stream has another event at its version (a log
//! that was restored or imported under it). Taking one happens beside the command and may fail: the
//! next one is tried after as many events again.

use std::marker::PhantomData;
use std::sync::Arc;

use tokio::sync::Semaphore;
use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    AggregateState, Error, EventId, Fingerprint, Json, Snapshot, SnapshotState, StreamName, TenantId, Version,
};

use super::Commands;
use super::decide::fold_tail;

/// Snapshots being stored at once; past it one is left out.
const SNAPSHOTS_IN_FLIGHT_MAX: usize = 4;

/// Stores and restores the states of one aggregate, with its type erased.
pub(crate) trait Snapshotter: Send + Sync {
    fn every(&self) -> u64;
    fn fingerprint(&self) -> Fingerprint;
    /// The state of a stream without events.
    fn begin(&self) -> AggregateState;
    fn restore(&self, state: &Json, version: Version) -> Option<AggregateState>;
    fn take(&self, state: &AggregateState) -> Option<Json>;
}

pub(crate) struct SnapshotsOf<A> {
    fingerprint: Fingerprint,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: SnapshotState> SnapshotsOf<A> {
    pub(crate) fn new() -> Self {
        Self { fingerprint: A::fingerprint(), aggregate: PhantomData }
    }
}

impl<A: SnapshotState> Snapshotter for SnapshotsOf<A> {
    fn every(&self) -> u64 {
        A::SNAPSHOT_EVERY.max(1)
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn begin(&self) -> AggregateState {
        AggregateState::new::<A>()
    }

    fn restore(&self, state: &Json, version: Version) -> Option<AggregateState> {
        let restored = |held| AggregateState::restored::<A>(held, version, state.bytes());
        state.decode().ok().map(restored)
    }

    fn take(&self, state: &AggregateState) -> Option<Json> {
        state.get::<A>().and_then(|state| Json::encode(state).ok())
    }
}

/// How many snapshots may be stored at once.
pub(crate) fn in_flight() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(SNAPSHOTS_IN_FLIGHT_MAX))
}

impl Commands {
    /// The state of a stream from its snapshot and the page of events after it; `None` where there is
    /// no snapshot that can be used.
    pub(crate) async fn restore(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
    ) -> Result<Option<AggregateState>, Error> {
        let (Some(snapshots), Some(snapshotter)) =
            (&self.snapshots, self.registry.snapshotter(stream.category()))
        else {
            return Ok(None);
        };
        let found = match snapshots.load_snapshot(tenant, stream).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => {
                tracing::warn!(%stream, %error, "a snapshot cannot be read; the stream is loaded whole");
                return Ok(None);
            }
        };
        let known = found.fingerprint == snapshotter.fingerprint() && found.version > Version::NONE;
        let restored = if known { snapshotter.restore(&found.state, found.version) } else { None };
        if let Some(mut state) = restored {
            let before = Version(found.version.0 - 1);
            let page = self.store.read_stream(tenant, stream, before, PAGE_EVENTS_MAX).await?;
            if let Some((at, tail)) = page.events.split_first()
                && at.event_id == found.event_id
            {
                fold_tail(stream, &mut state, tail)?;
                return Ok(Some(state));
            }
        }
        if let Err(error) = snapshots.remove_snapshot(tenant, stream).await {
            tracing::warn!(%stream, %error, "a snapshot of no use cannot be removed");
        }
        Ok(None)
    }

    /// Stores a snapshot, beside the caller, where the stream has come past the next one from `before`.
    pub(crate) fn take_snapshot(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        before: Version,
        state: &AggregateState,
        event_id: EventId,
    ) {
        let (Some(snapshots), Some(snapshotter)) =
            (&self.snapshots, self.registry.snapshotter(stream.category()))
        else {
            return;
        };
        let every = snapshotter.every();
        if before.0 / every == state.version().0 / every {
            return;
        }
        let Ok(permit) = self.snapshots_in_flight.clone().try_acquire_owned() else { return };
        let (snapshots, tenant, stream, state) =
            (snapshots.clone(), tenant.clone(), stream.clone(), state.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let Some(encoded) = snapshotter.take(&state) else { return };
            let fingerprint = snapshotter.fingerprint();
            let snapshot = Snapshot { version: state.version(), event_id, fingerprint, state: encoded };
            if let Err(error) = snapshots.store_snapshot(&tenant, &stream, snapshot).await {
                tracing::warn!(%stream, %error, "a snapshot was not stored");
            }
        });
    }
}
