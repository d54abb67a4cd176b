//! Takes the steps of a process: the receiver of its inputs and timers.
//!
//! ```text
//!              ┌────────────── Conflict: another program took a step ──────────────┐
//!              ▼                                                                   │
//!  input ─► instance, held or read ─► is it waited for? ─► `step` ─► step, and all it sends ─► COMMIT ─► done
//!              ▲                          │ no                │
//!              └── where it was held ─────┤                   └─ it fails ─► was it stored before? ─► done, or failed
//!                                         └── where it was read ─► done
//! ```
//!
//! The id of the commit follows from the process, the instance and the input. So an input that comes again, after a
//! crash between the commit and the settlement, after a lost answer or after an import, gets the first answer, and
//! what was sent is sent once.
//!
//! What happens when something fails: a failure of the store passes, and the input is tried again. A step that
//! panics fails that attempt. What fails in the same way every time, such as a state that no upcaster lifts, fails
//! for good: the input becomes a dead letter, and its instance stands still. A state of a newer version is left to
//! the program that wrote it, and an event that this program does not know to one that does: no attempt counts.

use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::{
    Attempts, Commit, CommitId, Committed, Error, Fingerprint, Metadata, RecordedEvent, StepContext,
    StoredInput, StreamName, TenantId, Timestamp, Version, Work, WorkId,
};
use uuid::Uuid;

use super::Processes;
use super::entry::{Fault, Given, ProcessEntry, Taken};
use super::instance::{Instance, StepPlace, StepTaken, TakenInput, actor_of, commit_id, stream_of};
use crate::work::{Attempt, NotDone, Receiver};

/// How often a step is taken again at once, where another program took one meanwhile.
const CONFLICTS_MAX: u32 = 8;

/// The highest version of the shape of [`StoredInput`] that this program reads.
const INPUT_VERSION: u32 = 1;

/// Receives the inputs and timers of one process.
pub(crate) struct StepReceiver {
    processes: Arc<Processes>,
    entry: Arc<dyn ProcessEntry>,
}

/// An input as it is taken.
struct Arrived {
    tenant: TenantId,
    instance: String,
    stream: StreamName,
    work_id: WorkId,
    input: StoredInput,
    /// What the step is told; of an event the record comes too.
    taken: TakenInput,
    event: Option<RecordedEvent>,
    metadata: Metadata,
}

/// What came of one try.
enum Tried {
    Done,
    /// Another program took a step meanwhile, or may have.
    Again,
}

#[async_trait]
impl Receiver for StepReceiver {
    fn attempts(&self) -> Attempts {
        self.entry.attempts()
    }

    fn holds_key(&self) -> bool {
        true
    }

    fn reads(&self, work: &Work) -> bool {
        // Of a state that a newer program wrote this one knows once it has read it.
        let newer = || {
            let stream = stream_of(self.entry.name(), &work.sent.key).ok()?;
            let held = self.processes.held.get(&work.tenant, &stream)?;
            held.state().map(|state| state.version > self.entry.version())
        };
        work.sent.payload.is_plain() && work.sent.version.0 <= INPUT_VERSION && newer() != Some(true)
    }

    async fn attempt(&self, attempt: Attempt<'_>) -> Result<(), NotDone> {
        let work = attempt.work;
        let json = work.sent.payload.json().map_err(NotDone::passing)?;
        let input: StoredInput = json.decode().map_err(|error| {
            NotDone::last(format!("the input is not one that this program knows: {error}"))
        })?;
        if let StoredInput::Parked { stream, version, .. } = &input {
            let event = self.event(&work.tenant, stream, *version, &input).await?;
            return self.processes.route_parked(&*self.entry, &event).await;
        }
        let Some(mut arrived) = self.arrive(work, input).await? else { return Ok(()) };
        // What the step stores and sends follows from the step.
        arrived.metadata.traceparent = attempt.traceparent.or(arrived.metadata.traceparent);
        for _ in 0..CONFLICTS_MAX {
            if let Tried::Done = self.take(&arrived).await? {
                return Ok(());
            }
        }
        Err(NotDone::passing(format!("{} is written by others at every try", arrived.stream)))
    }

    /// What nobody waits for stores nothing, and its attempt is made once more: it stores nothing again.
    async fn is_stored(&self, work: &Work) -> Result<bool, Error> {
        let input = work.sent.payload.json().ok().and_then(|json| json.decode().ok());
        let Some(id) = input.and_then(|input| self.commit_for(work, &input)) else { return Ok(false) };
        Ok(self.processes.store.find_commit(&work.tenant, id).await?.is_some())
    }
}

impl StepReceiver {
    /// The commit that a step stores for an input; none for what was parked.
    fn commit_for(&self, work: &Work, input: &StoredInput) -> Option<CommitId> {
        let taken = match input {
            StoredInput::Event { event_id, .. } => event_id.0,
            StoredInput::Outcome { command_id, .. } => command_id.0,
            StoredInput::Timer { name, due_at, set_by } => timer_id(name, *due_at, *set_by),
            StoredInput::Parked { .. } => return None,
        };
        Some(commit_id(&work.tenant, "step", self.entry.name(), &work.sent.key, taken))
    }

    pub(crate) fn new(processes: Arc<Processes>, entry: Arc<dyn ProcessEntry>) -> Self {
        Self { processes, entry }
    }

    /// Reads what the input is about.
    async fn arrive(&self, work: &Work, input: StoredInput) -> Result<Option<Arrived>, NotDone> {
        let (tenant, instance) = (work.tenant.clone(), work.sent.key.clone());
        let stream = stream_of(self.entry.name(), &instance).map_err(NotDone::last)?;
        let mut event = None;
        let (id, kind, name, at) = match &input {
            StoredInput::Event { stream, version, event_id } => {
                let record = self.event(&tenant, stream, *version, &input).await?;
                let (name, at) = (record.event_type.to_string(), record.recorded_at);
                event = Some(record);
                (event_id.0, "event", name, at)
            }
            StoredInput::Outcome { name, command_id, .. } => {
                (command_id.0, "outcome", name.clone(), work.sent_at)
            }
            StoredInput::Timer { name, due_at, set_by } => {
                (timer_id(name, *due_at, *set_by), "timer", name.clone(), *due_at)
            }
            StoredInput::Parked { .. } => return Ok(None),
        };
        let taken = TakenInput { id, kind: kind.to_owned(), name, at };
        // What cannot be read of it, a step does without.
        let metadata: Metadata = work.metadata.decode().unwrap_or_default();
        Ok(Some(Arrived { tenant, instance, stream, work_id: work.id, input, taken, event, metadata }))
    }

    async fn event(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        version: Version,
        input: &StoredInput,
    ) -> Result<RecordedEvent, NotDone> {
        let expected = match input {
            StoredInput::Event { event_id, .. } | StoredInput::Parked { event_id, .. } => Some(*event_id),
            StoredInput::Outcome { .. } | StoredInput::Timer { .. } => None,
        };
        let before = Version(version.0.saturating_sub(1));
        let page = self.processes.store.read_stream(tenant, stream, before, 1).await?;
        let found = page.events.into_iter().next();
        found.filter(|event| event.version == version && Some(event.event_id) == expected).ok_or_else(|| {
            NotDone::last(format!("the event at version {version} of {stream} is not in the log"))
        })
    }

    /// Takes the step over the instance as it is held, or as it is read.
    async fn take(&self, arrived: &Arrived) -> Result<Tried, NotDone> {
        let Arrived { tenant, stream, .. } = arrived;
        let held = self.processes.held.get(tenant, stream);
        let is_held = held.is_some();
        let instance = match held {
            Some(instance) => instance,
            None => self.processes.read_instance(tenant, stream).await?,
        };
        // A finished instance stays so, however old this is.
        if instance.is_finished() {
            return Ok(Tried::Done);
        }
        if !is_waited_for(&instance, &arrived.input) {
            if !is_held {
                return Ok(Tried::Done);
            }
            // Another program may have taken the step that waits for it.
            self.processes.held.forget(tenant, stream);
            return Ok(Tried::Again);
        }
        let step = match self.step(&instance, arrived) {
            Ok(step) => step,
            Err(_) if is_held => {
                self.processes.held.forget(tenant, stream);
                return Ok(Tried::Again);
            }
            // Over the state that it led to a step may fail that was taken before.
            Err(fault) => return self.is_known(arrived, fault).await,
        };
        self.store(&instance, arrived, step).await
    }

    fn step(&self, instance: &Instance, arrived: &Arrived) -> Result<Taken, Fault> {
        let given = match (&arrived.input, &arrived.event) {
            (StoredInput::Outcome { name, outcome, .. }, _) => Given::Outcome { name, outcome },
            (StoredInput::Timer { name, .. }, _) => Given::Timer { name },
            (_, Some(event)) => Given::Event(event),
            (_, None) => return Err(Fault::missing()),
        };
        let context = StepContext {
            now: arrived.taken.at,
            tenant: arrived.tenant.clone(),
            process: self.entry.name().to_owned(),
            instance: arrived.instance.clone(),
            input_id: arrived.taken.id,
        };
        self.entry.step(instance.state(), &given, &context)
    }

    /// Stores the step with all it sends.
    async fn store(&self, instance: &Instance, arrived: &Arrived, step: Taken) -> Result<Tried, NotDone> {
        let Arrived { tenant, stream, .. } = arrived;
        let process = self.entry.name();
        let id = self.commit_of(arrived);
        let content = [b"process-step".as_slice(), stream.as_str().as_bytes(), arrived.taken.id.as_bytes()];
        let metadata = Metadata {
            causation_id: Some(arrived.taken.id),
            command_id: None,
            actor: Some(actor_of(process)),
            ..arrived.metadata.clone()
        };
        let commit = Commit::new(id).with_content(Fingerprint::of(content)).with_metadata(metadata);
        // Nothing follows, and it does not begin: the commit remembers that, and keeps others from beginning it.
        let stays_out = instance.last.is_none() && step.state.is_none() && step.actions.is_empty();
        let (commit, next) = if stays_out {
            (commit.expect(stream.clone(), instance.expected()), None)
        } else {
            let place = StepPlace {
                tenant,
                process,
                instance: &arrived.instance,
                input: arrived.taken.clone(),
                metadata: &arrived.metadata,
            };
            let (next, work) = match instance.after(&arrived.input, step, place) {
                Ok(next) => next,
                Err(reason) => return self.is_known(arrived, Fault::refused(reason)).await,
            };
            let event = next.to_event(id)?;
            let bytes = event.payload.bytes();
            let mut commit = commit.append(stream.clone(), instance.expected(), vec![event]);
            commit.work = work;
            (commit, Some((next, bytes)))
        };
        match self.processes.store.commit(tenant, commit).await {
            Ok(committed) => {
                self.remember(instance, arrived, &committed, next);
                Ok(Tried::Done)
            }
            Err(Error::Conflict(_)) => {
                self.processes.held.forget(tenant, stream);
                Ok(Tried::Again)
            }
            Err(error @ Error::Invalid(_)) => self.is_known(arrived, Fault::refused(error.to_string())).await,
            Err(error) => {
                self.processes.held.forget(tenant, stream);
                Err(error.into())
            }
        }
    }

    fn remember(
        &self,
        instance: &Instance,
        arrived: &Arrived,
        committed: &Committed,
        next: Option<(StepTaken, usize)>,
    ) {
        let Arrived { tenant, stream, .. } = arrived;
        match next {
            Some((next, bytes)) if !committed.repeated => {
                let next = Instance { version: instance.version.plus(1), last: Some(next) };
                self.processes.held.keep(tenant, stream, Arc::new(next), bytes);
            }
            // What was stored may be another step than this one.
            _ => self.processes.held.forget(tenant, stream),
        }
    }

    /// Says whether a step that fails now was taken before; otherwise why it fails.
    async fn is_known(&self, arrived: &Arrived, fault: Fault) -> Result<Tried, NotDone> {
        if self.processes.store.find_commit(&arrived.tenant, self.commit_of(arrived)).await?.is_some() {
            return Ok(Tried::Done);
        }
        if fault.is_anothers {
            return Err(NotDone::anothers(fault));
        }
        let process = self.entry.name();
        tracing::warn!(process, instance = arrived.instance, work = %arrived.work_id, %fault, "a step failed");
        Err(if fault.is_final { NotDone::last(fault) } else { NotDone::passing(fault) })
    }

    fn commit_of(&self, arrived: &Arrived) -> CommitId {
        commit_id(&arrived.tenant, "step", self.entry.name(), &arrived.instance, arrived.taken.id)
    }
}

/// Whether an instance waits for an input; it takes every event.
fn is_waited_for(instance: &Instance, input: &StoredInput) -> bool {
    match input {
        StoredInput::Outcome { command_id, .. } => instance.waits_for_command(*command_id),
        StoredInput::Timer { name, due_at, set_by } => instance.waits_for_timer(name, *due_at, *set_by),
        StoredInput::Event { .. } | StoredInput::Parked { .. } => true,
    }
}

/// The identity of a timer: of one instance, one step sets one of a name, last.
fn timer_id(name: &str, due_at: Timestamp, set_by: Version) -> Uuid {
    let due_at = due_at.as_nanosecond().to_le_bytes();
    let parts = [b"timer".as_slice(), name.as_bytes(), &due_at, &set_by.0.to_le_bytes()];
    Uuid::new_v8(Fingerprint::of(parts).0)
}
