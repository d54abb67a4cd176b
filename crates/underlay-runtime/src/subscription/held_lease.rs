//! A lease that is renewed for as long as this process works under it.
//!
//! ```text
//!  acquired ──► held ── a third of its time has passed ──► renewed ──► held …
//!                │
//!                ├── given back, or whoever worked under it is gone ──► released
//!                └── its whole time has passed, or the store says so ──► lost
//! ```
//!
//! A task of its own acquires, renews and releases it. So it is released whatever becomes of the work: a caller may
//! go away at any point, also while the store is asked.
//!
//! What happens when something fails: where the store does not answer, the renewal is tried again until
//! the lease has run out. A process that was paused may find out late; that does no harm, since the
//! store takes nothing under a term that is over. A lease that could not be released runs out by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use underlay_core::{Clock, Error, Lease, LeaseTerm, Leases};

/// How often a lease is renewed in its time.
const RENEWALS: u32 = 3;

/// A lease of this process. Dropped, it is given back.
pub(crate) struct HeldLease {
    lease: Lease,
    /// Closed once it is lost.
    held: watch::Receiver<()>,
    /// Dropped once nobody works under it any more.
    wanted: oneshot::Sender<()>,
    keeping: JoinHandle<()>,
}

/// What the task of a lease tells whoever asked for it.
type Acquired = (Lease, watch::Receiver<()>, oneshot::Sender<()>);

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
        let (tell, told) = oneshot::channel();
        let (leases, clock) = (leases.clone(), clock.clone());
        let (name, holder) = (name.to_owned(), holder.to_owned());
        let keeping = tokio::spawn(keep(leases, clock, name, holder, duration, tell));
        let acquired =
            told.await.map_err(|_| Error::unavailable("the task that takes a lease has ended"))??;
        Ok(acquired.map(|(lease, held, wanted)| Self { lease, held, wanted, keeping }))
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

    /// Gives it back and waits for that, so that another process can take it at once.
    pub(crate) async fn release(self) {
        drop(self.wanted);
        // Where the program ends at once, the task does too, and the lease runs out.
        if let Err(error) = self.keeping.await
            && error.is_panic()
        {
            tracing::error!(name = self.lease.name, %error, "the task of a lease ended badly");
        }
    }
}

/// Takes a lease, renews it as long as somebody wants it, and releases it.
async fn keep(
    leases: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    name: String,
    holder: String,
    duration: Duration,
    tell: oneshot::Sender<Result<Option<Acquired>, Error>>,
) {
    let lease = match leases.acquire(&name, &holder, duration).await {
        Ok(Some(lease)) => lease,
        refused => {
            // Where nobody waits for the answer, nobody needs it.
            drop(tell.send(refused.map(|_| None)));
            return;
        }
    };
    tracing::debug!(name, term = lease.term, "the lease is held");
    let (alive, held) = watch::channel(());
    let (wanted, mut unwanted) = oneshot::channel();
    // Where nobody waits for it any more, it is unwanted at once.
    drop(tell.send(Ok(Some((lease.clone(), held, wanted)))));
    tokio::select! {
        biased;
        _ = &mut unwanted => {}
        () = renew(&*leases, &*clock, &lease, duration) => {
            drop(alive);
            // Whoever works under it finds out, and then lets it go.
            drop(unwanted.await);
        }
    }
    if let Err(error) = leases.release(&lease).await {
        tracing::debug!(name, %error, "the lease is left to run out");
    }
}

/// Renews a lease until it is lost.
async fn renew(leases: &dyn Leases, clock: &dyn Clock, lease: &Lease, duration: Duration) {
    while is_renewed(leases, clock, lease, duration).await {}
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
