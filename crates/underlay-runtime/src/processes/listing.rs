//! Instances as operators see them: a list of them, and one with all it waits for.
//!
//! The list is read from a view, so it may be a moment behind. One instance is read from its own stream, and so is
//! how those of a list ended that are finished.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use underlay_core::{
    CommitId, Comparison, Cursor, Error, Json, Metadata, Query, Row, StoredInput, StreamName, TenantId,
    Timestamp, Value, Version, View, Work, WorkFilter, WorkId, WorkInfo, WorkKind, WorkPlace, WorkStanding,
    limits::{PAGE_EVENTS_MAX, PAGE_ROWS_MAX, WORK_PAGE_MAX},
};

use super::Processes;
use super::instance::{actor_of, stream_of};
use super::instances_view::{InstanceKey, InstanceRow, InstancesView, standing_of};
use crate::commands::waited_for;
use crate::views::Views;
use crate::work::Holders;

/// Which instances are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcessFilter {
    /// All of them.
    #[default]
    Every,
    /// Those that are not finished.
    Open,
    /// Those that are finished.
    Finished,
    /// Those that stand still: an input of theirs is a dead letter, or a command that they wait for stands behind one.
    Stuck,
}

/// An instance in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessSummary {
    /// The process.
    pub process: String,
    /// The instance.
    pub instance: String,
    /// Whether nothing more is given to it.
    pub is_finished: bool,
    /// How it ended, in the word of its last step; none where that said none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_as: Option<String>,
    /// Whether it stands still behind a dead letter.
    pub is_stuck: bool,
    /// The commands and timers it waits for, in words.
    pub waits_for: String,
    /// When the next of its timers is due.
    pub next_due_at: Option<Timestamp>,
    /// The steps it has taken.
    pub steps: u64,
    /// The time of its first input; none where its first step could not be taken.
    pub began_at: Option<Timestamp>,
    /// When its last step was stored.
    pub changed_at: Option<Timestamp>,
}

/// A page of instances, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessPage {
    /// The instances.
    pub instances: Vec<ProcessSummary>,
    /// The instance after which the next page begins; none where this is the last.
    pub next: Option<String>,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessInstance {
    /// The process.
    pub process: String,
    /// The instance.
    pub instance: String,
    /// Its stream, with an event for every step.
    pub stream: StreamName,
    /// The steps it has taken.
    pub version: Version,
    /// Whether nothing more is given to it.
    pub is_finished: bool,
    /// How it ended, in the word of its last step; none where that said none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_as: Option<String>,
    /// What it knows; none where it keeps no state.
    pub state: Option<Json>,
    /// The version of the definition that wrote the state.
    pub state_version: Option<u32>,
    /// The commands whose outcomes it waits for.
    pub commands: Vec<WaitedCommand>,
    /// The timers it waits for, by name.
    pub timers: Vec<WaitedTimer>,
    /// The undos it remembers, the first first.
    pub undos: Vec<String>,
    /// The time of its first input.
    pub began_at: Option<Timestamp>,
    /// The kind of its last input and what it was called: `event paid`, say.
    pub last_input: Option<String>,
    /// The dead letters that it stands still behind; a person replays or discards them.
    pub dead_letters: Vec<BlockingLetter>,
    /// The dead letters among what it sent. It goes on without them, and may wait for what they would have led to.
    pub sent_letters: Vec<SentLetter>,
}

/// A dead letter that an instance sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentLetter {
    /// Its identity, by which it is replayed or discarded.
    pub work_id: WorkId,
    /// Who was to do it.
    pub receiver: String,
    /// What it is called: the name of the message or of the command.
    pub name: String,
    /// When it was given up.
    pub died_at: Timestamp,
    /// The attempts at it.
    pub attempts: u32,
    /// Why the last of them failed.
    pub error: String,
}

/// A command whose outcome an instance waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitedCommand {
    /// What the process calls it.
    pub name: String,
    /// Its identity.
    pub command_id: CommitId,
    /// The time of the step that sent it.
    pub sent_at: Timestamp,
    /// The dead letter that it stands behind, of the same aggregate: the instance stands still until a person replays
    /// or discards that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<WorkId>,
}

/// A timer that an instance waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitedTimer {
    /// What the process calls it.
    pub name: String,
    /// Until when it waits.
    pub due_at: Timestamp,
}

/// A dead letter that holds an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockingLetter {
    /// Its identity, by which it is replayed or discarded.
    pub work_id: WorkId,
    /// What it is called: `event`, or the name of a command or a timer.
    pub name: String,
    /// When it was given up.
    pub died_at: Timestamp,
    /// The attempts at it.
    pub attempts: u32,
    /// Why the last of them failed.
    pub error: String,
}

impl Processes {
    /// As [`Engine::processes`](crate::Engine::processes).
    pub(crate) async fn list(
        &self,
        views: &Views,
        tenant: &TenantId,
        process: &str,
        filter: ProcessFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ProcessPage, Error> {
        self.find_entry(process)?;
        if limit == 0 || limit > PAGE_ROWS_MAX {
            return Err(Error::invalid(format!(
                "a page holds 1 to PAGE_ROWS_MAX = {PAGE_ROWS_MAX} instances, {limit} were asked for"
            )));
        }
        let mut stuck: BTreeSet<String> = self.stuck(tenant, process, None).await?.into_keys().collect();
        stuck.extend(self.held(tenant, process, None).await?.into_keys());
        if filter == ProcessFilter::Stuck {
            return self.list_stuck(views, tenant, process, &stuck, after, limit).await;
        }
        let (column, value) = match filter {
            ProcessFilter::Open => ("standing", standing_of(process, false)),
            ProcessFilter::Finished => ("standing", standing_of(process, true)),
            ProcessFilter::Every | ProcessFilter::Stuck => ("process", process.to_owned()),
        };
        let mut query = Query::default().filter(column, Comparison::Eq, Value::Text(value)).limit(limit);
        query.after = after.map(|instance| Cursor { value: None, key: key(process, instance) });
        let page = views.query(tenant, InstancesView::NAME, &query).await?.page;
        let mut instances = Vec::new();
        for (_, values) in page.rows {
            let row = InstanceRow::from_values(values).map_err(misfit)?;
            instances.push(self.summary(tenant, row, &stuck).await?);
        }
        let next = instances.last().filter(|_| page.next.is_some()).map(|last| last.instance.clone());
        Ok(ProcessPage { instances, next })
    }

    async fn list_stuck(
        &self,
        views: &Views,
        tenant: &TenantId,
        process: &str,
        stuck: &BTreeSet<String>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ProcessPage, Error> {
        let mut names: Vec<&String> = stuck
            .iter()
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .take(limit + 1)
            .collect();
        let is_more = names.len() > limit;
        names.truncate(limit);
        let mut instances = Vec::new();
        for name in names {
            let row = match views.row(tenant, InstancesView::NAME, &key(process, name)).await {
                Ok(answer) => Some(InstanceRow::from_values(answer.values).map_err(misfit)?),
                Err(Error::NotFound(_)) => None,
                Err(error) => return Err(error),
            };
            instances.push(match row {
                Some(row) => self.summary(tenant, row, stuck).await?,
                // Its first step could not be taken.
                None => ProcessSummary {
                    process: process.to_owned(),
                    instance: name.clone(),
                    is_finished: false,
                    ended_as: None,
                    is_stuck: true,
                    waits_for: String::new(),
                    next_due_at: None,
                    steps: 0,
                    began_at: None,
                    changed_at: None,
                },
            });
        }
        let next = instances.last().filter(|_| is_more).map(|last: &ProcessSummary| last.instance.clone());
        Ok(ProcessPage { instances, next })
    }

    /// As [`Engine::process`](crate::Engine::process).
    pub(crate) async fn show(
        &self,
        tenant: &TenantId,
        process: &str,
        instance: &str,
    ) -> Result<ProcessInstance, Error> {
        self.find_entry(process)?;
        let stream = stream_of(process, instance)?;
        let read = self.read_instance(tenant, &stream).await?;
        let dead_letters =
            self.stuck(tenant, process, Some(instance)).await?.remove(instance).unwrap_or_default();
        if read.last.is_none() && dead_letters.is_empty() {
            return Err(Error::NotFound(format!("instance {instance:?} of process {process}")));
        }
        let held = self.held(tenant, process, Some(instance)).await?.remove(instance).unwrap_or_default();
        let last = read.last.as_ref();
        let commands = last.into_iter().flat_map(|last| &last.commands).map(|command| WaitedCommand {
            name: command.name.clone(),
            command_id: command.command_id,
            sent_at: command.sent_at,
            held_by: held.get(&command.command_id).copied(),
        });
        let timers = last
            .into_iter()
            .flat_map(|last| &last.timers)
            .map(|(name, timer)| WaitedTimer { name: name.clone(), due_at: timer.due_at });
        Ok(ProcessInstance {
            process: process.to_owned(),
            instance: instance.to_owned(),
            version: read.version,
            is_finished: read.is_finished(),
            ended_as: last.and_then(|last| last.ended_as.clone()),
            state: read.state().map(|state| state.json.clone()),
            state_version: read.state().map(|state| state.version),
            commands: commands.collect(),
            timers: timers.collect(),
            undos: last.into_iter().flat_map(|last| &last.undos).map(|undo| undo.name.clone()).collect(),
            began_at: last.map(|last| last.began_at),
            last_input: last.map(|last| format!("{} {}", last.input.kind, last.input.name)),
            dead_letters,
            sent_letters: self.sent_letters(tenant, process, &stream).await?,
            stream,
        })
    }

    async fn summary(
        &self,
        tenant: &TenantId,
        row: InstanceRow,
        stuck: &BTreeSet<String>,
    ) -> Result<ProcessSummary, Error> {
        let is_finished = row.standing == standing_of(&row.process, true);
        let ended_as = match is_finished {
            true => {
                let read = self.read_instance(tenant, &stream_of(&row.process, &row.instance)?).await?;
                read.last.as_ref().and_then(|last| last.ended_as.clone())
            }
            false => None,
        };
        Ok(ProcessSummary {
            is_finished,
            ended_as,
            is_stuck: stuck.contains(&row.instance),
            process: row.process,
            instance: row.instance,
            waits_for: row.waits_for,
            next_due_at: row.next_due_at,
            steps: u64::try_from(row.steps).unwrap_or_default(),
            began_at: Some(row.began_at),
            changed_at: Some(row.changed_at),
        })
    }

    /// The dead letters among what the steps of an instance sent. The event of a step has the id of its commit.
    async fn sent_letters(
        &self,
        tenant: &TenantId,
        process: &str,
        stream: &StreamName,
    ) -> Result<Vec<SentLetter>, Error> {
        let actor = actor_of(process);
        let is_of_process = |work: &Work| {
            let metadata: Option<Metadata> = work.metadata.decode().ok();
            metadata.and_then(|metadata| metadata.actor).as_ref() == Some(&actor)
        };
        let mut letters = Vec::new();
        for kind in [WorkKind::Message, WorkKind::Command] {
            self.each_letter(tenant, kind, None, None, |info| {
                let commit = info.work.commit_id.0;
                if is_of_process(&info.work) {
                    letters.extend(sent(info).map(|letter| (commit, letter)));
                }
            })
            .await?;
        }
        if letters.is_empty() {
            return Ok(Vec::new());
        }
        let (mut steps, mut after) = (BTreeSet::new(), Version::NONE);
        loop {
            let page = self.store.read_stream(tenant, stream, after, PAGE_EVENTS_MAX).await?;
            steps.extend(page.events.iter().map(|step| step.event_id.0));
            match page.events.last() {
                Some(last) if last.version < page.version => after = last.version,
                _ => break,
            }
        }
        let of_instance = letters.into_iter().filter(|(commit, _)| steps.contains(commit));
        Ok(of_instance.map(|(_, letter)| letter).collect())
    }

    /// The dead letters that hold instances of a process, by instance.
    async fn stuck(
        &self,
        tenant: &TenantId,
        process: &str,
        instance: Option<&str>,
    ) -> Result<BTreeMap<String, Vec<BlockingLetter>>, Error> {
        let mut stuck: BTreeMap<String, Vec<BlockingLetter>> = BTreeMap::new();
        for kind in [WorkKind::Input, WorkKind::Timer] {
            self.each_letter(tenant, kind, Some(process), instance, |info| {
                if let Some((instance, letter)) = blocking(info) {
                    stuck.entry(instance).or_default().push(letter);
                }
            })
            .await?;
        }
        Ok(stuck)
    }

    /// The commands that instances of a process wait for, and that stand behind a dead letter of their aggregate, each
    /// with that letter.
    async fn held(
        &self,
        tenant: &TenantId,
        process: &str,
        instance: Option<&str>,
    ) -> Result<BTreeMap<String, BTreeMap<CommitId, WorkId>>, Error> {
        let mut held: BTreeMap<String, BTreeMap<CommitId, WorkId>> = BTreeMap::new();
        let commands = WorkFilter {
            tenant: Some(tenant.clone()),
            kind: Some(WorkKind::Command),
            ..WorkFilter::default()
        };
        // Mostly nothing is held, and nothing has to be looked through.
        let letters = WorkFilter { dead: true, holds: true, ..commands.clone() };
        if self.queue.list_work(&letters, WorkPlace::START, 1).await?.work.is_empty() {
            return Ok(held);
        }
        let (mut holders, mut after) = (Holders::default(), Some(WorkPlace::START));
        while let Some(place) = after {
            let page = self.queue.list_work(&commands, place, WORK_PAGE_MAX).await?;
            after = page.next();
            for info in page.work.iter().filter(|info| info.standing == WorkStanding::Behind) {
                let Some((reply_to, id)) = waited_for(&info.work) else { continue };
                if reply_to.process != process || instance.is_some_and(|only| only != reply_to.instance) {
                    continue;
                }
                if let Some(letter) = holders.of(&*self.queue, info).await? {
                    held.entry(reply_to.instance).or_default().insert(id, letter);
                }
            }
        }
        // One that is finished waits for nothing more.
        for (instance, commands) in &mut held {
            let read = self.read_instance(tenant, &stream_of(process, instance)?).await?;
            commands.retain(|id, _| read.waits_for_command(*id));
        }
        held.retain(|_, commands| !commands.is_empty());
        Ok(held)
    }

    /// Looks at dead letters page by page: each may be large.
    async fn each_letter(
        &self,
        tenant: &TenantId,
        kind: WorkKind,
        receiver: Option<&str>,
        key: Option<&str>,
        mut look: impl FnMut(WorkInfo),
    ) -> Result<(), Error> {
        let filter = WorkFilter {
            tenant: Some(tenant.clone()),
            dead: true,
            holds: false,
            kind: Some(kind),
            receiver: receiver.map(str::to_owned),
            key: key.map(str::to_owned),
        };
        let mut after = Some(WorkPlace::START);
        while let Some(place) = after {
            let page = self.queue.list_work(&filter, place, WORK_PAGE_MAX).await?;
            after = page.next();
            page.work.into_iter().for_each(&mut look);
        }
        Ok(())
    }
}

fn sent(info: WorkInfo) -> Option<SentLetter> {
    let WorkStanding::Dead { died_at, .. } = info.standing else { return None };
    let work = info.work;
    Some(SentLetter {
        work_id: work.id,
        receiver: work.sent.receiver,
        name: work.sent.name,
        died_at,
        attempts: work.attempts,
        error: work.last_error.unwrap_or_default(),
    })
}

/// The letter and the instance that it holds; none where it holds none.
fn blocking(info: WorkInfo) -> Option<(String, BlockingLetter)> {
    let WorkStanding::Dead { died_at, holds: true, .. } = info.standing else { return None };
    let work = info.work;
    let input = work.sent.payload.json().ok().and_then(|json| json.decode::<StoredInput>().ok());
    // It stands in a line of its own, and is for no instance yet.
    if matches!(input, Some(StoredInput::Parked { .. })) {
        return None;
    }
    let letter = BlockingLetter {
        work_id: work.id,
        name: work.sent.name,
        died_at,
        attempts: work.attempts,
        error: work.last_error.unwrap_or_default(),
    };
    Some((work.sent.key, letter))
}

fn key(process: &str, instance: &str) -> String {
    InstanceKey { process: process.to_owned(), instance: instance.to_owned() }.to_string()
}

fn misfit(column: &str) -> Error {
    Error::Damaged(format!("column {column} of view {} does not fit", InstancesView::NAME))
}
