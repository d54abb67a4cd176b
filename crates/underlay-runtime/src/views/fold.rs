//! One batch of a view's work, with the types of the view erased: decode and route, then fold.
//!
//! Most batches hold no event that a view cannot take, so the first pass folds as fast as it can. Where
//! it meets a fault a second one goes event by event and finds every fault of the batch, so that whoever
//! passes over them folds the rest once, however many there are.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use underlay_core::{
    ColumnType, Event, EventDescriptor, EventType, Keys, LoadedRow, LogFilter, OnFault, ParkedEvent,
    Position, Recorded, RecordedEvent, Row, RowAddress, RowValues, TenantId, Value, View, ViewSchema,
};

use crate::subscription::told_of;

/// An event a view cannot take. The view stops before the commit that holds it, or passes over it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", told_of(event))]
pub(crate) struct ViewFault {
    /// The event, as it would be passed over.
    pub(crate) event: Box<ParkedEvent>,
    /// Where the commit that holds the event ends.
    pub(crate) commit_end: Position,
    /// Whether the event itself is at fault. Another process may take one of a newer version, or one in an
    /// encoding that this one does not read; and a stored row that does not fit is no fault of the event that
    /// changes it.
    pub(crate) is_of_event: bool,
}

impl ViewFault {
    fn new(record: &RecordedEvent, reason: String) -> Self {
        // A reason may quote what a tenant wrote: it is as short and as plain as the one that is kept.
        let event = Box::new(ParkedEvent::new(record, &reason));
        Self { event, commit_end: record.commit_end(), is_of_event: true }
    }

    /// Its place in the log.
    pub(crate) fn position(&self) -> Position {
        self.event.position
    }
}

/// The faults of a batch: at least one, each of an event of its own, in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Faults(Vec<ViewFault>);

impl Faults {
    /// Sorts them; none where there are none.
    fn of(mut faults: Vec<ViewFault>) -> Option<Self> {
        faults.sort_by_key(ViewFault::position);
        faults.dedup_by_key(|fault| fault.position());
        if faults.is_empty() { None } else { Some(Self(faults)) }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ViewFault> {
        self.0.iter()
    }

    /// The first in the log.
    pub(crate) fn first(&self) -> ViewFault {
        self.0[0].clone()
    }
}

/// A view, with its types erased.
pub(crate) trait ViewFolder: Send + Sync {
    fn schema(&self) -> ViewSchema;
    /// The events it wants.
    fn filter(&self) -> LogFilter;
    /// What it does at an event it cannot take.
    fn on_fault(&self) -> OnFault;
    /// Who may read its rows from outside.
    fn roles(&self) -> &'static [&'static str];
    /// The store of its rows, where it names one.
    fn store(&self) -> Option<&'static str>;
    /// Decodes events and finds the rows they change.
    fn route(&self, events: Vec<RecordedEvent>) -> Result<Box<dyn Routed>, Faults>;
}

/// A batch of events by the rows they change.
pub(crate) trait Routed: Send {
    /// The rows, each once.
    fn addresses(&self) -> Vec<RowAddress>;
    /// The rows afterwards, given the rows as they are, both in the order of the addresses; `None` where
    /// there are faults.
    fn fold(&self, rows: Vec<LoadedRow>) -> Option<Vec<Option<RowValues>>>;
    /// The faults, given the rows as they are: what cannot be folded changes nothing.
    fn faults(&self, rows: Vec<LoadedRow>) -> Faults;
}

pub(crate) struct FoldedView<V> {
    view: Arc<V>,
}

impl<V: View> FoldedView<V> {
    pub(crate) fn new(view: V) -> Self {
        Self { view: Arc::new(view) }
    }
}

struct Group<K> {
    tenant: TenantId,
    key: K,
    /// Indexes into the batch's events, in order.
    events: Vec<usize>,
}

struct RoutedEvents<V: View> {
    view: Arc<V>,
    events: Vec<Recorded<V::Event>>,
    groups: Vec<Group<V::Key>>,
    addresses: Vec<RowAddress>,
    schema: ViewSchema,
    /// Whether a fold can make a row that no store may hold: numbers always fit.
    has_text: bool,
}

impl<V: View> ViewFolder for FoldedView<V> {
    fn schema(&self) -> ViewSchema {
        V::schema()
    }

    fn filter(&self) -> LogFilter {
        // A name that is not well formed was never stored, so leaving it out loses nothing.
        let types = V::Event::descriptors().into_iter().filter_map(|event| EventType::new(event.name).ok());
        LogFilter { categories: Vec::new(), event_types: types.collect() }
    }

    fn on_fault(&self) -> OnFault {
        V::ON_FAULT
    }

    fn roles(&self) -> &'static [&'static str] {
        V::ROLES
    }

    fn store(&self) -> Option<&'static str> {
        V::STORE
    }

    fn route(&self, records: Vec<RecordedEvent>) -> Result<Box<dyn Routed>, Faults> {
        let mut faults = Vec::new();
        let mut events: Vec<Recorded<V::Event>> = Vec::with_capacity(records.len());
        for record in records {
            match decode::<V>(&record) {
                Ok(Some(event)) => events.push(Recorded { event, record }),
                Ok(None) => {}
                Err(fault) => faults.push(fault),
            }
        }
        if let Some(faults) = Faults::of(faults) {
            return Err(faults);
        }
        let at = Cell::new(0);
        let groups = catch_unwind(AssertUnwindSafe(|| group(&*self.view, &events, &at)));
        let groups = match groups {
            Ok(groups) => groups,
            Err(_) => {
                // One by one, to find all that panic.
                let routed = |event: &Recorded<V::Event>| {
                    let mut keys = Keys::default();
                    guarded(&event.record, "`route`", || self.view.route(event, &mut keys)).err()
                };
                let all = events.iter().filter_map(routed).collect();
                let first = || ViewFault::new(&events[at.get()].record, "`route` panicked".to_owned());
                return Err(Faults::of(all).unwrap_or_else(|| Faults(vec![first()])));
            }
        };
        let addresses = addresses(&events, &groups)?;
        let schema = V::schema();
        let has_text = schema.columns.iter().any(|column| column.column_type == ColumnType::Text);
        Ok(Box::new(RoutedEvents { view: self.view.clone(), events, groups, addresses, schema, has_text }))
    }
}

/// Decodes an event; none where the view does not know its type.
fn decode<V: View>(record: &RecordedEvent) -> Result<Option<V::Event>, ViewFault> {
    let (event_type, version) = (record.event_type.as_str(), record.schema_version.0);
    guarded(record, "decoding", || record.decode::<V::Event>())?.map_err(|error| {
        let newer = |known: &EventDescriptor| known.name == event_type && known.version < version;
        let is_of_event = record.payload.is_plain() && !V::Event::descriptors().iter().any(newer);
        ViewFault { is_of_event, ..ViewFault::new(record, error.to_string()) }
    })
}

/// Runs code of the domain on an event. A panic is a bug there, and stops this view alone.
fn guarded<T>(record: &RecordedEvent, what: &str, run: impl FnOnce() -> T) -> Result<T, ViewFault> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| ViewFault::new(record, format!("{what} panicked")))
}

/// The rows of the groups, each once.
fn addresses<E, K: std::fmt::Display>(
    events: &[Recorded<E>],
    groups: &[Group<K>],
) -> Result<Vec<RowAddress>, Faults> {
    let mut addresses = Vec::with_capacity(groups.len());
    let mut faults = Vec::new();
    for group in groups {
        let first = &events[group.events[0]].record;
        let address = guarded(first, "the text of a key", || group.key.to_string()).and_then(|key| {
            let address = RowAddress { tenant: group.tenant.clone(), key };
            address.validate().map_err(|error| ViewFault::new(first, error.to_string()))?;
            Ok(address)
        });
        match address {
            Ok(address) => addresses.push(address),
            // Every event of the row has the key.
            Err(fault) => faults.extend(
                group.events.iter().map(|at| ViewFault::new(&events[*at].record, fault.event.reason.clone())),
            ),
        }
    }
    match Faults::of(faults) {
        Some(faults) => Err(faults),
        None => Ok(addresses),
    }
}

fn group<V: View>(view: &V, events: &[Recorded<V::Event>], at: &Cell<usize>) -> Vec<Group<V::Key>> {
    let mut tenants: HashMap<&TenantId, usize> = HashMap::new();
    let mut last: Option<(&TenantId, usize)> = None;
    let mut places: HashMap<(usize, V::Key), usize> = HashMap::new();
    let mut groups: Vec<Group<V::Key>> = Vec::new();
    let mut keys = Keys::default();
    for (index, event) in events.iter().enumerate() {
        at.set(index);
        view.route(event, &mut keys);
        let tenant = &event.record.tenant;
        // Most events have the tenant of the one before: its number is not looked up again.
        let number = match last {
            Some((known, number)) if known == tenant => number,
            _ => {
                let next = tenants.len();
                *tenants.entry(tenant).or_insert(next)
            }
        };
        last = Some((tenant, number));
        for key in keys.drain() {
            let place = match places.entry((number, key)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(free) => {
                    let key = free.key().1.clone();
                    groups.push(Group { tenant: tenant.clone(), key, events: Vec::new() });
                    *free.insert(groups.len() - 1)
                }
            };
            groups[place].events.push(index);
        }
    }
    groups
}

impl<V: View> Routed for RoutedEvents<V> {
    fn addresses(&self) -> Vec<RowAddress> {
        self.addresses.clone()
    }

    fn fold(&self, rows: Vec<LoadedRow>) -> Option<Vec<Option<RowValues>>> {
        rows.into_iter().enumerate().map(|(at, row)| self.fold_group(at, row)).collect()
    }

    #[cold]
    fn faults(&self, rows: Vec<LoadedRow>) -> Faults {
        let mut faults = Vec::new();
        let mut folded: Vec<Option<V::Row>> = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let row = row.values.clone().map(V::Row::from_values).transpose();
            folded.push(row.unwrap_or_else(|column| {
                let first = &self.events[self.groups[at].events[0]].record;
                let key = &self.addresses[at].key;
                let reason = format!("column {column} of row {key} does not fit the view's row");
                faults.push(ViewFault { is_of_event: false, ..ViewFault::new(first, reason) });
                None
            }));
        }
        // In the order of the log: an event changes all its rows or, where it is a fault in one, none of them.
        // So what is a fault does not depend on what else is in the batch.
        let mut rows_of: Vec<Vec<usize>> = vec![Vec::new(); self.events.len()];
        for (at, row) in rows.iter().enumerate() {
            self.unreflected(at, row.reflects).iter().for_each(|event| rows_of[*event].push(at));
        }
        for (event, places) in self.events.iter().zip(&rows_of) {
            let changed: Result<Vec<_>, ViewFault> =
                places.iter().map(|at| self.fold_one(*at, folded[*at].clone(), event)).collect();
            match changed {
                Ok(changed) => places.iter().zip(changed).for_each(|(at, row)| folded[*at] = row),
                Err(fault) => faults.push(fault),
            }
        }
        let again = || ViewFault {
            is_of_event: false,
            ..ViewFault::new(&self.events[0].record, "it folded differently the second time".to_owned())
        };
        Faults::of(faults).unwrap_or_else(|| Faults(vec![again()]))
    }
}

impl<V: View> RoutedEvents<V> {
    /// The events of a group that its row does not reflect yet.
    fn unreflected(&self, at: usize, reflects: Position) -> &[usize] {
        let events = &self.groups[at].events;
        &events[events.partition_point(|event| self.events[*event].record.position <= reflects)..]
    }

    /// A row after one event.
    fn fold_one(
        &self,
        at: usize,
        row: Option<V::Row>,
        event: &Recorded<V::Event>,
    ) -> Result<Option<V::Row>, ViewFault> {
        let (group, key) = (&self.groups[at], &self.addresses[at].key);
        let folded = guarded(&event.record, "`fold`", || self.view.fold(&group.key, row, event))?;
        if let Some(folded) = &folded {
            let checked = self.schema.check_row(key, &folded.clone().into_values());
            checked.map_err(|error| ViewFault::new(&event.record, error.to_string()))?;
        }
        Ok(folded)
    }

    /// The row of a group after its events; `None` where one of them is a fault.
    fn fold_group(&self, at: usize, row: LoadedRow) -> Option<Option<RowValues>> {
        let (group, values) = (&self.groups[at], row.values);
        let Some((last, before)) = self.unreflected(at, row.reflects).split_last() else {
            return Some(values);
        };
        let fits = |values: &[Value]| self.schema.check_row(&self.addresses[at].key, values).is_ok();
        catch_unwind(AssertUnwindSafe(|| {
            let mut row = values.map(V::Row::from_values).transpose().ok()?;
            for index in before {
                row = self.view.fold(&group.key, row.take(), &self.events[*index]);
                // After each event: what a view makes of a log does not depend on where pages end.
                if self.has_text && !row.as_ref().is_none_or(|row| fits(&row.clone().into_values())) {
                    return None;
                }
            }
            let values = self.view.fold(&group.key, row.take(), &self.events[*last]).map(Row::into_values);
            values.as_deref().is_none_or(fits).then_some(values)
        }))
        .ok()
        .flatten()
    }
}
