//! Which views there are, in which generations, and how far each has come.
//!
//! ```text
//!  begun ──► building ──► active ──► replaced ──► active …
//!               │                        │
//!               └───────► discarded ◄────┘ ──► its table is dropped, once nobody looks at it
//! ```
//!
//! Only the generation that is active and the one being built answer. A swap changes rows of the
//! catalogue alone: a table that somebody looks at, a dump say, is never waited for by those who read or
//! fold the view.

use async_trait::async_trait;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::adapter::{ListedGeneration, ViewList, check_definition, stored_number};
use underlay_core::{
    Checkpoint, Error, EventId, Generation, LeaseTerm, ParkedEvent, Position, StoreId, StreamName, Swap,
    Swept, TenantId, Timestamp, Version, ViewInfo, ViewSchema, ViewTable, no_generation, none_replaced,
    still_read,
};
use uuid::Uuid;

use crate::connections::session::{Parameter, Statement, Work};
use crate::error::{Failure, raised};
use crate::log::event_row::{self, RawJson};
use crate::log::known::fingerprint;
use crate::read_models::apply_batch;
use crate::store::Open;
use crate::views::{view_orders, view_stops, view_table};

/// Finds the generation that is read, in the answer to `select_active_generation`; `None` where the view is not
/// there.
///
/// # Errors
/// `ViewChanged` where it was built by another definition.
pub(crate) fn active(rows: &[Row], schema: &ViewSchema) -> Result<Option<u32>, Failure> {
    let Some(row) = rows.first() else { return Ok(None) };
    let found = generation(row, 0)?;
    let built_by = fingerprint(row, 1, format_args!("view {}", schema.name))?;
    let definition: RawJson<'_> = row.try_get(2)?;
    check_definition(schema, built_by, definition.0)?;
    Ok(Some(found))
}

/// Makes the first generation of a view, where nobody else has made it.
pub(crate) struct CreateView<'a> {
    pub(crate) open: &'a Open,
    pub(crate) schema: &'a ViewSchema,
    pub(crate) start: &'a Checkpoint,
}

#[async_trait]
impl Work for CreateView<'_> {
    type Done = u32;

    async fn run(&self, client: &Client) -> Result<u32, Failure> {
        let schema = self.schema;
        let name: [Parameter<'_>; 1] = [(&schema.name, Type::TEXT)];
        // Of two that insert it, the second waits for the first to end.
        let made = client.query_typed(include_str!("../sql/insert_view.sql"), &name).await?;
        if made.is_empty() {
            let there =
                client.query_typed(include_str!("../sql/select_active_generation.sql"), &name).await?;
            return active(&there, schema)?.ok_or_else(|| no_view(&schema.name));
        }
        create_generation(client, self.open, schema, 1, self.start).await
    }
}

/// Makes the generation after all there were, discarding one that was begun before.
pub(crate) struct BeginGeneration<'a> {
    pub(crate) open: &'a Open,
    pub(crate) schema: &'a ViewSchema,
    pub(crate) start: &'a Checkpoint,
}

#[async_trait]
impl Work for BeginGeneration<'_> {
    type Done = u32;

    async fn run(&self, client: &Client) -> Result<u32, Failure> {
        let name = &self.schema.name;
        lock_view(client, name).await?.ok_or_else(|| no_view(name))?;
        if let Some(begun) = Generations::of(client, name).await?.building {
            discard(client, name, begun).await?;
        }
        let parameters: [Parameter<'_>; 1] = [(name, Type::TEXT)];
        let last = client.query_typed(include_str!("../sql/update_last_generation.sql"), &parameters).await?;
        let next = last.first().ok_or_else(|| no_view(name)).and_then(|row| generation(row, 0))?;
        create_generation(client, self.open, self.schema, next, self.start).await
    }
}

/// Makes a generation the one that is read; false where that one is beyond what the swap allows.
pub(crate) struct Activate<'a> {
    pub(crate) open: &'a Open,
    pub(crate) table: &'a ViewTable,
    pub(crate) swap: &'a Swap,
}

#[async_trait]
impl Work for Activate<'_> {
    type Done = bool;

    async fn run(&self, client: &Client) -> Result<bool, Failure> {
        let Self { open, table, swap } = self;
        let name = &table.schema.name;
        lock_view(client, name).await?.ok_or_else(|| no_table(table))?;
        let generations = Generations::of(client, name).await?;
        if generations.building != Some(table.generation) {
            return Err(no_table(table));
        }
        if let Some(known) = swap.order {
            view_orders::check(client, name, known).await?;
        }
        // Whoever writes the rows that are read is waited for here, and nobody writes them from here on.
        let read = Definition::lock(client, name, generations.active).await?;
        if let Some(most) = swap.unless_beyond {
            let number = stored_generation(generations.active)?;
            let select = select_position(name, &number);
            let answer = client.query_typed(select.sql, &select.parameters).await?;
            if position(&answer, table)? > most {
                return Ok(false);
            }
        }
        if let Some(last) = &swap.last {
            apply_batch(client, open.stamp(), table, last).await?;
        }
        read.replace(client, name, table.generation, swap.at).await?;
        Ok(true)
    }
}

/// Makes the generation that was replaced the one that is read again.
pub(crate) struct Revert<'a> {
    pub(crate) schema: &'a ViewSchema,
    pub(crate) at: Timestamp,
}

#[async_trait]
impl Work for Revert<'_> {
    type Done = u32;

    async fn run(&self, client: &Client) -> Result<u32, Failure> {
        let Self { schema, at } = self;
        let name = &schema.name;
        lock_view(client, name).await?.ok_or_else(|| no_view(name))?;
        let active = Generations::of(client, name).await?.active;
        let replaced = Definition::take_replaced(client, name).await?;
        let replaced = replaced.ok_or_else(|| Failure::Answer(none_replaced(schema)))?;
        if replaced.fingerprint != schema.fingerprint().0 {
            let reason = schema.difference_from(&replaced.definition);
            return Err(Failure::Answer(Error::ViewChanged { view: name.clone(), reason }));
        }
        replaced.insert(client, name).await?;
        Definition::lock(client, name, active).await?.replace(client, name, replaced.generation, *at).await?;
        Ok(replaced.generation)
    }
}

/// Gives up a generation that is not read.
pub(crate) struct GiveUp<'a> {
    pub(crate) view: &'a str,
    pub(crate) generation: u32,
}

#[async_trait]
impl Work for GiveUp<'_> {
    type Done = ();

    async fn run(&self, client: &Client) -> Result<(), Failure> {
        let Self { view, generation } = *self;
        lock_view(client, view).await?.ok_or_else(|| no_view(view))?;
        let generations = Generations::of(client, view).await?;
        if generations.active == generation {
            return Err(Failure::Answer(still_read(view, generation)));
        }
        if generations.building == Some(generation) {
            return discard(client, view, generation).await;
        }
        match Definition::take_replaced(client, view).await? {
            Some(replaced) if replaced.generation == generation => {
                insert_discarded(client, view, generation).await
            }
            // Where another one was taken, this error puts it back.
            _ => Err(Failure::Answer(no_generation(view, generation))),
        }
    }
}

/// Drops the table of a discarded generation.
pub(crate) struct Sweep<'a> {
    pub(crate) open: &'a Open,
}

#[async_trait]
impl Work for Sweep<'_> {
    type Done = Swept;

    async fn run(&self, client: &Client) -> Result<Swept, Failure> {
        let found = client.query_typed(include_str!("../sql/lock_discarded_generations.sql"), &[]).await?;
        if found.is_empty() {
            return Ok(Swept::All);
        }
        client.query_typed(include_str!("../sql/set_drop_timeout.sql"), &[]).await?;
        // A table that is looked at does not keep the others.
        for row in &found {
            let (view, generation): (String, u32) = (row.try_get(0)?, generation(row, 1)?);
            client.batch_execute("SAVEPOINT drop").await?;
            let drop = view_table::drop(&view, generation, &self.open.views_schema);
            match client.batch_execute(&drop).await.map_err(Failure::from) {
                Ok(()) => {
                    forget(client, &view, generation).await?;
                    return Ok(Swept::Piece);
                }
                Err(failure) if failure.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                    client.batch_execute("ROLLBACK TO SAVEPOINT drop").await?;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(Swept::Held)
    }
}

/// Takes what the catalogue has of a generation whose table is gone.
async fn forget(client: &Client, view: &str, generation: u32) -> Result<(), Failure> {
    let number = stored_generation(generation)?;
    let parameters: [Parameter<'_>; 2] = [(&view, Type::TEXT), (&number, Type::INT4)];
    for delete in [
        include_str!("../sql/delete_parked_events.sql"),
        include_str!("../sql/delete_view_stop.sql"),
        include_str!("../sql/delete_checkpoint.sql"),
        include_str!("../sql/delete_discarded_generation.sql"),
    ] {
        client.query_typed(delete, &parameters).await?;
    }
    Ok(())
}

/// Remembers events that a generation has passed over, inside the transaction that stores its rows.
pub(crate) async fn park(client: &Client, table: &ViewTable, parked: &[ParkedEvent]) -> Result<(), Failure> {
    let number = stored_generation(table.generation)?;
    let tenants: Vec<&str> = parked.iter().map(|event| event.tenant.as_str()).collect();
    let positions: Vec<i64> = parked.iter().map(|event| stored_number(event.position.number())).collect();
    let streams: Vec<&str> = parked.iter().map(|event| event.stream.as_str()).collect();
    let versions: Vec<i64> = parked.iter().map(|event| stored_number(event.version.0)).collect();
    let ids: Vec<Uuid> = parked.iter().map(|event| event.event_id.0).collect();
    let reasons: Vec<&str> = parked.iter().map(|event| event.reason.as_str()).collect();
    let parameters: [Parameter<'_>; 8] = [
        (&table.schema.name, Type::TEXT),
        (&number, Type::INT4),
        (&tenants, Type::TEXT_ARRAY),
        (&positions, Type::INT8_ARRAY),
        (&streams, Type::TEXT_ARRAY),
        (&versions, Type::INT8_ARRAY),
        (&ids, Type::UUID_ARRAY),
        (&reasons, Type::TEXT_ARRAY),
    ];
    client.query_typed(include_str!("../sql/insert_parked_events.sql"), &parameters).await?;
    Ok(())
}

/// Reads an event that was passed over.
pub(crate) fn parked(row: &Row) -> Result<ParkedEvent, Failure> {
    let text = |at: usize| Ok::<&str, Failure>(row.try_get(at)?);
    let damaged = |error: Error| Failure::damaged(format!("an event that was passed over: {error}"));
    Ok(ParkedEvent {
        tenant: TenantId::new(text(0)?).map_err(damaged)?,
        position: Position::from_number(event_row::count(row, 1)?),
        stream: StreamName::parse(text(2)?).map_err(damaged)?,
        version: Version(event_row::count(row, 3)?),
        event_id: EventId(row.try_get(4)?),
        reason: text(5)?.to_owned(),
    })
}

/// What asks for the checkpoint of a generation.
pub(crate) fn select_checkpoint<'a>(name: &'a String, generation: &'a i32) -> Statement<'a> {
    Statement::new(
        include_str!("../sql/select_checkpoint.sql"),
        [(name as _, Type::TEXT), (generation as _, Type::INT4)],
    )
}

/// The checkpoint in the answer to that.
pub(crate) fn checkpoint(rows: &[Row], table: &ViewTable) -> Result<Checkpoint, Failure> {
    let row = rows.first().ok_or_else(|| no_table(table))?;
    read_checkpoint(row, 0)?.ok_or_else(|| Failure::damaged(format!("{} has no checkpoint", name(table))))
}

/// What asks for the position of a generation: of its checkpoint, all that a tenant's reader may see. The
/// event there may be another tenant's.
pub(crate) fn select_position<'a>(name: &'a String, generation: &'a i32) -> Statement<'a> {
    Statement::new(
        include_str!("../sql/select_view_position.sql"),
        [(name as _, Type::TEXT), (generation as _, Type::INT4)],
    )
}

/// The position in the answer to that.
pub(crate) fn position(rows: &[Row], table: &ViewTable) -> Result<Position, Failure> {
    let row = rows.first().ok_or_else(|| no_table(table))?;
    Ok(Position::from_number(event_row::count(row, 0)?))
}

/// What a failed move of a checkpoint means.
pub(crate) fn moved(failure: Failure, table: &ViewTable, lease: Option<&LeaseTerm>) -> Failure {
    if let Some(lease) = lease.filter(|_| failure.is_raised(raised::LEASE_LOST)) {
        return Failure::Answer(lease.lost());
    }
    if failure.is_raised(raised::CHECKPOINT_MOVED) {
        return Failure::Answer(Error::CheckpointMoved { owner: format!("view {}", table.schema.name) });
    }
    if failure.is_raised(raised::NO_GENERATION) || failure.is_no_table() {
        return no_table(table);
    }
    failure
}

/// All views, by name.
pub(crate) fn views(rows: &[Row]) -> Result<Vec<ViewInfo>, Failure> {
    let mut views = ViewList::default();
    for row in rows {
        let name: String = row.try_get(0)?;
        let generation = Generation {
            number: generation(row, 1)?,
            fingerprint: fingerprint(row, 2, format_args!("view {name}"))?,
            checkpoint: read_checkpoint(row, 3)?
                .ok_or_else(|| Failure::damaged(format!("view {name} has no checkpoint")))?,
            parked: event_row::count(row, 6)?,
            skipped: event_row::count(row, 10)?,
        };
        let replaced_at: Option<i64> = row.try_get(8)?;
        let listed = ListedGeneration {
            generation,
            is_read: row.try_get(7)?,
            replaced_at: replaced_at.map(|_| event_row::stamp(row, 8)).transpose()?,
            discarded: event_row::count(row, 9)?,
            stop: view_stops::stop(row.try_get(11)?, &name)?,
            order: view_orders::order(row, 12)?,
        };
        views.push(name, listed)?;
    }
    Ok(views.into_views())
}

/// A generation as PostgreSQL holds it.
pub(crate) fn stored_generation(generation: u32) -> Result<i32, Failure> {
    i32::try_from(generation)
        .map_err(|_| Failure::Answer(Error::NotFound(format!("generation {generation} of a view"))))
}

/// That a generation is not there.
pub(crate) fn no_table(table: &ViewTable) -> Failure {
    Failure::Answer(no_generation(&table.schema.name, table.generation))
}

pub(crate) fn no_view(name: &str) -> Failure {
    Failure::Answer(Error::NotFound(format!("view {name}")))
}

fn name(table: &ViewTable) -> String {
    format!("generation {} of view {}", table.generation, table.schema.name)
}

fn generation(row: &Row, at: usize) -> Result<u32, Failure> {
    let generation: i32 = row.try_get(at)?;
    u32::try_from(generation).map_err(|_| Failure::damaged(format!("a view has generation {generation}")))
}

/// Keeps others from changing the generations of a view; the one that is read.
pub(crate) async fn lock_view(client: &Client, name: &str) -> Result<Option<u32>, Failure> {
    let parameters: [Parameter<'_>; 1] = [(&name, Type::TEXT)];
    let rows = client.query_typed(include_str!("../sql/lock_view.sql"), &parameters).await?;
    rows.first().map(|row| generation(row, 0)).transpose()
}

/// The generations of a view that answer.
pub(crate) struct Generations {
    pub(crate) active: u32,
    pub(crate) building: Option<u32>,
}

impl Generations {
    pub(crate) async fn of(client: &Client, view: &str) -> Result<Self, Failure> {
        let parameters: [Parameter<'_>; 1] = [(&view, Type::TEXT)];
        let rows = client.query_typed(include_str!("../sql/select_generations.sql"), &parameters).await?;
        let (mut active, mut building) = (None, None);
        for row in &rows {
            let number = generation(row, 0)?;
            if row.try_get(1)? { active = Some(number) } else { building = Some(number) }
        }
        let active = active.ok_or_else(|| {
            Failure::damaged(format!("the generation of view {view} that is read is missing"))
        })?;
        Ok(Self { active, building })
    }
}

/// A generation with what its rows were built by, as the database holds it.
pub(crate) struct Definition {
    generation: u32,
    fingerprint: Vec<u8>,
    definition: String,
}

impl Definition {
    /// That of a generation that answers; nobody writes its rows from here on.
    pub(crate) async fn lock(client: &Client, view: &str, generation: u32) -> Result<Self, Failure> {
        let number = stored_generation(generation)?;
        let parameters: [Parameter<'_>; 2] = [(&view, Type::TEXT), (&number, Type::INT4)];
        let rows = client.query_typed(include_str!("../sql/lock_generation.sql"), &parameters).await?;
        let row = rows.first().ok_or_else(|| Failure::Answer(no_generation(view, generation)))?;
        Ok(Self { generation, fingerprint: row.try_get(0)?, definition: row.try_get(1)? })
    }

    /// Takes that of the generation that was replaced out of its place.
    async fn take_replaced(client: &Client, view: &str) -> Result<Option<Self>, Failure> {
        let parameters: [Parameter<'_>; 1] = [(&view, Type::TEXT)];
        let rows =
            client.query_typed(include_str!("../sql/take_replaced_generation.sql"), &parameters).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (fingerprint, definition) = (row.try_get(1)?, row.try_get(2)?);
        Ok(Some(Self { generation: generation(row, 0)?, fingerprint, definition }))
    }

    /// Lets the generation answer.
    async fn insert(&self, client: &Client, view: &str) -> Result<(), Failure> {
        let number = stored_generation(self.generation)?;
        let parameters: [Parameter<'_>; 4] = [
            (&view, Type::TEXT),
            (&number, Type::INT4),
            (&self.fingerprint, Type::BYTEA),
            (&self.definition, Type::TEXT),
        ];
        client.query_typed(include_str!("../sql/insert_generation.sql"), &parameters).await?;
        Ok(())
    }

    /// Puts another generation in the place of this one, which is kept; the one kept until then goes.
    async fn replace(&self, client: &Client, view: &str, active: u32, at: Timestamp) -> Result<(), Failure> {
        if let Some(before) = Self::take_replaced(client, view).await? {
            insert_discarded(client, view, before.generation).await?;
        }
        let (number, next) = (stored_generation(self.generation)?, stored_generation(active)?);
        let parameters: [Parameter<'_>; 2] = [(&view, Type::TEXT), (&number, Type::INT4)];
        client.query_typed(include_str!("../sql/delete_generation.sql"), &parameters).await?;
        let microseconds = at.as_microsecond();
        let parameters: [Parameter<'_>; 5] = [
            (&view, Type::TEXT),
            (&number, Type::INT4),
            (&self.fingerprint, Type::BYTEA),
            (&self.definition, Type::TEXT),
            (&microseconds, Type::INT8),
        ];
        client.query_typed(include_str!("../sql/insert_replaced_generation.sql"), &parameters).await?;
        let parameters: [Parameter<'_>; 2] = [(&view, Type::TEXT), (&next, Type::INT4)];
        client.query_typed(include_str!("../sql/update_active_generation.sql"), &parameters).await?;
        Ok(())
    }
}

async fn create_generation(
    client: &Client,
    open: &Open,
    schema: &ViewSchema,
    generation: u32,
    start: &Checkpoint,
) -> Result<u32, Failure> {
    let definition = serde_json::to_string(schema)
        .map_err(|error| Failure::refused(format!("view {} has no JSON form: {error}", schema.name)))?;
    let number = stored_generation(generation)?;
    let position = stored_number(start.position.number());
    let event_id = start.event_id.map(|id| id.0);
    let fingerprint = schema.fingerprint().0.to_vec();
    Definition { generation, fingerprint, definition }.insert(client, &schema.name).await?;
    let parameters: [Parameter<'_>; 5] = [
        (&schema.name, Type::TEXT),
        (&number, Type::INT4),
        (&start.store.0, Type::UUID),
        (&position, Type::INT8),
        (&event_id, Type::UUID),
    ];
    client.query_typed(include_str!("../sql/insert_checkpoint.sql"), &parameters).await?;
    let table = ViewTable { schema: schema.clone(), generation };
    let create = view_table::create(&table, &open.views_schema, &open.reader_role, &open.worker_role);
    client.batch_execute(&create).await?;
    Ok(generation)
}

/// Takes a generation that is being built out of the catalogue; what it has left is for [`Sweep`].
async fn discard(client: &Client, view: &str, generation: u32) -> Result<(), Failure> {
    let number = stored_generation(generation)?;
    let parameters: [Parameter<'_>; 2] = [(&view, Type::TEXT), (&number, Type::INT4)];
    // Whoever writes its rows is waited for here.
    client.query_typed(include_str!("../sql/delete_generation.sql"), &parameters).await?;
    insert_discarded(client, view, generation).await
}

async fn insert_discarded(client: &Client, view: &str, generation: u32) -> Result<(), Failure> {
    let number = stored_generation(generation)?;
    let parameters: [Parameter<'_>; 2] = [(&view, Type::TEXT), (&number, Type::INT4)];
    client.query_typed(include_str!("../sql/insert_discarded_generation.sql"), &parameters).await?;
    Ok(())
}

/// The checkpoint in three columns; `None` where they are empty.
fn read_checkpoint(row: &Row, at: usize) -> Result<Option<Checkpoint>, Failure> {
    let Some(store) = row.try_get::<_, Option<Uuid>>(at)? else { return Ok(None) };
    let event_id: Option<Uuid> = row.try_get(at + 2)?;
    Ok(Some(Checkpoint {
        store: StoreId(store),
        position: Position::from_number(event_row::count(row, at + 1)?),
        event_id: event_id.map(EventId),
    }))
}
