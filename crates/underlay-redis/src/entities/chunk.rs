//! What is read of a tenant's entities at one moment.

use std::sync::{Arc, LazyLock};

use redis::{FromRedisValue, Script, cmd, from_redis_value, pipe};
use underlay_core::limits::SCAN_BYTES_MAX;
use underlay_core::{Direction, EntitySchema, Error, StoredEntity, TenantId};

use super::definition::Definition;
use super::document::{self, Fields};
use super::extension::EXTENSIONS_MAX;
use super::range::Range;
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;

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
        let mut read = pipe();
        read.atomic().cmd("HMGET").arg(keys.definition(&schema.name)).arg("stamp").arg("next");
        for id in ids {
            read.cmd("HGETALL").arg(keys.entity(&schema.name, id));
        }
        for _ in 0..EXTENSIONS_MAX {
            let definition = self.definition(schema).await?;
            let asked = Asked::Pipeline(&read);
            let mut answer: Vec<redis::Value> =
                self.ask("loading entities from Redis", Effect::Repeatable, asked).await?;
            let documents = answer.split_off(answer.len().min(1));
            if !self.is_current(&definition, schema, tenant, answer.pop()).await? {
                continue;
            }
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
            let answer: Vec<redis::Value> = self.ask_for_query(Asked::Script(&script)).await?;
            match members(answer)? {
                Some((members, more)) => return Ok(Chunk { definition, members, more }),
                None => self.bring(tenant, &schema.name).await?,
            }
        }
        Err(Self::still_extended(schema))
    }

    /// How many members of an index lie in a range.
    pub(super) async fn size(&self, index: Index<'_>, range: &Range) -> Result<usize, Error> {
        let Index { schema, tenant, .. } = index;
        let (from, to) = range.ends();
        let mut count = pipe();
        count.atomic().cmd("HMGET").arg(self.0.keys.of(tenant).definition(&schema.name)).arg("stamp").arg("next");
        count.cmd("ZLEXCOUNT").arg(self.index_key(index)).arg(from).arg(to);
        for _ in 0..EXTENSIONS_MAX {
            let definition = self.definition(schema).await?;
            let (stored, size): (redis::Value, usize) = self.ask_for_query(Asked::Pipeline(&count)).await?;
            if self.is_current(&definition, schema, tenant, Some(stored)).await? {
                return Ok(size);
            }
        }
        Err(Self::still_extended(schema))
    }

    /// Whether a tenant's entities are stored by a definition. Where they are not, they are brought to the one that is
    /// stored last.
    async fn is_current(
        &self,
        definition: &Definition,
        schema: &EntitySchema,
        tenant: &TenantId,
        stored: Option<redis::Value>,
    ) -> Result<bool, Error> {
        let (stamp, next): (Option<String>, Option<String>) = taken(stored.unwrap_or_default())?;
        if next.is_none() && stamp.is_none_or(|stamp| stamp == definition.stamp) {
            return Ok(true);
        }
        self.bring(tenant, &schema.name).await.map(|()| false)
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

/// The members of a chunk, and whether more follow; none where the tenant's entities have another definition.
type Members = Option<(Vec<(Vec<u8>, Fields)>, bool)>;

fn members(answer: Vec<redis::Value>) -> Result<Members, Error> {
    let mut answer = answer.into_iter();
    let said: String = taken(answer.next().unwrap_or_default())?;
    if said == "stale" {
        return Ok(None);
    }
    let more: String = taken(answer.next().unwrap_or_default())?;
    let mut members = Vec::with_capacity(answer.len() / 2);
    while let (Some(member), Some(fields)) = (answer.next(), answer.next()) {
        members.push((taken(member)?, taken(fields)?));
    }
    Ok(Some((members, more == "more")))
}

/// A part of an answer.
pub(super) fn taken<T: FromRedisValue>(value: redis::Value) -> Result<T, Error> {
    from_redis_value(value).map_err(|error| Error::backend("reading an answer of Redis", error))
}
