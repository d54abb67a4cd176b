//! Where everything stands that follows commits: queues, processes, pumps, and the subscribers of this process. One
//! computation, which `/readyz`, `GET /v1/admin/queues`, the console and the command line tell.

mod letters;

use std::sync::Arc;

use underlay_core::{Error, SubscriberStanding};

pub use letters::{LetterCount, LetterOrder};

use crate::known::Known;
use crate::{Engine, FollowerStanding, QueueStanding, WorkStandings, WorkerState};

/// Where everything stands that follows commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// The queues, by receiver and kind; none where the store keeps no work.
    pub queues: Vec<QueueStanding>,
    /// The worker of this process; none where none was started.
    pub worker: Option<WorkerState>,
    /// The processes of the domain, by name: how far each follows the log.
    pub processes: Vec<FollowerStanding>,
    /// The pumps, by name.
    pub pumps: Vec<FollowerStanding>,
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
    pub fn processes_stopped(&self) -> impl Iterator<Item = &FollowerStanding> {
        self.processes.iter().filter(|process| process.status.is_stopped())
    }

    /// The pumps that wait for a person.
    pub fn pumps_stopped(&self) -> impl Iterator<Item = &FollowerStanding> {
        self.pumps.iter().filter(|pump| pump.status.is_stopped())
    }
}

/// What is known of all that follows the log.
#[derive(Default)]
pub(crate) struct KnownStandings {
    pumps: Known<Arc<[FollowerStanding]>>,
    processes: Known<Arc<[FollowerStanding]>>,
}

impl Engine {
    /// Where everything stands that follows commits, as the store said at most a second ago.
    ///
    /// # Errors
    /// What the store says.
    pub async fn overview(&self) -> Result<Overview, Error> {
        let WorkStandings { worker, queues } = self.work_standings().await?;
        let ask = async { self.process_standings().await.map(Arc::from) };
        let processes = self.known_standings().processes.or_ask(&**self.clock(), ask).await?.to_vec();
        let pumps = self.pump_standings().await?.to_vec();
        Ok(Overview { queues, worker, processes, pumps, subscribers: self.bus().subscribers() })
    }

    /// Where every pump stands, in whatever process it is kept, as the store said at most a second ago.
    ///
    /// # Errors
    /// What the store says.
    pub async fn pump_standings(&self) -> Result<Arc<[FollowerStanding]>, Error> {
        let ask = async { self.pump_standings_now().await.map(Arc::from) };
        self.known_standings().pumps.or_ask(&**self.clock(), ask).await
    }

    /// The same, and the store is asked now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn pump_standings_now(&self) -> Result<Vec<FollowerStanding>, Error> {
        self.pumps().standings().await
    }
}
