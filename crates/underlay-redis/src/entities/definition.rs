//! By which definition entities are stored.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use redis::cmd;
use underlay_core::{Column, EntitySchema, Error, entity_not_prepared};

use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;

/// The definition that the entities of one name are stored by. It may have more columns than this program knows, where a
/// newer one has prepared it.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(super) schema: EntitySchema,
    /// Tells it from others.
    pub(super) stamp: String,
    /// As it is stored.
    pub(super) text: String,
}

impl Definition {
    pub(super) fn of(schema: &EntitySchema) -> Result<Self, Error> {
        let text = serde_json::to_string(schema)
            .map_err(|error| Error::backend(format!("writing the definition of {}", schema.name), error))?;
        Ok(Self { schema: schema.clone(), stamp: schema.fingerprint().to_string(), text })
    }

    pub(super) fn read(entity: &str, text: &str) -> Result<Self, Error> {
        let schema: EntitySchema = serde_json::from_str(text)
            .map_err(|error| Error::Damaged(format!("the stored definition of {entity}: {error}")))?;
        Ok(Self { stamp: schema.fingerprint().to_string(), schema, text: text.to_owned() })
    }

    /// Checks that what the code has is stored.
    pub(super) fn check_has(&self, code: &EntitySchema) -> Result<(), Error> {
        if *code == self.schema {
            return Ok(());
        }
        let lacks = |column: &&Column| {
            let stored = self.schema.column_at(&column.name).map(|at| &self.schema.columns[at]);
            !stored.is_some_and(|stored| {
                stored.column_type == column.column_type
                    && stored.nullable == column.nullable
                    && (stored.indexed || !column.indexed)
                    && (self.schema.is_unique(&column.name) || !code.is_unique(&column.name))
            })
        };
        match code.columns.iter().find(lacks) {
            None => Ok(()),
            Some(column) => Err(Error::EntityChanged {
                entity: code.name.clone(),
                reason: format!(
                    "column {} is another one in the code than in the store; prepare the entity before it is used",
                    column.name
                ),
            }),
        }
    }
}

/// The definitions this process knows.
#[derive(Debug, Default)]
pub(crate) struct Definitions(RwLock<HashMap<String, Arc<Definition>>>);

impl Definitions {
    pub(super) fn get(&self, entity: &str) -> Option<Arc<Definition>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(entity).cloned()
    }

    pub(super) fn put(&self, definition: Arc<Definition>) {
        let name = definition.schema.name.clone();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name, definition);
    }
}

impl RedisStore {
    /// The definition that this process last knew of an entity, which has all that the code has.
    pub(super) async fn definition(&self, code: &EntitySchema) -> Result<Arc<Definition>, Error> {
        let known = match self.0.definitions.get(&code.name) {
            Some(known) => known,
            None => self.read_definition(&code.name).await?,
        };
        if known.check_has(code).is_ok() {
            return Ok(known);
        }
        let stored = self.read_definition(&code.name).await?;
        stored.check_has(code).map(|()| stored)
    }

    /// The definition that is stored of an entity.
    pub(super) async fn read_definition(&self, entity: &str) -> Result<Arc<Definition>, Error> {
        let text = self.definition_text(entity).await?.ok_or_else(|| entity_not_prepared(entity))?;
        let definition = Arc::new(Definition::read(entity, &text)?);
        self.0.definitions.put(definition.clone());
        Ok(definition)
    }

    /// The text of it; none where nobody has prepared the entity.
    pub(super) async fn definition_text(&self, entity: &str) -> Result<Option<String>, Error> {
        let mut read = cmd("HGET");
        read.arg(self.0.keys.definitions()).arg(entity);
        self.ask("reading the definition of an entity in Redis", Effect::Repeatable, Asked::Command(&read))
            .await
    }
}
