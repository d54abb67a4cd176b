//! One batch of a view's work, with the types of the view erased: decode and route, then fold.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use underlay_core::{
    Event, EventType, Keys, LogFilter, Position, Recorded, RecordedEvent, Row, RowAddress, RowValues,
    TenantId, View, ViewSchema,
};

/// An event a view cannot take. The view stops before the commit that holds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event at position {position} ({stream}, version {version}): {reason}")]
pub(crate) struct ViewFault {
    pub(crate) position: Position,
    /// Where the commit that holds the event ends.
    pub(crate) commit_end: Position,
    pub(crate) stream: String,
    pub(crate) version: u64,
    pub(crate) reason: String,
}

impl ViewFault {
    fn new(record: &RecordedEvent, reason: String) -> Self {
        Self {
            position: record.position,
            commit_end: commit_end(record),
            stream: record.stream.to_string(),
            version: record.version.0,
            reason,
        }
    }
}

/// Where the commit that holds an event ends.
pub(crate) fn commit_end(record: &RecordedEvent) -> Position {
    Position::from_number(record.position.number() + u64::from(record.commit_tail))
}

/// A view, with its types erased.
pub(crate) trait ViewFolder: Send + Sync {
    fn schema(&self) -> ViewSchema;
    /// The events it wants.
    fn filter(&self) -> LogFilter;
    /// Decodes events and finds the rows they change.
    fn route(&self, events: Vec<RecordedEvent>) -> Result<Box<dyn Routed>, ViewFault>;
}

/// A batch of events by the rows they change.
pub(crate) trait Routed: Send {
    /// The rows, each once.
    fn addresses(&self) -> Result<Vec<RowAddress>, ViewFault>;
    /// The rows afterwards, given the rows as they are, both in the order of the addresses.
    fn fold(&self, rows: Vec<Option<RowValues>>) -> Result<Vec<Option<RowValues>>, ViewFault>;
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

    fn route(&self, records: Vec<RecordedEvent>) -> Result<Box<dyn Routed>, ViewFault> {
        let mut events: Vec<Recorded<V::Event>> = Vec::with_capacity(records.len());
        for record in records {
            let (event_type, version) = (record.event_type.as_str(), record.schema_version.0);
            let decode = || V::Event::decode(event_type, version, record.payload.as_str());
            match guarded(&record, "decoding", decode)? {
                Ok(Some(event)) => events.push(Recorded { event, record }),
                Ok(None) => {}
                Err(error) => return Err(ViewFault::new(&record, error.to_string())),
            }
        }
        let at = Cell::new(0);
        let groups = catch_unwind(AssertUnwindSafe(|| group(&*self.view, &events, &at)));
        match groups {
            Ok(groups) => Ok(Box::new(RoutedEvents { view: self.view.clone(), events, groups })),
            Err(_) => Err(ViewFault::new(&events[at.get()].record, "`route` panicked".to_owned())),
        }
    }
}

/// Runs code of the domain on an event. A panic is a bug there, and stops this view alone.
fn guarded<T>(record: &RecordedEvent, what: &str, run: impl FnOnce() -> T) -> Result<T, ViewFault> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| ViewFault::new(record, format!("{what} panicked")))
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
    fn addresses(&self) -> Result<Vec<RowAddress>, ViewFault> {
        let address = |group: &Group<V::Key>| {
            let first = &self.events[group.events[0]].record;
            let key = guarded(first, "the text of a key", || group.key.to_string())?;
            let address = RowAddress { tenant: group.tenant.clone(), key };
            address.validate().map_err(|error| ViewFault::new(first, error.to_string()))?;
            Ok(address)
        };
        self.groups.iter().map(address).collect()
    }

    fn fold(&self, rows: Vec<Option<RowValues>>) -> Result<Vec<Option<RowValues>>, ViewFault> {
        let mut changed = Vec::with_capacity(self.groups.len());
        for (group, values) in self.groups.iter().zip(rows) {
            let at = Cell::new(group.events[0]);
            let folded = catch_unwind(AssertUnwindSafe(|| {
                let mut row = values.map(V::Row::from_values).transpose()?;
                for index in &group.events {
                    at.set(*index);
                    row = self.view.fold(&group.key, row.take(), &self.events[*index]);
                }
                Ok::<_, &'static str>(row.map(Row::into_values))
            }));
            let fault = |reason| ViewFault::new(&self.events[at.get()].record, reason);
            changed.push(match folded {
                Ok(Ok(row)) => row,
                Ok(Err(column)) => {
                    let reason = format!("column {column} of row {} does not fit the view's row", group.key);
                    return Err(fault(reason));
                }
                Err(_) => return Err(fault("`fold` panicked".to_owned())),
            });
        }
        Ok(changed)
    }
}
