use tokio::sync::watch;

/// The port for hints that the log may have grown. A hint carries nothing and may be missing:
/// polling is the truth.
pub trait Wakeups: Send + Sync + 'static {
    /// A receiver that is woken by every hint from now on.
    fn subscribe(&self) -> Wakeup;
}

/// Receives hints. Hints that come while nobody waits are kept, as one.
#[derive(Clone, Debug)]
pub struct Wakeup(watch::Receiver<u64>);

impl Wakeup {
    /// Ends at the next hint, or at once where one came since the last call.
    /// Where the source is gone it never ends; callers poll beside it.
    pub async fn hint(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Hints within one process.
#[derive(Debug, Default)]
pub struct WakeupHub(watch::Sender<u64>);

impl WakeupHub {
    /// Wakes every receiver.
    pub fn wake(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Wakeups for WakeupHub {
    fn subscribe(&self) -> Wakeup {
        Wakeup(self.0.subscribe())
    }
}
