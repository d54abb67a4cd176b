//! Entities as they are read. Where those of a tenant are stored by another definition than this process knows, they are
//! brought to the one that is stored, and read again.

use std::sync::{Arc, LazyLock};

use redis::cmd;
use underlay_core::{EntitySchema, Error, RowSchema, StoredEntity, TenantId};

use super::definition::Definition;
use super::document;
use super::extension::EXTENSIONS_MAX;
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;
use crate::rows::{Check, Chunk, Fields, Part, Range, ReadScripts, Rows};

static READ: LazyLock<ReadScripts> =
    LazyLock::new(|| ReadScripts::new(include_str!("../scripts/check_definition.lua")));

/// Entities that are loaded at one moment.
const LOADED_MAX: usize = 100;

/// The entities of one name that a tenant has.
#[derive(Clone, Copy)]
pub(super) struct EntityRows<'a> {
    pub(super) store: &'a RedisStore,
    pub(super) schema: &'a EntitySchema,
    pub(super) tenant: &'a TenantId,
}

impl EntityRows<'_> {
    /// Loads entities by their ids.
    pub(super) async fn load(&self, ids: &[String]) -> Result<Vec<Option<StoredEntity>>, Error> {
        let mut loaded = Vec::with_capacity(ids.len());
        // Also of no id, the entity must be one that is prepared.
        self.store.definition(self.schema).await?;
        for ids in ids.chunks(LOADED_MAX) {
            loaded.extend(self.load_some(ids).await?);
        }
        Ok(loaded)
    }

    async fn load_some(&self, ids: &[String]) -> Result<Vec<Option<StoredEntity>>, Error> {
        let keys = self.store.0.keys.of(self.tenant).entities(&self.schema.name);
        for _ in 0..EXTENSIONS_MAX {
            let definition = self.store.definition(self.schema).await?;
            let hashes = ids.iter().map(|id| keys.hash(id));
            let Some(hashes) = self.store.load_rows(&READ, &self.check(&definition), hashes).await? else {
                self.bring().await?;
                continue;
            };
            let entity = |(id, fields): (&String, Fields)| {
                if fields.is_empty() {
                    return Ok(None);
                }
                document::entity(&definition, self.schema, id, &fields).map(Some)
            };
            return ids.iter().zip(hashes).map(entity).collect();
        }
        Err(RedisStore::still_extended(self.schema))
    }

    fn check(&self, definition: &Definition) -> Check {
        let key = self.store.0.keys.of(self.tenant).definition(&self.schema.name);
        Check { key, stamp: definition.stamp.clone(), mark: String::new() }
    }

    async fn bring(&self) -> Result<(), Error> {
        self.store.bring(self.tenant, &self.schema.name).await
    }
}

impl Rows for EntityRows<'_> {
    type Row = StoredEntity;
    type By = Arc<Definition>;

    fn schema(&self) -> &RowSchema {
        self.schema
    }

    async fn chunk(&self, part: Part<'_>) -> Result<(Arc<Definition>, Chunk), Error> {
        let keys = self.store.0.keys.of(self.tenant).entities(&self.schema.name);
        for _ in 0..EXTENSIONS_MAX {
            let definition = self.store.definition(self.schema).await?;
            let check = self.check(&definition);
            match self.store.chunk_of(&READ, &check, &keys, &part).await? {
                Some((_, chunk)) => return Ok((definition, chunk)),
                None => self.bring().await?,
            }
        }
        Err(RedisStore::still_extended(self.schema))
    }

    async fn size(&self, column: Option<&str>, range: &Range) -> Result<usize, Error> {
        let keys = self.store.0.keys.of(self.tenant).entities(&self.schema.name);
        for _ in 0..EXTENSIONS_MAX {
            let definition = self.store.definition(self.schema).await?;
            let check = self.check(&definition);
            match self.store.size_of(&READ, &check, &keys, column, range).await? {
                Some((_, size)) => return Ok(size),
                None => self.bring().await?,
            }
        }
        Err(RedisStore::still_extended(self.schema))
    }

    fn read(&self, by: &Arc<Definition>, id: &str, fields: &Fields) -> Result<StoredEntity, Error> {
        document::entity(by, self.schema, id, fields)
    }
}

impl RedisStore {
    /// Ids of a tenant's entities after one, in their order, and no more of them than asked for.
    pub(super) async fn ids_after(
        &self,
        tenant: &TenantId,
        entity: &str,
        after: &str,
        count: usize,
    ) -> Result<Vec<String>, Error> {
        let mut read = cmd("ZRANGE");
        read.arg(self.0.keys.of(tenant).ids(entity)).arg(format!("({after}")).arg("+");
        read.arg("BYLEX").arg("LIMIT").arg(0).arg(count);
        self.ask("reading the ids of entities in Redis", Effect::Repeatable, Asked::Command(&read)).await
    }
}
