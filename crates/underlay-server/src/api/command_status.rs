//! What became of a command, and how one is taken back.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{Actor, CommitId, Error, Json, Outcome, Position, StreamVersion, Timestamp, WorkPlace};
use underlay_runtime::{
    Cancelled, CommandInfo, CommandList, CommandPage, CommandStatus, Submitted, WaitingCommand,
};

use crate::Principal;
use crate::answer::Answer;
use crate::app::App;
use crate::door::credentials::Caller;
use crate::door::roles::permit_command;
use crate::edge::asked;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;
use crate::request_headers::read_key;

/// Commands in a page where the request does not say.
pub(crate) const PAGE_COMMANDS_DEFAULT: usize = 100;
/// Which commands are listed, by their words.
pub(crate) const LISTS: [&str; 2] = ["waiting", "failed"];

/// A command, by its status:
///
/// - `pending`: it is stored and not begun;
/// - `consumed`: it runs in the process that answers, or an attempt has failed and another one follows;
/// - `processed`: it was accepted or refused, and `outcome` says which;
/// - `cancelled`: it never runs;
/// - `failed`: it was given up; or its stream was not at the version that `If-Match` had, and `refusal` says so, with
///   the code `underlay:conflict` and the `stream`, what was `expected` and what was `actual`;
/// - `discarded`: it was given up, and somebody removed it;
/// - `uncertain`: its outcome was written, and nobody knows yet whether it is stored.
#[derive(Debug, Serialize)]
pub(crate) struct CommandBody {
    command_id: CommitId,
    status: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    ended: Option<EndedBody>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    waiting: Option<WaitingBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    submitted_at: Option<Timestamp>,
}

/// How a command ended.
#[derive(Debug, Serialize)]
struct EndedBody {
    #[serde(flatten)]
    outcome: OutcomeBody,
    position: Position,
    streams: Vec<StreamVersion>,
    event_count: u32,
    recorded_at: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum OutcomeBody {
    Accepted,
    Refused { refusal: RefusalBody },
}

#[derive(Debug, Serialize)]
struct RefusalBody {
    code: String,
    message: String,
    /// Null once their retention has passed.
    fields: Json,
}

/// A command that waits or was given up. What it asks for is not told: that may be for others than those who may ask
/// where it stands.
#[derive(Debug, Serialize)]
struct WaitingBody {
    /// The moment of the next attempt; null where nothing but its turn is waited for.
    due_at: Option<Timestamp>,
    /// The attempts that have failed.
    attempts: u32,
    /// Why the last of them failed.
    last_error: Option<String>,
    /// When it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_at: Option<Timestamp>,
}

impl CommandBody {
    /// A command that was stored just now.
    pub(crate) fn submitted(submitted: &Submitted) -> Self {
        Self {
            command_id: submitted.command_id,
            status: CommandStatus::Pending.word(),
            ended: None,
            waiting: Some(WaitingBody {
                due_at: submitted.due_at,
                attempts: 0,
                last_error: None,
                failed_at: None,
            }),
            submitted_at: Some(submitted.submitted_at),
        }
    }
}

impl From<CommandInfo> for CommandBody {
    fn from(info: CommandInfo) -> Self {
        let CommandInfo { command_id, status, submitted_at, waiting } = info;
        let word = status.word();
        let failed_at = match status {
            CommandStatus::Failed { died_at, .. } => Some(died_at),
            _ => None,
        };
        let waiting = waiting.map(|waiting| WaitingBody {
            due_at: waiting.due_at,
            attempts: waiting.attempts,
            last_error: waiting.last_error,
            failed_at,
        });
        let ended = match status {
            CommandStatus::Processed(committed)
            | CommandStatus::Cancelled(committed)
            | CommandStatus::Conflicted(committed) => Some(EndedBody {
                outcome: match committed.outcome {
                    Outcome::Accepted => OutcomeBody::Accepted,
                    Outcome::Refused { code, message, body } => {
                        OutcomeBody::Refused { refusal: RefusalBody { code, message, fields: body } }
                    }
                },
                position: committed.position,
                streams: committed.versions,
                event_count: committed.event_count,
                recorded_at: committed.recorded_at,
            }),
            _ => None,
        };
        Self { command_id, status: word, ended, waiting, submitted_at }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct CommandsBody {
    commands: Vec<CommandBody>,
    /// What `after` is for the next page; null where this is the last.
    next: Option<String>,
}

/// `GET /v1/commands`: a page of the stored commands that are to run, or that were given up, in the order they were
/// stored. Those that the caller may not give are left out, so a page may hold less than was asked for.
pub(crate) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    mut parameters: Parameters,
) -> Result<Answer<CommandsBody>, Problem> {
    let list = list_of(parameters.take("status")?.as_deref())?;
    let after: u64 = parameters.take_parsed("after")?.unwrap_or_default();
    let limit = parameters.take_limit(PAGE_COMMANDS_DEFAULT, WORK_PAGE_MAX)?;
    parameters.finish(&["status", "after", "limit"])?;
    let page = commands_for(&app, &principal, list, WorkPlace::from_number(after), limit).await?;
    Ok(Answer(CommandsBody {
        commands: page.commands.into_iter().map(CommandBody::from).collect(),
        next: page.next.map(|next| next.number().to_string()),
    }))
}

/// Which commands are meant by a word; those that wait where none is said.
pub(crate) fn list_of(status: Option<&str>) -> Result<CommandList, Problem> {
    match status {
        None | Some("waiting") => Ok(CommandList::Waiting),
        Some("failed") => Ok(CommandList::Failed),
        Some(other) => Err(Problem::invalid(format!("status={other} is none of: {}", LISTS.join(", ")))),
    }
}

/// A page of the stored commands that a caller may give.
pub(crate) async fn commands_for(
    app: &App,
    principal: &Principal,
    list: CommandList,
    after: WorkPlace,
    limit: usize,
) -> Result<CommandPage, Problem> {
    let mut page = app.engine().commands(&principal.tenant, list, after, limit).await?;
    page.commands
        .retain(|info| info.waiting.as_ref().is_some_and(|waiting| may_give(app, &principal.actor, waiting)));
    Ok(page)
}

/// `GET /v1/commands/{key}`: what became of a command, by the key it was sent with, or by the id an answer
/// gave. One that another process was given to run at once is not found until it is stored.
///
/// Whoever may give no command at all may not ask. A command that waits is told to those who may give it; for anybody
/// else it is not there, so that nobody learns from the answer which keys are used. Of one that has ended nobody knows any
/// more which command it was: its outcome is told to everybody who may ask.
pub(crate) async fn find(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(key): Segments<String>,
) -> Result<Answer<CommandBody>, Problem> {
    Ok(Answer(look_up(&app, &principal, &key).await?.into()))
}

/// `DELETE /v1/commands/{key}`: cancels a stored command that has not ended. It is for those who [find] it.
pub(crate) async fn cancel(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(key): Segments<String>,
) -> Result<Answer<CommandBody>, Problem> {
    Ok(Answer(take_back(&app, &principal, &key).await?.into()))
}

/// Cancels a command, by its key or id.
pub(crate) async fn take_back(app: &App, principal: &Principal, key: &str) -> Result<CommandInfo, Problem> {
    let info = look_up(app, principal, key).await?;
    let (tenant, actor) = (&principal.tenant, &principal.actor);
    let permits = |waiting: &WaitingCommand| may_give(app, actor, waiting);
    match app.engine().cancel_command(tenant, actor, info.command_id, permits).await {
        Ok(Cancelled::Cancelled(info)) => Ok(info),
        Ok(Cancelled::TooLate(info)) => Err(too_late(&info)),
        Err(Error::NotFound(_)) => Err(unknown(key)),
        Err(error) => Err(error.into()),
    }
}

/// What became of a command. A key comes first: one that looks like an id stands for another command.
pub(crate) async fn look_up(app: &App, principal: &Principal, key: &str) -> Result<CommandInfo, Problem> {
    let by_key = CommitId::from_key(&principal.tenant, read_key(key)?);
    for id in [Some(by_key), key.parse().ok()].into_iter().flatten() {
        let found = app.engine().command_status(&principal.tenant, id).await?;
        let is_for_them = |info: &CommandInfo| {
            info.waiting.as_ref().is_none_or(|waiting| may_give(app, &principal.actor, waiting))
        };
        if let Some(found) = found.filter(is_for_them) {
            return Ok(found);
        }
    }
    Err(unknown(key))
}

/// Whether somebody may give a command that is stored.
fn may_give(app: &App, actor: &Actor, command: &WaitingCommand) -> bool {
    permit_command(app, actor, &command.receiver, command.id.is_some(), &command.command).is_ok()
}

/// That a command is not stored, and this process does not have it.
fn unknown(key: &str) -> Problem {
    Problem::from(Error::NotFound(format!("command {key:?}")))
        .with_more("; another process of the service may have it and not have stored it yet")
}

fn too_late(info: &CommandInfo) -> Problem {
    let detail = format!("the command is {} already; it cannot be cancelled any more", info.status.word());
    Problem::new(StatusCode::CONFLICT, "command-ended", "The command has ended", detail)
        .with_member("command_id", info.command_id.to_string())
        .with_member("command", asked::address(&format!("/v1/commands/{}", info.command_id)))
}
