use tokio::sync::watch;

use crate::ports::{Wakeup, Wakeups};

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
        Wakeup::new(self.0.subscribe())
    }
}
