use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long callers are waited for, so that what is late is seen and measured.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// When each caller last had what it asked for.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<HashMap<usize, Instant>>);

impl Progress {
    pub(crate) fn note(&self, caller: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(caller, Instant::now());
    }

    /// Waits until so many callers had what they asked for since a moment, or for long enough: then the report says
    /// who never went on.
    pub(crate) async fn all_since(&self, moment: Instant, callers: usize) {
        let began = Instant::now();
        while began.elapsed() < WAIT_MAX && self.since(moment) < callers {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn since(&self, moment: Instant) -> usize {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.values().filter(|last| **last >= moment).count()
    }
}
