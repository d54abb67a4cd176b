use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use underlay_core::{Clock, Wakeup};

use super::held_lease::HeldLease;

/// What wakes a subscription that waits.
pub(crate) struct Signals {
    clock: Arc<dyn Clock>,
    wakeup: Wakeup,
    stopped: watch::Receiver<bool>,
    /// Closed with the last handle; how many wait for the subscription to come on.
    waiting: watch::Receiver<usize>,
    look_again: Arc<Notify>,
}

/// What the rest of a process may do with a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    waiting: Arc<watch::Sender<usize>>,
    look_again: Arc<Notify>,
}

impl Handle {
    /// How many wait for the subscription to come on.
    pub(crate) fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.subscribe()
    }

    /// Makes the subscription look at once whether its place is still its own, or whether what stopped it
    /// is mended.
    pub(crate) fn look_again(&self) {
        self.look_again.notify_one();
    }

    /// Says that somebody waits for the subscription to come on, until the answer is dropped: where it
    /// stands by, it looks more often meanwhile.
    pub(crate) fn wait(&self) -> Waiting {
        self.waiting.send_if_modified(|waiting| {
            *waiting += 1;
            *waiting == 1
        });
        Waiting(self.waiting.clone())
    }
}

/// Somebody waits for a subscription.
pub(crate) struct Waiting(Arc<watch::Sender<usize>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.send_if_modified(|waiting| {
            *waiting -= 1;
            false
        });
    }
}

impl Signals {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        wakeup: Wakeup,
        stopped: watch::Receiver<bool>,
    ) -> (Self, Handle) {
        let look_again = Arc::<Notify>::default();
        let (count, waiting) = watch::channel(0);
        let signals = Self { clock, wakeup, stopped, waiting, look_again: look_again.clone() };
        (signals, Handle { waiting: Arc::new(count), look_again })
    }

    /// Whether the subscription is to end: it was told to, or nobody is left to tell it.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.borrow() || self.stopped.has_changed().is_err()
    }

    /// Ends once the subscription is to end.
    pub(crate) async fn stopped(&mut self) {
        // An error says that nobody is left to tell it.
        self.stopped.changed().await.ok();
    }

    /// Waits for a hint that the log has grown; true where one ended the wait.
    pub(super) async fn hint(&mut self, most: Duration, lease: Option<&mut HeldLease>) -> bool {
        self.hint_or_waiting(most, lease, false).await
    }

    /// Waits for a hint, or for somebody who wants the subscription to come on.
    pub(super) async fn linger(&mut self, most: Duration, lease: Option<&mut HeldLease>) {
        self.hint_or_waiting(most, lease, true).await;
    }

    async fn hint_or_waiting(
        &mut self,
        most: Duration,
        lease: Option<&mut HeldLease>,
        ends_for_who_waits: bool,
    ) -> bool {
        tokio::select! {
            biased;
            _ = self.stopped.changed() => false,
            () = lost(lease) => false,
            () = self.wakeup.hint() => true,
            () = self.look_again.notified() => false,
            // Whoever has come since the last wait of this kind ends it too.
            Ok(()) = self.waiting.changed(), if ends_for_who_waits => false,
            () = self.clock.sleep(most) => false,
        }
    }

    /// Waits, whatever the log does.
    pub(super) async fn pause(&mut self, duration: Duration, lease: Option<&mut HeldLease>) {
        tokio::select! {
            biased;
            _ = self.stopped.changed() => {}
            () = lost(lease) => {}
            () = self.look_again.notified() => {}
            () = self.clock.sleep(duration) => {}
        }
    }

    /// Waits while it has no lease, whatever the log does.
    pub(crate) async fn sleep(&mut self, duration: Duration) {
        self.pause(duration, None).await;
    }

    /// Whether the log has grown since the last wait.
    pub(crate) async fn is_hinted(&mut self) -> bool {
        self.hint(Duration::ZERO, None).await
    }

    /// Waits until the lease may be asked for again, at `poll`, or until somebody wants to know how far the
    /// other process is. True at `poll`.
    pub(super) async fn stand_by(
        &mut self,
        poll: &mut (impl Future<Output = ()> + Unpin),
        impatient: Duration,
    ) -> bool {
        let is_waited_for = *self.waiting.borrow_and_update() > 0;
        tokio::select! {
            biased;
            _ = self.stopped.changed() => false,
            () = poll => true,
            Ok(()) = self.waiting.changed() => false,
            () = self.clock.sleep(impatient), if is_waited_for => false,
        }
    }
}

/// Ends once a lease is lost; never where there is none.
async fn lost(lease: Option<&mut HeldLease>) {
    match lease {
        Some(lease) => lease.lost().await,
        None => std::future::pending().await,
    }
}
