use std::sync::Arc;
use std::time::Duration;

use underlay_core::{Error, Lease, Leases};

use crate::LeasesFixture;

/// How long the leases of the cases are asked for.
pub(super) const TERM: Duration = Duration::from_secs(10);
/// The least time there is in a store.
pub(super) const MOMENT: Duration = Duration::from_micros(1);

/// The leases under attack. Its ways to ask panic where the store cannot answer.
#[derive(Clone)]
pub(super) struct Subject(pub(super) Arc<dyn Leases>);

impl Subject {
    pub(super) fn of<F: LeasesFixture>(fixture: &F) -> Self {
        Self(fixture.leases())
    }

    pub(super) async fn ask(&self, name: &str, holder: &str) -> Option<Lease> {
        self.0.acquire(name, holder, TERM).await.expect("a lease is given or not")
    }

    /// Takes a lease that must be free.
    pub(super) async fn take(&self, name: &str, holder: &str) -> Lease {
        let lease = self.ask(name, holder).await;
        let lease = lease.unwrap_or_else(|| panic!("{name} is free and not given to {holder}"));
        assert_eq!((lease.name.as_str(), lease.holder.as_str()), (name, holder), "the lease asked for");
        lease
    }

    pub(super) async fn assert_held(&self, name: &str) {
        for holder in ["a", "b", "c"] {
            assert_eq!(self.ask(name, holder).await, None, "{name} is held and was given to {holder}");
        }
    }

    pub(super) async fn renew(&self, lease: &Lease) -> Lease {
        self.0.renew(lease, TERM).await.expect("a lease that is held is renewed")
    }

    pub(super) async fn find(&self, name: &str) -> Option<Lease> {
        self.0.find(name).await.expect("who holds a lease is known")
    }

    pub(super) async fn assert_lost(&self, lease: &Lease) {
        match self.0.renew(lease, TERM).await {
            Err(Error::LeaseLost { name, term }) => {
                assert_eq!((name, term), (lease.name.clone(), lease.term), "the lease that is lost");
            }
            other => panic!("{lease:?} is lost, and renewing it gave {other:?}"),
        }
    }

    pub(super) async fn release(&self, lease: &Lease) {
        self.0.release(lease).await.expect("a release");
    }
}
