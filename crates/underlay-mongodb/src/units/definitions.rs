//! The definitions that entities are stored by, and the collections made of them.
//!
//! ```text
//!  not there ──► collection, indexes ──► definition stored ──► prepared
//!  prepared  ──► unique indexes, indexes, validation, new columns, indexes that are gone ──► definition stored
//! ```
//!
//! One process at a time makes or extends an entity, by a lease that it renews. The definition is stored last, so what
//! was left half made is made again by whoever prepares the entity next.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use underlay_core::{EntityExtension, EntitySchema, Error, Lease, Leases as _, entity_not_prepared};

use super::{collection, collection_name};
use crate::MongoStore;
use crate::error::{Failure, Meaning};
use crate::rows::{index_of, index_specs, unique_index_of, unique_spec, validator};
use crate::store::Open;

/// How long the right to make an entity lasts where nobody renews it.
const TURN: Duration = Duration::from_secs(30);
/// How often it is asked for while another process has it.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// The code of a collection that is there already.
const NAMESPACE_EXISTS: i32 = 48;
/// The code of a hint that names no index, among others.
const BAD_VALUE: i32 = 2;
/// The code of an index that is not there, where it is to be dropped.
const INDEX_NOT_FOUND: i32 = 27;

/// Refuses an entity that nobody prepared.
pub(crate) async fn check_prepared(open: &Open, entity: &str) -> Result<(), Failure> {
    if open.is_known(entity) {
        return Ok(());
    }
    if stored_definition(open, entity).await?.is_none() {
        return Err(Failure::Answer(entity_not_prepared(entity)));
    }
    open.remember(entity);
    Ok(())
}

/// Refuses a schema that is not the one that entities are stored by now.
pub(super) async fn check_definition(open: &Open, schema: &EntitySchema) -> Result<(), Error> {
    let Some(stored) = stored_definition(open, &schema.name).await? else { return Ok(()) };
    schema.extension_of(&stored)?;
    if schema.fingerprint() == stored.fingerprint() {
        return Ok(());
    }
    let reason = "another program has extended them meanwhile; start this one again".to_owned();
    Err(Error::EntityChanged { entity: schema.name.clone(), reason })
}

/// What a read comes to. Where it fails since another program has extended the entities, a column or an index is not
/// what this one knows: that is told, and no damage.
pub(crate) async fn told<T>(
    open: &Open,
    schema: &EntitySchema,
    read: Result<T, Failure>,
) -> Result<T, Error> {
    match read {
        Err(failure) => {
            let is_of_shape = matches!(failure, Failure::Answer(Error::Damaged(_)));
            if is_of_shape || failure.code() == Some(BAD_VALUE) {
                check_definition(open, schema).await?;
            }
            Err(failure.into())
        }
        Ok(found) => Ok(found),
    }
}

/// Makes the collection of an entity, or extends it.
pub(crate) async fn prepare(store: &MongoStore, schema: &EntitySchema) -> Result<(), Error> {
    let open = &store.0;
    match stored_definition(open, &schema.name).await? {
        Some(stored) if stored.fingerprint() == schema.fingerprint() => {
            open.remember(&schema.name);
            return Ok(());
        }
        Some(stored) => drop(schema.extension_of(&stored)?),
        None => {}
    }
    let turn = take_turn(store, schema).await?;
    let made = {
        let mut making = Box::pin(make(open, schema));
        loop {
            tokio::select! {
                made = &mut making => break made,
                () = open.timer().sleep(TURN / 3) => drop(store.renew(&turn, TURN).await?),
            }
        }
    };
    store.release(&turn).await?;
    made?;
    open.remember(&schema.name);
    Ok(())
}

/// Waits until no other process makes this entity.
async fn take_turn(store: &MongoStore, schema: &EntitySchema) -> Result<Lease, Error> {
    let name = format!("prepare entity {}", schema.name);
    let mut waited = Duration::ZERO;
    while waited < store.0.config.prepare_timeout {
        if let Some(turn) = store.acquire(&name, "prepare", TURN).await? {
            return Ok(turn);
        }
        store.0.timer().sleep(ASK_EVERY).await;
        waited += ASK_EVERY;
    }
    Err(Error::unavailable(format!("another process prepares the entities {}", schema.name)))
}

/// The definition that entities are stored by.
async fn stored_definition(open: &Open, entity: &str) -> Result<Option<EntitySchema>, Failure> {
    let found = open.read(open.own("entities").find_one(doc! { "_id": entity })).await?;
    let Some(found) = found else { return Ok(None) };
    let text = found.get_str("definition").unwrap_or_default();
    let read = serde_json::from_str(text);
    read.map(Some).map_err(|error| Failure::damaged(format!("the definition of entity {entity}: {error}")))
}

async fn make(open: &Open, schema: &EntitySchema) -> Result<(), Error> {
    match stored_definition(open, &schema.name).await? {
        Some(stored) => extend(open, schema, &schema.extension_of(&stored)?).await?,
        None => create(open, schema).await?,
    }
    let definition = serde_json::to_string(schema)
        .map_err(|error| Error::invalid(format!("entity {} has no JSON form: {error}", schema.name)))?;
    let definitions = open.own("entities");
    let replace = definitions.replace_one(doc! { "_id": &schema.name }, doc! { "definition": definition });
    open.make(replace.upsert(true)).await?;
    Ok(())
}

async fn create(open: &Open, schema: &EntitySchema) -> Result<(), Error> {
    let name = collection_name(&schema.name);
    let created = open.make(open.database.create_collection(&name).validator(validator(schema, true))).await;
    match created {
        // Left by a process that ended before it stored the definition.
        Err(failure) if failure.code() == Some(NAMESPACE_EXISTS) => validate(open, schema).await?,
        created => created?,
    }
    let indexed = schema.columns.iter().filter(|column| column.indexed);
    let mut indexes = index_specs(indexed.map(|column| column.name.as_str()));
    indexes.extend(schema.unique.iter().map(|column| unique_spec(column)));
    Ok(create_indexes(open, &schema.name, indexes).await?)
}

async fn extend(open: &Open, schema: &EntitySchema, extension: &EntityExtension) -> Result<(), Error> {
    for column in &extension.unique {
        // It fails where values are there twice. Nothing was changed before it.
        match create_indexes(open, &schema.name, vec![unique_spec(column)]).await {
            Err(failure) if failure.meaning() == Some(Meaning::Taken) => {
                return Err(EntityExtension::not_yet_unique(schema, column));
            }
            made => made?,
        }
    }
    create_indexes(open, &schema.name, index_specs(extension.indexed.iter().map(String::as_str))).await?;
    // From here on nobody writes an entity without the new columns.
    validate(open, schema).await?;
    fill(open, schema, extension).await?;
    for column in &extension.not_indexed {
        drop_index(open, &schema.name, &index_of(Some(column))).await?;
    }
    for column in &extension.not_unique {
        drop_index(open, &schema.name, &unique_index_of(column)).await?;
    }
    Ok(())
}

/// Sets what documents have to be.
async fn validate(open: &Open, schema: &EntitySchema) -> Result<(), Failure> {
    let command = doc! { "collMod": collection_name(&schema.name), "validator": validator(schema, true) };
    open.make(open.database.run_command(command)).await?;
    Ok(())
}

/// Leaves new columns empty in what is stored.
async fn fill(open: &Open, schema: &EntitySchema, extension: &EntityExtension) -> Result<(), Failure> {
    if extension.columns.is_empty() {
        return Ok(());
    }
    let names = || extension.columns.iter().map(|column| column.name.clone());
    let missing: Vec<Document> =
        names().map(|name| doc! { format!("c.{name}"): { "$exists": false } }).collect();
    let empty: Document = names().map(|name| (name, Bson::Null)).collect();
    let filled = vec![doc! { "$set": { "c": { "$mergeObjects": [empty, "$c"] } } }];
    open.make(collection(open, &schema.name).update_many(doc! { "$or": missing }, filled)).await?;
    Ok(())
}

async fn create_indexes(open: &Open, entity: &str, indexes: Vec<Document>) -> Result<(), Failure> {
    if indexes.is_empty() {
        return Ok(());
    }
    let command = doc! { "createIndexes": collection_name(entity), "indexes": indexes };
    open.make(open.database.run_command(command)).await?;
    Ok(())
}

async fn drop_index(open: &Open, entity: &str, index: &str) -> Result<(), Failure> {
    let command = doc! { "dropIndexes": collection_name(entity), "index": index };
    match open.make(open.database.run_command(command)).await {
        Err(failure) if failure.code() == Some(INDEX_NOT_FOUND) => Ok(()),
        dropped => dropped.map(drop),
    }
}
