//! What a subscriber was given.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// Counts how often each booking was delivered.
#[derive(Default)]
pub(crate) struct Tally {
    times: Mutex<HashMap<u64, u32>>,
    deliveries: watch::Sender<u64>,
}

impl Tally {
    /// A booking was delivered.
    pub(crate) fn note(&self, number: u64) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        *times.entry(number).or_default() += 1;
        drop(times);
        self.deliveries.send_modify(|count| *count += 1);
    }

    /// A receiver that sees how many deliveries there were.
    pub(crate) fn deliveries(&self) -> watch::Receiver<u64> {
        self.deliveries.subscribe()
    }

    /// How many of these were never delivered.
    pub(crate) fn missing(&self, numbers: &[u64]) -> u64 {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.iter().filter(|number| !times.contains_key(number)).count() as u64
    }

    /// How many deliveries were of bookings that had been delivered.
    pub(crate) fn repeated(&self) -> u64 {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.values().map(|times| u64::from(times - 1)).sum()
    }
}
