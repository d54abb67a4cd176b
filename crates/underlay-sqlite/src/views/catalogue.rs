//! Which views there are, in which generations, and how far each has come.
//!
//! ```text
//!  begun ──► building ──► active ──► replaced ──► active …
//!               │                        │
//!               └───────► discarded ◄────┘ ──► its rows removed in pieces, then its table
//! ```
//!
//! Only the generation that is active and the one being built answer.

use rusqlite::{Connection, OptionalExtension, Row, params};
use underlay_core::adapter::{
    At, ListedGeneration, ViewList, check_definition, stored_name, stored_number, stored_time,
};
use underlay_core::{
    Checkpoint, Error, EventId, Fingerprint, Generation, Json, ParkedEvent, Position, SkipOrder,
    SkippedEvent, StoreId, StoredOrder, Swap, Swept, Timestamp, Version, ViewInfo, ViewSchema, ViewTable,
    no_generation, none_replaced, still_read,
};
use uuid::Uuid;

use crate::error::Failure;
use crate::log::event_row;
use crate::rows::row_table::{self, RowTable};
use crate::views::{view_orders, view_stops};

/// Finds the generation that is read; `None` where the view is not there.
///
/// # Errors
/// `ViewChanged` where it was built by another definition.
pub(crate) fn find_active(connection: &Connection, schema: &ViewSchema) -> Result<Option<u32>, Failure> {
    find(connection, schema, include_str!("../sql/select_active_generation.sql"))
}

/// Runs a statement that finds a generation of a view with its definition, which must be this one.
fn find(connection: &Connection, schema: &ViewSchema, sql: &str) -> Result<Option<u32>, Failure> {
    let mut select = connection.prepare_cached(sql)?;
    let found: Option<(u32, [u8; 16], String)> = select
        .query_row([&schema.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .map_err(|error| Failure::from(error).within(format_args!("view {}", schema.name)))?;
    match found {
        Some((generation, fingerprint, definition)) => {
            check_definition(schema, Fingerprint(fingerprint), &definition)?;
            Ok(Some(generation))
        }
        None => Ok(None),
    }
}

/// Makes the first generation of a view that is not there.
pub(crate) fn create_view(
    connection: &Connection,
    schema: &ViewSchema,
    start: &Checkpoint,
) -> Result<u32, Failure> {
    connection.execute(include_str!("../sql/insert_view.sql"), [&schema.name])?;
    create_generation(connection, schema, 1, start)
}

/// Makes the generation after all there were, discarding one that was begun before.
pub(crate) fn begin_generation(
    connection: &Connection,
    schema: &ViewSchema,
    start: &Checkpoint,
) -> Result<u32, Failure> {
    let generations = Generations::of(connection, &schema.name)?;
    if let Some(begun) = generations.building {
        discard(connection, &schema.name, begun)?;
    }
    let mut update = connection.prepare_cached(include_str!("../sql/update_last_generation.sql"))?;
    let next = update
        .query_row([&schema.name], |row| row.get(0))
        .map_err(|error| Failure::from(error).within(format_args!("view {}", schema.name)))?;
    create_generation(connection, schema, next, start)
}

/// Makes a generation the one that is read; false where that one is beyond what the swap allows. `store`
/// stores the last changes to the generation.
pub(crate) fn activate(
    connection: &Connection,
    table: &ViewTable,
    swap: &Swap,
    store: impl FnOnce() -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let name = &table.schema.name;
    let generations = Generations::of(connection, name)?;
    if generations.building != Some(table.generation) {
        return Err(no_table(table));
    }
    if let Some(known) = swap.order {
        view_orders::check(connection, name, known)?;
    }
    if let Some(most) = swap.unless_beyond {
        let read = ViewTable { schema: table.schema.clone(), generation: generations.active };
        if checkpoint(connection, &read)?.position > most {
            return Ok(false);
        }
    }
    store()?;
    replace(connection, name, &generations, table.generation, swap.at)?;
    Ok(true)
}

/// Makes the generation that was replaced the one that is read again.
pub(crate) fn revert(connection: &Connection, schema: &ViewSchema, at: Timestamp) -> Result<u32, Failure> {
    let generations = Generations::of(connection, &schema.name)?;
    let replaced = find(connection, schema, include_str!("../sql/select_replaced_generation.sql"))?;
    let replaced = replaced.ok_or_else(|| Failure::Answer(none_replaced(schema)))?;
    let none = None::<i64>;
    connection.execute(
        include_str!("../sql/update_replaced_generation.sql"),
        params![schema.name, replaced, none],
    )?;
    replace(connection, &schema.name, &Generations { replaced: None, ..generations }, replaced, at)?;
    Ok(replaced)
}

/// Puts a generation in the place of the one that is read, which is kept; the one kept until then goes.
fn replace(
    connection: &Connection,
    view: &str,
    generations: &Generations,
    active: u32,
    at: Timestamp,
) -> Result<(), Failure> {
    if let Some(replaced) = generations.replaced {
        discard(connection, view, replaced)?;
    }
    connection.execute(
        include_str!("../sql/update_replaced_generation.sql"),
        params![view, generations.active, at.as_microsecond()],
    )?;
    connection.execute(include_str!("../sql/update_active_generation.sql"), params![view, active])?;
    Ok(())
}

/// Gives up a generation that is not read.
pub(crate) fn give_up(connection: &Connection, view: &str, generation: u32) -> Result<u32, Failure> {
    let generations = Generations::of(connection, view)?;
    if generations.active == generation {
        return Err(Failure::Answer(still_read(view, generation)));
    }
    if generations.building != Some(generation) && generations.replaced != Some(generation) {
        return Err(Failure::Answer(no_generation(view, generation)));
    }
    discard(connection, view, generation)?;
    Ok(generation)
}

/// Removes some rows of a discarded generation, and its table once it has none.
pub(crate) fn sweep(connection: &Connection) -> Result<Swept, Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/select_discarded_generation.sql"))?;
    let found = select.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((view, generation)) = found else { return Ok(Swept::All) };
    let view: String = view;
    if row_table::remove_some(connection, &view, generation)? {
        return Ok(Swept::Piece);
    }
    row_table::drop(connection, &view, generation)?;
    connection.execute(include_str!("../sql/delete_parked_events.sql"), params![view, generation])?;
    connection.execute(include_str!("../sql/delete_discarded_generation.sql"), params![view, generation])?;
    Ok(Swept::Piece)
}

/// That there is a view of this name.
pub(crate) fn check_view(connection: &Connection, view: &str) -> Result<(), Failure> {
    Generations::of(connection, view).map(drop)
}

/// Remembers an event that a generation has passed over.
pub(crate) fn park(connection: &Connection, table: &ViewTable, parked: &ParkedEvent) -> Result<(), Failure> {
    let mut insert = connection.prepare_cached(include_str!("../sql/insert_parked_event.sql"))?;
    insert.execute(params![
        table.schema.name,
        table.generation,
        stored_number(parked.position.number()),
        parked.tenant.as_str(),
        parked.stream.as_str(),
        stored_number(parked.version.0),
        &parked.event_id.0.as_bytes()[..],
        parked.reason,
    ])?;
    Ok(())
}

/// The events that a generation has passed over, above a position.
pub(crate) fn parked(
    connection: &Connection,
    table: &ViewTable,
    after: Position,
    limit: usize,
) -> Result<Vec<ParkedEvent>, Failure> {
    // Where there is no such table the catalogue says so.
    checkpoint(connection, table)?;
    let mut select = connection.prepare_cached(include_str!("../sql/select_parked_events.sql"))?;
    let (after, limit) = (stored_number(after.number()), stored_number(limit as u64));
    let mut rows = select.query(params![table.schema.name, table.generation, after, limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let at = At(row.get(1)?);
        events.push(ParkedEvent {
            tenant: stored_name(event_row::text(row, 0, at)?, at)?,
            position: Position::from_number(event_row::count(row, 1, at)?),
            stream: stored_name(event_row::text(row, 2, at)?, at)?,
            version: Version(event_row::count(row, 3, at)?),
            event_id: event_row::event_id(row, 4, at)?,
            reason: event_row::text(row, 5, at)?.to_owned(),
        });
    }
    Ok(events)
}

/// Skips the event that the generation that is read is stopped at, or else the one that is built.
pub(crate) fn skip(connection: &Connection, view: &str, skip: &SkipOrder) -> Result<SkippedEvent, Failure> {
    let generations = Generations::of(connection, view)?;
    // Of the schema only the name is asked for.
    let table = |generation| ViewTable { schema: ViewSchema::new(view, 0, Vec::new()), generation };
    let read = view_stops::Stopped::find(connection, table(generations.active))?;
    if let Some(building) = generations.building.filter(|_| !skip.is_about(read.stop.as_ref())) {
        let built = view_stops::Stopped::find(connection, table(building))?;
        if skip.is_about(built.stop.as_ref()) {
            return view_stops::skip(connection, &built, skip);
        }
    }
    view_stops::skip(connection, &read, skip)
}

/// How far a generation has come.
pub(crate) fn checkpoint(connection: &Connection, table: &ViewTable) -> Result<Checkpoint, Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/select_checkpoint.sql"))?;
    let mut rows = select.query(params![table.schema.name, table.generation])?;
    let row = rows.next()?.ok_or_else(|| no_table(table))?;
    read_checkpoint(row, 0)
        .map_err(|failure| failure.within(name(table)))?
        .ok_or_else(|| Failure::damaged(format!("{} has no checkpoint", name(table))))
}

/// Moves the checkpoint of a generation from one place to the next.
///
/// # Errors
/// `CheckpointMoved` where it is not at `from`; `NotFound` where there is no such generation, or one
/// of another definition.
pub(crate) fn move_checkpoint(
    connection: &Connection,
    table: &ViewTable,
    from: &Checkpoint,
    to: &Checkpoint,
) -> Result<(), Failure> {
    let mut update = connection.prepare_cached(include_str!("../sql/move_checkpoint.sql"))?;
    let moved = update.execute(params![
        table.schema.name,
        table.generation,
        &table.schema.fingerprint().0[..],
        &to.store.0.as_bytes()[..],
        stored_number(to.position.number()),
        to.event_id.as_ref().map(|id| &id.0.as_bytes()[..]),
        &from.store.0.as_bytes()[..],
        stored_number(from.position.number()),
        from.event_id.as_ref().map(|id| &id.0.as_bytes()[..]),
    ])?;
    if moved == 1 {
        return Ok(());
    }
    if checkpoint(connection, table)? == *from {
        // It stands there, so it is the definition that differs.
        return Err(no_table(table));
    }
    Err(Failure::Answer(Error::CheckpointMoved { owner: format!("view {}", table.schema.name) }))
}

/// All views, by name.
pub(crate) fn views(connection: &Connection) -> Result<Vec<ViewInfo>, Failure> {
    let mut select = connection.prepare_cached(include_str!("../sql/select_views.sql"))?;
    let mut rows = select.query([])?;
    let mut views = ViewList::default();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let stop = view_stops::read(row.get(11)?, &name)?;
        let listed = listed(row).map_err(|failure| failure.within(format_args!("view {name}")))?;
        let number: Option<i64> = row.get(12)?;
        let order = match number {
            None => None,
            Some(_) => Some(StoredOrder {
                number: event_row::count(row, 12, format_args!("the order for view {name}"))?,
                body: Json::from_stored(row.get::<_, String>(13)?),
            }),
        };
        views.push(name, ListedGeneration { stop, order, ..listed })?;
    }
    Ok(views.into_views())
}

fn listed(row: &Row<'_>) -> Result<ListedGeneration, Failure> {
    let generation = Generation {
        number: row.get(1)?,
        fingerprint: Fingerprint(row.get(2)?),
        checkpoint: read_checkpoint(row, 3)?.ok_or_else(|| Failure::damaged("it has no checkpoint"))?,
        parked: event_row::count(row, 6, "its parked events")?,
        skipped: event_row::count(row, 10, "its skipped events")?,
    };
    let replaced_at: Option<i64> = row.get(8)?;
    Ok(ListedGeneration {
        generation,
        is_read: row.get(7)?,
        replaced_at: replaced_at.map(replaced_time).transpose()?,
        discarded: event_row::count(row, 9, "its discarded generations")?,
        stop: None,
        order: None,
    })
}

fn replaced_time(microseconds: i64) -> Result<Timestamp, Failure> {
    stored_time(microseconds)
        .ok_or_else(|| Failure::damaged(format!("a generation was replaced at {microseconds}")))
}

/// The generations of a view by what they are for.
struct Generations {
    active: u32,
    building: Option<u32>,
    replaced: Option<u32>,
}

impl Generations {
    fn of(connection: &Connection, view: &str) -> Result<Self, Failure> {
        let within = |error: rusqlite::Error| Failure::from(error).within(format_args!("view {view}"));
        let mut select = connection.prepare_cached(include_str!("../sql/select_generations.sql"))?;
        let mut rows = select.query([view])?;
        let (mut active, mut building, mut replaced) = (None, None, None);
        while let Some(row) = rows.next()? {
            let generation = row.get(0).map_err(within)?;
            let (is_read, is_replaced) = (row.get(1).map_err(within)?, row.get(2).map_err(within)?);
            match (is_read, is_replaced) {
                (true, _) => active = Some(generation),
                (false, true) => replaced = Some(generation),
                (false, false) => building = Some(generation),
            }
        }
        let active = active.ok_or_else(|| Failure::Answer(Error::NotFound(format!("view {view}"))))?;
        Ok(Self { active, building, replaced })
    }
}

fn create_generation(
    connection: &Connection,
    schema: &ViewSchema,
    generation: u32,
    start: &Checkpoint,
) -> Result<u32, Failure> {
    let definition = serde_json::to_string(schema)
        .map_err(|error| Failure::refused(format!("view {} has no JSON form: {error}", schema.name)))?;
    connection.execute(
        include_str!("../sql/insert_generation.sql"),
        params![
            schema.name,
            generation,
            &schema.fingerprint().0[..],
            definition,
            &start.store.0.as_bytes()[..],
            stored_number(start.position.number()),
            start.event_id.as_ref().map(|id| &id.0.as_bytes()[..]),
        ],
    )?;
    RowTable::of_view(&ViewTable { schema: schema.clone(), generation }).create(connection)?;
    Ok(generation)
}

/// Takes a generation out of the catalogue; what it has left is for [`sweep`].
fn discard(connection: &Connection, view: &str, generation: u32) -> Result<(), Failure> {
    connection.execute(include_str!("../sql/delete_generation.sql"), params![view, generation])?;
    connection.execute(include_str!("../sql/delete_view_stop.sql"), params![view, generation])?;
    connection.execute(include_str!("../sql/insert_discarded_generation.sql"), params![view, generation])?;
    Ok(())
}

/// The checkpoint in three columns; `None` where they are empty.
pub(crate) fn read_checkpoint(row: &Row<'_>, at: usize) -> Result<Option<Checkpoint>, Failure> {
    let Some(store) = row.get::<_, Option<[u8; 16]>>(at)? else { return Ok(None) };
    let position: i64 = row.get(at + 1)?;
    let number = u64::try_from(position)
        .map_err(|_| Failure::damaged(format!("its checkpoint is at {}", At(position))))?;
    let event_id: Option<[u8; 16]> = row.get(at + 2)?;
    Ok(Some(Checkpoint {
        store: StoreId(Uuid::from_bytes(store)),
        position: Position::from_number(number),
        event_id: event_id.map(|id| EventId(Uuid::from_bytes(id))),
    }))
}

fn no_table(table: &ViewTable) -> Failure {
    Failure::Answer(no_generation(&table.schema.name, table.generation))
}

fn name(table: &ViewTable) -> String {
    format!("generation {} of view {}", table.generation, table.schema.name)
}
