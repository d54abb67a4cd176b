//! Which views there are, in which generations, and how far each has come.

use rusqlite::{Connection, OptionalExtension, Row, params};
use underlay_core::{
    Checkpoint, Error, EventId, Fingerprint, Position, StoreId, ViewInfo, ViewSchema, ViewTable,
};
use uuid::Uuid;

use crate::error::Failure;
use crate::event_row::{self, At};
use crate::row_table;

/// Finds the generation that is read; `None` where the view is not there.
///
/// # Errors
/// `ViewChanged` where it was built by another definition.
pub(crate) fn find_active(connection: &Connection, schema: &ViewSchema) -> Result<Option<u32>, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_active_generation.sql"))?;
    let found: Option<(u32, [u8; 16], String)> = select
        .query_row([&schema.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .map_err(|error| Failure::from(error).within(format_args!("view {}", schema.name)))?;
    match found {
        Some((_, fingerprint, definition)) if fingerprint != schema.fingerprint().0 => {
            let reason = difference(&definition, schema);
            Err(Failure::Answer(Error::ViewChanged { view: schema.name.clone(), reason }))
        }
        found => Ok(found.map(|(generation, ..)| generation)),
    }
}

/// Makes the first generation of a view that is not there.
pub(crate) fn create_view(
    connection: &Connection,
    schema: &ViewSchema,
    start: &Checkpoint,
) -> Result<u32, Failure> {
    connection.execute(include_str!("sql/insert_view.sql"), [&schema.name])?;
    create_generation(connection, schema, 1, start)
}

/// Makes the generation after all there are, replacing one that was begun before.
pub(crate) fn begin_generation(
    connection: &Connection,
    schema: &ViewSchema,
    start: &Checkpoint,
) -> Result<u32, Failure> {
    let active = active(connection, &schema.name)?
        .ok_or_else(|| Failure::Answer(Error::NotFound(format!("view {}", schema.name))))?;
    let mut last = active;
    for generation in generations(connection, &schema.name)? {
        if generation > active {
            drop_generation(connection, &schema.name, generation)?;
        }
        last = last.max(generation);
    }
    // Above the one replaced too, so that whoever began that one finds it gone.
    let next = last.checked_add(1).ok_or_else(|| {
        Failure::damaged(format!("view {} is in generation {last}, the last there can be", schema.name))
    })?;
    create_generation(connection, schema, next, start)
}

/// Makes a generation the one that is read and drops the others.
pub(crate) fn activate(connection: &Connection, table: &ViewTable) -> Result<u32, Failure> {
    let generations = generations(connection, &table.schema.name)?;
    if !generations.contains(&table.generation) {
        return Err(no_table(table));
    }
    connection.execute(
        include_str!("sql/update_active_generation.sql"),
        params![table.schema.name, table.generation],
    )?;
    for generation in generations {
        if generation != table.generation {
            drop_generation(connection, &table.schema.name, generation)?;
        }
    }
    Ok(table.generation)
}

/// How far a generation has come.
pub(crate) fn checkpoint(connection: &Connection, table: &ViewTable) -> Result<Checkpoint, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_checkpoint.sql"))?;
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
    let mut update = connection.prepare_cached(include_str!("sql/move_checkpoint.sql"))?;
    let moved = update.execute(params![
        table.schema.name,
        table.generation,
        &table.schema.fingerprint().0[..],
        &to.store.0.as_bytes()[..],
        event_row::number(to.position.number()),
        to.event_id.as_ref().map(|id| &id.0.as_bytes()[..]),
        &from.store.0.as_bytes()[..],
        event_row::number(from.position.number()),
        from.event_id.as_ref().map(|id| &id.0.as_bytes()[..]),
    ])?;
    if moved == 1 {
        return Ok(());
    }
    if checkpoint(connection, table)? == *from {
        // It stands there, so it is the definition that differs.
        return Err(no_table(table));
    }
    Err(Failure::Answer(Error::CheckpointMoved { view: table.schema.name.clone() }))
}

/// All views, by name.
pub(crate) fn views(connection: &Connection) -> Result<Vec<ViewInfo>, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_views.sql"))?;
    let mut rows = select.query([])?;
    let mut views = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let info = view_info(row, &name).map_err(|failure| failure.within(format_args!("view {name}")))?;
        views.push(info);
    }
    Ok(views)
}

fn view_info(row: &Row<'_>, name: &str) -> Result<ViewInfo, Failure> {
    let building: Option<u32> = row.get(6)?;
    Ok(ViewInfo {
        name: name.to_owned(),
        generation: row.get(1)?,
        fingerprint: Fingerprint(row.get(2)?),
        checkpoint: read_checkpoint(row, 3)?.ok_or_else(|| Failure::damaged("it has no checkpoint"))?,
        building: building.zip(read_checkpoint(row, 7)?),
    })
}

fn active(connection: &Connection, view: &str) -> Result<Option<u32>, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_active_generation.sql"))?;
    let found = select.query_row([view], |row| row.get(0)).optional();
    found.map_err(|error| Failure::from(error).within(format_args!("view {view}")))
}

fn generations(connection: &Connection, view: &str) -> Result<Vec<u32>, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/select_generations.sql"))?;
    let generations = select.query_map([view], |row| row.get(0))?.collect::<Result<_, _>>();
    generations.map_err(|error| Failure::from(error).within(format_args!("view {view}")))
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
        include_str!("sql/insert_generation.sql"),
        params![
            schema.name,
            generation,
            &schema.fingerprint().0[..],
            definition,
            &start.store.0.as_bytes()[..],
            event_row::number(start.position.number()),
            start.event_id.as_ref().map(|id| &id.0.as_bytes()[..]),
        ],
    )?;
    row_table::create(connection, &ViewTable { schema: schema.clone(), generation })?;
    Ok(generation)
}

fn drop_generation(connection: &Connection, view: &str, generation: u32) -> Result<(), Failure> {
    connection.execute(include_str!("sql/delete_generation.sql"), params![view, generation])?;
    row_table::drop(connection, view, generation)
}

/// The checkpoint in three columns; `None` where they are empty.
fn read_checkpoint(row: &Row<'_>, at: usize) -> Result<Option<Checkpoint>, Failure> {
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
    Failure::Answer(Error::NotFound(name(table)))
}

fn name(table: &ViewTable) -> String {
    format!("generation {} of view {}", table.generation, table.schema.name)
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
