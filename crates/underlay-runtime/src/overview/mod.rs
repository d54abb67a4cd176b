//! Where everything stands that follows commits: queues, pumps, and the subscribers of this process. One
//! computation, which `/readyz`, `GET /v1/admin/queues`, the start page and the command line tell.

mod letters;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use underlay_core::{Error, Position, SubscriberStanding, Timestamp};

pub use letters::{LetterCount, LetterOrder};

use crate::subscription::has_passed;
use crate::{Engine, PumpStanding, QueueStanding, WorkStandings, WorkerState};

/// How long what the store said of all pumps is told again before it is asked anew: whoever asks, and however often,
/// the store is asked no more than once in that time.
const PUMPS_AGE_MAX: Duration = Duration::from_secs(1);

/// Where everything stands that follows commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// The queues, by receiver and kind; none where the store keeps no work.
    pub queues: Vec<QueueStanding>,
    /// The worker of this process; none where none was started.
    pub worker: Option<WorkerState>,
    /// The pumps, by name.
    pub pumps: Vec<PumpStanding>,
    /// The subscribers of this process.
    pub subscribers: Vec<SubscriberStanding>,
}

impl Overview {
    /// Dead letters of all queues.
    #[must_use]
    pub fn dead(&self) -> u64 {
        self.queues.iter().map(|queue| queue.depth.dead).sum()
    }

    /// The pumps that wait for a person.
    pub fn pumps_stopped(&self) -> impl Iterator<Item = &PumpStanding> {
        self.pumps.iter().filter(|pump| pump.status.is_stopped())
    }
}

/// What the store last said of all pumps, and when. One asks at a time.
#[derive(Default)]
pub(crate) struct KnownPumps(Mutex<Option<(Timestamp, Arc<[PumpStanding]>)>>);

impl Engine {
    /// Where everything stands that follows commits, as the store said at most a second ago.
    ///
    /// # Errors
    /// What the store says.
    pub async fn overview(&self) -> Result<Overview, Error> {
        let WorkStandings { worker, queues } = self.work_standings().await?;
        let pumps = self.pump_standings().await?.to_vec();
        Ok(Overview { queues, worker, pumps, subscribers: self.bus().subscribers() })
    }

    /// Where every pump stands, in whatever process it is kept, as the store said at most a second ago.
    ///
    /// # Errors
    /// What the store says.
    pub async fn pump_standings(&self) -> Result<Arc<[PumpStanding]>, Error> {
        let mut known = self.known_pumps().0.lock().await;
        let now = self.clock().now();
        match &*known {
            // A clock that was set back makes nothing fresh.
            Some((at, pumps)) if *at <= now && !has_passed(PUMPS_AGE_MAX, *at, now) => Ok(pumps.clone()),
            _ => {
                let pumps = Arc::from(self.pump_standings_now().await?);
                *known = Some((now, Arc::clone(&pumps)));
                Ok(pumps)
            }
        }
    }

    /// The same, and the store is asked now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn pump_standings_now(&self) -> Result<Vec<PumpStanding>, Error> {
        if self.registry().pumps().is_empty() {
            return Ok(Vec::new());
        }
        let head: Position = self.store().head().await?;
        self.pumps().standings(head).await
    }
}
