//! What an operator looks at and does: queues, processes, pumps, subscribers, dead letters.
//!
//! Where everybody is let in, one operator is told where all stands. Elsewhere an operator is one tenant's: how much
//! there is, is told of that tenant, and of what is shared, whether it goes on. Dead letters are always those of the
//! caller's tenant. Across tenants all of it is looked at from the command line.

pub(crate) mod letters;
pub(crate) mod list;
pub(crate) mod outbox;
pub(crate) mod processes;
pub(crate) mod pumps;
pub(crate) mod schedules;

use axum::extract::State;
use serde::Serialize;
use underlay_core::limits::SKIP_BY_BYTES_MAX;
use underlay_core::{Actor, Error, Position, SubscriberStanding, TenantId, TenantLag, Timestamp, WaitsFor};
use underlay_runtime::{FollowerStanding, FollowerStatus, Overview, QueueStanding};

use crate::Principal;
use crate::answer::Answer;
use crate::app::App;
use crate::door::credentials::Caller;
use crate::door::roles::operates_store;
use crate::parameters::Parameters;
use crate::problem::Problem;

/// What stands in the place of the rest of a name.
const CUT: &str = "…";

/// What follows the log: a process of the domain, or a pump. The event that stopped it may be another tenant's: why it
/// stopped is told to operators of the store, and to nobody else.
#[derive(Debug, Serialize)]
pub(crate) struct FollowerBody {
    pub(crate) name: String,
    pub(crate) status: FollowerStatus,
    /// Where everybody is let in, and for operators of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<Position>,
    /// How many positions the head of the log is beyond that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) behind: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped_since: Option<Timestamp>,
    /// The process of the service that keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_by: Option<String>,
    /// Why it does not go on, with what mends it, or what is being tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// A subscriber of the process that answers. Why it failed is not told, for the same reason.
#[derive(Debug, Serialize)]
pub(crate) struct SubscriberBody {
    pub(crate) name: String,
    /// What waits and what came of it, of all tenants, where everybody is let in.
    #[serde(flatten)]
    counts: Option<SubscriberCounts>,
    pub(crate) is_stopped: bool,
    /// What of the caller's tenant waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<TenantLag>,
}

#[derive(Debug, Serialize)]
struct SubscriberCounts {
    waiting: usize,
    waiting_bytes: usize,
    taken: u64,
    failures: u64,
    dead: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct QueuesBody {
    pub(crate) queues: Vec<QueueStanding>,
    /// The shards that the process that answers holds; null where it does no work.
    shards_held: Option<usize>,
    /// Whose workers it waits for, where they are of another scheduler: it does no work until they are gone. Told
    /// where everybody is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<WaitsFor>,
    /// The pieces in them that it has nobody for, or cannot read, and leaves for another; null where it does no work, and
    /// where not everybody is let in: they are of all tenants.
    left: Option<u64>,
    pub(crate) processes: Vec<FollowerBody>,
    pub(crate) pumps: Vec<FollowerBody>,
    pub(crate) subscribers: Vec<SubscriberBody>,
}

/// The queues that a caller is told of.
async fn queues_of(app: &App, tenant: &TenantId, overview: &Overview) -> Result<Vec<QueueStanding>, Error> {
    match app.config().is_open() {
        true => Ok(overview.queues.clone()),
        false => app.engine().tenant_queues(tenant).await,
    }
}

/// Processes or pumps as they are told: how far they are, where everybody is let in.
fn followers_of(standings: &[FollowerStanding], is_open: bool) -> Vec<FollowerBody> {
    standings.iter().map(|standing| follower_of(standing, is_open, false)).collect()
}

/// The same for the addresses of processes and pumps: operators of the store are told all of it.
fn followers_for(app: &App, actor: &Actor, standings: &[FollowerStanding]) -> Vec<FollowerBody> {
    let tells_all = operates_store(app, actor);
    standings.iter().map(|standing| follower_of(standing, tells_all, tells_all)).collect()
}

fn follower_of(standing: &FollowerStanding, tells_place: bool, tells_why: bool) -> FollowerBody {
    FollowerBody {
        name: standing.name.clone(),
        status: standing.status,
        position: tells_place.then_some(standing.position),
        behind: tells_place.then_some(standing.behind),
        stopped_since: standing.stop.as_ref().map(|stop| stop.since),
        held_by: standing.held_by.clone().filter(|_| tells_why),
        problem: standing.problem.clone().filter(|_| tells_why),
    }
}

/// A process or a pump that was told to try again.
#[derive(Debug, Serialize)]
pub(crate) struct RetriedBody {
    pub(crate) name: String,
    /// Whether anything had stopped it.
    pub(crate) was_stopped: bool,
}

/// `GET /v1/admin/queues`: how much of the caller's tenant waits, how late it is, and where processes, pumps and
/// subscribers stand. Where everybody is let in, it is told of all tenants.
pub(crate) async fn queues(
    State(app): State<App>,
    Caller(principal): Caller,
    parameters: Parameters,
) -> Result<Answer<QueuesBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(queues_of_caller(&app, &principal.tenant).await?))
}

/// What a caller is told of what follows commits.
pub(crate) async fn queues_of_caller(app: &App, tenant: &TenantId) -> Result<QueuesBody, Error> {
    let is_open = app.config().is_open();
    let overview = app.engine().overview().await?;
    let of_caller = |lag: &&TenantLag| lag.tenant == *tenant;
    let counts = |standing: &SubscriberStanding| SubscriberCounts {
        waiting: standing.waiting,
        waiting_bytes: standing.waiting_bytes,
        taken: standing.taken,
        failures: standing.failures,
        dead: standing.dead,
    };
    let subscribers = overview.subscribers.iter().map(|standing| SubscriberBody {
        name: standing.name.clone(),
        counts: is_open.then(|| counts(standing)),
        is_stopped: standing.is_stopped,
        lag: standing.lag.iter().find(of_caller).cloned(),
    });
    let worker = overview.worker.as_ref();
    let left = worker.filter(|_| is_open).map(|worker| worker.receivers.iter().map(|of| of.left).sum());
    Ok(QueuesBody {
        queues: queues_of(app, tenant, &overview).await?,
        shards_held: worker.map(|worker| worker.shards.len()),
        waits_for: worker.filter(|_| is_open).and_then(|worker| worker.waits_for.clone()),
        left,
        subscribers: subscribers.collect(),
        processes: followers_of(&overview.processes, is_open),
        pumps: followers_of(&overview.pumps, is_open),
    })
}

/// Who ordered something, for the log and for whoever looks later. Of a name there is as much as is stored.
pub(crate) fn by(principal: &Principal) -> String {
    let name = principal.actor.name.as_deref().unwrap_or("somebody");
    let rest = format!(" of {}, over HTTP", principal.tenant);
    let mut name: String = name.chars().filter(|character| !character.is_control()).collect();
    let room = SKIP_BY_BYTES_MAX - rest.len();
    if name.len() > room {
        name.truncate(name.floor_char_boundary(room - CUT.len()));
        name.push_str(CUT);
    }
    name + &rest
}

#[cfg(test)]
mod tests {
    use underlay_core::TenantId;
    use underlay_core::limits::TENANT_BYTES_MAX;

    use super::*;

    #[test]
    fn who_orders_something_is_told_within_what_is_stored() {
        let longest = "t".repeat(TENANT_BYTES_MAX);
        for (tenant, name) in
            [("acme", "ann".to_owned()), ("acme", "水".repeat(85)), (&longest, "x".repeat(255))]
        {
            let principal = Principal::new(TenantId::new(tenant).unwrap()).with_actor(&name);
            let told = by(&principal);
            assert!(told.len() <= SKIP_BY_BYTES_MAX && told.starts_with(&name[..3]), "{told}");
            assert_eq!(told.contains(&name), name == "ann", "{told}");
            assert!(told.ends_with(&format!(" of {tenant}, over HTTP")), "{told}");
        }
        let principal = Principal::new(TenantId::new("acme").unwrap()).with_actor("a\u{1b}[2J\nb");
        assert_eq!(by(&principal), "a[2Jb of acme, over HTTP");
    }
}
