//! Where a view stopped, and which events a person ordered it to pass over.

use rusqlite::{Connection, OptionalExtension, params};
use underlay_core::adapter::stored_number;
use underlay_core::{Error, Json, Position, SkipOrder, SkippedEvent, ViewBatch, ViewStop, ViewTable};

use crate::error::Failure;
use crate::views::catalogue;

/// Stores with a batch why the view does not go on from there.
///
/// # Errors
/// `CheckpointMoved` where it stops at an event that was skipped.
pub(crate) fn store(connection: &Connection, table: &ViewTable, batch: &ViewBatch) -> Result<(), Failure> {
    let name = &table.schema.name;
    let Some(stop) = &batch.stop else {
        if batch.from.position == batch.to.position {
            // Elsewhere the place it stopped at is not that of the view any more.
            remove(connection, table)?;
        }
        return Ok(());
    };
    if let Some(event) = stop.event() {
        let mut select = connection.prepare_cached(include_str!("../sql/exists_skipped_event.sql"))?;
        let (position, id) = (stored_number(event.position.number()), event.event_id.0.as_bytes());
        if select.exists(params![name, position, &id[..]])? {
            return Err(Failure::Answer(Error::CheckpointMoved { owner: format!("view {}", name) }));
        }
    }
    let mut upsert = connection.prepare_cached(include_str!("../sql/upsert_view_stop.sql"))?;
    let position = stored_number(batch.to.position.number());
    upsert.execute(params![
        name,
        table.generation,
        position,
        Json::encode(stop).map_err(Failure::Answer)?.as_str()
    ])?;
    Ok(())
}

/// Where a generation stands, and why it does not go on from there.
pub(crate) struct Stopped {
    table: ViewTable,
    at: Position,
    pub(crate) stop: Option<ViewStop>,
}

impl Stopped {
    pub(crate) fn find(connection: &Connection, table: ViewTable) -> Result<Self, Failure> {
        let name = &table.schema.name;
        let at = catalogue::checkpoint(connection, &table)?.position;
        let mut select = connection.prepare_cached(include_str!("../sql/select_view_stop.sql"))?;
        let position = stored_number(at.number());
        let found =
            select.query_row(params![name, table.generation, position], |row| row.get(0)).optional()?;
        let stop = read(found, name)?;
        Ok(Self { table, at, stop })
    }
}

/// Skips the event that a generation is stopped at.
pub(crate) fn skip(
    connection: &Connection,
    stopped: &Stopped,
    skip: &SkipOrder,
) -> Result<SkippedEvent, Failure> {
    let Stopped { table, at, stop } = stopped;
    let name = &table.schema.name;
    let skipped = skip.of(name, *at, stop.as_ref(), &skipped(connection, name)?).map_err(Failure::Answer)?;
    remove(connection, table)?;
    let mut insert = connection.prepare_cached(include_str!("../sql/insert_skipped_event.sql"))?;
    let (position, id) =
        (stored_number(skipped.event.position.number()), skipped.event.event_id.0.as_bytes());
    insert.execute(params![
        name,
        position,
        &id[..],
        Json::encode(&skipped).map_err(Failure::Answer)?.as_str()
    ])?;
    Ok(skipped)
}

/// Every event of a view that was skipped.
pub(crate) fn skipped(connection: &Connection, view: &str) -> Result<Vec<SkippedEvent>, Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/select_skipped_events.sql"))?;
    let mut rows = select.query([view])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let skipped = Json::from_stored(row.get::<_, String>(0)?).decode();
        events.push(skipped.map_err(|error| damaged(view, &error))?);
    }
    Ok(events)
}

/// A stop of a view, as it was stored.
pub(crate) fn read(text: Option<String>, view: &str) -> Result<Option<ViewStop>, Failure> {
    let read = text.map(|text| ViewStop::from_stored(&Json::from_stored(text))).transpose();
    read.map_err(|error| damaged(view, &error))
}

fn damaged(view: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::damaged(format!("where view {view} stopped: {error}"))
}

fn remove(connection: &Connection, table: &ViewTable) -> Result<(), Failure> {
    let mut delete = connection.prepare_cached(include_str!("../sql/delete_view_stop.sql"))?;
    delete.execute(params![table.schema.name, table.generation])?;
    Ok(())
}
