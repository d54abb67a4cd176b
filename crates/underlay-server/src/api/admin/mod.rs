//! What an operator looks at and does: queues, processes, pumps, subscribers, dead letters.
//!
//! Where everybody is let in, one operator is told where all stands. Elsewhere an operator is one tenant's: how much
//! there is, is told of that tenant, and of what is shared, whether it goes on. Dead letters are always those of the
//! caller's tenant. Across tenants all of it is looked at from the command line.

pub(crate) mod processes;
pub(crate) mod schedules;

use axum::extract::State;
use serde::Serialize;
use underlay_core::adapter::work_bytes;
use underlay_core::{
    Error, Json, Payload, Position, SubscriberStanding, TenantId, TenantLag, Timestamp, WorkFilter, WorkId,
    WorkInfo, WorkKind, WorkPlace, WorkStanding,
};
use underlay_runtime::{FollowerStanding, FollowerStatus, LetterOrder, Overview, QueueStanding};

use crate::Principal;
use crate::answer::Answer;
use crate::app::App;
use crate::budget::Room;
use crate::door::credentials::Caller;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;

/// Dead letters in a page where the request does not say, and at most.
pub(crate) const PAGE_LETTERS_DEFAULT: usize = 50;
pub(crate) const PAGE_LETTERS_MAX: usize = 500;
/// Dead letters read at once. Each may have a megabyte.
const PART_LETTERS: usize = 16;
/// Bytes of a dead letter in an answer beside its payload and metadata, about.
const LETTER_BYTES: usize = 1_024;

/// What follows the log: a process of the domain, or a pump. Why it stopped is not told: the event that stopped it may
/// be another tenant's.
#[derive(Debug, Serialize)]
pub(crate) struct FollowerBody {
    pub(crate) name: String,
    pub(crate) status: FollowerStatus,
    /// Where everybody is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<Position>,
    /// How many positions the head of the log is beyond that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) behind: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped_since: Option<Timestamp>,
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
    let follower = |standing: &FollowerStanding| FollowerBody {
        name: standing.name.clone(),
        status: standing.status,
        position: is_open.then_some(standing.position),
        behind: is_open.then_some(standing.behind),
        stopped_since: standing.stop.as_ref().map(|stop| stop.since),
    };
    standings.iter().map(follower).collect()
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
        left,
        subscribers: subscribers.collect(),
        processes: followers_of(&overview.processes, is_open),
        pumps: followers_of(&overview.pumps, is_open),
    })
}

/// A dead letter. Whose it is, the caller knows.
#[derive(Debug, Serialize)]
pub(crate) struct DeadLetterBody {
    work_id: WorkId,
    kind: WorkKind,
    receiver: String,
    key: String,
    name: String,
    version: u32,
    #[serde(flatten)]
    payload: Payload,
    metadata: Json,
    commit_id: underlay_core::CommitId,
    sent_at: Timestamp,
    attempts: u32,
    last_error: Option<String>,
    died_at: Option<Timestamp>,
    is_final: bool,
    /// Whether what has the same key waits until this is replayed or discarded.
    holds_key: bool,
}

impl DeadLetterBody {
    fn of(info: WorkInfo) -> Self {
        let WorkInfo { work, standing } = info;
        let (died_at, is_final, holds_key) = match standing {
            WorkStanding::Dead { died_at, is_final, holds } => (Some(died_at), is_final, holds),
            _ => (None, false, false),
        };
        Self {
            work_id: work.id,
            kind: work.sent.kind,
            receiver: work.sent.receiver,
            key: work.sent.key,
            name: work.sent.name,
            version: work.sent.version.0,
            payload: work.sent.payload,
            metadata: work.metadata,
            commit_id: work.commit_id,
            sent_at: work.sent_at,
            attempts: work.attempts,
            last_error: work.last_error,
            died_at,
            is_final,
            holds_key,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct DeadLettersBody {
    dead_letters: Vec<DeadLetterBody>,
    /// What `after` is for the next page; null where this is the last.
    next: Option<String>,
}

/// `GET /v1/admin/dead-letters`: a page of the tenant's work that was given up, the oldest first.
pub(crate) async fn dead_letters(
    State(app): State<App>,
    Caller(principal): Caller,
    room: Room,
    mut parameters: Parameters,
) -> Result<Answer<DeadLettersBody>, Problem> {
    let kind = parameters.take("kind")?.map(|name| {
        let known = || WorkKind::ALL.map(WorkKind::name).join(", ");
        WorkKind::from_name(&name)
            .ok_or_else(|| Problem::invalid(format!("kind={name} is none of: {}", known())))
    });
    let filter = WorkFilter {
        tenant: Some(principal.tenant),
        dead: true,
        holds: false,
        kind: kind.transpose()?,
        receiver: parameters.take("receiver")?,
        key: parameters.take("key")?,
    };
    let after: u64 = parameters.take_parsed("after")?.unwrap_or_default();
    let limit = parameters.take_limit(PAGE_LETTERS_DEFAULT, PAGE_LETTERS_MAX)?;
    parameters.finish(&["receiver", "key", "kind", "after", "limit"])?;
    let mut after = WorkPlace::from_number(after);
    let (mut letters, mut bytes, mut next) = (Vec::new(), 0, None);
    loop {
        let part = PART_LETTERS.min(limit - letters.len());
        let read = app.engine().dead_letters(&filter, after, part).await?;
        let more = read.next();
        for info in read.work {
            bytes += LETTER_BYTES + work_bytes(&info.work);
            letters.push(DeadLetterBody::of(info));
        }
        room.0.hold(bytes, false)?;
        let Some(more) = more else { break };
        if letters.len() >= limit || bytes >= app.config().page_bytes_max {
            next = Some(more.number().to_string());
            break;
        }
        after = more;
    }
    Ok(Answer(DeadLettersBody { dead_letters: letters, next }))
}

/// `GET /v1/admin/dead-letters/{id}`: one of the tenant's.
pub(crate) async fn dead_letter(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(id): Segments<String>,
    room: Room,
    parameters: Parameters,
) -> Result<Answer<DeadLetterBody>, Problem> {
    parameters.finish(&[])?;
    let filter = WorkFilter { tenant: Some(principal.tenant), ..WorkFilter::default() };
    let found = app.engine().find_dead_letter(&filter, letter_id(&id)?).await?;
    room.0.hold(LETTER_BYTES + work_bytes(&found.work), false)?;
    Ok(Answer(DeadLetterBody::of(found)))
}

fn letter_id(text: &str) -> Result<WorkId, Problem> {
    let parsed = text.parse().map(WorkId);
    parsed.map_err(|error| Problem::invalid(format!("{text:?} is no id of a dead letter: {error}")))
}

/// What became of a dead letter.
#[derive(Debug, Serialize)]
pub(crate) struct SettledBody {
    work_id: WorkId,
    /// `replayed` or `discarded`.
    status: &'static str,
}

/// `POST /v1/admin/dead-letters/{id}/replay`: it is due again at once.
pub(crate) async fn replay(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<SettledBody>, Problem> {
    parameters.finish(&[])?;
    settle(&app, principal, LetterOrder::Replay, &id).await
}

/// `POST /v1/admin/dead-letters/{id}/discard`: it is removed for ever.
pub(crate) async fn discard(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<SettledBody>, Problem> {
    parameters.finish(&[])?;
    settle(&app, principal, LetterOrder::Discard, &id).await
}

async fn settle(
    app: &App,
    principal: Principal,
    order: LetterOrder,
    id: &str,
) -> Result<Answer<SettledBody>, Problem> {
    let work_id = letter_id(id)?;
    let by = by(&principal.tenant, principal.actor.name.as_deref());
    app.engine().settle_dead_letter(order, &principal.tenant, work_id, &by).await?;
    Ok(Answer(SettledBody { work_id, status: order.done() }))
}

/// Who ordered it, for the log.
fn by(tenant: &TenantId, actor: Option<&str>) -> String {
    format!("{} of {tenant}, over HTTP", actor.unwrap_or("somebody"))
}
