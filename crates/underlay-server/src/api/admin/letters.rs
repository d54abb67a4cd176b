//! Dead letters of the caller's tenant: looked at, tried again, or removed, one by one or several at once.

use std::collections::BTreeSet;

use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};
use underlay_core::adapter::work_bytes;
use underlay_core::{
    CommitId, Json, Payload, Timestamp, WorkFilter, WorkId, WorkInfo, WorkKind, WorkPlace, WorkStanding,
};
use underlay_runtime::{LetterChoice, LetterOrder};

use super::by;
use super::list::{WORK_BYTES, WorkQuery, gather, kind_of};
use crate::Principal;
use crate::answer::Answer;
use crate::app::App;
use crate::budget::Room;
use crate::door::credentials::Caller;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;
use crate::request_body::{JsonText, object};

/// Dead letters that are settled by one request, or looked at for it.
pub(crate) const LETTERS_AT_ONCE_MAX: usize = 500;

/// A dead letter. Whose it is, the caller knows.
#[derive(Debug, Serialize)]
pub(crate) struct DeadLetterBody {
    pub(crate) work_id: WorkId,
    pub(crate) kind: WorkKind,
    pub(crate) receiver: String,
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) version: u32,
    #[serde(flatten)]
    pub(crate) payload: Payload,
    pub(crate) metadata: Json,
    pub(crate) commit_id: CommitId,
    pub(crate) sent_at: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) last_error: Option<String>,
    pub(crate) died_at: Option<Timestamp>,
    pub(crate) is_final: bool,
    /// Whether what has the same key waits until this is replayed or discarded.
    pub(crate) holds_key: bool,
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
    pub(crate) dead_letters: Vec<DeadLetterBody>,
    /// What `after` is for the next page; null where this is the last.
    pub(crate) next: Option<String>,
}

/// `GET /v1/admin/dead-letters`: a page of the tenant's work that was given up, the oldest first.
pub(crate) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    room: Room,
    parameters: Parameters,
) -> Result<Answer<DeadLettersBody>, Problem> {
    let query = WorkQuery::read(principal.tenant, true, parameters)?;
    Ok(Answer(letters_of(&app, &room, query).await?))
}

/// A page of dead letters.
pub(crate) async fn letters_of(app: &App, room: &Room, query: WorkQuery) -> Result<DeadLettersBody, Problem> {
    let (dead_letters, next) = gather(app, room, query, |listed| {
        let bytes = WORK_BYTES + work_bytes(&listed.info.work);
        (DeadLetterBody::of(listed.info), bytes)
    })
    .await?;
    Ok(DeadLettersBody { dead_letters, next })
}

/// `GET /v1/admin/dead-letters/{id}`: one of the tenant's.
pub(crate) async fn find(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(id): Segments<String>,
    room: Room,
    parameters: Parameters,
) -> Result<Answer<DeadLetterBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(letter_of(&app, &room, &principal, letter_id(&id)?).await?))
}

/// One dead letter of the caller's tenant.
pub(crate) async fn letter_of(
    app: &App,
    room: &Room,
    principal: &Principal,
    id: WorkId,
) -> Result<DeadLetterBody, Problem> {
    let filter = WorkFilter { tenant: Some(principal.tenant.clone()), ..WorkFilter::default() };
    let found = app.engine().find_dead_letter(&filter, id).await?;
    room.0.hold(WORK_BYTES + work_bytes(&found.work), false)?;
    Ok(DeadLetterBody::of(found))
}

pub(crate) fn letter_id(text: &str) -> Result<WorkId, Problem> {
    let parsed = text.parse().map(WorkId);
    parsed.map_err(|error| Problem::invalid(format!("{text:?} is no id of a dead letter: {error}")))
}

/// What became of a dead letter.
#[derive(Debug, Serialize)]
pub(crate) struct SettledBody {
    pub(crate) work_id: WorkId,
    /// `replayed` or `discarded`.
    pub(crate) status: &'static str,
}

/// `POST /v1/admin/dead-letters/{id}/replay`: it is due again at once.
pub(crate) async fn replay(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<SettledBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(settle(&app, &principal, LetterOrder::Replay, letter_id(&id)?).await?))
}

/// `POST /v1/admin/dead-letters/{id}/discard`: it is removed for ever.
pub(crate) async fn discard(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<SettledBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(settle(&app, &principal, LetterOrder::Discard, letter_id(&id)?).await?))
}

/// Settles one dead letter of the caller's tenant.
pub(crate) async fn settle(
    app: &App,
    principal: &Principal,
    order: LetterOrder,
    work_id: WorkId,
) -> Result<SettledBody, Problem> {
    app.engine().settle_dead_letter(order, &principal.tenant, work_id, &by(principal)).await?;
    Ok(SettledBody { work_id, status: order.done() })
}

/// Which dead letters are to be settled: those of the ids, those that the filter finds, or all.
#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with ids, receiver, key or kind, or with all, and with after where wanted"
)]
struct ChoiceBody {
    #[serde(default, deserialize_with = "given")]
    ids: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    receiver: Option<String>,
    #[serde(default, deserialize_with = "given")]
    key: Option<String>,
    #[serde(default, deserialize_with = "given")]
    kind: Option<String>,
    #[serde(default)]
    all: bool,
    #[serde(default, deserialize_with = "given")]
    after: Option<String>,
}

/// What stands there is no null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl ChoiceBody {
    /// The dead letters of a tenant that are meant. All of them are meant only where that is said.
    fn choice(self, principal: &Principal) -> Result<LetterChoice, Problem> {
        let is_narrow =
            self.ids.is_some() || self.receiver.is_some() || self.key.is_some() || self.kind.is_some();
        if !is_narrow && !self.all {
            return Err(Problem::invalid(
                "which? name some by ids, receiver, key or kind, or say {\"all\": true} for all of the tenant",
            ));
        }
        let ids = self.ids.map(|ids| {
            if ids.is_empty() || ids.len() > LETTERS_AT_ONCE_MAX {
                return Err(Problem::invalid(format!(
                    "ids names 1 to {LETTERS_AT_ONCE_MAX} dead letters, it has {}",
                    ids.len()
                )));
            }
            ids.iter().map(|id| letter_id(id)).collect::<Result<BTreeSet<WorkId>, Problem>>()
        });
        let after = self.after.as_deref().unwrap_or("0");
        let after = after
            .parse()
            .map_err(|error| Problem::invalid(format!("after={after:?} does not fit: {error}")))?;
        let filter = WorkFilter {
            tenant: Some(principal.tenant.clone()),
            dead: true,
            holds: false,
            kind: self.kind.as_deref().map(kind_of).transpose()?,
            receiver: self.receiver,
            key: self.key,
        };
        Ok(LetterChoice { filter, ids: ids.transpose()?, after: WorkPlace::from_number(after) })
    }
}

/// What became of several dead letters.
#[derive(Debug, Serialize)]
pub(crate) struct SettledManyBody {
    /// `replayed` or `discarded`.
    pub(crate) status: &'static str,
    /// How many were.
    pub(crate) count: usize,
    /// How many stay that cannot be replayed: commands of which a process was told that they failed.
    pub(crate) kept: usize,
    /// What `after` is to go on; null where no more is left.
    pub(crate) next: Option<String>,
}

/// `POST /v1/admin/dead-letters/replay`: those that are meant are due again at once.
pub(crate) async fn replay_many(
    State(app): State<App>,
    Caller(principal): Caller,
    parameters: Parameters,
    JsonText(body): JsonText,
) -> Result<Answer<SettledManyBody>, Problem> {
    parameters.finish(&[])?;
    let choice = read_choice(&body, &principal)?;
    Ok(Answer(settle_many(&app, &principal, LetterOrder::Replay, &choice).await?))
}

/// `POST /v1/admin/dead-letters/discard`: those that are meant are removed for ever.
pub(crate) async fn discard_many(
    State(app): State<App>,
    Caller(principal): Caller,
    parameters: Parameters,
    JsonText(body): JsonText,
) -> Result<Answer<SettledManyBody>, Problem> {
    parameters.finish(&[])?;
    let choice = read_choice(&body, &principal)?;
    Ok(Answer(settle_many(&app, &principal, LetterOrder::Discard, &choice).await?))
}

fn read_choice(body: &str, principal: &Principal) -> Result<LetterChoice, Problem> {
    let body: ChoiceBody = object(body)
        .map_err(|error| Problem::invalid(format!("the body says not which dead letters: {error}")))?;
    body.choice(principal)
}

/// Settles several dead letters of the caller's tenant.
pub(crate) async fn settle_many(
    app: &App,
    principal: &Principal,
    order: LetterOrder,
    choice: &LetterChoice,
) -> Result<SettledManyBody, Problem> {
    let engine = app.engine();
    let settled = engine.settle_chosen_letters(order, choice, LETTERS_AT_ONCE_MAX, &by(principal)).await?;
    Ok(SettledManyBody {
        status: order.done(),
        count: settled.count,
        kept: settled.told,
        next: settled.next.map(|next| next.number().to_string()),
    })
}
