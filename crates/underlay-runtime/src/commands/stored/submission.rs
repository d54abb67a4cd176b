use underlay_core::{
    Aggregate, Command, Commit, CommitId, Error, Fingerprint, Json, Operation, SpanKind, StoredCommand,
    TenantId, Timestamp,
};

use super::super::decide::metadata;
use super::{Commands, submission_id};
use crate::{ExecuteNamedError, Request};

/// How a command is submitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct SubmitOptions {
    /// The moment before which nobody begins it; none means at once.
    pub due_at: Option<Timestamp>,
    /// Whether it goes before what is normal.
    pub urgent: bool,
}

impl SubmitOptions {
    /// Sets the moment before which nobody begins it.
    pub fn due_at(mut self, due_at: Timestamp) -> Self {
        self.due_at = Some(due_at);
        self
    }

    /// Puts it before what is normal.
    pub fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }
}

/// The answer to a submission: the command is stored, and runs once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The command.
    pub command_id: CommitId,
    /// When it was submitted first.
    pub submitted_at: Timestamp,
    /// The moment before which nobody begins it, as the first submission said. None where there is none, or it has
    /// passed.
    pub due_at: Option<Timestamp>,
    /// Whether it was submitted or executed before: then this call stored nothing.
    pub repeated: bool,
    /// Whether it has ended already. [`Engine::command_status`](crate::Engine::command_status) says how.
    pub is_processed: bool,
}

/// What a stored command is for: whose work it is, what orders it, and what it is called.
pub(crate) struct Target {
    pub(crate) receiver: String,
    pub(crate) key: String,
    pub(crate) name: String,
}

impl Commands {
    /// As [`Engine::submit`](crate::Engine::submit).
    pub(crate) async fn submit<A: Aggregate>(
        &self,
        request: &Request,
        id: &A::Id,
        command: &A::Command,
        options: SubmitOptions,
    ) -> Result<Submitted, Error> {
        self.registry.find_aggregate(A::CATEGORY)?;
        let target = Target {
            receiver: A::CATEGORY.to_owned(),
            key: StoredCommand::key(&A::stream(id)?),
            name: command.descriptor().name.to_owned(),
        };
        let stored = StoredCommand::new(Some(id.to_string()), command.encode()?).typed();
        self.store_command(request, target, stored, options).await
    }

    /// As [`Engine::submit_operation`](crate::Engine::submit_operation).
    pub(crate) async fn submit_operation<O: Operation>(
        &self,
        request: &Request,
        operation: &O,
        options: SubmitOptions,
    ) -> Result<Submitted, Error> {
        self.registry.find_operation(O::NAME)?;
        let stored = StoredCommand::new(None, Json::encode(operation)?).typed();
        self.store_command(request, Target::operation(O::NAME), stored, options).await
    }

    /// As [`Engine::submit_named`](crate::Engine::submit_named).
    pub(crate) async fn submit_named(
        &self,
        request: &Request,
        category: &str,
        id: &str,
        command: &str,
        body: &str,
        options: SubmitOptions,
    ) -> Result<Submitted, ExecuteNamedError> {
        let (target, stored) = self.check_command(category, id, command, body)?;
        Ok(self.store_command(request, target, stored, options).await?)
    }

    /// As [`Engine::submit_operation_named`](crate::Engine::submit_operation_named).
    pub(crate) async fn submit_operation_named(
        &self,
        request: &Request,
        name: &str,
        body: &str,
        options: SubmitOptions,
    ) -> Result<Submitted, ExecuteNamedError> {
        let (target, stored) = self.check_operation(name, body)?;
        Ok(self.store_command(request, target, stored, options).await?)
    }

    /// A command that is named and well formed, as it is stored.
    pub(crate) fn check_command(
        &self,
        category: &str,
        id: &str,
        command: &str,
        body: &str,
    ) -> Result<(Target, StoredCommand), ExecuteNamedError> {
        let body = given(body);
        let stream = self.registry.find_aggregate(category)?.check(id, command, body)?;
        let target = Target {
            receiver: category.to_owned(),
            key: StoredCommand::key(&stream),
            name: command.to_owned(),
        };
        Ok((target, StoredCommand::new(Some(stream.id().to_owned()), Json::parse(body)?)))
    }

    /// An operation that is named and well formed, as it is stored.
    pub(crate) fn check_operation(
        &self,
        name: &str,
        body: &str,
    ) -> Result<(Target, StoredCommand), ExecuteNamedError> {
        let body = given(body);
        self.registry.find_operation(name)?.check(body)?;
        Ok((Target::operation(name), StoredCommand::new(None, Json::parse(body)?)))
    }

    /// Stores a command that is well formed. It is not asked for again whether it decodes: what is due by a schedule is
    /// stored also by a process whose code does not know it.
    pub(crate) async fn store_command(
        &self,
        request: &Request,
        target: Target,
        stored: StoredCommand,
        options: SubmitOptions,
    ) -> Result<Submitted, Error> {
        self.queue()?;
        if request.expected.is_some() && stored.id.is_none() {
            return Err(Error::invalid(
                "an expected version is for a command to one stream, not for an operation",
            ));
        }
        let Target { receiver, key, name } = target;
        let mut span = self.tracer.begin(SpanKind::Producer, request.traceparent.as_deref(), || {
            format!("submit {receiver} {name}")
        });
        request.describe(&mut span, None);
        let request = &request.below(&span);
        let content = stored.content(&receiver, &name)?;
        let id = request.command_id.unwrap_or_else(CommitId::draw);
        // An operation waits for nothing but itself.
        let key = if stored.id.is_none() { id.to_string() } else { key };
        let stored = StoredCommand {
            actor: request.actor.clone(),
            command_id: Some(id),
            expected: request.expected,
            correlation_id: request.correlation_id,
            causation_id: request.causation_id,
            traceparent: request.traceparent.clone(),
            ..stored
        };
        let mut work = stored.work(&receiver, &key, &name)?;
        if let Some(due_at) = options.due_at {
            work = work.with_due_at(due_at);
        }
        if options.urgent {
            work = work.urgent();
        }
        let submission = submission_id(&request.tenant, id);
        let commit = Commit::new(submission).with_content(content).with_metadata(metadata(request, id));
        // An id that was drawn stands for nothing yet.
        let commit = if request.command_id.is_some() { commit.yields_to(id) } else { commit };
        let committed = self.store.commit(&request.tenant, commit.send(work)).await;
        span.ended(&committed);
        let committed = committed.map_err(|error| of_command(error, id))?;
        let is_executed = committed.id == id;
        let is_processed =
            is_executed || (committed.repeated && self.is_stored(&request.tenant, id, id, content).await?);
        let due_at = match committed.repeated {
            false => options.due_at.filter(|due_at| *due_at > committed.recorded_at),
            true if is_processed => None,
            true => self.first_due_at(&request.tenant, submission).await?,
        };
        Ok(Submitted {
            command_id: id,
            submitted_at: committed.recorded_at,
            due_at,
            repeated: committed.repeated,
            is_processed,
        })
    }

    /// Whether a commit is stored under an id of a command: its own, or that of its submission.
    ///
    /// # Errors
    /// [`Error::IdReused`] where it is of something else; what the store says.
    async fn is_stored(
        &self,
        tenant: &TenantId,
        under: CommitId,
        id: CommitId,
        content: Fingerprint,
    ) -> Result<bool, Error> {
        match self.store.find_commit(tenant, under).await? {
            Some(found) if found.fingerprint != content => Err(Error::IdReused(id)),
            found => Ok(found.is_some()),
        }
    }

    /// Lets the commit of a command agree with its submission, where there may be one, or yield to it where that is
    /// to be told.
    pub(crate) fn agreeing(&self, request: &Request, commit: Commit, yields: bool) -> Commit {
        let Some(id) = request.command_id.filter(|_| self.work.is_some()) else { return commit };
        let submission = submission_id(&request.tenant, id);
        if yields { commit.yields_to(submission) } else { commit.agrees_with(submission) }
    }

    /// Refuses a command that comes to no commit, where something else was submitted under its id.
    ///
    /// # Errors
    /// [`Error::IdReused`]; what the store says.
    pub(crate) async fn check_submission(
        &self,
        tenant: &TenantId,
        id: CommitId,
        content: Fingerprint,
    ) -> Result<(), Error> {
        if self.work.is_some() {
            self.is_stored(tenant, submission_id(tenant, id), id, content).await?;
        }
        Ok(())
    }

    async fn first_due_at(
        &self,
        tenant: &TenantId,
        submission: CommitId,
    ) -> Result<Option<Timestamp>, Error> {
        let found = self.queue()?.find_work(tenant, submission, 0).await?;
        Ok(found.filter(|info| info.work.attempts == 0).and_then(|info| info.work.sent.due_at))
    }
}

impl Target {
    fn operation(name: &str) -> Self {
        // The key is the id of the command, which is not known yet.
        Self { receiver: name.to_owned(), key: String::new(), name: name.to_owned() }
    }
}

/// A body as it is stored: none is an empty object.
fn given(body: &str) -> &str {
    if body.trim().is_empty() { "{}" } else { body }
}

/// Tells of the command what the store says of its submission.
fn of_command(error: Error, id: CommitId) -> Error {
    match error {
        Error::IdReused(_) => Error::IdReused(id),
        Error::Uncertain { reason, .. } => Error::Uncertain { id, reason },
        error => error,
    }
}
