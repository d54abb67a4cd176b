//! Takes the log for one process: each event that `route` names an instance for becomes an input of it.
//!
//! ```text
//!  a page of the log ─► route each event ─► inputs, by instance ─► a commit for each, in the order of the log
//!                            │                                      for an instance, side by side for others
//!                            └─ it cannot ─► Paused before it, or parked as a dead letter
//! ```
//!
//! The commit of an input has no events: it sends the input on, and its id follows from the process, the instance
//! and the event. So whatever is done again after a crash stores nothing again. Of one instance an input is stored
//! before the next is begun, by whichever program: what one of them has stored is a beginning of the list, and the
//! other goes on after it.
//!
//! What happens when something fails: see the [subscription](crate::subscription). What of a commit was given before
//! an event that the process stops at is given again, which stores nothing. A program whose definition is older than
//! the stored one follows nothing, and looks again once that has changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use underlay_core::{Error, LogFilter, OnFault, ParkedEvent, ProcessStart, RecordedEvent, TenantId};

use super::Processes;
use super::definition::Defined;
use super::entry::ProcessEntry;
use super::inputs::RoutedInput;
use crate::subscription::{Consumer, FollowerKind, Halt, Stuck, told_of};

/// Events in one page of the work.
const PAGE_EVENTS: usize = 1_000;
/// Instances whose inputs are stored side by side.
const INSTANCES_AT_ONCE: usize = 256;

/// Gives events to the instances of a process.
pub(crate) struct ProcessConsumer {
    processes: Arc<Processes>,
    entry: Arc<dyn ProcessEntry>,
}

impl ProcessConsumer {
    pub(super) fn new(processes: Arc<Processes>, entry: Arc<dyn ProcessEntry>) -> Self {
        Self { processes, entry }
    }

    /// The inputs of a page, up to the first event that the process stops at.
    fn route(&self, events: &[RecordedEvent]) -> (Vec<RoutedInput>, Option<Stuck>) {
        let mut inputs = Vec::new();
        for event in events {
            match self.entry.route(event) {
                Ok(Some(instance)) => inputs.push(RoutedInput::of_event(event, instance)),
                Ok(None) => {}
                Err(fault) if self.entry.on_fault() == OnFault::Park && !fault.is_anothers => {
                    tracing::warn!(process = self.name(), position = %event.position, %fault, "an event is parked");
                    inputs.push(RoutedInput::parked(event, &fault.reason));
                }
                Err(fault) => {
                    let parked = ParkedEvent::new(event, &fault.reason);
                    return (inputs, Some(Stuck::of::<Self>(parked, !fault.is_anothers)));
                }
            }
        }
        (inputs, None)
    }

    /// Stores inputs: those of one instance in order, those of others side by side.
    async fn give(&self, inputs: Vec<RoutedInput>) -> Result<(), Error> {
        let mut lines: Vec<Vec<RoutedInput>> = Vec::new();
        let mut by_instance: HashMap<(TenantId, String), usize> = HashMap::new();
        for input in inputs {
            let key = (input.tenant.clone(), input.instance.clone());
            let line = *by_instance.entry(key).or_insert_with(|| {
                lines.push(Vec::new());
                lines.len() - 1
            });
            if let Some(line) = lines.get_mut(line) {
                line.push(input);
            }
        }
        let mut giving: JoinSet<Result<(), Error>> = JoinSet::new();
        for line in lines {
            if giving.len() >= INSTANCES_AT_ONCE {
                joined(giving.join_next().await)?;
            }
            let (processes, name) = (self.processes.clone(), self.entry.name());
            giving.spawn(async move {
                for input in line {
                    processes.give(name, input).await?;
                }
                Ok(())
            });
        }
        while !giving.is_empty() {
            joined(giving.join_next().await)?;
        }
        Ok(())
    }
}

impl Consumer for ProcessConsumer {
    const KIND: FollowerKind = FollowerKind::Process;
    /// What `route` cannot take now it cannot take later: a person asks, or a program that can.
    const TRIES_AGAIN: Option<Duration> = None;

    type Definition = Defined;

    fn name(&self) -> &'static str {
        self.entry.name()
    }

    fn start(&self) -> ProcessStart {
        self.entry.starts()
    }

    fn filter(&self) -> LogFilter {
        self.entry.filter()
    }

    fn page_events_max(&self) -> usize {
        PAGE_EVENTS
    }

    fn definition(&self) -> Defined {
        Defined { definition: self.entry.definition() }
    }

    async fn check_definition(&self, stored: &Defined) -> Result<(), Error> {
        self.processes.check_definition(&*self.entry, &stored.definition).await
    }

    fn batches(&self, page: Vec<RecordedEvent>) -> Vec<Arc<[RecordedEvent]>> {
        if page.is_empty() { Vec::new() } else { vec![page.into()] }
    }

    async fn take(&self, batch: &Arc<[RecordedEvent]>) -> Result<u64, Halt<Stuck>> {
        let (inputs, stuck) = self.route(batch);
        let count = inputs.len() as u64;
        self.give(inputs).await?;
        stuck.map_or(Ok(count), |stuck| Err(Halt::Stuck(stuck)))
    }

    fn told(event: &ParkedEvent) -> String {
        told_of(event)
    }

    fn advice(&self, program: &str) -> String {
        let process = self.name();
        format!("; `{program} process retry {process}` tries again, once a program is there that can take it")
    }

    fn repair(&self, program: &str) -> String {
        format!("{program} process restart {} --from beginning|now", self.name())
    }
}

fn joined(joined: Option<Result<Result<(), Error>, tokio::task::JoinError>>) -> Result<(), Error> {
    match joined {
        Some(Ok(given)) => given,
        Some(Err(error)) => Err(Error::backend("storing the inputs of a process", error)),
        None => Ok(()),
    }
}
