//! An instance as its stream keeps it: one event for each step, which holds all there is to know afterwards.
//!
//! So an instance is read by its last event alone, and the events before it are its history.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use underlay_core::limits::WORK_NAME_BYTES_MAX;
use underlay_core::{
    CommitId, Error, EventType, ExpectedVersion, Json, Lane, Metadata, NewEvent, NewWork, Origin, ReplyTo,
    SchemaVersion, StepAction, StoredCommand, StoredInput, StreamName, TenantId, Timestamp, Version,
    WorkKind,
};
use uuid::Uuid;

use super::entry::Taken;

/// What the names of the categories of processes begin with.
pub(crate) const CATEGORY_PREFIX: &str = "process_";
/// The type of the events of every process.
pub(crate) const STEP_TYPE: &str = "underlay.process-step";
/// The version of their payload.
pub(crate) const STEP_VERSION: u32 = 1;

/// The category of the streams of a process.
pub(crate) fn category_of(process: &str) -> String {
    format!("{CATEGORY_PREFIX}{process}")
}

/// The stream of an instance.
pub(crate) fn stream_of(process: &str, instance: &str) -> Result<StreamName, Error> {
    StreamName::new(&category_of(process), instance)
}

/// Who gives what a process does, as metadata has it.
pub(crate) fn actor_of(process: &str) -> String {
    format!("process:{process}")
}

/// The id of a commit that a process makes, by what for.
pub(crate) fn commit_id(
    tenant: &TenantId,
    what: &str,
    process: &str,
    instance: &str,
    input: Uuid,
) -> CommitId {
    let parts = [what.as_bytes(), process.as_bytes(), instance.as_bytes(), input.as_bytes()];
    CommitId::derived(tenant, Origin::Process, parts)
}

/// A state as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredState {
    /// [`Process::VERSION`](underlay_core::Process::VERSION) of who wrote it.
    pub(crate) version: u32,
    pub(crate) json: Json,
}

/// The input of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TakenInput {
    pub(crate) id: Uuid,
    /// `event`, `outcome` or `timer`.
    pub(crate) kind: String,
    /// The type of the event, or what the process calls the command or the timer.
    pub(crate) name: String,
    /// The time that the step was told.
    pub(crate) at: Timestamp,
}

/// A command whose outcome an instance waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SentCommand {
    pub(crate) name: String,
    pub(crate) command_id: CommitId,
    /// The time of the step that sent it.
    pub(crate) sent_at: Timestamp,
}

/// A timer that an instance waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetTimer {
    pub(crate) due_at: Timestamp,
    /// The step that set it.
    pub(crate) set_by: Version,
}

/// A command that undoes what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredUndo {
    pub(crate) name: String,
    pub(crate) receiver: String,
    pub(crate) key: String,
    pub(crate) command: String,
    pub(crate) payload: Json,
    pub(crate) lane: Lane,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) due_at: Option<Timestamp>,
}

/// A step as it is stored: an instance after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepTaken {
    pub(crate) input: TakenInput,
    /// The time of the first step.
    pub(crate) began_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<StoredState>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) commands: Vec<SentCommand>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) timers: BTreeMap<String, SetTimer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) undos: Vec<StoredUndo>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_finished: bool,
    /// How it ended, where its last step said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_as: Option<String>,
}

/// An instance at a version of its stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instance {
    pub(crate) version: Version,
    /// The last step; none where it has not begun.
    pub(crate) last: Option<StepTaken>,
}

/// Where a step stands.
pub(crate) struct StepPlace<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) process: &'a str,
    pub(crate) instance: &'a str,
    pub(crate) input: TakenInput,
    /// What goes on with what is sent.
    pub(crate) metadata: &'a Metadata,
}

impl Instance {
    pub(crate) fn is_finished(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.is_finished)
    }

    pub(crate) fn state(&self) -> Option<&StoredState> {
        self.last.as_ref()?.state.as_ref()
    }

    /// What a commit that takes the next step expects.
    pub(crate) fn expected(&self) -> ExpectedVersion {
        if self.version == Version::NONE {
            ExpectedVersion::NoStream
        } else {
            ExpectedVersion::Exact(self.version)
        }
    }

    pub(crate) fn waits_for_command(&self, id: CommitId) -> bool {
        self.last.iter().flat_map(|last| &last.commands).any(|command| command.command_id == id)
    }

    pub(crate) fn waits_for_timer(&self, name: &str, due_at: Timestamp, set_by: Version) -> bool {
        let timer = self.last.as_ref().and_then(|last| last.timers.get(name));
        timer.is_some_and(|timer| timer.due_at == due_at && timer.set_by == set_by)
    }

    /// The step that follows, and what it sends. `given` is what is not waited for any more.
    ///
    /// # Errors
    /// A sentence that says what the step may not do.
    pub(crate) fn after(
        &self,
        given: &StoredInput,
        taken: Taken,
        place: StepPlace<'_>,
    ) -> Result<(StepTaken, Vec<NewWork>), String> {
        let version = self.version.plus(1);
        let mut next = match &self.last {
            Some(last) => StepTaken { input: place.input.clone(), ..last.clone() },
            None => StepTaken {
                began_at: place.input.at,
                input: place.input.clone(),
                state: None,
                commands: Vec::new(),
                timers: BTreeMap::new(),
                undos: Vec::new(),
                is_finished: false,
                ended_as: None,
            },
        };
        match given {
            StoredInput::Outcome { command_id, .. } => {
                next.commands.retain(|command| command.command_id != *command_id);
            }
            StoredInput::Timer { name, .. } => {
                next.timers.remove(name);
            }
            StoredInput::Event { .. } | StoredInput::Parked { .. } => {}
        }
        if let Some(state) = taken.state {
            next.state = Some(state);
        }
        let mut sending = Sending { place, commands: Vec::new(), work: Vec::new() };
        for action in taken.actions {
            match action {
                StepAction::Command { name, command } => {
                    sending.command(name, written(command)?)?;
                }
                StepAction::Send(outgoing) => sending.send(written(outgoing)?)?,
                StepAction::SetTimer { name, due_at } => {
                    next.timers.insert(name, SetTimer { due_at, set_by: version });
                }
                StepAction::ClearTimer(name) => {
                    next.timers.remove(&name);
                }
                StepAction::RememberUndo { name, command } => {
                    next.undos.push(StoredUndo::new(name, written(command)?)?);
                }
                StepAction::Compensate => {
                    for undo in next.undos.drain(..).rev() {
                        let (name, work) = undo.into_work();
                        sending.command(name, work)?;
                    }
                }
                StepAction::Finish(ended_as) => {
                    ended_as.iter().try_for_each(|word| check_ending(word))?;
                    next.is_finished = true;
                    next.ended_as = ended_as;
                }
            }
        }
        next.commands.append(&mut sending.commands);
        if next.is_finished {
            next.commands.clear();
            next.timers.clear();
            next.undos.clear();
        }
        let mut work = sending.work;
        for (name, timer) in next.timers.iter().filter(|(_, timer)| timer.set_by == version) {
            let timer = StoredInput::Timer { name: name.clone(), due_at: timer.due_at, set_by: timer.set_by };
            work.push(
                timer
                    .work(sending.place.process, sending.place.instance)
                    .map_err(|error| error.to_string())?,
            );
        }
        Ok((next, work))
    }
}

/// Checks the word for how an instance ended, which lists print.
fn check_ending(word: &str) -> Result<(), String> {
    if word.is_empty() || word.len() > WORK_NAME_BYTES_MAX || word.contains(char::is_control) {
        return Err(format!(
            "the word for how an instance ended has 1 to WORK_NAME_BYTES_MAX = {WORK_NAME_BYTES_MAX} bytes and no \
             control character, this one has {}",
            word.len()
        ));
    }
    Ok(())
}

fn written(outgoing: underlay_core::Outgoing) -> Result<NewWork, String> {
    outgoing.into_work().map_err(|error| error.to_string())
}

/// What a step sends, as it grows.
struct Sending<'a> {
    place: StepPlace<'a>,
    commands: Vec<SentCommand>,
    work: Vec<NewWork>,
}

impl Sending<'_> {
    /// Sends a command whose outcome is waited for.
    fn command(&mut self, name: String, mut work: NewWork) -> Result<(), String> {
        // Its outcome comes under this name.
        if name.is_empty() || name.len() > WORK_NAME_BYTES_MAX || name.contains('\0') {
            return Err(format!(
                "the name of a command has 1 to WORK_NAME_BYTES_MAX = {WORK_NAME_BYTES_MAX} bytes and no NUL, this \
                 one has {}",
                name.len()
            ));
        }
        let mut command = stored_command(&name, &work)?;
        let command_id = command.command_id.unwrap_or_else(|| self.id());
        command.command_id = Some(command_id);
        let (process, instance) = (self.place.process.to_owned(), self.place.instance.to_owned());
        command.reply_to = Some(ReplyTo { process, instance, name: name.clone() });
        self.write(&mut work, command)?;
        self.commands.push(SentCommand { name, command_id, sent_at: self.place.input.at });
        self.work.push(work);
        Ok(())
    }

    /// Sends a message, or a command that nobody waits for.
    fn send(&mut self, mut work: NewWork) -> Result<(), String> {
        match work.kind {
            WorkKind::Message => {}
            WorkKind::Command => {
                let mut command = stored_command(&work.name, &work)?;
                command.command_id.get_or_insert_with(|| self.id());
                self.write(&mut work, command)?;
            }
            _ => {
                return Err(format!("a process sends messages and commands, this is a {}", work.kind.name()));
            }
        }
        self.work.push(work);
        Ok(())
    }

    /// The identity of the next command.
    fn id(&self) -> CommitId {
        let StepPlace { tenant, process, instance, input, .. } = &self.place;
        // COMMIT_WORK_MAX is far below u32::MAX; what exceeds it is refused with the commit.
        let number = (self.work.len() as u32).to_le_bytes();
        let parts: [&[u8]; 5] =
            [b"command", process.as_bytes(), instance.as_bytes(), input.id.as_bytes(), &number];
        CommitId::derived(tenant, Origin::Process, parts)
    }

    fn write(&self, work: &mut NewWork, mut command: StoredCommand) -> Result<(), String> {
        command.causation_id.get_or_insert(self.place.input.id);
        command.correlation_id = command.correlation_id.or(self.place.metadata.correlation_id);
        if command.traceparent.is_none() {
            command.traceparent.clone_from(&self.place.metadata.traceparent);
        }
        work.payload = Json::encode(&command).map_err(|error| error.to_string())?.into();
        Ok(())
    }
}

/// The command that a piece of work stores.
fn stored_command(name: &str, work: &NewWork) -> Result<StoredCommand, String> {
    if work.kind != WorkKind::Command {
        return Err(format!(
            "{name} is a {}; only a command has an outcome and can undo something, send the rest by `Step::send`",
            work.kind.name()
        ));
    }
    let json = work.payload.json().map_err(|error| error.to_string())?;
    json.decode().map_err(|error| format!("command {name} is not stored as one: {error}"))
}

impl StoredUndo {
    fn new(name: String, work: NewWork) -> Result<Self, String> {
        stored_command(&name, &work)?;
        let payload = work.payload.text().clone();
        let NewWork { receiver, key, name: command, lane, due_at, .. } = work;
        Ok(Self { name, receiver, key, command, payload, lane, due_at })
    }

    fn into_work(self) -> (String, NewWork) {
        let mut work = NewWork::new(WorkKind::Command, self.receiver, self.key, self.command, self.payload);
        (work.lane, work.due_at) = (self.lane, self.due_at);
        (self.name, work)
    }
}

impl StepTaken {
    /// As an event, whose id follows from that of the commit.
    pub(crate) fn to_event(&self, commit: CommitId) -> Result<NewEvent, Error> {
        let mut event =
            NewEvent::new(EventType::new(STEP_TYPE)?, SchemaVersion(STEP_VERSION), Json::encode(self)?);
        event.event_id = underlay_core::EventId(commit.0);
        Ok(event)
    }

    /// What it waits for, in words: commands, then timers.
    pub(crate) fn waits_for(&self) -> impl Iterator<Item = &str> {
        let commands = self.commands.iter().map(|command| command.name.as_str());
        commands.chain(self.timers.keys().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::Step;

    use super::*;

    fn command(key: &str) -> NewWork {
        StoredCommand::new(Some(key.to_owned()), Json::from_stored("{}")).work("account", key, "do").unwrap()
    }

    fn after(instance: &Instance, number: u128, step: Step<()>) -> Result<(StepTaken, Vec<NewWork>), String> {
        let tenant = TenantId::new("acme").unwrap();
        let id = Uuid::from_u128(number);
        let input =
            TakenInput { id, kind: "event".to_owned(), name: "noted".to_owned(), at: Timestamp::UNIX_EPOCH };
        let metadata = Metadata { correlation_id: Some(Uuid::from_u128(9)), ..Metadata::default() };
        let place =
            StepPlace { tenant: &tenant, process: "payment", instance: "42", input, metadata: &metadata };
        let given = StoredInput::Event {
            stream: StreamName::parse("note-1").unwrap(),
            version: Version(1),
            event_id: underlay_core::EventId(id),
        };
        instance.after(&given, Taken { state: None, actions: step.actions }, place)
    }

    fn instance(step: StepTaken, version: u64) -> Instance {
        Instance { version: Version(version), last: Some(step) }
    }

    fn stored(work: &NewWork) -> StoredCommand {
        work.payload.json().unwrap().decode().unwrap()
    }

    #[test]
    fn undos_are_sent_the_last_first_and_once() {
        let new = Instance::default();
        let step = Step::stay().undo_by("first", command("a")).command("go", command("x"));
        let (one, sent) = after(&new, 1, step).unwrap();
        assert_eq!(sent.len(), 1, "an undo is remembered, not sent");
        let (two, _) = after(&instance(one, 1), 2, Step::stay().undo_by("second", command("b"))).unwrap();
        let (undone, sent) = after(&instance(two, 2), 3, Step::stay().compensate().compensate()).unwrap();
        assert_eq!(sent.iter().map(|work| work.key.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        let replies: Vec<String> =
            sent.iter().map(|work| stored(work).reply_to.map(|reply| reply.name).unwrap()).collect();
        assert_eq!(replies, ["second", "first"]);
        assert_eq!(undone.undos, []);
        let waits_for: Vec<&str> = undone.waits_for().collect();
        assert_eq!(waits_for, ["go", "second", "first"]);
        let (finished, sent) = after(&instance(undone, 3), 4, Step::stay().finish()).unwrap();
        assert!(finished.is_finished && finished.commands.is_empty() && sent.is_empty());
    }

    #[test]
    fn what_is_sent_has_the_same_ids_again_and_others_in_another_step() {
        let step = || {
            let later = Timestamp::from_second(60).unwrap();
            Step::stay()
                .command("go", command("a"))
                .send(command("b"))
                .timer("late", later)
                .timer("late", later)
        };
        let new = Instance::default();
        let (first, again) = (after(&new, 1, step()).unwrap(), after(&new, 1, step()).unwrap());
        assert_eq!(first, again);
        let ids = |sent: &[NewWork]| -> Vec<CommitId> {
            let commands = sent.iter().filter(|work| work.kind == WorkKind::Command);
            commands.map(|work| stored(work).command_id.unwrap()).collect()
        };
        let (one, other) = (ids(&first.1), ids(&after(&new, 2, step()).unwrap().1));
        assert!(one.len() == 2 && one[0] != one[1] && one.iter().all(|id| !other.contains(id)));
        assert_eq!(
            first.1.iter().filter(|work| work.kind == WorkKind::Timer).count(),
            1,
            "the last one counts"
        );
        assert_eq!(stored(&first.1[0]).correlation_id, Some(Uuid::from_u128(9)));
        assert_eq!(stored(&first.1[1]).reply_to, None, "nobody waits for it");
    }

    #[test]
    fn how_an_instance_ended_is_kept_with_its_last_step() {
        let new = Instance::default();
        let (ended, _) =
            after(&new, 1, Step::stay().timer("late", Timestamp::MAX).finish_as("charged")).unwrap();
        assert!(ended.is_finished && ended.timers.is_empty());
        assert_eq!(ended.ended_as.as_deref(), Some("charged"));
        let stored = Json::encode(&ended).unwrap();
        assert_eq!(stored.decode::<StepTaken>().unwrap(), ended);
        let (ended, _) = after(&new, 1, Step::stay().finish()).unwrap();
        assert_eq!((ended.is_finished, ended.ended_as), (true, None));
        for word in ["", "a\nb", &"w".repeat(WORK_NAME_BYTES_MAX + 1)] {
            let told = after(&new, 1, Step::stay().finish_as(word)).unwrap_err();
            assert!(told.contains("WORK_NAME_BYTES_MAX"), "{told}");
        }
    }

    #[test]
    fn a_step_may_not_do_what_nobody_could_follow() {
        let new = Instance::default();
        let message = || NewWork::new(WorkKind::Message, "mail", "a", "hello", Json::from_stored("{}"));
        let timer = NewWork::new(WorkKind::Timer, "payment", "a", "late", Json::from_stored("{}"));
        for (step, word) in [
            (Step::stay().command("go", message()), "only a command has an outcome"),
            (Step::stay().undo_by("go", message()), "only a command has an outcome"),
            (Step::stay().command("", command("a")), "WORK_NAME_BYTES_MAX"),
            (Step::stay().send(timer), "messages and commands"),
        ] {
            let told = after(&new, 1, step).unwrap_err();
            assert!(told.contains(word), "{told}");
        }
        assert!(after(&new, 1, Step::stay().send(message())).is_ok());
    }
}
