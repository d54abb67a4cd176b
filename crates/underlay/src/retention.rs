//! Forgets the bodies of old refusals while a service runs. Their ids and codes still answer repeats.

use std::convert::Infallible;
use std::time::Duration;

use underlay_core::{Clock, Retention};

/// How long the body of a refusal is kept when nothing else is said.
pub(crate) const OUTCOME_BODIES_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Looks now, and every [`INTERVAL`] from then on. A failure is told, and tried again at the next look.
pub(crate) async fn forget_regularly(
    retention: &dyn Retention,
    clock: &dyn Clock,
    kept: Duration,
) -> Infallible {
    loop {
        // A time before all times forgets nothing.
        if let Ok(before) = clock.now().checked_sub(kept) {
            match retention.forget_outcome_bodies(before).await {
                Ok(0) => {}
                Ok(forgotten) => tracing::info!(forgotten, "bodies of old refusals were forgotten"),
                Err(error) => tracing::warn!(%error, "bodies of old refusals were not forgotten"),
            }
        }
        clock.sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use underlay_core::memory::MemoryEventStore;
    use underlay_core::{Commit, CommitId, EventStore, Json, ManualClock, Outcome, TenantId, Timestamp};

    use super::*;

    #[tokio::test]
    async fn a_body_is_kept_for_its_time_and_its_code_for_ever() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let store = MemoryEventStore::new(clock.clone());
        let (tenant, id) = (TenantId::new("a").unwrap(), CommitId::draw());
        let refused =
            Outcome::Refused { code: "no".into(), message: "No.".into(), body: Json::encode(&1).unwrap() };
        store.commit(&tenant, Commit::new(id).with_outcome(refused.clone())).await.unwrap();
        let outcome = || async { store.find_commit(&tenant, id).await.unwrap().unwrap().committed.outcome };

        let kept = Duration::from_secs(2 * 3600);
        let forgetting = forget_regularly(&store, &*clock, kept);
        tokio::pin!(forgetting);
        for _ in 0..2 {
            assert_eq!(outcome().await, refused);
            // Polled once: it looks, and sleeps until the clock is moved.
            tokio::select! { biased; never = &mut forgetting => match never {}, () = std::future::ready(()) => {} }
            clock.advance(INTERVAL);
        }
        clock.advance(INTERVAL);
        tokio::select! { biased; never = &mut forgetting => match never {}, () = std::future::ready(()) => {} }
        let forgotten =
            Outcome::Refused { code: "no".into(), message: String::new(), body: Json::from_stored("null") };
        assert_eq!(outcome().await, forgotten);
    }
}
