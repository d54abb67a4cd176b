use underlay_core::{Actor, Aggregate, CommitId, Error, Operation, TenantId, Work, WorkPlace};

use super::Engine;
use crate::{
    Cancelled, CommandInfo, CommandList, CommandPage, ExecuteNamedError, Request, SubmitOptions, Submitted,
    WaitingCommand,
};

/// Commands that wait in the store.
impl Engine {
    /// Leaves a command with the store, to be run once: now or when it is due, by whichever process does work. The same
    /// key submitted twice is one command.
    ///
    /// # Errors
    /// [`Error::IdReused`] where the key stands for something else; [`Error::NotFound`] where the service has no such
    /// aggregate; [`Error::Invalid`] where the engine was given no ports of work.
    pub async fn submit<A: Aggregate>(
        &self,
        request: &Request,
        id: &A::Id,
        command: &A::Command,
        options: SubmitOptions,
    ) -> Result<Submitted, Error> {
        self.0.commands.submit::<A>(request, id, command, options).await
    }

    /// Leaves an operation with the store. Operations are run side by side.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub async fn submit_operation<O: Operation>(
        &self,
        request: &Request,
        operation: &O,
        options: SubmitOptions,
    ) -> Result<Submitted, Error> {
        self.0.commands.submit_operation(request, operation, options).await
    }

    /// Leaves a command with the store, all by name: `category`, the id's text, the command's name, its body as JSON.
    ///
    /// # Errors
    /// As [`Engine::submit`]; where the command does not decode or the id does not parse, nothing is stored.
    pub async fn submit_named(
        &self,
        request: &Request,
        category: &str,
        id: &str,
        command: &str,
        body: &str,
        options: SubmitOptions,
    ) -> Result<Submitted, ExecuteNamedError> {
        self.0.commands.submit_named(request, category, id, command, body, options).await
    }

    /// Leaves an operation with the store, by its name, with its body as JSON.
    ///
    /// # Errors
    /// As [`Engine::submit_named`].
    pub async fn submit_operation_named(
        &self,
        request: &Request,
        name: &str,
        body: &str,
        options: SubmitOptions,
    ) -> Result<Submitted, ExecuteNamedError> {
        self.0.commands.submit_operation_named(request, name, body, options).await
    }

    /// What became of a command; `None` where nobody of this store has heard of it. A command that something sent on
    /// is found once it has ended, see [`Engine::look_for_command`].
    ///
    /// # Errors
    /// What the store says.
    pub async fn command_status(
        &self,
        tenant: &TenantId,
        command_id: CommitId,
    ) -> Result<Option<CommandInfo>, Error> {
        self.0.commands.command_status(tenant, command_id).await
    }

    /// As [`Engine::command_status`], and looks for what something sent on too: through all of the tenant's commands
    /// that wait or were given up. For people who operate the service; the time it takes grows with their number.
    ///
    /// # Errors
    /// What the store says.
    pub async fn look_for_command(
        &self,
        tenant: &TenantId,
        command_id: CommitId,
    ) -> Result<Option<CommandInfo>, Error> {
        self.0.commands.look_for(tenant, command_id).await
    }

    /// Whether a piece of work is a stored command that has ended: it was cancelled, decided directly or conflicted.
    /// Nothing comes of the piece any more.
    pub(crate) async fn has_ended(&self, work: &Work) -> Result<bool, Error> {
        self.0.commands.has_ended(work).await
    }

    /// A page of a tenant's stored commands, in the order they were stored. One that has ended stands among those that
    /// wait until its work is cleared away, with the status that says so.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `limit` is 0 or the engine was given no ports of work; what the store says.
    pub async fn commands(
        &self,
        tenant: &TenantId,
        list: CommandList,
        after: WorkPlace,
        limit: usize,
    ) -> Result<CommandPage, Error> {
        self.0.commands.list(tenant, list, after, limit).await
    }

    /// Cancels a command that has not ended. Of cancelling and running one wins: what is cancelled never runs, and what
    /// has run is told so. A command that was given up is discarded with it, so that those behind it go on. One that
    /// `permits` says no to is as one that is not there.
    ///
    /// # Errors
    /// [`Error::NotFound`] where nobody submitted it, or it is not permitted; what the store says.
    pub async fn cancel_command(
        &self,
        tenant: &TenantId,
        actor: &Actor,
        command_id: CommitId,
        permits: impl Fn(&WaitingCommand) -> bool + Send + Sync,
    ) -> Result<Cancelled, Error> {
        self.0.commands.cancel(tenant, actor, command_id, permits).await
    }
}
