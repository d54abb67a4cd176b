//! A lease that is renewed for as long as this process works under it.
//!
//! ```text
//!  acquired ──► held ── a third of its time has passed ──► renewed ──► held …
//!                │
//!                └── its whole time has passed, or the store says so ──► lost
//! ```
//!
//! What happens when something fails: where the store does not answer, the renewal is tried again until
//! the lease has run out. A process that was paused may find out late; that does no harm, since the
//! store takes nothing under a term that is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use underlay_core::{Clock, Error, Lease, LeaseTerm, Leases};

/// How often a lease is renewed in its time.
const RENEWALS: u32 = 3;

/// A lease of this process. Dropped without a release it runs out by itself.
pub(crate) struct HeldLease {
    leases: Arc<dyn Leases>,
    lease: Lease,
    /// Closed once it is lost.
    held: watch::Receiver<()>,
    renewing: JoinHandle<()>,
}

impl HeldLease {
    /// Takes a lease and goes on to renew it; `None` where somebody else holds it.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn acquire(
        leases: &Arc<dyn Leases>,
        clock: &Arc<dyn Clock>,
        name: &str,
        holder: &str,
        duration: Duration,
    ) -> Result<Option<Self>, Error> {
        let Some(lease) = leases.acquire(name, holder, duration).await? else { return Ok(None) };
        tracing::debug!(name, term = lease.term, "the lease is held");
        let (alive, held) = watch::channel(());
        let renewing = {
            let (leases, clock, lease) = (leases.clone(), clock.clone(), lease.clone());
            async move {
                while is_renewed(&*leases, &*clock, &lease, duration).await {}
                drop(alive);
            }
        };
        Ok(Some(Self { leases: leases.clone(), lease, held, renewing: tokio::spawn(renewing) }))
    }

    /// What a write under it names.
    pub(crate) fn term(&self) -> LeaseTerm {
        self.lease.term()
    }

    /// Whether this process knows that it is lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.held.has_changed().is_err()
    }

    /// Ends once it is lost.
    pub(crate) async fn lost(&mut self) {
        while self.held.changed().await.is_ok() {}
    }

    /// Gives it back, so that another process can take it at once.
    pub(crate) async fn release(self) {
        self.renewing.abort();
        if let Err(error) = self.leases.release(&self.lease).await {
            tracing::debug!(name = self.lease.name, %error, "the lease is left to run out");
        }
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// Waits until a lease is due and renews it; false where it is lost.
async fn is_renewed(leases: &dyn Leases, clock: &dyn Clock, lease: &Lease, duration: Duration) -> bool {
    let renewed = async {
        loop {
            clock.sleep(duration / RENEWALS).await;
            match leases.renew(lease, duration).await {
                Ok(_) => return true,
                Err(error @ Error::LeaseLost { .. }) => {
                    tracing::warn!(%error, "another process may take over");
                    return false;
                }
                Err(error) => tracing::debug!(name = lease.name, %error, "the lease could not be renewed"),
            }
        }
    };
    tokio::select! {
        // Where both are due, the process stood still for so long that there is nothing to renew.
        biased;
        () = clock.sleep(duration) => {
            tracing::warn!(name = lease.name, term = lease.term, "the lease ran out before it was renewed");
            false
        }
        renewed = renewed => renewed,
    }
}
