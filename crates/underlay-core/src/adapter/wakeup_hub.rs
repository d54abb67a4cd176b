use tokio::sync::watch;

use crate::ports::{Wakeup, Wakeups, WorkHints, WorkWakeup};
use crate::words::WorkHint;

/// Hints within one process.
#[derive(Debug, Default)]
pub struct WakeupHub {
    log: watch::Sender<u64>,
    work: watch::Sender<WorkHints>,
}

impl WakeupHub {
    /// Wakes every receiver of hints about the log.
    pub fn wake(&self) {
        self.log.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Wakes every receiver of hints about work, where there may be any.
    pub fn wake_for_work(&self, hint: WorkHint) {
        if !hint.is_empty() {
            self.work.send_modify(|hints| hints.count(hint));
        }
    }
}

impl Wakeups for WakeupHub {
    fn subscribe(&self) -> Wakeup {
        Wakeup::new(self.log.subscribe())
    }

    fn subscribe_work(&self) -> WorkWakeup {
        WorkWakeup::new(self.work.subscribe())
    }
}
