use std::sync::Arc;

use underlay_core::{Error, Position, ProcessStart, TenantId};

use super::Engine;
use crate::processes::Processes;
use crate::{FollowerStanding, FollowerState, ProcessFilter, ProcessInstance, ProcessPage};

/// Processes and their instances.
impl Engine {
    /// What the followers of processes in this program are doing, by name.
    #[must_use]
    pub fn process_states(&self) -> Vec<FollowerState> {
        self.0.processes.as_ref().map(|processes| processes.states()).unwrap_or_default()
    }

    /// Where every process stands with the log, in whatever program it is followed.
    ///
    /// # Errors
    /// What the store says.
    pub async fn process_standings(&self) -> Result<Vec<FollowerStanding>, Error> {
        match &self.0.processes {
            Some(processes) => processes.standings().await,
            None => Ok(Vec::new()),
        }
    }

    /// Tells a process to try again that is stopped, in whatever program it is followed; whether it was stopped.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such process; what the store says.
    pub async fn retry_process(&self, process: &str) -> Result<bool, Error> {
        self.processes_for(process)?.retry(process).await
    }

    /// Makes a process follow the log from another place: what was given to an instance before is not given again.
    /// Returns the position.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such process; what the store says.
    pub async fn restart_process(&self, process: &str, from: ProcessStart) -> Result<Position, Error> {
        self.processes_for(process)?.restart(process, from).await
    }

    /// Lists a tenant's instances of a process, in the order of their names, after one of them. The list is kept by a
    /// view, so it may be a moment behind.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such process; [`Error::Invalid`] where `limit` exceeds its limit; what
    /// the store says.
    pub async fn processes(
        &self,
        tenant: &TenantId,
        process: &str,
        filter: ProcessFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ProcessPage, Error> {
        self.processes_for(process)?.list(&self.0.views, tenant, process, filter, after, limit).await
    }

    /// A tenant's instance of a process: its stream, what it waits for and until when, and the dead letters that it
    /// stands still behind.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such process or instance; what the store says.
    pub async fn process(
        &self,
        tenant: &TenantId,
        process: &str,
        instance: &str,
    ) -> Result<ProcessInstance, Error> {
        self.processes_for(process)?.show(tenant, process, instance).await
    }

    #[cfg(test)]
    pub(crate) fn processes_in_tests(&self) -> Arc<Processes> {
        self.0.processes.clone().expect("the registry has processes")
    }

    fn processes_for(&self, process: &str) -> Result<&Arc<Processes>, Error> {
        let processes = self.0.processes.as_ref();
        processes.ok_or_else(|| Error::NotFound(format!("process {process:?} (there are: none)")))
    }
}
