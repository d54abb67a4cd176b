//! Where a view stopped, and which events a person ordered it to pass over.

use async_trait::async_trait;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::adapter::stored_number;
use underlay_core::{
    Error, Json, Position, SkipOrder, SkippedEvent, ViewBatch, ViewSchema, ViewStop, ViewTable,
};

use crate::connections::session::{Parameter, Statement, Work};
use crate::error::Failure;
use crate::views::catalogue::{self, Definition, Generations, lock_view, no_view, stored_generation};

/// Stores with a batch why the view does not go on from there, while nobody else writes the generation.
///
/// # Errors
/// `CheckpointMoved` where it stops at an event that was skipped.
pub(crate) async fn store(client: &Client, table: &ViewTable, batch: &ViewBatch) -> Result<(), Failure> {
    let Some(stop) = &batch.stop else {
        if batch.from.position == batch.to.position {
            // Elsewhere the place it stopped at is not that of the view any more.
            remove(client, &table.schema.name, table.generation).await?;
        }
        return Ok(());
    };
    let number = stored_generation(table.generation)?;
    let at = stored_number(batch.to.position.number());
    let event = stop.event();
    let position = event.map(|event| stored_number(event.position.number()));
    let event_id = event.map(|event| event.event_id.0);
    let text = Json::encode(stop).map_err(Failure::Answer)?;
    let text = text.as_str();
    let parameters: [Parameter<'_>; 6] = [
        (&table.schema.name, Type::TEXT),
        (&number, Type::INT4),
        (&at, Type::INT8),
        (&text, Type::TEXT),
        (&position, Type::INT8),
        (&event_id, Type::UUID),
    ];
    if client.query_typed(include_str!("../sql/upsert_view_stop.sql"), &parameters).await?.is_empty() {
        return Err(Failure::Answer(Error::CheckpointMoved { owner: format!("view {}", table.schema.name) }));
    }
    Ok(())
}

/// Where a generation stands, and why it does not go on from there.
struct Stopped {
    generation: u32,
    at: Position,
    stop: Option<ViewStop>,
}

impl Stopped {
    async fn find(client: &Client, view: &str, generation: u32) -> Result<Self, Failure> {
        // Whoever writes its rows is waited for here, and nobody writes them from here on.
        Definition::lock(client, view, generation).await?;
        let (name, number) = (view.to_owned(), stored_generation(generation)?);
        // Of the schema only the name is asked for.
        let table = ViewTable { schema: ViewSchema::new(view, 0, Vec::new()), generation };
        let select = catalogue::select_position(&name, &number);
        let at = catalogue::position(&client.query_typed(select.sql, &select.parameters).await?, &table)?;
        let place = stored_number(at.number());
        let parameters: [Parameter<'_>; 3] =
            [(&view, Type::TEXT), (&number, Type::INT4), (&place, Type::INT8)];
        let stored = client.query_typed(include_str!("../sql/select_view_stop.sql"), &parameters).await?;
        let stop = match stored.first() {
            Some(row) => stop(row.try_get(0)?, view)?,
            None => None,
        };
        Ok(Self { generation, at, stop })
    }
}

/// Skips the event that the generation that is read is stopped at, or else the one that is built.
pub(crate) struct SkipEvent<'a> {
    pub(crate) view: &'a str,
    pub(crate) skip: &'a SkipOrder,
}

#[async_trait]
impl Work for SkipEvent<'_> {
    type Done = SkippedEvent;

    async fn run(&self, client: &Client) -> Result<SkippedEvent, Failure> {
        let Self { view, skip } = *self;
        let name = view.to_owned();
        lock_view(client, view).await?.ok_or_else(|| no_view(view))?;
        let generations = Generations::of(client, view).await?;
        let mut stopped = Stopped::find(client, view, generations.active).await?;
        if let Some(building) = generations.building.filter(|_| !skip.is_about(stopped.stop.as_ref())) {
            let built = Stopped::find(client, view, building).await?;
            if skip.is_about(built.stop.as_ref()) {
                stopped = built;
            }
        }
        let Stopped { generation, at, stop } = stopped;
        let select = select_skipped(&name);
        let before = skipped(&client.query_typed(select.sql, &select.parameters).await?, view)?;
        let skipped = skip.of(view, at, stop.as_ref(), &before).map_err(Failure::Answer)?;
        remove(client, view, generation).await?;
        let (tenant, event_id) = (skipped.event.tenant.as_str(), skipped.event.event_id.0);
        let position = stored_number(skipped.event.position.number());
        let text = Json::encode(&skipped).map_err(Failure::Answer)?;
        let text = text.as_str();
        let parameters: [Parameter<'_>; 5] = [
            (&tenant, Type::TEXT),
            (&view, Type::TEXT),
            (&position, Type::INT8),
            (&event_id, Type::UUID),
            (&text, Type::TEXT),
        ];
        client.query_typed(include_str!("../sql/insert_skipped_event.sql"), &parameters).await?;
        Ok(skipped)
    }
}

/// What asks for the events of a view that were skipped.
pub(crate) fn select_skipped(view: &String) -> Statement<'_> {
    Statement::new(include_str!("../sql/select_skipped_events.sql"), [(view as _, Type::TEXT)])
}

/// The events in the answer to that.
pub(crate) fn skipped(rows: &[Row], view: &str) -> Result<Vec<SkippedEvent>, Failure> {
    let read = |row: &Row| {
        let text: String = row.try_get(0)?;
        Json::from_stored(text).decode().map_err(|error| damaged(view, &error))
    };
    rows.iter().map(read).collect()
}

/// A stop of a view, as it was stored.
pub(crate) fn stop(text: Option<String>, view: &str) -> Result<Option<ViewStop>, Failure> {
    let read = text.map(|text| ViewStop::from_stored(&Json::from_stored(text))).transpose();
    read.map_err(|error| damaged(view, &error))
}

fn damaged(view: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::damaged(format!("where view {view} stopped: {error}"))
}

async fn remove(client: &Client, view: &str, generation: u32) -> Result<(), Failure> {
    let number = stored_generation(generation)?;
    let parameters: [Parameter<'_>; 2] = [(&view, Type::TEXT), (&number, Type::INT4)];
    client.query_typed(include_str!("../sql/delete_view_stop.sql"), &parameters).await?;
    Ok(())
}
