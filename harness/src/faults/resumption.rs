//! How soon everything goes on once a server answers again.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::report::Measured;
use super::told::Told;

/// What is promised: the time from when the server answers until everything goes on.
const RESUME_MAX: Duration = Duration::from_secs(5);
/// What a run allows instead: once for the whole process.
static RESUME_ALLOWED: OnceLock<Duration> = OnceLock::new();

/// Allows another time for going on, where the machine is too busy for the one that is promised.
pub(crate) fn allow_resume(time: Duration) {
    // Only a second call would fail, and there is one.
    RESUME_ALLOWED.set(time).ok();
}

/// How long it may take until everything goes on.
pub(crate) fn resume_max() -> Duration {
    RESUME_ALLOWED.get().copied().unwrap_or(RESUME_MAX)
}

/// How long the slowest caller waited for its next acknowledgement, from each of these moments.
pub(crate) fn longest_wait(told: &[Told], moments: &[Instant]) -> Option<Duration> {
    let waits = told.iter().flat_map(|told| {
        moments.iter().map(|moment| told.first_since(*moment).map(|time| time.duration_since(*moment)))
    });
    waits.collect::<Option<Vec<Duration>>>()?.into_iter().max()
}

/// Notes how soon callers went on, from each of these moments.
pub(crate) fn note_callers(measured: &mut Measured, told: &[Told], moments: &[Instant]) {
    match longest_wait(told, moments) {
        Some(wait) => {
            measured.hold(wait <= resume_max(), format!("every caller goes on within {}", ms(wait)))
        }
        None => measured.hold(false, "a caller was never acknowledged again"),
    }
}

/// The longest time from a request to its answer.
pub(crate) fn longest_answer(told: &[Told]) -> Duration {
    told.iter().map(|told| told.longest_answer).max().unwrap_or_default()
}

pub(crate) fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
