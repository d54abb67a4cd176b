//! Forgets what is no longer owed while a service runs: first the bodies of old refusals, whose ids and
//! codes still answer repeats; later commits without events altogether. What wrote events stays.

use std::convert::Infallible;
use std::time::Duration;

use underlay_core::options::{ConfigOption, Configurable, Place};
use underlay_core::{Clock, Error, Retention};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(3600);

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// The bodies of refusals.
    pub(crate) bodies: Duration,
    /// Commits without events: refusals, and commands that found nothing to do.
    pub(crate) empty_commits: Duration,
}

impl Kept {
    /// The shortest time a commit is kept: whoever lost an answer must find it by its id.
    pub(crate) const EMPTY_COMMITS_MIN: Duration = DAY;
}

impl Default for Kept {
    fn default() -> Self {
        Self { bodies: 30 * DAY, empty_commits: 365 * DAY }
    }
}

impl Configurable for Kept {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "outcome_bodies_kept",
            "How long the message and fields of a refusal are kept for repeats",
            |kept| Place::Time(&mut kept.bodies),
        ),
        ConfigOption::<Self>::new(
            "empty_commits_kept",
            "How long a command without events is kept at all: a refusal, or one that found nothing to do",
            |kept| Place::Time(&mut kept.empty_commits),
        )
        .at_least(Kept::EMPTY_COMMITS_MIN.as_millis() as u64),
    ];
}

/// Looks now, and every [`INTERVAL`] from then on. A failure is told, and tried again at the next look.
pub(crate) async fn forget_regularly(retention: &dyn Retention, clock: &dyn Clock, kept: Kept) -> Infallible {
    loop {
        // A time before all times forgets nothing.
        if let Ok(before) = clock.now().checked_sub(kept.bodies) {
            tell("bodies of old refusals", retention.forget_outcome_bodies(before).await);
        }
        if let Ok(before) = clock.now().checked_sub(kept.empty_commits) {
            tell("old commits without events", retention.forget_empty_commits(before).await);
        }
        clock.sleep(INTERVAL).await;
    }
}

fn tell(what: &str, forgotten: Result<u64, Error>) {
    match forgotten {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "{what} were forgotten"),
        Err(error) => tracing::warn!(%error, "{what} were not forgotten"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use underlay_core::memory::MemoryEventStore;
    use underlay_core::{Commit, CommitId, EventStore, Json, ManualClock, Outcome, TenantId, Timestamp};

    use super::*;

    /// One look: it looks, and sleeps until the clock is moved.
    async fn look(forgetting: std::pin::Pin<&mut impl Future<Output = Infallible>>) {
        tokio::select! {
            biased;
            never = forgetting => match never {},
            () = std::future::ready(()) => {}
        }
    }

    #[tokio::test]
    async fn a_body_is_kept_for_its_time_and_its_code_for_longer() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let store = MemoryEventStore::new(clock.clone());
        let (tenant, id) = (TenantId::new("a").unwrap(), CommitId::draw());
        let refused =
            Outcome::Refused { code: "no".into(), message: "No.".into(), body: Json::encode(&1).unwrap() };
        store.commit(&tenant, Commit::new(id).with_outcome(refused.clone())).await.unwrap();
        let last = CommitId::draw();
        store.commit(&tenant, Commit::new(last)).await.unwrap();
        let found = async |id| store.find_commit(&tenant, id).await.unwrap();
        let outcome = async || found(id).await.map(|found| found.committed.outcome);

        let kept = Kept { bodies: 2 * INTERVAL, empty_commits: 4 * INTERVAL };
        let mut forgetting = std::pin::pin!(forget_regularly(&store, &*clock, kept));
        for _ in 0..3 {
            look(forgetting.as_mut()).await;
            assert_eq!(outcome().await.as_ref(), Some(&refused));
            clock.advance(INTERVAL);
        }
        let forgotten =
            Outcome::Refused { code: "no".into(), message: String::new(), body: Json::from_stored("null") };
        for _ in 0..2 {
            look(forgetting.as_mut()).await;
            assert_eq!(outcome().await.as_ref(), Some(&forgotten));
            clock.advance(INTERVAL);
        }
        look(forgetting.as_mut()).await;
        assert_eq!(outcome().await, None, "its id is free");
        assert!(found(last).await.is_some(), "the last commit of a store stays");
    }
}
