//! Ids of commands that the activities of workflows run.

use temporalio_sdk::activities::ActivityContext;
use underlay_core::words::{CommitId, Error, Origin, TenantId};

/// The id of a command that an activity runs: the same at every attempt of that activity, and another for any other activity.
/// Whoever runs the command with it decides it once, however often the activity is made again. `number` tells the
/// commands of one activity from each other.
///
/// A run that was reset, or continued as new, is another run: its activities have other ids.
///
/// # Errors
/// [`Error::Invalid`] where no workflow has begun the activity.
pub fn command_id(context: &ActivityContext, tenant: &TenantId, number: u32) -> Result<CommitId, Error> {
    let info = context.info();
    let (Some(workflow), Some(run)) = (&info.workflow_id, &info.workflow_run_id) else {
        return Err(Error::invalid(
            "only an activity of a workflow has ids for commands: this one was begun alone",
        ));
    };
    let place = [&info.namespace, workflow, run, &info.activity_id].map(String::as_bytes);
    let number = number.to_be_bytes();
    Ok(CommitId::derived(tenant, Origin::Workflow, place.into_iter().chain([number.as_slice()])))
}
