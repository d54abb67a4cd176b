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
    pub(crate) fn new(hints: watch::Receiver<u64>) -> Self {
        Self(hints)
    }

    /// Ends at the next hint, or at once where one came since the last call.
    /// Where the source is gone it never ends; callers poll beside it.
    pub async fn hint(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
