//! What a service is made of, by name: aggregates, operations, views, entities, handlers and pumps, with their types
//! erased.

mod decisions;
mod drawers;
mod entities;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::limits::NAME_BYTES_MAX;
use underlay_core::{
    Aggregate, Asked, BusSubscription, CANCELLED, CONFLICT, Command, CommandDescriptor, CommandError,
    DecodeError, Draw, Entity as _, EntitySchema, Error, Event, EventDescriptor, GIVEN_UP, Handler, Json,
    Operation, Persistent, Process, Recorded, RecordedEvent, Sink, SnapshotState, StreamName, Subscriber,
    View, ViewSchema, check_plain_name, decode_body,
};

pub use self::decisions::DecisionInfo;
pub(crate) use self::drawers::{Drawers, Drawn};
pub(crate) use self::entities::EntityEntry;
use crate::cache::Invalidations;
use crate::commands::{Commands, SnapshotsOf, Snapshotter, refusal_to_json};
use crate::names::{listed, not_found};
use crate::processes::{CATEGORY_PREFIX, InstancesView, ProcessEntry, ProcessOf};
use crate::views::{FoldedView, ViewFolder};
use crate::work::{HandlerEntry, Handling, check_handler};
use crate::{ErasedRefusal, ExecuteError, ExecuteNamedError, Executed, Request, RowStores};

/// What the names of the engine's own views begin with.
const RESERVED_VIEWS: &str = "underlay_";

/// What there is of an aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregateInfo {
    /// The category of its streams.
    pub category: &'static str,
    /// Its commands.
    pub commands: Vec<CommandDescriptor>,
    /// Its event types.
    pub events: Vec<EventDescriptor>,
}

/// What there is of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationInfo {
    /// Its name.
    pub name: &'static str,
    /// Who comes in from outside needs one of these roles; none are needed where there are none.
    pub roles: &'static [&'static str],
}

#[async_trait]
pub(crate) trait AggregateEntry: Send + Sync {
    fn info(&self) -> AggregateInfo;
    fn decisions(&self) -> Vec<DecisionInfo>;
    fn event_schemas(&self) -> Vec<(EventDescriptor, Json)>;
    fn decodes(&self, event: &RecordedEvent) -> Result<bool, DecodeError>;
    /// The stream of a command that is well formed.
    fn check(&self, id: &str, command: &str, body: &str) -> Result<StreamName, ExecuteNamedError>;
    async fn execute(
        &self,
        commands: &Commands,
        request: &Request,
        id: &str,
        command: &str,
        body: Body<'_>,
    ) -> Result<Executed, ExecuteNamedError>;
}

#[async_trait]
pub(crate) trait OperationEntry: Send + Sync {
    fn info(&self) -> OperationInfo;
    fn decision(&self) -> DecisionInfo;
    /// Refuses a body that does not fit.
    fn check(&self, body: &str) -> Result<(), ExecuteNamedError>;
    async fn operate(
        &self,
        commands: &Commands,
        request: &Request,
        body: Body<'_>,
    ) -> Result<Executed, ExecuteNamedError>;
}

/// The body of a command that is called by its name.
#[derive(Clone, Copy)]
pub(crate) struct Body<'a> {
    /// The text.
    pub(crate) text: &'a str,
    /// Whether typed code gave it, before it was stored.
    pub(crate) is_typed: bool,
}

impl<'a> Body<'a> {
    /// What somebody sent.
    pub(crate) fn sent(text: &'a str) -> Self {
        Self { text, is_typed: false }
    }

    fn asked(self) -> Result<Asked, Error> {
        match self.is_typed {
            true => Asked::typed(&Json::from_stored(self.text)),
            false => Asked::by_name(self.text),
        }
    }
}

/// Everything a service is made of, by name. The engine is built from it.
#[derive(Default, Clone)]
pub struct Registry {
    aggregates: BTreeMap<&'static str, Arc<dyn AggregateEntry>>,
    operations: BTreeMap<&'static str, Arc<dyn OperationEntry>>,
    views: BTreeMap<&'static str, Arc<dyn ViewFolder>>,
    entities: BTreeMap<&'static str, EntityEntry>,
    handlers: BTreeMap<&'static str, Arc<dyn HandlerEntry>>,
    snapshotters: BTreeMap<&'static str, Arc<dyn Snapshotter>>,
    processes: BTreeMap<&'static str, Arc<dyn ProcessEntry>>,
    sinks: BTreeMap<&'static str, Arc<dyn Sink>>,
    subscribers: Vec<(BusSubscription, Arc<dyn Subscriber>)>,
    event_types: BTreeMap<&'static str, (&'static str, EventDescriptor)>,
    drawers: Drawers,
    invalidations: Invalidations,
    clashes: Vec<String>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("aggregates", &self.aggregates.keys())
            .field("operations", &self.operations.keys())
            .field("views", &self.views.keys())
            .field("entities", &self.entities.keys())
            .field("handlers", &self.handlers.keys())
            .field("processes", &self.processes.keys())
            .field("pumps", &self.sinks.keys())
            .finish()
    }
}

impl Registry {
    /// Adds an aggregate.
    #[must_use]
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        self.declare(A::CATEGORY, A::Event::descriptors());
        if self.aggregates.insert(A::CATEGORY, Arc::new(Entry::<A>::new())).is_some() {
            self.clashes.push(format!("two aggregates have the category {}", A::CATEGORY));
        }
        self
    }

    /// Stores the states of an aggregate every so many events, so that a long stream loads by its tail.
    #[must_use]
    pub fn snapshots<A: SnapshotState>(mut self) -> Self {
        self.snapshotters.insert(A::CATEGORY, Arc::new(SnapshotsOf::<A>::new()));
        self
    }

    /// Adds an operation.
    #[must_use]
    pub fn operation<O: Operation>(mut self) -> Self {
        if self.operations.insert(O::NAME, Arc::new(Entry::<O>::new())).is_some() {
            self.clashes.push(format!("two operations have the name {}", O::NAME));
        }
        self
    }

    /// Adds a view.
    #[must_use]
    pub fn view<V: View>(mut self, view: V) -> Self {
        if V::NAME.starts_with(RESERVED_VIEWS) {
            self.clashes.push(format!("view {} has a name of the engine's own: {RESERVED_VIEWS}…", V::NAME));
        }
        if self.views.insert(V::NAME, Arc::new(FoldedView::new(view))).is_some() {
            self.clashes.push(format!("two views have the name {}", V::NAME));
        }
        self
    }

    /// Adds an entity, or a type of the domain that is kept as one.
    #[must_use]
    pub fn entity<T: Persistent>(mut self) -> Self {
        if self.entities.insert(T::Stored::NAME, EntityEntry::of::<T>()).is_some() {
            self.clashes.push(format!("two entities have the name {}", T::Stored::NAME));
        }
        self
    }

    /// Adds a process. Its instances are listed by a view of the engine's own.
    #[must_use]
    pub fn process<P: Process>(mut self, process: P) -> Self {
        self.views
            .entry(InstancesView::NAME)
            .or_insert_with(|| Arc::new(FoldedView::new(InstancesView)) as Arc<dyn ViewFolder>);
        let attempts = process.attempts();
        if attempts.attempts_max == 0 || attempts.timeout.is_zero() {
            self.clashes.push(format!(
                "process {} has at least one attempt, and some time for it; it says {attempts:?}",
                P::NAME
            ));
        }
        if self.processes.insert(P::NAME, Arc::new(ProcessOf(process))).is_some() {
            self.clashes.push(format!("two processes have the name {}", P::NAME));
        }
        self
    }

    /// Draws messages and commands from events, before the commit that stores both. Several may draw from one type:
    /// what they draw is sent in the order they were added.
    #[must_use]
    pub fn draw<D: Draw>(mut self, draw: D) -> Self {
        self.drawers.add(draw);
        self
    }

    /// Takes away from the cache what an event makes stale: all values of its tenant that have one of these tags. Every process
    /// does so soon after the commit.
    #[must_use]
    pub fn cache_invalidated_by<E: Event>(
        mut self,
        tags: impl Fn(&Recorded<E>) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        self.invalidations.add::<E>(tags);
        self
    }

    /// Adds a handler. Its messages stand beside the events of the service: the name of a type is unique among
    /// both.
    #[must_use]
    pub fn handler<H: Handler>(mut self, handler: H) -> Self {
        self.declare(H::NAME, H::Message::descriptors());
        if let Err(wrong) = check_handler(H::NAME, &handler.attempts()) {
            self.clashes.push(wrong.to_string());
        }
        if self.handlers.insert(H::NAME, Arc::new(Handling::new(handler))).is_some() {
            self.clashes.push(format!("two handlers have the name {}", H::NAME));
        }
        self
    }

    /// Adds a pump: it brings the log to a sink, from where it last was. Its name is stored with its place.
    #[must_use]
    pub fn pump(mut self, name: &'static str, sink: impl Sink) -> Self {
        if self.sinks.insert(name, Arc::new(sink)).is_some() {
            self.clashes.push(format!("two pumps have the name {name}"));
        }
        self
    }

    /// Takes in the types that an aggregate or a handler declares.
    fn declare(&mut self, by: &'static str, types: Vec<EventDescriptor>) {
        for descriptor in types {
            if let Some((owner, _)) = self.event_types.insert(descriptor.name, (by, descriptor)) {
                self.clashes.push(format!(
                    "event type {} is declared by {owner} and by {by}; a type's name is unique in a service",
                    descriptor.name,
                ));
            }
        }
    }

    /// Adds a subscriber of the event bus. Every process has it, and gives it what is committed from its start on,
    /// by whatever process; see [`Engine::subscribe`](crate::Engine::subscribe).
    #[must_use]
    pub fn subscriber(mut self, wanted: BusSubscription, subscriber: impl Subscriber) -> Self {
        self.subscribers.push((wanted, Arc::new(subscriber)));
        self
    }

    /// The names of the pumps, in order.
    #[must_use]
    pub fn pumps(&self) -> Vec<&'static str> {
        self.sinks.keys().copied().collect()
    }

    pub(crate) fn invalidations(&self) -> &Invalidations {
        &self.invalidations
    }

    pub(crate) fn sinks(&self) -> &BTreeMap<&'static str, Arc<dyn Sink>> {
        &self.sinks
    }

    pub(crate) fn subscribers(&self) -> &[(BusSubscription, Arc<dyn Subscriber>)] {
        &self.subscribers
    }

    /// The store that a view names for its rows; none where it names none, or there is no such view.
    #[must_use]
    pub fn view_store(&self, view: &str) -> Option<&'static str> {
        self.views.get(view)?.store()
    }

    /// Refuses views whose rows have no store to be in.
    pub(crate) fn check_stores(&self, stores: &RowStores) -> Result<(), Error> {
        let missing = |(view, folder): (&&'static str, &Arc<dyn ViewFolder>)| {
            let store = folder.store().filter(|store| !stores.contains_key(*store))?;
            Some((*view, store))
        };
        match self.views.iter().find_map(missing) {
            None => Ok(()),
            Some((view, store)) => {
                let known = listed(stores.keys().map(String::as_str));
                Err(Error::invalid(format!(
                    "view {view} keeps its rows in the store {store:?}, which this service was not given \
                     (there are: {known})"
                )))
            }
        }
    }

    /// The aggregates, by category.
    #[must_use]
    pub fn aggregates(&self) -> Vec<AggregateInfo> {
        self.aggregates.values().map(|entry| entry.info()).collect()
    }

    /// The operations, by name.
    #[must_use]
    pub fn operations(&self) -> Vec<OperationInfo> {
        self.operations.values().map(|entry| entry.info()).collect()
    }

    /// Every role that a command, an operation, a view or an entity asks for, each once.
    #[must_use]
    pub fn roles(&self) -> Vec<&'static str> {
        let of_commands = self.aggregates.values().flat_map(|entry| entry.info().commands);
        let of_operations = self.operations.values().map(|entry| entry.info().roles);
        let of_views = self.views.values().map(|view| view.roles());
        let of_entities = self.entities.values().map(|entity| entity.roles);
        let all = of_commands.map(|command| command.roles).chain(of_operations);
        let all = all.chain(of_views).chain(of_entities);
        let roles: BTreeSet<&str> = all.flatten().copied().collect();
        roles.into_iter().collect()
    }

    /// The roles one of which a command asks for; none where it asks for none, or is not there.
    #[must_use]
    pub fn command_roles(&self, category: &str, command: &str) -> &'static [&'static str] {
        let commands = self.aggregates.get(category).map(|entry| entry.info().commands).unwrap_or_default();
        commands.iter().find(|known| known.name == command).map_or(&[], |command| command.roles)
    }

    /// The roles one of which an operation asks for; none where it asks for none, or is not there.
    #[must_use]
    pub fn operation_roles(&self, name: &str) -> &'static [&'static str] {
        self.operations.get(name).map_or(&[], |entry| entry.info().roles)
    }

    /// The roles one of which a view asks for; none where it asks for none, or is not there.
    #[must_use]
    pub fn view_roles(&self, view: &str) -> &'static [&'static str] {
        self.views.get(view).map_or(&[], |view| view.roles())
    }

    /// The stored shapes of the views, by name.
    #[must_use]
    pub fn views(&self) -> Vec<ViewSchema> {
        self.views.values().map(|view| view.schema()).collect()
    }

    /// The stored shape of a view.
    ///
    /// # Errors
    /// [`Error::NotFound`] that lists the views there are.
    pub fn view_schema(&self, view: &str) -> Result<ViewSchema, Error> {
        Ok(self.find_view(view)?.schema())
    }

    /// The stored shapes of the entities, by name.
    #[must_use]
    pub fn entities(&self) -> Vec<Arc<EntitySchema>> {
        self.entities.values().map(|entity| entity.schema.clone()).collect()
    }

    /// The same without its entities, for a program that has nothing to do with them.
    #[must_use]
    pub fn without_entities(mut self) -> Self {
        self.entities.clear();
        self
    }

    /// The roles one of which an entity asks for; none where it asks for none, or is not there.
    #[must_use]
    pub fn entity_roles(&self, entity: &str) -> &'static [&'static str] {
        self.entities.get(entity).map_or(&[], |entity| entity.roles)
    }

    pub(crate) fn entity_entries(&self) -> &BTreeMap<&'static str, EntityEntry> {
        &self.entities
    }

    /// The names of the handlers.
    #[must_use]
    pub fn handlers(&self) -> Vec<&'static str> {
        self.handlers.keys().copied().collect()
    }

    /// Every declared type of an event or a message with the JSON Schema of its payload, by name.
    #[must_use]
    pub fn event_schemas(&self) -> Vec<(EventDescriptor, Json)> {
        let of_messages = self.handlers.values().flat_map(|handler| handler.message_schemas());
        let mut schemas: Vec<(EventDescriptor, Json)> =
            self.aggregates.values().flat_map(|entry| entry.event_schemas()).chain(of_messages).collect();
        schemas.sort_by_key(|(event, _)| event.name);
        schemas
    }

    /// The state of every process with its version and the JSON Schema of its shape, by the name of the process.
    #[must_use]
    pub fn process_states(&self) -> Vec<(EventDescriptor, Json)> {
        let state = |(name, entry): (&&'static str, &Arc<dyn ProcessEntry>)| {
            (EventDescriptor { name, version: entry.version() }, entry.state_schema())
        };
        self.processes.iter().map(state).collect()
    }

    /// Decodes a stored event by the aggregate or the process of its stream; false where nothing declares its type.
    ///
    /// # Errors
    /// [`DecodeError`] where the payload does not fit the type.
    pub fn decode_event(&self, event: &RecordedEvent) -> Result<bool, DecodeError> {
        if let Some(process) = self.process_of(event.stream.category()) {
            return process.decodes(event);
        }
        match self.aggregates.get(event.stream.category()) {
            Some(aggregate) => aggregate.decodes(event),
            None => Ok(false),
        }
    }

    /// The process whose instances are kept in streams of a category.
    fn process_of(&self, category: &str) -> Option<&Arc<dyn ProcessEntry>> {
        self.processes.get(category.strip_prefix(CATEGORY_PREFIX)?)
    }

    /// Refuses two of one name that receive work. A line of work is that of a tenant, a name and a key, so what the one
    /// cannot do would hold up the other.
    fn check_receivers(&self) -> Result<(), Error> {
        let named = |(name, what)| move |of: &&'static str| (*of, (name, what));
        let aggregates = self.aggregates.keys().map(named(("an aggregate", "category")));
        let operations = self.operations.keys().map(named(("an operation", "name")));
        let processes = self.processes.keys().map(named(("a process", "name")));
        let handlers = self.handlers.keys().map(named(("a handler", "name")));
        let mut known = BTreeMap::new();
        for (name, who) in aggregates.chain(operations).chain(processes).chain(handlers) {
            if let Some((other, what)) = known.insert(name, who) {
                return Err(Error::invalid(format!(
                    "{other} has the {what} {name}, and {} has it too: their work would stand in the same lines, and \
                     that of one would wait for that of the other; give one of them another name",
                    who.0
                )));
            }
        }
        Ok(())
    }

    /// The first name that is used twice, or a view, an entity or a process that is not well formed.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        if let Some(clash) = self.clashes.first() {
            return Err(Error::invalid(clash.clone()));
        }
        let mut processes = self.processes.keys();
        let checked = processes.try_for_each(|name| check_plain_name(name, NAME_BYTES_MAX));
        checked.map_err(|wrong| Error::invalid(format!("process {wrong}")))?;
        if let Some(category) = self.aggregates.keys().find(|category| self.process_of(category).is_some()) {
            return Err(Error::invalid(format!(
                "an aggregate has the category {category}, in which the process of that name keeps its instances"
            )));
        }
        self.check_receivers()?;
        if let Some(stray) = self.drawers.event_types().find(|name| !self.event_types.contains_key(*name)) {
            return Err(Error::invalid(format!(
                "work is drawn from event type {stray}, which no aggregate of the service declares"
            )));
        }
        let mut stale = self.invalidations.event_types();
        if let Some(stray) = stale.find(|name| !self.event_types.contains_key(*name)) {
            return Err(Error::invalid(format!(
                "the cache is invalidated by event type {stray}, which no aggregate of the service declares"
            )));
        }
        self.entities().iter().try_for_each(|schema| schema.validate())?;
        self.views().iter().try_for_each(|schema| schema.validate())
    }

    pub(crate) fn find_aggregate(&self, category: &str) -> Result<Arc<dyn AggregateEntry>, Error> {
        self.aggregates
            .get(category)
            .cloned()
            .ok_or_else(|| not_found("category", category, self.aggregates.keys().copied()))
    }

    pub(crate) fn find_operation(&self, name: &str) -> Result<Arc<dyn OperationEntry>, Error> {
        self.operations
            .get(name)
            .cloned()
            .ok_or_else(|| not_found("operation", name, self.operations.keys().copied()))
    }

    pub(crate) fn find_view(&self, name: &str) -> Result<Arc<dyn ViewFolder>, Error> {
        self.views.get(name).cloned().ok_or_else(|| not_found("view", name, self.views.keys().copied()))
    }

    pub(crate) fn drawers(&self) -> &Drawers {
        &self.drawers
    }

    pub(crate) fn snapshotter(&self, category: &str) -> Option<Arc<dyn Snapshotter>> {
        self.snapshotters.get(category).cloned()
    }

    pub(crate) fn processes(&self) -> impl Iterator<Item = &Arc<dyn ProcessEntry>> {
        self.processes.values()
    }

    /// The handlers, by name.
    pub(crate) fn handler_entries(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn HandlerEntry>)> {
        self.handlers.iter().map(|(name, handler)| (*name, handler))
    }

    pub(crate) fn folders(&self) -> impl Iterator<Item = &Arc<dyn ViewFolder>> {
        self.views.values()
    }
}

struct Entry<T>(std::marker::PhantomData<fn() -> T>);

impl<T> Entry<T> {
    fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

#[async_trait]
impl<A: Aggregate> AggregateEntry for Entry<A> {
    fn info(&self) -> AggregateInfo {
        AggregateInfo {
            category: A::CATEGORY,
            commands: A::Command::descriptors(),
            events: A::Event::descriptors(),
        }
    }

    fn decisions(&self) -> Vec<DecisionInfo> {
        DecisionInfo::of_aggregate::<A>()
    }

    fn event_schemas(&self) -> Vec<(EventDescriptor, Json)> {
        A::Event::descriptors().into_iter().zip(A::Event::schemas()).collect()
    }

    fn decodes(&self, event: &RecordedEvent) -> Result<bool, DecodeError> {
        Ok(event.decode::<A::Event>()?.is_some())
    }

    fn check(&self, id: &str, command: &str, body: &str) -> Result<StreamName, ExecuteNamedError> {
        let stream = A::stream(&parse_id::<A>(id)?)?;
        A::Command::decode(command, body)?;
        Ok(stream)
    }

    async fn execute(
        &self,
        commands: &Commands,
        request: &Request,
        id: &str,
        command: &str,
        body: Body<'_>,
    ) -> Result<Executed, ExecuteNamedError> {
        let id = parse_id::<A>(id)?;
        let command = A::Command::decode(command, body.text)?;
        let asked = body.asked()?;
        commands.decide_aggregate::<A>(request, &id, command, &asked, &[]).await.map_err(erase)
    }
}

#[async_trait]
impl<O: Operation> OperationEntry for Entry<O> {
    fn info(&self) -> OperationInfo {
        OperationInfo { name: O::NAME, roles: O::ROLES }
    }

    fn decision(&self) -> DecisionInfo {
        DecisionInfo::of_operation::<O>()
    }

    fn check(&self, body: &str) -> Result<(), ExecuteNamedError> {
        parse_operation::<O>(body)?;
        Ok(())
    }

    async fn operate(
        &self,
        commands: &Commands,
        request: &Request,
        body: Body<'_>,
    ) -> Result<Executed, ExecuteNamedError> {
        let operation = parse_operation::<O>(body.text)?;
        let asked = body.asked()?;
        commands.decide_operation(request, operation, &asked, &[]).await.map_err(erase)
    }
}

fn parse_id<A: Aggregate>(id: &str) -> Result<A::Id, Error> {
    let parsed = id.parse::<A::Id>();
    parsed.map_err(|error| Error::invalid(format!("{id:?} is not an id of {}: {error}", A::CATEGORY)))
}

fn parse_operation<O: Operation>(body: &str) -> Result<O, CommandError> {
    decode_body(O::NAME, body)
}

/// Why a command was not executed, before the type of its refusal is erased, or given back to a stored one.
pub(crate) enum NotExecuted<R> {
    Refused(R),
    RefusedBefore { code: String, message: String, body: Json },
    Failed(Error),
}

impl<R> From<Error> for NotExecuted<R> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn erase<R: underlay_core::Refusal>(ended: NotExecuted<R>) -> ExecuteNamedError {
    match ended {
        NotExecuted::Refused(refusal) => match refusal_to_json(&refusal) {
            Ok(fields) => ExecuteNamedError::Refused(ErasedRefusal {
                code: refusal.code().to_owned(),
                message: refusal.to_string(),
                fields,
                repeated: false,
            }),
            Err(error) => ExecuteNamedError::Failed(error),
        },
        NotExecuted::RefusedBefore { code, message, body } => {
            ExecuteNamedError::Refused(ErasedRefusal { code, message, fields: body, repeated: true })
        }
        NotExecuted::Failed(error) => ExecuteNamedError::Failed(error),
    }
}

/// Whether a command ended without a decision, by the code of its outcome.
fn is_of_no_domain(code: &str) -> bool {
    [CANCELLED, CONFLICT, GIVEN_UP].contains(&code)
}

/// Gives a refusal its type back.
pub(crate) fn typed<R: underlay_core::Refusal>(ended: NotExecuted<R>) -> ExecuteError<R> {
    match ended {
        NotExecuted::Refused(refusal) => ExecuteError::Refused(refusal),
        NotExecuted::RefusedBefore { code, message, body } if is_of_no_domain(&code) => {
            ExecuteError::Ended(ErasedRefusal { code, message, fields: body, repeated: true })
        }
        NotExecuted::RefusedBefore { code, body, .. } => match R::decode(&code, body.as_str()) {
            Some(refusal) => ExecuteError::Refused(refusal),
            None if body.as_str() == "null" => ExecuteError::Failed(Error::NotFound(format!(
                "the body of refusal {code}, which this command got before and whose retention has passed,"
            ))),
            None => ExecuteError::Failed(Error::Damaged(format!(
                "the command was refused before with code {code}, which the code no longer knows"
            ))),
        },
        NotExecuted::Failed(error) => ExecuteError::Failed(error),
    }
}
