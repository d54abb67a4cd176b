use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::{
    Attempts, CONFLICT, CommandError, CommandOutcome, Commit, CommitId, CommitStatus, Conflict, Error,
    EventStoreExt, ExpectedVersion, Fingerprint, GIVEN_UP, Json, Metadata, Origin, Outcome, ReplyTo,
    StoredCommand, StoredInput, Work, WorkKind, kept_work_error,
};
use uuid::Uuid;

use super::{Commands, read_command, reads_command};
use crate::registry::Body;
use crate::traces::context_in;
use crate::work::{Attempt, GivenUp, NotDone, Receiver, Shown};
use crate::{ErasedRefusal, ExecuteNamedError, Executed, Request};

/// Runs stored commands, of every category and operation.
///
/// A refusal is an outcome, and the work is done. So is a conflict with the version that the caller expects: it is stored
/// under the command's id, and what stands behind goes on. What the caller has to mend is final: an id that was used for
/// something else. A command that this program does not know is left for a newer process beside it. A body was looked
/// at when it was stored, so it fits the program that stored it: it is tried again, as is everything that may pass.
///
/// Before a failure is told, the outcome is looked for under the command's id: where it was stored before, by this
/// worker or another, by a direct call or a cancellation, the work is done.
///
/// A process goes on by what it is told. So where one waits, that the command is given up is stored as its outcome
/// first, under its id: of giving it up and running it one wins, however late an attempt comes to its end, and the
/// process is told what won. The dead letter tells people. It cannot be replayed, and it holds no key, since what the
/// process sends next may be for the same aggregate.
pub(crate) struct StoredCommands {
    commands: Arc<Commands>,
}

impl StoredCommands {
    pub(crate) fn new(commands: Arc<Commands>) -> Self {
        Self { commands }
    }

    /// Runs a command, or finds how it ended.
    async fn run(
        &self,
        work: &Work,
        stored: &StoredCommand,
        traceparent: Option<&String>,
    ) -> Result<CommandOutcome, NotDone> {
        let request = request(work, stored, traceparent);
        let failure = match self.execute(work, stored, &request).await {
            Ok(_) => return Ok(CommandOutcome::Accepted),
            Err(ExecuteNamedError::Refused(refused)) => {
                let ErasedRefusal { code, message, fields, .. } = refused;
                return Ok(told(Outcome::Refused { code, message, body: fields }));
            }
            Err(failure) => failure,
        };
        match self.find_outcome(work, stored).await {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => match unexpected(&failure, stored) {
                Some(conflict) => {
                    let ended = self.store_outcome(work, stored, conflicted(conflict)).await;
                    ended.map_err(|error| not_done(error.into()))
                }
                None => Err(not_done(failure)),
            },
            // A store that cannot say is asked at the next attempt.
            Err(_) => Err(not_done(failure)),
        }
    }

    async fn execute(
        &self,
        work: &Work,
        stored: &StoredCommand,
        request: &Request,
    ) -> Result<Executed, ExecuteNamedError> {
        let (receiver, name) = (work.sent.receiver.as_str(), work.sent.name.as_str());
        let registry = &self.commands.registry;
        let body = Body { text: stored.body.as_str(), is_typed: stored.is_typed };
        match &stored.id {
            Some(id) => {
                let aggregate = registry.find_aggregate(receiver)?;
                aggregate.execute(&self.commands, request, id, name, body).await
            }
            None => registry.find_operation(receiver)?.operate(&self.commands, request, body).await,
        }
    }

    /// How the command ended, where that is stored.
    async fn find_outcome(
        &self,
        work: &Work,
        stored: &StoredCommand,
    ) -> Result<Option<CommandOutcome>, Error> {
        let content = stored.content(&work.sent.receiver, &work.sent.name)?;
        let id = stored.identity(&work.tenant, work.id);
        match self.commands.store.commit_status(&work.tenant, id).await? {
            CommitStatus::Stored(found) if found.fingerprint == content => {
                Ok(Some(told(found.committed.outcome)))
            }
            CommitStatus::Stored(_) | CommitStatus::Unknown => Ok(None),
            CommitStatus::Pending | CommitStatus::InDoubt => {
                Err(Error::Uncertain { id, reason: "its outcome is being stored".to_owned() })
            }
        }
    }

    /// Stores that a command is given up as its outcome. Says how it ended, which may be otherwise.
    async fn end(&self, work: &Work, stored: &StoredCommand, reason: &str) -> Result<CommandOutcome, Error> {
        let message = kept_work_error(reason);
        let failed = CommandOutcome::Failed { reason: message.clone() };
        // What is not well formed was never decided, and never will be.
        if stored.content(&work.sent.receiver, &work.sent.name).is_err() {
            return Ok(failed);
        }
        let body = Json::encode(&serde_json::Map::new())?;
        let outcome = Outcome::Refused { code: GIVEN_UP.to_owned(), message, body };
        match self.store_outcome(work, stored, Ok(outcome)).await {
            // The id stands for something else, so the command cannot run under it.
            Err(Error::IdReused(_)) => Ok(failed),
            ended => ended,
        }
    }

    /// Stores how a command ends that is not decided, under its id. Says how it ended, which may be otherwise.
    async fn store_outcome(
        &self,
        work: &Work,
        stored: &StoredCommand,
        outcome: Result<Outcome, Error>,
    ) -> Result<CommandOutcome, Error> {
        let content = stored.content(&work.sent.receiver, &work.sent.name)?;
        let id = stored.identity(&work.tenant, work.id);
        let mut commit = Commit::new(id).with_content(content).with_outcome(outcome?);
        commit.metadata.command_id = Some(id);
        commit.metadata.correlation_id = stored.correlation_id;
        commit.metadata.causation_id = stored.causation_id;
        Ok(told(self.commands.store.commit(&work.tenant, commit).await?.outcome))
    }

    /// Tells the process that waits for it how a command ended.
    async fn tell(
        &self,
        work: &Work,
        stored: &StoredCommand,
        outcome: CommandOutcome,
        traceparent: Option<&String>,
    ) -> Result<(), Error> {
        let Some(reply_to) = &stored.reply_to else { return Ok(()) };
        let command_id = stored.identity(&work.tenant, work.id);
        let traceparent = traceparent.or(stored.traceparent.as_ref()).cloned();
        let input = StoredInput::Outcome { name: reply_to.name.clone(), command_id, outcome };
        let commit = Commit::new(telling_id(work))
            .with_content(Fingerprint::of(telling(work)))
            .with_metadata(Metadata {
                correlation_id: stored.correlation_id,
                causation_id: Some(command_id.0),
                tracestate: tracestate(&sent_by(work), traceparent.as_deref()),
                traceparent,
                ..Metadata::default()
            })
            .send(input.work(&reply_to.process, &reply_to.instance)?);
        self.commands.store.commit(&work.tenant, commit).await.map(drop)
    }
}

#[async_trait]
impl Receiver for StoredCommands {
    fn attempts(&self) -> Attempts {
        Attempts::default()
    }

    fn holds_key(&self) -> bool {
        true
    }

    fn reads(&self, work: &Work) -> bool {
        reads_command(work)
    }

    fn traceparent(&self, work: &Work) -> Option<String> {
        let stored = read_command(work).ok()?.traceparent;
        stored.or_else(|| context_in(&work.metadata))
    }

    fn show(&self, work: &Work) -> Option<Shown> {
        let stored = read_command(work).ok()?;
        Some(Box::new(self.commands.running.begin(&work.tenant, stored.identity(&work.tenant, work.id))))
    }

    fn correlation_id(&self, work: &Work) -> Option<Uuid> {
        let stored = read_command(work).ok()?.correlation_id;
        stored.or_else(|| sent_by(work).correlation_id)
    }

    async fn attempt(&self, attempt: Attempt<'_>) -> Result<(), NotDone> {
        let work = attempt.work;
        let stored = read_command(work).map_err(NotDone::last)?;
        let _run = self.commands.running.begin(&work.tenant, stored.identity(&work.tenant, work.id));
        let traceparent = attempt.traceparent.as_ref();
        let outcome = self.run(work, &stored, traceparent).await?;
        // It was given up before, by a worker that was gone before it could settle that.
        if let CommandOutcome::Failed { reason } = outcome {
            return Err(NotDone::last(reason));
        }
        self.tell(work, &stored, outcome, traceparent).await.map_err(|error| not_done(error.into()))
    }

    async fn is_stored(&self, work: &Work) -> Result<bool, Error> {
        // What cannot be read is said by an attempt.
        let Ok(stored) = read_command(work) else { return Ok(false) };
        if stored.reply_to.is_some() {
            let told = self.commands.store.find_commit(&work.tenant, telling_id(work)).await?;
            return Ok(told.is_some());
        }
        if stored.content(&work.sent.receiver, &work.sent.name).is_err() {
            return Ok(false);
        }
        let outcome = self.find_outcome(work, &stored).await?;
        Ok(outcome.is_some_and(|outcome| !matches!(outcome, CommandOutcome::Failed { .. })))
    }

    async fn give_up(&self, work: &Work, reason: &str) -> Result<GivenUp, Error> {
        let Ok(stored) = read_command(work) else { return Ok(GivenUp::Dead { holds: true }) };
        if stored.reply_to.is_none() {
            // It may have been stored after all, when its last attempt was not answered in time.
            let is_well_formed = stored.content(&work.sent.receiver, &work.sent.name).is_ok();
            let is_decided = is_well_formed && self.find_outcome(work, &stored).await?.is_some();
            return Ok(if is_decided { GivenUp::Done } else { GivenUp::Dead { holds: true } });
        }
        let outcome = self.end(work, &stored, reason).await?;
        let is_failed = matches!(outcome, CommandOutcome::Failed { .. });
        self.tell(work, &stored, outcome, None).await?;
        Ok(if is_failed { GivenUp::Dead { holds: false } } else { GivenUp::Done })
    }

    async fn buried(&self, work: &Work) -> Result<(), Error> {
        let Ok(stored) = read_command(work) else { return Ok(()) };
        self.commands.discard_ended(work, stored.identity(&work.tenant, work.id)).await
    }
}

/// What the commit stands for that tells a process how a command ended.
fn telling(work: &Work) -> [&[u8]; 2] {
    [work.id.0.as_bytes().as_slice(), b"outcome"]
}

fn telling_id(work: &Work) -> CommitId {
    CommitId::derived(&work.tenant, Origin::Work, telling(work))
}

/// The process that was told that a command failed, where a dead letter is of such a command.
pub(crate) fn told_process(letter: &Work) -> Option<ReplyTo> {
    waited_for(letter).map(|(reply_to, _)| reply_to)
}

/// Who waits for a command, and the id of the command, where a piece of work is one that a process waits for.
pub(crate) fn waited_for(work: &Work) -> Option<(ReplyTo, CommitId)> {
    let is_command = work.sent.kind == WorkKind::Command;
    let stored = read_command(work).ok().filter(|_| is_command)?;
    let id = stored.identity(&work.tenant, work.id);
    stored.reply_to.map(|reply_to| (reply_to, id))
}

/// An outcome as a process is told it.
fn told(outcome: Outcome) -> CommandOutcome {
    match outcome {
        Outcome::Accepted => CommandOutcome::Accepted,
        Outcome::Refused { code, message, .. } if code == GIVEN_UP => {
            CommandOutcome::Failed { reason: message }
        }
        Outcome::Refused { code, message, body } => CommandOutcome::Refused { code, message, body },
    }
}

/// The request as it was stored. What sent it on says what led to it, where nobody else did.
fn request(work: &Work, stored: &StoredCommand, traceparent: Option<&String>) -> Request {
    let sent_by = sent_by(work);
    let is_sent_on = stored.command_id.is_none();
    let given = traceparent.or(stored.traceparent.as_ref()).cloned();
    let traceparent = given.or_else(|| sent_by.traceparent.clone());
    Request {
        tenant: work.tenant.clone(),
        actor: stored.actor.clone(),
        command_id: Some(stored.identity(&work.tenant, work.id)),
        expected: stored.expected,
        correlation_id: stored.correlation_id.or(sent_by.correlation_id),
        causation_id: stored.causation_id.or(is_sent_on.then_some(work.commit_id.0)),
        tracestate: tracestate(&sent_by, traceparent.as_deref()),
        traceparent,
    }
}

/// What is said of the commit that sent a piece of work; nothing where that cannot be read.
fn sent_by(work: &Work) -> Metadata {
    work.metadata.decode().unwrap_or_default()
}

/// The state of a command's trace. It is no part of the stored command, because a program that does not know it would
/// refuse the whole: the commit that sent the command says it.
fn tracestate(sent_by: &Metadata, traceparent: Option<&str>) -> Option<String> {
    sent_by.tracestate_of(traceparent?).map(str::to_owned)
}

/// Says of a failure whether another attempt may succeed.
fn not_done(failure: ExecuteNamedError) -> NotDone {
    let error = match failure {
        ExecuteNamedError::Refused(refused) => return NotDone::last(refused),
        ExecuteNamedError::Command(error @ CommandError::Unknown { .. }) => return NotDone::anothers(error),
        ExecuteNamedError::Command(error) => return NotDone::passing(error),
        ExecuteNamedError::Failed(error) => error,
    };
    // A conflict is decided again. What the caller expects was looked at before.
    let is_final = matches!(error, Error::Invalid(_) | Error::IdReused(_));
    let is_anothers = matches!(error, Error::NotFound(_));
    NotDone { is_final, is_anothers, ..NotDone::from(error) }
}

/// The conflict with the version that whoever gave the command has seen, where that is why it was not decided.
fn unexpected<'f>(failure: &'f ExecuteNamedError, stored: &StoredCommand) -> Option<&'f Conflict> {
    match failure {
        ExecuteNamedError::Failed(Error::Conflict(conflict)) => {
            stored.expected.filter(|expected| conflict.expected == ExpectedVersion::Exact(*expected))?;
            Some(conflict)
        }
        _ => None,
    }
}

/// A conflict as an outcome.
fn conflicted(conflict: &Conflict) -> Result<Outcome, Error> {
    let Conflict { stream, actual, .. } = conflict;
    let ExpectedVersion::Exact(expected) = conflict.expected else { return Err(conflict.clone().into()) };
    let members = serde_json::json!({ "stream": stream, "expected": expected, "actual": actual });
    let message = kept_work_error(&conflict.to_string());
    Ok(Outcome::Refused { code: CONFLICT.to_owned(), message, body: Json::encode(&members)? })
}
