//! Where everything stands that follows commits: queues, pumps, and the subscribers of this process. One
//! computation, which `/readyz`, `GET /v1/admin/queues`, the start page and the command line tell.

mod letters;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;
use underlay_core::{Error, Position, QueueDepth, SubscriberStanding, Timestamp};

pub use letters::{LetterCount, LetterOrder};

use crate::subscription::has_passed;
use crate::{Engine, PumpStanding};

/// How long what the store said of all work is told again before it is asked anew: whoever asks, and however often,
/// the store is asked no more than once in that time.
const OVERVIEW_AGE_MAX: Duration = Duration::from_secs(1);

/// How much work there is of one kind for one receiver, and how late it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueStanding {
    /// How much.
    #[serde(flatten)]
    pub depth: QueueDepth,
    /// How long ago the oldest was sent that is ready or due, in seconds.
    pub oldest_seconds: Option<u64>,
}

/// Where everything stands that follows commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// The head of the log.
    pub head: Position,
    /// The queues, by receiver and kind; none where the store keeps no work.
    pub queues: Vec<QueueStanding>,
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

/// What the store last said, and when. One asks at a time.
#[derive(Default)]
pub(crate) struct KnownWork(Mutex<Option<(Timestamp, Arc<Overview>)>>);

impl Engine {
    /// Where everything stands that follows commits, as the store said at most a second ago.
    ///
    /// # Errors
    /// What the store says.
    pub async fn overview(&self) -> Result<Arc<Overview>, Error> {
        let mut known = self.known_work().0.lock().await;
        let now = self.clock().now();
        match &*known {
            // A clock that was set back makes nothing fresh.
            Some((at, overview)) if *at <= now && !has_passed(OVERVIEW_AGE_MAX, *at, now) => {
                Ok(overview.clone())
            }
            _ => {
                let overview = Arc::new(self.look_over().await?);
                *known = Some((now, overview.clone()));
                Ok(overview)
            }
        }
    }

    /// The same, and the store is asked now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn overview_now(&self) -> Result<Arc<Overview>, Error> {
        let overview = Arc::new(self.look_over().await?);
        *self.known_work().0.lock().await = Some((self.clock().now(), overview.clone()));
        Ok(overview)
    }

    async fn look_over(&self) -> Result<Overview, Error> {
        let depths = match &self.ports().work {
            Some(work) => work.queue.queue_depths().await?,
            None => Vec::new(),
        };
        let head = self.store().head().await?;
        let now = self.clock().now();
        let standing = |depth: QueueDepth| QueueStanding {
            oldest_seconds: depth.oldest_sent_at.map(|sent| {
                // A clock that was set back makes nothing older.
                u64::try_from(now.as_second() - sent.as_second()).unwrap_or(0)
            }),
            depth,
        };
        Ok(Overview {
            head,
            queues: depths.into_iter().map(standing).collect(),
            pumps: self.pumps().standings(head).await?,
            subscribers: self.pumps().bus().subscribers(),
        })
    }
}
