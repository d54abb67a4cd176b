//! Tells other processes that the log may have grown.
//!
//! A hint is a NOTIFY in a transaction of its own, after the commit it speaks of: inside it, every
//! commit in the database would wait for every other. It carries nothing, and hints that come close
//! together are one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use underlay_core::Clock;

use crate::connections::session::Sessions;

pub(crate) struct Notifier {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) told: Arc<Notify>,
    pub(crate) channel: String,
    pub(crate) interval: Duration,
    pub(crate) timer: Arc<dyn Clock>,
}

impl Notifier {
    /// Sends hints for ever. One that is lost costs others a wait for their next poll.
    pub(crate) async fn run(self) {
        loop {
            self.told.notified().await;
            if let Err(error) = self.sessions.notify(&self.channel).await {
                tracing::debug!(%error, "a hint to other processes was not sent");
            }
            self.timer.sleep(self.interval).await;
        }
    }
}
