//! Commands that wait in the store: submitted, sent on by a decision, or due by a schedule.
//!
//! ```text
//!             ┌── replayed ────────────────────────────────────────────────────────────┐
//!             ▼                                                                        │
//!  submit ─► Pending ─► Consumed ── decided, in one commit under the command's id ─► Processed
//!             │  ▲         │                                                           │
//!             │  └─ later ─┼── an attempt failed                                       │
//!             │            └── no attempt can succeed, or they are used up ─► Failed ──┘
//!             └── a commit under the command's id says that it was cancelled ─► Cancelled
//! ```
//!
//! A submission is a commit of its own, whose id derives from that of the command. It holds no events and one piece
//! of work. The command is later decided under its own id, which is the id that [`execute`](crate::Engine::execute)
//! would have used. So whichever way a command is given, and however often, it is decided once.
//!
//! What happens when something fails: where a worker dies after the decision is stored and before the work is settled,
//! the next one finds the outcome under the id and is done. To cancel is to store an outcome under that id too, so of
//! cancelling and running one wins. Where both lose their answer, the store knows which it was.
//!
//! A command that a process waits for is given up in the same way: that is stored as its outcome, and the process is
//! told. Such a command is not replayed.

mod receiver;
mod standing;
mod submission;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use underlay_core::{CommitId, Error, Origin, StoredCommand, TenantId, Work, WorkQueue};

pub(crate) use receiver::{StoredCommands, told_process, waited_for};
pub use standing::{Cancelled, CommandInfo, CommandList, CommandPage, CommandStatus, WaitingCommand};
pub(crate) use submission::Target;
pub use submission::{SubmitOptions, Submitted};

use super::Commands;

impl Commands {
    /// What keeps stored commands.
    fn queue(&self) -> Result<&dyn WorkQueue, Error> {
        self.work.as_deref().ok_or_else(|| {
            Error::invalid("this engine was given no ports of work, so no command can wait in its store")
        })
    }
}

/// The id of the commit that submits a command.
fn submission_id(tenant: &TenantId, command: CommitId) -> CommitId {
    CommitId::derived(tenant, Origin::Submission, [command.0.as_bytes().as_slice()])
}

/// The highest version of the shape of [`StoredCommand`] that this program reads.
const VERSION: u32 = 1;

/// Whether this program can read the command that a piece of work holds.
fn reads_command(work: &Work) -> bool {
    work.sent.payload.is_plain() && work.sent.version.0 <= VERSION
}

/// The command that a piece of work holds.
fn read_command(work: &Work) -> Result<StoredCommand, Error> {
    let unreadable =
        |reason: String| Error::Damaged(format!("the stored command of work {}: {reason}", work.id));
    let json = work.sent.payload.json().map_err(|error| unreadable(error.to_string()))?;
    json.decode().map_err(|error| unreadable(error.to_string()))
}

/// The commands that run in this process at the moment, or are waited for by it. Of one command both may be.
#[derive(Default)]
pub(super) struct Running(Arc<Mutex<Runs>>);

/// How often each runs.
type Runs = BTreeMap<(TenantId, CommitId), usize>;

/// A command that runs, until this is dropped.
struct Run {
    running: Arc<Mutex<Runs>>,
    command: (TenantId, CommitId),
}

impl Running {
    fn begin(&self, tenant: &TenantId, command: CommitId) -> Run {
        let command = (tenant.clone(), command);
        // A panic while it is held leaves a map that is whole.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(command.clone()).or_default() += 1;
        Run { running: self.0.clone(), command }
    }

    fn has(&self, tenant: &TenantId, command: CommitId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&(tenant.clone(), command))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runs) = running.get_mut(&self.command) {
            *runs -= 1;
            if *runs == 0 {
                running.remove(&self.command);
            }
        }
    }
}
