//! Where everything stands, as numbers: what [`Standings`] and [`Overview`] know, and how old what is behind is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use underlay_core::{Error, LogFilter, LogScope, Position, WorkKind};

use super::{Exposition, Family, Kind};
use crate::{Engine, FollowerStanding, FollowerStatus, Overview, QueueStanding, Standings};

static HEAD: Family = Family::new(
    "underlay_log_head_position",
    Kind::Gauge,
    &[],
    "The position of the last event in the log, over all tenants.",
);
static VIEW_GENERATION: Family =
    Family::new("underlay_view_generation", Kind::Gauge, &["view"], "The generation of a view that is read.");
static VIEW_PARKED: Family = Family::new(
    "underlay_view_parked_events",
    Kind::Gauge,
    &["view"],
    "Events that a view passed over, so that its rows lack them.",
);
static VIEW_REBUILD: Family = Family::new(
    "underlay_view_rebuild_ratio",
    Kind::Gauge,
    &["view"],
    "How much of the log a rebuild of a view has folded, from 0 to 1; absent where none is begun.",
);
static READY: Family = Family::new(
    "underlay_queue_ready",
    Kind::Gauge,
    &["receiver", "kind"],
    "Pieces of work that are ready or being done, over all tenants.",
);
static LATER: Family = Family::new(
    "underlay_queue_later",
    Kind::Gauge,
    &["receiver", "kind"],
    "Pieces of work that are due later, or stand behind another of their key.",
);
static DEAD: Family = Family::new(
    "underlay_queue_dead_letters",
    Kind::Gauge,
    &["receiver", "kind"],
    "Pieces of work that were given up and wait for a person.",
);
static AGE: Family = Family::new(
    "underlay_queue_age_seconds",
    Kind::Gauge,
    &["receiver", "kind"],
    "How long the oldest piece of work waits that is ready, is due, or is tried again.",
);
static SUBSCRIBER_WAITING: Family = Family::new(
    "underlay_subscriber_waiting_events",
    Kind::Gauge,
    &["subscriber"],
    "Events that wait for a subscriber of this process.",
);
static SUBSCRIBER_DEAD: Family = Family::new(
    "underlay_subscriber_dead_letters",
    Kind::Gauge,
    &["subscriber"],
    "Events that a subscriber of this process could not take, and that are kept for a person.",
);
static SUBSCRIBER_REFUSED: Family = Family::new(
    "underlay_subscriber_refused_total",
    Kind::Counter,
    &["subscriber"],
    "Events that found no room in the queue of a subscriber of this process.",
);

/// What is said of everything that follows the log.
struct Followers {
    status: Family,
    behind: Family,
    lag: Family,
}

static VIEW: Followers = Followers {
    status: Family::new(
        "underlay_view_status",
        Kind::Gauge,
        &["view", "status"],
        "1 for the status that a view has, 0 for the others.",
    ),
    behind: Family::new(
        "underlay_view_behind_events",
        Kind::Gauge,
        &["view"],
        "How many events the rows of a view are behind the log.",
    ),
    lag: Family::new(
        "underlay_view_lag_seconds",
        Kind::Gauge,
        &["view"],
        "How long ago the first event was stored that the rows of a view do not reflect.",
    ),
};

static PROCESS: Followers = Followers {
    status: Family::new(
        "underlay_process_status",
        Kind::Gauge,
        &["process", "status"],
        "1 for the status that a process has, 0 for the others.",
    ),
    behind: Family::new(
        "underlay_process_behind_events",
        Kind::Gauge,
        &["process"],
        "How many events a process has not taken yet.",
    ),
    lag: Family::new(
        "underlay_process_lag_seconds",
        Kind::Gauge,
        &["process"],
        "How long ago the first event was stored that a process has not taken.",
    ),
};

static PUMP: Followers = Followers {
    status: Family::new(
        "underlay_pump_status",
        Kind::Gauge,
        &["pump", "status"],
        "1 for the status that a pump has, 0 for the others.",
    ),
    behind: Family::new(
        "underlay_pump_behind_events",
        Kind::Gauge,
        &["pump"],
        "How many events the sink of a pump has not taken yet.",
    ),
    lag: Family::new(
        "underlay_pump_lag_seconds",
        Kind::Gauge,
        &["pump"],
        "How long ago the first event was stored that the sink of a pump has not taken.",
    ),
};

/// The name for receivers that this program does not have.
const UNKNOWN_RECEIVER: &str = "unknown";

/// How long ago the first event was stored that somebody has not taken who is at a position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lags(BTreeMap<Position, Duration>);

/// Somebody who follows the log.
#[derive(Clone, Copy)]
struct Follows<'s> {
    name: &'s str,
    status: FollowerStatus,
    position: Position,
    behind: u64,
}

impl<'s> Follows<'s> {
    fn views(known: Option<&'s Standings>) -> Vec<Self> {
        let views = known.into_iter().flat_map(|known| &known.views);
        views
            .map(|view| Self {
                name: &view.view,
                status: view.status,
                position: view.position,
                behind: view.behind,
            })
            .collect()
    }

    fn processes(known: Option<&'s Overview>) -> Vec<Self> {
        known.into_iter().flat_map(|known| &known.processes).map(Self::from).collect()
    }

    fn pumps(known: Option<&'s Overview>) -> Vec<Self> {
        known.into_iter().flat_map(|known| &known.pumps).map(Self::from).collect()
    }

    fn all(views: Option<&'s Standings>, work: Option<&'s Overview>) -> impl Iterator<Item = Self> {
        Self::views(views).into_iter().chain(Self::processes(work)).chain(Self::pumps(work))
    }
}

impl<'s> From<&'s FollowerStanding> for Follows<'s> {
    fn from(standing: &'s FollowerStanding) -> Self {
        let FollowerStanding { name, status, position, behind, .. } = standing;
        Self { name, status: *status, position: *position, behind: *behind }
    }
}

impl Engine {
    /// Writes what is counted of this engine, in this process.
    pub fn write_metrics(&self, out: &mut Exposition) {
        self.store_metrics().write(out);
        self.command_metrics().write(out);
        self.entity_metrics().write(out);
        self.view_metrics().write(out);
        self.write_cache_metrics(out);
        let worker = self.worker_state();
        self.work_metrics().write(out, worker.as_ref());
        self.schedule_metrics().write(out);
        self.scheduler_metrics().write(out, worker.as_ref().and_then(|worker| worker.scheduler.as_ref()));
    }

    /// How many commands have ended in this process, however they did.
    #[must_use]
    pub fn commands_ended(&self) -> u64 {
        self.command_metrics().ended_count()
    }

    /// How old that is which somebody has not taken who is behind the log. The store is asked for one event at each
    /// place that somebody is at.
    ///
    /// # Errors
    /// What the store says.
    pub async fn lags(&self, views: Option<&Standings>, work: Option<&Overview>) -> Result<Lags, Error> {
        let behind = Follows::all(views, work).filter(|one| one.behind > 0);
        let positions: BTreeSet<Position> = behind.map(|one| one.position).collect();
        let mut lags = BTreeMap::new();
        for position in positions {
            let page =
                self.store().read_all(&LogScope::EveryTenant, position, &LogFilter::default(), 1).await?;
            if let Some(event) = page.events.first() {
                let age = self.clock().now().duration_since(event.recorded_at);
                lags.insert(position, Duration::try_from(age).unwrap_or_default());
            }
        }
        Ok(Lags(lags))
    }

    /// Writes where everything stands, in whatever process it is kept. What is not known is left out.
    pub fn write_standings(
        &self,
        out: &mut Exposition,
        views: Option<&Standings>,
        work: Option<&Overview>,
        lags: Option<&Lags>,
    ) {
        if let Some(known) = views {
            out.begin(&HEAD).add(&[], known.head.number());
            write_followers(out, &VIEW, &Follows::views(views), lags);
            write_views(out, known);
        }
        if let Some(known) = work {
            write_followers(out, &PROCESS, &Follows::processes(work), lags);
            write_followers(out, &PUMP, &Follows::pumps(work), lags);
            write_queues(out, &known.queues);
            write_subscribers(out, known);
        }
    }
}

fn write_followers(
    out: &mut Exposition,
    families: &'static Followers,
    followers: &[Follows<'_>],
    lags: Option<&Lags>,
) {
    let mut statuses = out.begin(&families.status);
    for follower in followers {
        for status in FollowerStatus::ALL {
            statuses.add(&[follower.name, status.word()], u8::from(follower.status == status));
        }
    }
    let mut behind = out.begin(&families.behind);
    for follower in followers {
        behind.add(&[follower.name], follower.behind);
    }
    let mut seconds = out.begin(&families.lag);
    for follower in followers {
        match lags {
            _ if follower.behind == 0 => seconds.add(&[follower.name], 0),
            Some(Lags(lags)) => {
                // Where nothing follows any more, an older copy of the log was restored.
                let lag = lags.get(&follower.position).copied().unwrap_or_default();
                seconds.add(&[follower.name], lag.as_secs_f64())
            }
            None => &mut seconds,
        };
    }
}

fn write_views(out: &mut Exposition, known: &Standings) {
    let mut generations = out.begin(&VIEW_GENERATION);
    for view in &known.views {
        generations.add(&[&view.view], view.generation);
    }
    let mut parked = out.begin(&VIEW_PARKED);
    for view in &known.views {
        parked.add(&[&view.view], view.parked);
    }
    let mut rebuilds = out.begin(&VIEW_REBUILD);
    for view in &known.views {
        if let Some(position) = view.rebuilt_to {
            rebuilds.add(&[&view.view], ratio(position, known.head));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share of a log of more than 2^53 events is told well enough"
)]
fn ratio(of: Position, head: Position) -> f64 {
    (of.number() as f64 / head.number().max(1) as f64).min(1.0)
}

fn write_queues(out: &mut Exposition, queues: &[QueueStanding]) {
    // Names that no receiver of this program has are as many as anybody ever sent to: they are told together.
    let mut told: BTreeMap<(&str, &str), (u64, u64, u64, Duration)> = BTreeMap::new();
    for queue in queues {
        let receiver = if queue.is_received { queue.depth.receiver.as_str() } else { UNKNOWN_RECEIVER };
        let sum = told.entry((receiver, WorkKind::name(queue.depth.kind))).or_default();
        *sum = (
            sum.0 + queue.depth.ready,
            sum.1 + queue.depth.later,
            sum.2 + queue.depth.dead,
            sum.3.max(queue.lag),
        );
    }
    let mut ready = out.begin(&READY);
    for ((receiver, kind), sum) in &told {
        ready.add(&[receiver, kind], sum.0);
    }
    let mut later = out.begin(&LATER);
    for ((receiver, kind), sum) in &told {
        later.add(&[receiver, kind], sum.1);
    }
    let mut dead = out.begin(&DEAD);
    for ((receiver, kind), sum) in &told {
        dead.add(&[receiver, kind], sum.2);
    }
    let mut ages = out.begin(&AGE);
    for ((receiver, kind), sum) in &told {
        ages.add(&[receiver, kind], sum.3.as_secs_f64());
    }
}

fn write_subscribers(out: &mut Exposition, work: &Overview) {
    let mut waiting = out.begin(&SUBSCRIBER_WAITING);
    for one in &work.subscribers {
        waiting.add(&[&one.name], one.waiting);
    }
    let mut dead = out.begin(&SUBSCRIBER_DEAD);
    for one in &work.subscribers {
        dead.add(&[&one.name], one.dead);
    }
    let mut refused = out.begin(&SUBSCRIBER_REFUSED);
    for one in &work.subscribers {
        refused.add(&[&one.name], one.refused);
    }
}
