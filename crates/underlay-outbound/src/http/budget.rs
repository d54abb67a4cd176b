use std::sync::{Mutex, PoisonError};

/// Calls that pay for one request that is sent again.
const CALLS_OF_REPEAT: u32 = 10;
/// Requests that may be sent again at once, after a time without any.
const REPEATS_SAVED_MAX: u32 = 10;

/// How many requests may be sent again: one in ten, and a few more where none were for a time. So a service that is in
/// trouble does not get a multiple of its load.
pub(super) struct RepeatBudget(Mutex<u32>);

impl Default for RepeatBudget {
    fn default() -> Self {
        Self(Mutex::new(REPEATS_SAVED_MAX * CALLS_OF_REPEAT))
    }
}

impl RepeatBudget {
    /// Counts a request that is sent for the first time.
    pub(super) fn pay_in(&self) {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *saved = (*saved + 1).min(REPEATS_SAVED_MAX * CALLS_OF_REPEAT);
    }

    /// Whether another one may be sent again.
    pub(super) fn take(&self) -> bool {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = saved.checked_sub(CALLS_OF_REPEAT);
        *saved = left.unwrap_or(*saved);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_in_ten_is_sent_again() {
        let budget = RepeatBudget::default();
        let saved = (0..).take_while(|_| budget.take()).count();
        assert_eq!(saved, REPEATS_SAVED_MAX as usize);
        let mut repeats = 0;
        for _ in 0..1_000 {
            budget.pay_in();
            repeats += u32::from(budget.take());
        }
        assert_eq!(repeats, 100);
        (0..10_000).for_each(|_| budget.pay_in());
        assert_eq!((0..).take_while(|_| budget.take()).count(), REPEATS_SAVED_MAX as usize);
    }
}
