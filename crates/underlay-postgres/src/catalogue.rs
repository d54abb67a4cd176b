//! Which views there are, in which generations, and how far each has come.

use async_trait::async_trait;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::{
    Checkpoint, Error, EventId, LeaseTerm, Position, StoreId, ViewInfo, ViewSchema, ViewTable,
};
use uuid::Uuid;

use crate::error::{Failure, raised};
use crate::event_row::{self, RawJson};
use crate::known::fingerprint;
use crate::row_table;
use crate::session::{Parameter, Statement, Work};
use crate::store::Open;

/// Finds the generation that is read, in the answer to `select_active_generation`; `None` where the view is not
/// there.
///
/// # Errors
/// `ViewChanged` where it was built by another definition.
pub(crate) fn active(rows: &[Row], schema: &ViewSchema) -> Result<Option<u32>, Failure> {
    let Some(row) = rows.first() else { return Ok(None) };
    let found = generation(row, 0)?;
    if fingerprint(row, 1, format_args!("view {}", schema.name))? != schema.fingerprint() {
        let definition: RawJson<'_> = row.try_get(2)?;
        let reason = difference(definition.0, schema);
        return Err(Failure::Answer(Error::ViewChanged { view: schema.name.clone(), reason }));
    }
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
        let made = client.query_typed(include_str!("sql/insert_view.sql"), &name).await?;
        if made.is_empty() {
            let there = client.query_typed(include_str!("sql/select_active_generation.sql"), &name).await?;
            return active(&there, schema)?.ok_or_else(|| no_view(&schema.name));
        }
        create_generation(client, self.open, schema, 1, self.start).await
    }
}

/// Makes the generation after all there are, replacing one that was begun before.
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
        let active = lock_view(client, name).await?.ok_or_else(|| no_view(name))?;
        let mut last = active;
        for generation in generations(client, name).await? {
            if generation > active {
                drop_generation(client, self.open, name, generation).await?;
            }
            last = last.max(generation);
        }
        // Above the one replaced too, so that whoever began that one finds it gone.
        create_generation(client, self.open, self.schema, last + 1, self.start).await
    }
}

/// Makes a generation the one that is read and drops the others.
pub(crate) struct Activate<'a> {
    pub(crate) open: &'a Open,
    pub(crate) table: &'a ViewTable,
}

#[async_trait]
impl Work for Activate<'_> {
    type Done = ();

    async fn run(&self, client: &Client) -> Result<(), Failure> {
        let name = &self.table.schema.name;
        lock_view(client, name).await?.ok_or_else(|| no_table(self.table))?;
        let generations = generations(client, name).await?;
        if !generations.contains(&self.table.generation) {
            return Err(no_table(self.table));
        }
        let number = stored_generation(self.table.generation)?;
        let parameters: [Parameter<'_>; 2] = [(name, Type::TEXT), (&number, Type::INT4)];
        client.query_typed(include_str!("sql/update_active_generation.sql"), &parameters).await?;
        for generation in generations {
            if generation != self.table.generation {
                drop_generation(client, self.open, name, generation).await?;
            }
        }
        Ok(())
    }
}

/// What asks for the checkpoint of a generation.
pub(crate) fn select_checkpoint<'a>(name: &'a String, generation: &'a i32) -> Statement<'a> {
    Statement::new(
        include_str!("sql/select_checkpoint.sql"),
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
        include_str!("sql/select_view_position.sql"),
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
        return Failure::Answer(Error::CheckpointMoved { view: table.schema.name.clone() });
    }
    if failure.is_raised(raised::NO_GENERATION) || failure.is_no_table() {
        return no_table(table);
    }
    failure
}

/// All views, by name.
pub(crate) fn views(rows: &[Row]) -> Result<Vec<ViewInfo>, Failure> {
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        let name: String = row.try_get(0)?;
        let checkpoint = read_checkpoint(row, 3)?
            .ok_or_else(|| Failure::damaged(format!("view {name} has no checkpoint")))?;
        let building: Option<i32> = row.try_get(6)?;
        let building = building.map(|_| generation(row, 6)).transpose()?;
        views.push(ViewInfo {
            generation: generation(row, 1)?,
            fingerprint: fingerprint(row, 2, format_args!("view {name}"))?,
            checkpoint,
            building: building.zip(read_checkpoint(row, 7)?),
            name,
        });
    }
    Ok(views)
}

/// A generation as PostgreSQL holds it.
pub(crate) fn stored_generation(generation: u32) -> Result<i32, Failure> {
    i32::try_from(generation)
        .map_err(|_| Failure::Answer(Error::NotFound(format!("generation {generation} of a view"))))
}

/// That a generation is not there.
pub(crate) fn no_table(table: &ViewTable) -> Failure {
    Failure::Answer(Error::NotFound(name(table)))
}

fn no_view(name: &str) -> Failure {
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
async fn lock_view(client: &Client, name: &str) -> Result<Option<u32>, Failure> {
    let parameters: [Parameter<'_>; 1] = [(&name, Type::TEXT)];
    let rows = client.query_typed(include_str!("sql/lock_view.sql"), &parameters).await?;
    rows.first().map(|row| generation(row, 0)).transpose()
}

async fn generations(client: &Client, name: &str) -> Result<Vec<u32>, Failure> {
    let parameters: [Parameter<'_>; 1] = [(&name, Type::TEXT)];
    let rows = client.query_typed(include_str!("sql/select_generations.sql"), &parameters).await?;
    rows.iter().map(|row| generation(row, 0)).collect()
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
    let position = event_row::number(start.position.number());
    let event_id = start.event_id.map(|id| id.0);
    let fingerprint = schema.fingerprint();
    let fingerprint = &fingerprint.0[..];
    let parameters: [Parameter<'_>; 4] = [
        (&schema.name, Type::TEXT),
        (&number, Type::INT4),
        (&fingerprint, Type::BYTEA),
        (&definition, Type::TEXT),
    ];
    client.query_typed(include_str!("sql/insert_generation.sql"), &parameters).await?;
    let parameters: [Parameter<'_>; 5] = [
        (&schema.name, Type::TEXT),
        (&number, Type::INT4),
        (&start.store.0, Type::UUID),
        (&position, Type::INT8),
        (&event_id, Type::UUID),
    ];
    client.query_typed(include_str!("sql/insert_checkpoint.sql"), &parameters).await?;
    let table = ViewTable { schema: schema.clone(), generation };
    let create = row_table::create(&table, &open.views_schema, &open.reader_role, &open.worker_role);
    client.batch_execute(&create).await?;
    Ok(generation)
}

async fn drop_generation(client: &Client, open: &Open, view: &str, generation: u32) -> Result<(), Failure> {
    let number = stored_generation(generation)?;
    let parameters: [Parameter<'_>; 2] = [(&view, Type::TEXT), (&number, Type::INT4)];
    // Whoever writes the rows of the generation is waited for here.
    client.query_typed(include_str!("sql/delete_generation.sql"), &parameters).await?;
    client.query_typed(include_str!("sql/delete_checkpoint.sql"), &parameters).await?;
    client.batch_execute(&row_table::drop(view, generation, &open.views_schema)).await?;
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

/// What differs between a stored definition and the one in the code.
fn difference(definition: &str, schema: &ViewSchema) -> String {
    let Ok(stored) = serde_json::from_str::<ViewSchema>(definition) else {
        return "the stored definition cannot be read".to_owned();
    };
    if stored.version != schema.version {
        return format!("version {} there, {} in the code", stored.version, schema.version);
    }
    for column in &stored.columns {
        match schema.columns.iter().find(|new| new.name == column.name) {
            None => return format!("column {} is not in the code", column.name),
            Some(new) if new != column => {
                return format!("column {} is {new:?} in the code, {column:?} there", column.name);
            }
            Some(_) => {}
        }
    }
    let new = schema.columns.iter().find(|new| stored.columns.iter().all(|old| old.name != new.name));
    new.map_or_else(
        || "its columns are in another order".to_owned(),
        |column| format!("column {} is new in the code", column.name),
    )
}
