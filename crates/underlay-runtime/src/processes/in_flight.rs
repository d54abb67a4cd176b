//! What a changed definition means for the instances in flight.

use std::collections::HashMap;

use underlay_core::{Category, Error, LogFilter, LogScope, Position, StreamName, TenantId};

use super::Processes;
use super::definition::{Definition, Fit};
use super::entry::ProcessEntry;
use super::instance::{StepTaken, category_of};

/// Steps that are looked at for instances in flight, where a definition changed.
const STEPS_SEEN_MAX: usize = 10_000;
/// Steps in one page of that.
const PAGE_STEPS: usize = 1_000;

impl Processes {
    /// Refuses a definition that instances in flight cannot go on with.
    pub(super) async fn check_definition(
        &self,
        entry: &dyn ProcessEntry,
        stored: &Definition,
    ) -> Result<(), Error> {
        let (process, version) = (entry.name(), entry.version());
        match entry.definition().fit(stored) {
            Fit::Same => Ok(()),
            Fit::Older => Err(Error::invalid(format!(
                "process {process} is at version {} in the store and {version} in this program: the program of that \
                 version follows the log for it",
                stored.version
            ))),
            Fit::Newer => match self.in_flight(entry, true).await? {
                None => Ok(()),
                Some((stream, reason)) => Err(Error::invalid(format!(
                    "process {process} is of version {version} now, and cannot go on with instances in flight, such \
                     as {stream}: {reason}"
                ))),
            },
            Fit::Changed(what) => match self.in_flight(entry, false).await? {
                None => Ok(()),
                Some((stream, _)) => Err(Error::invalid(format!(
                    "process {process} changed while instances are in flight, such as {stream}, and its version is \
                     still {version}: {what}. Raise `VERSION` to {} and lift older states in `Process::upcast`, or \
                     take the change back",
                    version + 1
                ))),
            },
        }
    }

    /// An instance that is in flight, of those whose steps are the first in the log: any, or one whose state cannot be
    /// read by this program, and why.
    async fn in_flight(
        &self,
        entry: &dyn ProcessEntry,
        unreadable_alone: bool,
    ) -> Result<Option<(StreamName, String)>, Error> {
        let filter = LogFilter {
            categories: vec![Category::new(category_of(entry.name()))?],
            event_types: Vec::new(),
        };
        let mut last: HashMap<(TenantId, StreamName), StepTaken> = HashMap::new();
        let (mut after, mut seen, mut is_whole) = (Position::START, 0, false);
        let mut seen_last = None;
        while seen < STEPS_SEEN_MAX && !is_whole {
            let page = self.store.read_all(&LogScope::EveryTenant, after, &filter, PAGE_STEPS).await?;
            seen += page.events.len();
            (after, is_whole) = (page.scanned_to, page.at_head);
            for event in page.events {
                seen_last = Some(event.stream.clone());
                let step = event.payload.json().ok().and_then(|json| json.decode::<StepTaken>().ok());
                if let Some(step) = step {
                    last.insert((event.tenant, event.stream), step);
                }
            }
        }
        let problem = |step: &StepTaken| match (&step.state, unreadable_alone) {
            _ if step.is_finished => None,
            (_, false) => Some(String::new()),
            (Some(state), true) => entry.check_state(state).err().map(|fault| fault.reason),
            (None, true) => None,
        };
        for ((tenant, stream), step) in last {
            if problem(&step).is_none() {
                continue;
            }
            // Beyond what was looked at it may have gone on.
            let now = self.read_instance(&tenant, &stream).await?;
            if let Some(reason) = now.last.as_ref().and_then(problem) {
                return Ok(Some((stream, reason)));
            }
        }
        // Beyond what was looked at there may be others.
        Ok(seen_last.filter(|_| !is_whole && !unreadable_alone).map(|stream| (stream, String::new())))
    }
}
