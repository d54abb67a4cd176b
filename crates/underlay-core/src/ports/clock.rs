use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::words::Timestamp;

/// The port for time: nothing else reads the wall clock or sleeps.
pub trait Clock: Send + Sync + 'static {
    /// The time now, to the microsecond.
    fn now(&self) -> Timestamp;

    /// Ends after `duration` of this clock's time.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

fn to_microsecond(time: Timestamp) -> Timestamp {
    // Within Timestamp's range by construction; the fallback keeps the finer value.
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        to_microsecond(Timestamp::now())
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until it is moved: for tests.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<Timestamp>,
    moved: watch::Sender<u64>,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { now: Mutex::new(to_microsecond(now)), moved: watch::Sender::new(0) }
    }

    /// Moves the clock forward and ends the sleeps that are due.
    pub fn advance(&self, duration: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.saturating_add(duration).unwrap_or(Timestamp::MAX);
        self.moved.send_modify(|moves| *moves += 1);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut moved = self.moved.subscribe();
        let due = self.now().saturating_add(duration).unwrap_or(Timestamp::MAX);
        Box::pin(async move {
            // The sender lives in `self`, so waiting ends only by a move.
            while self.now() < due && moved.changed().await.is_ok() {}
        })
    }
}
