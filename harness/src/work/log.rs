//! The log of the domain, read from its start at the end.

use std::collections::{BTreeMap, HashMap};

use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{CommitId, Event, LogFilter, LogScope, Metadata, Position, RecordedEvent, TenantId};

use super::domain::{OrderEvent, PurseEvent, SlipEvent};
use crate::Result;
use crate::subject::OpenStore;

/// Something of a tenant, by its id.
pub(crate) type Of = (String, String);

/// What the log holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) head: u64,
    pub(crate) purses: BTreeMap<Of, Vec<PurseEvent>>,
    pub(crate) orders: BTreeMap<Of, Vec<OrderEvent>>,
    pub(crate) slips: BTreeMap<Of, Vec<SlipEvent>>,
    /// How many events each command has written.
    pub(crate) commands: HashMap<(TenantId, CommitId), usize>,
}

impl Log {
    pub(crate) async fn read(open: &OpenStore) -> Result<Self> {
        let mut log = Self::default();
        let mut position = Position::START;
        loop {
            let filter = LogFilter::default();
            let page =
                open.store.read_all(&LogScope::EveryTenant, position, &filter, PAGE_EVENTS_MAX).await?;
            for event in &page.events {
                log.add(event)?;
            }
            if page.scanned_to == position {
                return Ok(log);
            }
            position = page.scanned_to;
            log.head = position.number();
        }
    }

    fn add(&mut self, event: &RecordedEvent) -> Result<()> {
        let of = (event.tenant.to_string(), event.stream.id().to_owned());
        match event.stream.category() {
            "purse" => self.purses.entry(of).or_default().push(decoded(event)?),
            "order" => self.orders.entry(of).or_default().push(decoded(event)?),
            "slip" => self.slips.entry(of).or_default().push(decoded(event)?),
            // The steps of processes, and whatever else is in the store.
            _ => return Ok(()),
        }
        let metadata: Metadata = event.metadata.decode()?;
        if let Some(id) = metadata.command_id {
            *self.commands.entry((event.tenant.clone(), id)).or_default() += 1;
        }
        Ok(())
    }

    /// Orders that have not ended.
    pub(crate) fn open_orders(&self) -> impl Iterator<Item = &Of> {
        let is_closed =
            |events: &[OrderEvent]| events.iter().any(|event| matches!(event, OrderEvent::Closed { .. }));
        self.orders.iter().filter(move |(_, events)| !is_closed(events)).map(|(order, _)| order)
    }
}

fn decoded<E: Event>(event: &RecordedEvent) -> Result<E> {
    let RecordedEvent { event_type, schema_version, payload, position, .. } = event;
    let decoded = E::decode(event_type.as_str(), schema_version.0, payload.text().as_str())?;
    decoded.ok_or_else(|| format!("the event {event_type} at {position} is none of its stream").into())
}
