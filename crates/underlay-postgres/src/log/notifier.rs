//! Tells other processes that the log may have grown, and where there may be work.
//!
//! A hint is a NOTIFY in a transaction of its own, after the commit it speaks of: inside it, every
//! commit in the database would wait for every other. Its text names shards that may have work, and hints that come
//! close together are one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use underlay_core::{Clock, WorkHint};

use crate::connections::session::Sessions;

/// What other processes have not been told yet.
#[derive(Default)]
pub(crate) struct Untold {
    work: Mutex<WorkHint>,
    more: Notify,
}

impl Untold {
    /// Other processes are to be told soon.
    pub(crate) fn tell(&self, work: WorkHint) {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).merge(work);
        self.more.notify_one();
    }

    /// Everything that was to be told, once there is anything.
    async fn next(&self) -> WorkHint {
        self.more.notified().await;
        std::mem::take(&mut *self.work.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) struct Notifier {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) untold: Arc<Untold>,
    pub(crate) channel: String,
    pub(crate) interval: Duration,
    pub(crate) timer: Arc<dyn Clock>,
}

impl Notifier {
    /// Sends hints for ever. One that is lost costs others a wait for their next poll.
    pub(crate) async fn run(self) {
        loop {
            let work = self.untold.next().await;
            // A hint without work is read by older programs too.
            let text = if work.is_empty() { String::new() } else { work.to_string() };
            if let Err(error) = self.sessions.notify(&self.channel, &text).await {
                tracing::debug!(%error, "a hint to other processes was not sent");
            }
            self.timer.sleep(self.interval).await;
        }
    }
}
