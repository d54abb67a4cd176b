//! Which entities there are, and how their tables follow the shapes in the code.

use rusqlite::{Connection, OptionalExtension};
use underlay_core::{Column, EntityExtension, EntitySchema, Error, Json, RowSchema, entity_not_prepared};

use crate::error::Failure;
use crate::rows::alterations;
use crate::rows::row_table::RowTable;

/// Whether an entity is stored by this definition.
///
/// # Errors
/// `EntityChanged` where it is stored by another one that cannot be extended to it; `Damaged` where its table is not as
/// it was made.
pub(crate) fn is_prepared(connection: &Connection, schema: &EntitySchema) -> Result<bool, Failure> {
    let Some(stored) = find(connection, &schema.name)? else { return Ok(false) };
    check_unaltered(connection, &stored)?;
    Ok(schema.extension_of(&stored)?.is_empty() && schema.version == stored.version)
}

/// Makes the table of an entity, or extends the one that is there.
///
/// # Errors
/// As [`is_prepared`].
pub(crate) fn prepare(connection: &Connection, schema: &EntitySchema) -> Result<(), Failure> {
    match find(connection, &schema.name)? {
        None => {
            put(connection, schema)?;
            RowTable::of_entity(schema).create(connection)
        }
        Some(stored) => {
            check_unaltered(connection, &stored)?;
            extend(connection, schema, &stored)
        }
    }
}

/// The definition that an entity is stored by.
pub(crate) fn find(connection: &Connection, entity: &str) -> Result<Option<EntitySchema>, Failure> {
    let damaged = |failure: Failure| failure.within(format_args!("entity {entity}"));
    let mut select = connection.prepare_cached(include_str!("../sql/entities/select_definition.sql"))?;
    let found = select.query_row([entity], |row| row.get::<_, String>(0)).optional();
    let Some(definition) = found.map_err(|error| damaged(error.into()))? else { return Ok(None) };
    let stored = serde_json::from_str(&definition)
        .map_err(|error| damaged(Failure::damaged(format!("its definition: {error}"))))?;
    Ok(Some(stored))
}

/// Says what a failure of SQLite comes from where the table of an entity is not the one that a schema speaks of. What
/// is of the file, or of a row, is given back as it is.
pub(crate) fn explain(connection: &Connection, schema: &EntitySchema, failure: Failure) -> Failure {
    if !failure.is_of_the_shape() {
        return failure;
    }
    match differs(connection, schema) {
        Ok(()) => failure,
        Err(reason) => reason,
    }
}

/// Refuses a schema that the table of its entity is not made by.
fn differs(connection: &Connection, schema: &EntitySchema) -> Result<(), Failure> {
    let stored = find(connection, &schema.name)?;
    let stored = stored.ok_or_else(|| Failure::Answer(entity_not_prepared(&schema.name)))?;
    if !schema.extension_of(&stored)?.is_empty() {
        let reason = "another program has prepared them since; start this one again".to_owned();
        return Err(Failure::Answer(Error::EntityChanged { entity: schema.name.clone(), reason }));
    }
    check_unaltered(connection, &stored)
}

/// Refuses a table that somebody has altered past this program.
fn check_unaltered(connection: &Connection, stored: &EntitySchema) -> Result<(), Failure> {
    let altered = alterations::find(connection, &RowTable::of_entity(stored))?;
    if altered.is_empty() {
        return Ok(());
    }
    let text = format!("entity {}: its table was altered: {}", stored.name, altered.join("; "));
    Err(Failure::damaged(text))
}

/// Adds columns, and makes and drops indexes.
fn extend(connection: &Connection, schema: &EntitySchema, stored: &EntitySchema) -> Result<(), Failure> {
    let extension = schema.extension_of(stored)?;
    let extended = in_order_of_the_table(schema, stored, &extension);
    let (before, table) = (RowTable::of_entity(stored), RowTable::of_entity(&extended));
    extension.columns.iter().try_for_each(|column| table.add_column(connection, column))?;
    let is_indexed = |schema: &RowSchema, name: &str| schema.indexed_column(name).is_ok();
    let index = |schema: &EntitySchema, name: &str| (is_indexed(schema, name), schema.is_unique(name));
    for Column { name, .. } in &stored.columns {
        let (was, is) = (index(stored, name), index(&extended, name));
        if was == is {
            continue;
        }
        if was.0 {
            before.drop_index(connection, name)?;
        }
        if is.0 {
            let made = table.create_index(connection, name);
            made.map_err(|failure| not_yet_unique(&extended, name, failure))?;
        }
    }
    put(connection, &extended)
}

/// The new definition with the columns in the order of the table: those that are added come last.
fn in_order_of_the_table(
    schema: &EntitySchema,
    stored: &EntitySchema,
    extension: &EntityExtension,
) -> EntitySchema {
    let mut extended = schema.clone();
    let kept = stored.columns.iter().map(|column| {
        let indexed = schema.indexed_column(&column.name).is_ok();
        Column { indexed, ..column.clone() }
    });
    extended.columns = kept.chain(extension.columns.iter().cloned()).collect();
    extended
}

/// An index that cannot be made is one of values that are there twice.
fn not_yet_unique(schema: &EntitySchema, column: &str, failure: Failure) -> Failure {
    match failure.is_not_unique() {
        true => Failure::Answer(EntityExtension::not_yet_unique(schema, column)),
        false => failure,
    }
}

fn put(connection: &Connection, schema: &EntitySchema) -> Result<(), Failure> {
    let definition = Json::encode(schema).map_err(Failure::Answer)?;
    let mut upsert = connection.prepare_cached(include_str!("../sql/entities/upsert_definition.sql"))?;
    upsert.execute([&schema.name, definition.as_str()])?;
    Ok(())
}
