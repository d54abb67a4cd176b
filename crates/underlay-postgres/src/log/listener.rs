//! Hears of the commits of other processes, and wakes who waits for events or for work.
//!
//! Polling is the truth: the end of the log and of its commits is read at an even interval, and at every hint. LISTEN
//! only makes it sooner. A connection that ends is made again with growing pauses; meanwhile, and
//! where there is no LISTEN at all, polling goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use underlay_core::adapter::WakeupHub;
use underlay_core::{Clock, Position, WorkHint};

use crate::connections::address::Address;
use crate::connections::link::Link;
use crate::connections::session::Sessions;
use crate::error::Failure;
use crate::event_store;

/// The longest pause before the connection is made again.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Listener {
    pub(crate) sessions: Arc<Sessions>,
    /// Where to listen; none polls alone.
    pub(crate) address: Option<Address>,
    pub(crate) channel: String,
    /// The end of the log, and the number of the last commit, when the store was connected.
    pub(crate) end: (Position, u64),
    pub(crate) interval: Duration,
    pub(crate) wakeups: Arc<WakeupHub>,
    pub(crate) timer: Arc<dyn Clock>,
}

impl Listener {
    /// Listens and polls for ever.
    pub(crate) async fn run(self) {
        let (hinted, listens) = (Arc::new(Notify::new()), AtomicBool::new(false));
        tokio::join!(self.poll(&hinted, &listens), self.listen(&hinted, &listens));
    }

    /// Wakes whenever there are more commits. Only where nothing is heard of others nobody knows which of them sent
    /// work, and where to.
    async fn poll(&self, hinted: &Notify, listens: &AtomicBool) {
        let mut seen = self.end;
        loop {
            match event_store::end(&self.sessions).await {
                Ok(end) => {
                    if seen < end {
                        self.wakeups.wake();
                        if seen.1 < end.1 && !listens.load(Ordering::Relaxed) {
                            self.wakeups.wake_for_work(WorkHint::EVERYWHERE);
                        }
                        seen = end;
                    }
                }
                Err(error) => tracing::debug!(%error, "the end of the log could not be read"),
            }
            tokio::select! {
                () = hinted.notified() => {}
                () = self.timer.sleep(self.interval) => {}
            }
        }
    }

    /// Passes on what is heard, on one connection after another.
    async fn listen(&self, hinted: &Arc<Notify>, listens: &AtomicBool) {
        let Some(address) = &self.address else { return };
        let mut pause = self.interval;
        loop {
            match self.listening(address, hinted).await {
                Ok(mut link) => {
                    pause = self.interval;
                    listens.store(true, Ordering::Relaxed);
                    // What came while nobody listened.
                    hinted.notify_one();
                    self.wakeups.wake_for_work(WorkHint::EVERYWHERE);
                    link.ended().await;
                    listens.store(false, Ordering::Relaxed);
                }
                Err(failure) => {
                    tracing::warn!(%failure, "LISTEN is not to be had; polling goes on");
                    pause = (pause * 2).min(RECONNECT_PAUSE_MAX.max(self.interval));
                }
            }
            self.timer.sleep(pause).await;
        }
    }

    async fn listening(&self, address: &Address, hinted: &Arc<Notify>) -> Result<Link, Failure> {
        let (hinted, wakeups) = (hinted.clone(), self.wakeups.clone());
        let heard = move |text: &str| {
            // Without a text no work was sent; who sends another one knows of places that this program does not.
            if !text.is_empty() {
                wakeups.wake_for_work(WorkHint::parse(text).unwrap_or(WorkHint::EVERYWHERE));
            }
            hinted.notify_one();
        };
        let link = Link::connect(address, heard).await?;
        // The channel is the name of the schema: letters, digits and '_'.
        link.client.batch_execute(&format!("LISTEN \"{}\"", self.channel)).await?;
        Ok(link)
    }
}
