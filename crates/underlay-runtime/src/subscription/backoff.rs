use std::time::Duration;

/// The pauses between tries after failures in a row: the first one, doubled with each failure up to the longest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    /// The pause after so many failures in a row.
    pub(crate) fn delay(self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        self.min.saturating_mul(2_u32.saturating_pow(doublings)).min(self.max)
    }
}
