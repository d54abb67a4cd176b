use std::any::type_name;
use std::collections::BTreeMap;
use std::sync::Arc;

use underlay_core::limits::COMMIT_WORK_MAX;
use underlay_core::{
    CommitId, Draw, Drawing, Error, Event, NewEvent, NewWork, Outgoing, StreamWrite, TenantId, Timestamp,
};

use crate::commands::guarded;

/// What is drawn from events, by the types of the events.
#[derive(Default, Clone)]
pub(crate) struct Drawers(BTreeMap<&'static str, Vec<Arc<dyn Drawer>>>);

/// The command whose events are drawn from.
#[derive(Clone, Copy)]
pub(crate) struct Drawn<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) command_id: CommitId,
    pub(crate) now: Timestamp,
}

/// A [`Draw`] without its type.
trait Drawer: Send + Sync {
    fn draw(&self, event: &NewEvent, drawing: Drawing<'_>) -> Result<Vec<Outgoing>, Error>;
}

impl Drawers {
    pub(super) fn add<D: Draw>(&mut self, draw: D) {
        let drawer: Arc<dyn Drawer> = Arc::new(draw);
        for descriptor in D::Event::descriptors() {
            self.0.entry(descriptor.name).or_default().push(drawer.clone());
        }
    }

    /// The types that something is drawn from.
    pub(super) fn event_types(&self) -> impl Iterator<Item = &&'static str> {
        self.0.keys()
    }

    /// What follows from events, in their order; of one event, in the order of registration.
    pub(crate) fn draw(&self, writes: &[StreamWrite], of: Drawn<'_>) -> Result<Vec<NewWork>, Error> {
        let mut work = Vec::new();
        if self.0.is_empty() {
            return Ok(work);
        }
        for write in writes {
            let Drawn { tenant, command_id, now } = of;
            let drawing = Drawing { tenant, stream: &write.stream, now, command_id };
            for event in &write.events {
                for drawer in self.0.get(event.event_type.as_str()).into_iter().flatten() {
                    for outgoing in drawer.draw(event, drawing)? {
                        work.push(outgoing.into_work()?);
                    }
                    if work.len() > COMMIT_WORK_MAX {
                        return Err(Error::invalid(format!(
                            "more than COMMIT_WORK_MAX = {COMMIT_WORK_MAX} pieces of work are drawn from the events of \
                             one command"
                        )));
                    }
                }
            }
        }
        Ok(work)
    }
}

impl<D: Draw> Drawer for D {
    fn draw(&self, event: &NewEvent, drawing: Drawing<'_>) -> Result<Vec<Outgoing>, Error> {
        let name = event.event_type.as_str();
        let unreadable = |reason: String| {
            Error::backend("drawing work", format!("{} cannot read {name}: {reason}", type_name::<D>()))
        };
        let json = event.payload.json().map_err(|error| unreadable(error.to_string()))?;
        let decoded = D::Event::decode(name, event.schema_version.0, json.as_str());
        match decoded.map_err(|error| unreadable(error.to_string()))? {
            Some(event) => {
                guarded(|| format!("`draw` of {}", type_name::<D>()), || Draw::draw(self, &event, drawing))
            }
            None => Ok(Vec::new()),
        }
    }
}
