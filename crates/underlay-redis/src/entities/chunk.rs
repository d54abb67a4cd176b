//! What is read of a tenant's entities at one moment.

use std::sync::{Arc, LazyLock};

use redis::{FromRedisValue, Script, cmd, from_redis_value};
use underlay_core::limits::SCAN_BYTES_MAX;
use underlay_core::{Direction, EntitySchema, Error, StoredEntity, TenantId};

use super::definition::Definition;
use super::document::{self, Fields};
use super::extension::EXTENSIONS_MAX;
use super::range::Range;
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;

static LOAD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/load_entities.lua")));
static COUNT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/count_range.lua")));
static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/read_chunk.lua")));

/// Entities that are loaded at one moment.
const LOADED_MAX: usize = 100;

/// An index of a tenant's entities: that of a column, or that of the ids.
#[derive(Clone, Copy)]
pub(super) struct Index<'a> {
    pub(super) schema: &'a EntitySchema,
    pub(super) tenant: &'a TenantId,
    pub(super) column: Option<&'a str>,
}

/// A part of an index with the entities it leads to.
pub(super) struct Chunk {
    /// By which definition they are stored.
    pub(super) definition: Arc<Definition>,
    /// Members of the index, each with the fields of its hash.
    pub(super) members: Vec<(Vec<u8>, Fields)>,
    /// Whether more members follow.
    pub(super) more: bool,
}

impl RedisStore {
    /// Loads entities by their ids.
    pub(super) async fn load_entities(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        let mut loaded = Vec::with_capacity(ids.len());
        // Also of no id, the entity must be one that is prepared.
        self.definition(schema).await?;
        for ids in ids.chunks(LOADED_MAX) {
            loaded.extend(self.load_some(schema, tenant, ids).await?);
        }
        Ok(loaded)
    }

    async fn load_some(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        let keys = self.0.keys.of(tenant);
        for _ in 0..EXTENSIONS_MAX {
            let definition = self.definition(schema).await?;
            let mut script = LOAD.prepare_invoke();
            script.key(keys.definition(&schema.name)).arg(&definition.stamp);
            for id in ids {
                script.key(keys.entity(&schema.name, id));
            }
            let asked = Asked::Script(&script);
            let answer = self.ask("loading entities from Redis", Effect::Repeatable, asked).await?;
            let Some(documents) = unless_stale(answer)? else {
                self.bring(tenant, &schema.name).await?;
                continue;
            };
            let entity = |(id, fields): (&String, redis::Value)| {
                let fields: Fields = taken(fields)?;
                if fields.is_empty() {
                    return Ok(None);
                }
                document::entity(&definition, schema, id, &fields).map(Some)
            };
            return ids.iter().zip(documents).map(entity).collect();
        }
        Err(Self::still_extended(schema))
    }

    /// Reads a part of an index.
    pub(super) async fn chunk(
        &self,
        index: Index<'_>,
        range: &Range,
        direction: Direction,
        count: usize,
    ) -> Result<Chunk, Error> {
        let Index { schema, tenant, column } = index;
        let keys = self.0.keys.of(tenant);
        let (from, to) = range.ends();
        for _ in 0..EXTENSIONS_MAX {
            let definition = self.definition(schema).await?;
            let mut script = READ.prepare_invoke();
            script.key(keys.definition(&schema.name)).key(self.index_key(index));
            script.arg(&definition.stamp).arg(keys.entity(&schema.name, "")).arg(&from).arg(&to);
            script.arg(if direction == Direction::Ascending { "up" } else { "down" });
            script.arg(count).arg(SCAN_BYTES_MAX).arg(if column.is_none() { "ids" } else { "column" });
            match unless_stale(self.ask_for_query(Asked::Script(&script)).await?)? {
                Some(answer) => return chunk(definition, answer),
                None => self.bring(tenant, &schema.name).await?,
            }
        }
        Err(Self::still_extended(schema))
    }

    /// How many members of an index lie in a range.
    pub(super) async fn size(&self, index: Index<'_>, range: &Range) -> Result<usize, Error> {
        let Index { schema, tenant, .. } = index;
        let (from, to) = range.ends();
        for _ in 0..EXTENSIONS_MAX {
            let definition = self.definition(schema).await?;
            let mut script = COUNT.prepare_invoke();
            script.key(self.0.keys.of(tenant).definition(&schema.name)).key(self.index_key(index));
            script.arg(&definition.stamp).arg(&from).arg(&to);
            match unless_stale(self.ask_for_query(Asked::Script(&script)).await?)? {
                Some(mut answer) => return taken(answer.next().unwrap_or_default()),
                None => self.bring(tenant, &schema.name).await?,
            }
        }
        Err(Self::still_extended(schema))
    }

    fn index_key(&self, index: Index<'_>) -> String {
        let keys = self.0.keys.of(index.tenant);
        match index.column {
            Some(column) => keys.index(&index.schema.name, column),
            None => keys.ids(&index.schema.name),
        }
    }

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

/// What a script answers behind its first word; none where the tenant's entities have another definition than this process
/// knows.
fn unless_stale(answer: Vec<redis::Value>) -> Result<Option<std::vec::IntoIter<redis::Value>>, Error> {
    let mut answer = answer.into_iter();
    let said: String = taken(answer.next().unwrap_or_default())?;
    Ok((said != "stale").then_some(answer))
}

fn chunk(definition: Arc<Definition>, mut answer: std::vec::IntoIter<redis::Value>) -> Result<Chunk, Error> {
    let more: String = taken(answer.next().unwrap_or_default())?;
    let mut members = Vec::with_capacity(answer.len() / 2);
    while let (Some(member), Some(fields)) = (answer.next(), answer.next()) {
        members.push((taken(member)?, taken(fields)?));
    }
    Ok(Chunk { definition, members, more: more == "more" })
}

/// A part of an answer.
pub(super) fn taken<T: FromRedisValue>(value: redis::Value) -> Result<T, Error> {
    from_redis_value(value).map_err(|error| Error::backend("reading an answer of Redis", error))
}
