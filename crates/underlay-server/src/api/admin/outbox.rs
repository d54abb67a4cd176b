//! Work of the caller's tenant that waits: what it is, where it comes from and where it stands, and not what was sent.

use axum::extract::State;
use serde::Serialize;
use underlay_core::{CommitId, Json, Timestamp, WorkId, WorkKind, WorkStanding};
use underlay_runtime::ListedWork;

use super::list::{WORK_BYTES, WorkQuery, gather};
use crate::answer::Answer;
use crate::app::App;
use crate::budget::Room;
use crate::door::credentials::Caller;
use crate::parameters::Parameters;
use crate::problem::Problem;

/// A piece of work that waits.
#[derive(Debug, Serialize)]
pub(crate) struct WaitingWorkBody {
    pub(crate) work_id: WorkId,
    pub(crate) kind: WorkKind,
    pub(crate) receiver: String,
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) version: u32,
    /// `ready` where it can be done or is being done, `later` where it waits for its moment, and `behind` where it stands
    /// behind another of its key.
    pub(crate) state: &'static str,
    /// Whether it is a command of which nothing comes any more.
    pub(crate) has_ended: bool,
    /// The dead letter that it stands behind.
    pub(crate) held_by: Option<WorkId>,
    pub(crate) due_at: Option<Timestamp>,
    /// The attempts that have failed.
    pub(crate) attempts: u32,
    /// Why the last of them failed.
    pub(crate) last_error: Option<String>,
    pub(crate) metadata: Json,
    pub(crate) commit_id: CommitId,
    pub(crate) sent_at: Timestamp,
}

impl WaitingWorkBody {
    fn of(listed: ListedWork) -> Self {
        let ListedWork { info, has_ended, held_by } = listed;
        let state = match info.standing {
            WorkStanding::Ready => "ready",
            WorkStanding::Later => "later",
            WorkStanding::Behind => "behind",
            WorkStanding::Dead { .. } => "dead",
        };
        let work = info.work;
        Self {
            work_id: work.id,
            kind: work.sent.kind,
            receiver: work.sent.receiver,
            key: work.sent.key,
            name: work.sent.name,
            version: work.sent.version.0,
            state,
            has_ended,
            held_by,
            due_at: work.sent.due_at,
            attempts: work.attempts,
            last_error: work.last_error,
            metadata: work.metadata,
            commit_id: work.commit_id,
            sent_at: work.sent_at,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct OutboxBody {
    pub(crate) work: Vec<WaitingWorkBody>,
    /// What `after` is for the next page; null where this is the last.
    pub(crate) next: Option<String>,
}

/// `GET /v1/admin/outbox`: a page of the tenant's work that waits, the oldest first.
pub(crate) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    room: Room,
    parameters: Parameters,
) -> Result<Answer<OutboxBody>, Problem> {
    let query = WorkQuery::read(principal.tenant, false, parameters)?;
    Ok(Answer(outbox_of(&app, &room, query).await?))
}

/// A page of what waits.
pub(crate) async fn outbox_of(app: &App, room: &Room, query: WorkQuery) -> Result<OutboxBody, Problem> {
    let (work, next) = gather(app, room, query, |listed| {
        let bytes = WORK_BYTES + listed.info.work.metadata.bytes();
        (WaitingWorkBody::of(listed), bytes)
    })
    .await?;
    Ok(OutboxBody { work, next })
}
