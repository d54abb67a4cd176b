//! Where everything stands that follows commits: queues, processes, pumps, and the subscribers of this process. One
//! computation, which `/readyz`, `GET /v1/admin/queues`, the start page and the command line tell.

mod letters;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use underlay_core::{Clock, Error, Position, SubscriberStanding, Timestamp};

pub use letters::{LetterCount, LetterOrder};

use crate::subscription::has_passed;
use crate::{Engine, ProcessStanding, PumpStanding, QueueStanding, WorkStandings, WorkerState};

/// How long what the store said of all pumps or processes is told again before it is asked anew: whoever asks, and
/// however often, the store is asked no more than once in that time.
const STANDINGS_AGE_MAX: Duration = Duration::from_secs(1);

/// Where everything stands that follows commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// The queues, by receiver and kind; none where the store keeps no work.
    pub queues: Vec<QueueStanding>,
    /// The worker of this process; none where none was started.
    pub worker: Option<WorkerState>,
    /// The processes of the domain, by name: how far each follows the log.
    pub processes: Vec<ProcessStanding>,
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

    /// The processes that wait for a person.
    pub fn processes_stopped(&self) -> impl Iterator<Item = &ProcessStanding> {
        self.processes.iter().filter(|process| process.status.is_stopped())
    }

    /// The pumps that wait for a person.
    pub fn pumps_stopped(&self) -> impl Iterator<Item = &PumpStanding> {
        self.pumps.iter().filter(|pump| pump.status.is_stopped())
    }
}

/// What the store last said of all pumps, or of all processes, and when. One asks at a time.
struct Known<T>(Mutex<Option<(Timestamp, Arc<[T]>)>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Known<T> {
    /// What is known, and asked anew where it is too old.
    async fn or_ask(
        &self,
        clock: &dyn Clock,
        ask: impl Future<Output = Result<Vec<T>, Error>>,
    ) -> Result<Arc<[T]>, Error> {
        let mut known = self.0.lock().await;
        let now = clock.now();
        match &*known {
            // A clock that was set back makes nothing fresh.
            Some((at, told)) if *at <= now && !has_passed(STANDINGS_AGE_MAX, *at, now) => Ok(told.clone()),
            _ => {
                let told: Arc<[T]> = Arc::from(ask.await?);
                *known = Some((now, told.clone()));
                Ok(told)
            }
        }
    }
}

/// What is known of all that follows the log.
#[derive(Default)]
pub(crate) struct KnownStandings {
    pumps: Known<PumpStanding>,
    processes: Known<ProcessStanding>,
}

impl Engine {
    /// Where everything stands that follows commits, as the store said at most a second ago.
    ///
    /// # Errors
    /// What the store says.
    pub async fn overview(&self) -> Result<Overview, Error> {
        let WorkStandings { worker, queues } = self.work_standings().await?;
        let processes = &self.known_standings().processes;
        let processes = processes.or_ask(&**self.clock(), self.process_standings()).await?.to_vec();
        let pumps = self.pump_standings().await?.to_vec();
        Ok(Overview { queues, worker, processes, pumps, subscribers: self.bus().subscribers() })
    }

    /// Where every pump stands, in whatever process it is kept, as the store said at most a second ago.
    ///
    /// # Errors
    /// What the store says.
    pub async fn pump_standings(&self) -> Result<Arc<[PumpStanding]>, Error> {
        self.known_standings().pumps.or_ask(&**self.clock(), self.pump_standings_now()).await
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
