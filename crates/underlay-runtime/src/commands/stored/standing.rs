use serde::Serialize;
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{
    Actor, CANCELLED, CONFLICT, Commit, CommitId, CommitStatus, Committed, Error, EventStoreExt, GIVEN_UP,
    Json, Lane, Outcome, StoredCommand, TenantId, Timestamp, Work, WorkFilter, WorkId, WorkInfo, WorkKind,
    WorkPlace, WorkStanding,
};

use super::{Commands, read_command, reads_command, submission_id};
use crate::Request;
use crate::work::Holders;

/// What there is of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandInfo {
    /// The command.
    pub command_id: CommitId,
    /// Where it is.
    pub status: CommandStatus,
    /// When it was submitted; none where it was executed directly, or sent on by something else.
    pub submitted_at: Option<Timestamp>,
    /// What waits, or was given up; none once it has ended.
    pub waiting: Option<WaitingCommand>,
}

/// Where a command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandStatus {
    /// It is stored and nobody has begun it, or this process is about to store its outcome.
    Pending,
    /// It was begun: it runs in this process, or an attempt has failed and another one follows.
    Consumed,
    /// It was decided: accepted, or refused by the domain.
    Processed(Committed),
    /// It was cancelled before it was decided. It never runs.
    Cancelled(Committed),
    /// The stream was not at the version that whoever gave it expects: its outcome says so, and it never runs.
    Conflicted(Committed),
    /// It was given up, and waits for a person to replay or discard it. Where a process was told, it never runs.
    Failed {
        /// When.
        died_at: Timestamp,
        /// Whether the failure was final; otherwise the attempts were used up.
        is_final: bool,
    },
    /// Nobody runs it: a person discarded it after it was given up, or the log was brought here from another store.
    Discarded,
    /// Its outcome was written, and whether it is stored is not known yet.
    Uncertain,
}

impl CommandStatus {
    /// The one word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Consumed => "consumed",
            Self::Processed(_) => "processed",
            Self::Cancelled(_) => "cancelled",
            Self::Conflicted(_) | Self::Failed { .. } => "failed",
            Self::Discarded => "discarded",
            Self::Uncertain => "uncertain",
        }
    }

    /// Whether its outcome is stored and it never runs any more. What was given up may be replayed.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Processed(_) | Self::Cancelled(_) | Self::Conflicted(_))
    }
}

/// A command that waits in the store, or was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitingCommand {
    /// Its piece of work, by which a dead letter is replayed or discarded.
    pub work_id: WorkId,
    /// The category or the operation.
    pub receiver: String,
    /// The id of the aggregate; none of an operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name of the command.
    pub command: String,
    /// What is asked.
    pub body: Json,
    /// Who asks.
    #[serde(skip)]
    pub actor: Actor,
    /// When it was stored.
    pub sent_at: Timestamp,
    /// The moment of the next attempt; none where it is ready, stands behind another, or was given up.
    pub due_at: Option<Timestamp>,
    /// Whether it goes before what is normal.
    pub urgent: bool,
    /// Whether it stands behind another command to the same aggregate.
    pub is_behind: bool,
    /// The dead letter that holds the line it stands behind in, where one does: nothing of the line goes on until a
    /// person replays or discards that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<WorkId>,
    /// Whether this program has nobody for it, or cannot read it. Then it is left for another program, and what
    /// stands behind it too.
    pub is_left: bool,
    /// The attempts that have failed.
    pub attempts: u32,
    /// Why the last of them failed.
    pub last_error: Option<String>,
}

/// Which commands are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommandList {
    /// Those that are to run.
    #[default]
    Waiting,
    /// Those that were given up.
    Failed,
}

/// A part of a tenant's commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandPage {
    /// In the order they were stored.
    pub commands: Vec<CommandInfo>,
    /// Where the next page begins; none where nothing follows.
    pub next: Option<WorkPlace>,
}

/// What came of cancelling a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It is cancelled, by this call or before. It never runs.
    Cancelled(CommandInfo),
    /// It has ended before.
    TooLate(CommandInfo),
}

impl Commands {
    /// As [`Engine::command_status`](crate::Engine::command_status).
    pub(crate) async fn command_status(
        &self,
        tenant: &TenantId,
        id: CommitId,
    ) -> Result<Option<CommandInfo>, Error> {
        if let Some(ended) = self.ended(tenant, id).await? {
            return Ok(Some(ended));
        }
        let Some(queue) = self.work.as_deref() else { return Ok(None) };
        let submission = submission_id(tenant, id);
        if let Some(found) = queue.find_work(tenant, submission, 0).await? {
            let submitted_at = Some(found.work.sent_at);
            let info = self.waiting(id, submitted_at, &found);
            return Ok(Some(self.with_holder(info, &found, &mut Holders::default()).await?));
        }
        // The work is settled after the outcome is stored, so what is gone has ended, unless somebody removed it.
        if let Some(ended) = self.ended(tenant, id).await? {
            return Ok(Some(ended));
        }
        let submitted = self.store.find_commit(tenant, submission).await?;
        Ok(submitted.map(|found| CommandInfo {
            command_id: id,
            status: CommandStatus::Discarded,
            submitted_at: Some(found.committed.recorded_at),
            waiting: None,
        }))
    }

    /// As [`Engine::look_for_command`](crate::Engine::look_for_command).
    pub(crate) async fn look_for(
        &self,
        tenant: &TenantId,
        id: CommitId,
    ) -> Result<Option<CommandInfo>, Error> {
        if let Some(found) = self.command_status(tenant, id).await? {
            return Ok(Some(found));
        }
        let Some(queue) = self.work.as_deref() else { return Ok(None) };
        for dead in [false, true] {
            let filter = commands_of(tenant, dead);
            let mut after = Some(WorkPlace::START);
            while let Some(place) = after {
                let page = queue.list_work(&filter, place, WORK_PAGE_MAX).await?;
                let is_it = |info: &&WorkInfo| read(&info.work).0.identity(tenant, info.work.id) == id;
                if let Some(found) = page.work.iter().find(is_it) {
                    let info = self.waiting(id, submitted_at(id, &found.work), found);
                    return Ok(Some(self.with_holder(info, found, &mut Holders::default()).await?));
                }
                after = page.next();
            }
        }
        // It may have ended, or was replayed, while it was looked for.
        self.command_status(tenant, id).await
    }

    /// As [`Engine::commands`](crate::Engine::commands).
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        list: CommandList,
        after: WorkPlace,
        limit: usize,
    ) -> Result<CommandPage, Error> {
        let filter = commands_of(tenant, list == CommandList::Failed);
        let limit = limit.min(WORK_PAGE_MAX);
        let found = self.queue()?.list_work(&filter, after, limit).await?;
        let mut commands = Vec::with_capacity(found.work.len());
        let mut holders = Holders::default();
        for info in &found.work {
            let id = read(&info.work).0.identity(tenant, info.work.id);
            // What was cancelled, or executed directly, stands here until its moment has come.
            let ended = self.ended(tenant, id).await?;
            let waiting = self.waiting(id, submitted_at(id, &info.work), info);
            let info = self.with_holder(waiting, info, &mut holders).await?;
            commands.push(ended.map_or(info.clone(), |ended| CommandInfo { waiting: info.waiting, ..ended }));
        }
        Ok(CommandPage { commands, next: found.next() })
    }

    /// As [`Engine::cancel_command`](crate::Engine::cancel_command).
    pub(crate) async fn cancel(
        &self,
        tenant: &TenantId,
        actor: &Actor,
        id: CommitId,
        permits: impl Fn(&WaitingCommand) -> bool,
    ) -> Result<Cancelled, Error> {
        let unknown = || Error::NotFound(format!("a stored command {id}"));
        let Some(info) = self.command_status(tenant, id).await? else { return Err(unknown()) };
        // What is looked at again below was not there yet, or is another's by now: each look is checked.
        let is_permitted = |info: &CommandInfo| info.waiting.as_ref().is_none_or(&permits);
        if !is_permitted(&info) {
            return Err(unknown());
        }
        match info.status {
            CommandStatus::Cancelled(_) => {
                self.let_go(tenant, id).await?;
                return Ok(Cancelled::Cancelled(info));
            }
            CommandStatus::Processed(_) | CommandStatus::Conflicted(_) | CommandStatus::Discarded => {
                return Ok(Cancelled::TooLate(info));
            }
            CommandStatus::Pending
            | CommandStatus::Consumed
            | CommandStatus::Failed { .. }
            | CommandStatus::Uncertain => {}
        }
        let Some(found) = self.queue()?.find_work(tenant, submission_id(tenant, id), 0).await? else {
            // It has ended since, or is executed directly at this moment.
            return match self.ended(tenant, id).await? {
                Some(ended) => Ok(of_ended(ended)),
                None => Err(unknown()),
            };
        };
        if !is_permitted(&self.waiting(id, None, &found)) {
            return Err(unknown());
        }
        let stored = read_command(&found.work)?;
        let content = stored.content(&found.work.sent.receiver, &found.work.sent.name)?;
        let by = actor.name.as_deref().map_or_else(String::new, |name| format!(" by {name}"));
        let mut commit = Commit::new(id).with_content(content).with_outcome(Outcome::Refused {
            code: CANCELLED.to_owned(),
            message: format!("the command was cancelled{by} before it ran"),
            body: Json::encode(&serde_json::Map::new())?,
        });
        commit.metadata.command_id = Some(id);
        commit.metadata.actor.clone_from(&actor.name);
        let committed = self.store.commit(tenant, commit).await?;
        self.let_go(tenant, id).await?;
        Ok(of_ended(of_committed(committed, Some(found.work.sent_at))))
    }

    /// Says which dead letter holds the line of a command that stands behind another.
    async fn with_holder(
        &self,
        mut info: CommandInfo,
        of: &WorkInfo,
        holders: &mut Holders,
    ) -> Result<CommandInfo, Error> {
        if let Some(waiting) = &mut info.waiting {
            waiting.held_by = holders.of(self.queue()?, of).await?;
        }
        Ok(info)
    }

    /// As [`Engine::has_ended`](crate::Engine::has_ended).
    pub(crate) async fn has_ended(&self, work: &Work) -> Result<bool, Error> {
        if work.sent.kind != WorkKind::Command {
            return Ok(false);
        }
        let id = read(work).0.identity(&work.tenant, work.id);
        Ok(self.ended(&work.tenant, id).await?.is_some_and(|ended| ended.status.is_ended()))
    }

    /// Removes the dead letter of a command that has ended: nobody replays it any more, and those behind it go on.
    ///
    /// Whoever ends a command does it, after its outcome is stored, and whoever gives it up, after its letter is: of
    /// two who do both at the same moment, one finds what the other has stored. Where it fails, it is done by a repeat.
    pub(crate) async fn let_go(&self, tenant: &TenantId, id: CommitId) -> Result<(), Error> {
        let Some(queue) = self.work.as_deref() else { return Ok(()) };
        let found = queue.find_work(tenant, submission_id(tenant, id), 0).await?;
        match found {
            Some(WorkInfo { work, standing: WorkStanding::Dead { .. } }) => {
                self.discard_ended(&work, id).await
            }
            _ => Ok(()),
        }
    }

    /// Removes a dead letter where the command that it holds has ended.
    pub(crate) async fn discard_ended(&self, letter: &Work, id: CommitId) -> Result<(), Error> {
        if self.ended(&letter.tenant, id).await?.is_some_and(|ended| ended.status.is_ended()) {
            self.queue()?.discard(&letter.tenant, &[letter.id]).await?;
        }
        Ok(())
    }

    /// As [`Commands::let_go`], for a command that was just given directly: it is decided, whatever comes of this.
    pub(crate) async fn let_go_at_once(&self, request: &Request, id: CommitId) {
        if let Err(error) = self.let_go(&request.tenant, id).await {
            tracing::warn!(command_id = %id, tenant = %request.tenant, %error,
                "a command is decided, and its dead letter may hold its line until the command is repeated");
        }
    }

    /// Whether it is a stored command that this process runs at the moment.
    pub(crate) fn is_run_as_stored(&self, request: &Request) -> bool {
        request.command_id.is_some_and(|id| self.running.has(&request.tenant, id))
    }

    /// The command where its outcome is stored, or about to be.
    async fn ended(&self, tenant: &TenantId, id: CommitId) -> Result<Option<CommandInfo>, Error> {
        let unanswered = |status| CommandInfo { command_id: id, status, submitted_at: None, waiting: None };
        match self.store.commit_status(tenant, id).await? {
            CommitStatus::Stored(found) => {
                let submission = self.store.find_commit(tenant, submission_id(tenant, id)).await?;
                // Whoever names no submission, as an import does, may have given the id to something else: how that
                // ended says nothing of what was submitted.
                if submission.as_ref().is_some_and(|submitted| submitted.fingerprint != found.fingerprint) {
                    return Ok(None);
                }
                let submitted_at = submission.map(|found| found.committed.recorded_at);
                Ok(Some(of_committed(found.committed, submitted_at)))
            }
            CommitStatus::InDoubt => Ok(Some(unanswered(CommandStatus::Uncertain))),
            CommitStatus::Pending if self.running.has(tenant, id) => Ok(None),
            CommitStatus::Pending => Ok(Some(unanswered(CommandStatus::Pending))),
            CommitStatus::Unknown => Ok(None),
        }
    }

    /// Whether this program runs a stored command, wherever it does.
    fn receives(&self, work: &Work) -> bool {
        let receiver = &work.sent.receiver;
        let is_known =
            self.registry.find_aggregate(receiver).is_ok() || self.registry.find_operation(receiver).is_ok();
        is_known && reads_command(work)
    }

    /// The command where it waits, or was given up.
    fn waiting(&self, id: CommitId, submitted_at: Option<Timestamp>, info: &WorkInfo) -> CommandInfo {
        let work = &info.work;
        let status = match info.standing {
            WorkStanding::Dead { died_at, is_final, .. } => CommandStatus::Failed { died_at, is_final },
            _ if work.attempts > 0 || self.running.has(&work.tenant, id) => CommandStatus::Consumed,
            _ => CommandStatus::Pending,
        };
        let (stored, problem) = read(work);
        let waiting = WaitingCommand {
            work_id: work.id,
            receiver: work.sent.receiver.clone(),
            id: stored.id,
            command: work.sent.name.clone(),
            body: stored.body,
            actor: stored.actor,
            sent_at: work.sent_at,
            due_at: work.sent.due_at,
            urgent: work.sent.lane == Lane::Urgent,
            is_behind: info.standing == WorkStanding::Behind,
            held_by: None,
            is_left: !matches!(info.standing, WorkStanding::Dead { .. }) && !self.receives(work),
            attempts: work.attempts,
            last_error: work.last_error.clone().or(problem),
        };
        CommandInfo { command_id: id, status, submitted_at, waiting: Some(waiting) }
    }
}

/// When a command was submitted; none where something sent it on.
fn submitted_at(id: CommitId, work: &Work) -> Option<Timestamp> {
    (work.commit_id == submission_id(&work.tenant, id)).then_some(work.sent_at)
}

/// The stored commands of a tenant.
fn commands_of(tenant: &TenantId, dead: bool) -> WorkFilter {
    WorkFilter { tenant: Some(tenant.clone()), dead, kind: Some(WorkKind::Command), ..WorkFilter::default() }
}

/// A command for a list, and what is wrong with one that cannot be read.
fn read(work: &Work) -> (StoredCommand, Option<String>) {
    match read_command(work) {
        Ok(stored) => (stored, None),
        Err(error) => (StoredCommand::new(None, Json::from_stored("null")), Some(error.to_string())),
    }
}

fn of_committed(committed: Committed, submitted_at: Option<Timestamp>) -> CommandInfo {
    let command_id = committed.id;
    let status = match &committed.outcome {
        Outcome::Refused { code, .. } if code == CANCELLED => CommandStatus::Cancelled(committed),
        Outcome::Refused { code, .. } if code == CONFLICT => CommandStatus::Conflicted(committed),
        Outcome::Refused { code, .. } if code == GIVEN_UP => {
            CommandStatus::Failed { died_at: committed.recorded_at, is_final: true }
        }
        _ => CommandStatus::Processed(committed),
    };
    CommandInfo { command_id, status, submitted_at, waiting: None }
}

fn of_ended(info: CommandInfo) -> Cancelled {
    match info.status {
        CommandStatus::Cancelled(_) => Cancelled::Cancelled(info),
        _ => Cancelled::TooLate(info),
    }
}
