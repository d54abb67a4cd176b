//! Another definition of entities that are stored already.
//!
//! A definition is replaced for everybody at once. The entities of a tenant follow one tenant after the other, in pieces:
//!
//! ```text
//! stored by the old one ─► begin: nobody reads or writes them ─► piece ─► … ─► end: stored by the new one
//! ```
//!
//! Preparing does it for all tenants. Whoever comes to a tenant meanwhile, or after a process that ended in the middle,
//! helps before going on. How far the pieces are is noted beside the definition, so many helpers do no more than one.
//!
//! The first pieces note who has the values that become unique. A program of before may have stored one twice since
//! preparing looked. Then the extension of this tenant ends as if it was never begun: programs of before go on, and the
//! new one says what is in its way.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use redis::{Script, ScriptInvocation, cmd};
use underlay_core::{EntityExtension, EntitySchema, Error, TenantId};

use super::definition::Definition;
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;
use crate::rows::EMPTY;

static REPLACE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/replace_definition.lua")));
static BEGIN: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/begin_extension.lua")));
static OWN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/own_piece.lua")));
static FILL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/fill_piece.lua")));
static END: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/end_extension.lua")));

const DOING: &str = "bringing entities in Redis to another definition";
/// How often a call finds that the definition has changed before it gives up.
pub(super) const EXTENSIONS_MAX: usize = 8;
/// Entities of one piece.
const PIECE_MAX: usize = 500;
/// Keys that one step of a walk over all keys looks at.
const SCANNED_MAX: usize = 1_000;

impl RedisStore {
    /// Makes a definition the one that is stored, and brings all tenants to it.
    pub(super) async fn put_definition(&self, schema: &EntitySchema) -> Result<(), Error> {
        for _ in 0..EXTENSIONS_MAX {
            let stored = self.definition_text(&schema.name).await?;
            let code = Definition::of(schema)?;
            if let Some(text) = &stored {
                let stored = Definition::read(&schema.name, text)?;
                let extension = schema.extension_of(&stored.schema)?;
                if stored.stamp == code.stamp {
                    self.0.definitions.put(Arc::new(stored));
                    return Ok(());
                }
                self.check_unique(schema, &extension).await?;
            }
            let mut script = REPLACE.prepare_invoke();
            script.key(self.0.keys.definitions()).arg(&schema.name);
            script.arg(stored.as_deref().unwrap_or_default()).arg(&code.text);
            if self.ask::<bool>(DOING, Effect::Repeatable, Asked::Script(&script)).await? {
                self.0.definitions.put(Arc::new(code));
                for tenant in self.tenants(&schema.name).await? {
                    self.bring(&tenant, &schema.name).await?;
                }
                return Ok(());
            }
        }
        Err(Self::still_extended(schema))
    }

    /// Brings the entities of a tenant to the definition that is stored. Where they are by then, nothing happens.
    ///
    /// # Errors
    /// [`EntityExtension::not_yet_unique`] where that cannot be, and this process has used the definition that is stored;
    /// one that has used the definition of the tenant goes on with that.
    pub(super) async fn bring(&self, tenant: &TenantId, entity: &str) -> Result<(), Error> {
        let known = self.0.definitions.get(entity);
        let to = self.read_definition(entity).await?;
        let keys = self.0.keys.of(tenant);
        let mut read = cmd("HMGET");
        read.arg(keys.definition(entity)).arg("stamp").arg("next").arg("text");
        let (stamp, next, text): (Option<String>, Option<String>, Option<String>) =
            self.ask(DOING, Effect::Repeatable, Asked::Command(&read)).await?;
        let (Some(stamp), Some(text)) = (stamp, text) else { return Ok(()) };
        if stamp == to.stamp && next.is_none() {
            return Ok(());
        }
        let from = Definition::read(entity, &text)?;
        let extension = to.schema.extension_of(&from.schema)?;
        let mut begin = BEGIN.prepare_invoke();
        begin.key(keys.definition(entity)).arg(&stamp).arg(&to.stamp);
        for column in &extension.indexed {
            begin.key(keys.index(entity, column));
        }
        for column in &extension.unique {
            begin.key(keys.unique(entity, column));
        }
        if !self.ask::<bool>(DOING, Effect::Repeatable, Asked::Script(&begin)).await? {
            return Ok(());
        }
        match self.bring_pieces(tenant, &to, &extension).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error @ Error::EntityChanged { .. }) => {
                let goes_on = known.is_some_and(|known| known.stamp == from.stamp);
                self.0.definitions.put(Arc::new(from));
                return if goes_on { Ok(()) } else { Err(error) };
            }
            Err(error) => return Err(error),
        }
        let mut end = END.prepare_invoke();
        end.key(keys.definition(entity)).arg(&to.stamp).arg(&to.text);
        for column in &extension.not_indexed {
            end.key(keys.index(entity, column));
        }
        for column in &extension.not_unique {
            end.key(keys.unique(entity, column));
        }
        self.ask::<bool>(DOING, Effect::Repeatable, Asked::Script(&end)).await.map(drop)
    }

    /// Does what is left to do between the begin and the end. Whoever else comes to the tenant does a part of it: each
    /// piece goes on where the one before ended. False where the extension has ended meanwhile, or another was begun.
    async fn bring_pieces(
        &self,
        tenant: &TenantId,
        to: &Definition,
        extension: &EntityExtension,
    ) -> Result<bool, Error> {
        let keys = self.0.keys.of(tenant);
        let name = &to.schema.name;
        if !extension.unique.is_empty() {
            let mut own = OWN.prepare_invoke();
            own.key(keys.definition(name)).key(keys.ids(name));
            own.arg(&to.stamp).arg(keys.entity(name, "")).arg(PIECE_MAX);
            for column in &extension.unique {
                own.key(keys.unique(name, column)).arg(column);
            }
            if !self.run_pieces(&own, &to.schema).await? {
                return Ok(false);
            }
        }
        let mut fill = FILL.prepare_invoke();
        fill.key(keys.definition(name)).key(keys.ids(name));
        fill.arg(&to.stamp).arg(keys.entity(name, "")).arg(PIECE_MAX).arg(EMPTY).arg(extension.columns.len());
        for column in &extension.columns {
            fill.arg(&column.name);
        }
        for column in &extension.indexed {
            fill.key(keys.index(name, column)).arg(column);
        }
        self.run_pieces(&fill, &to.schema).await
    }

    /// Runs one piece after the other, to the last; false as [`RedisStore::bring_pieces`] says.
    async fn run_pieces(&self, piece: &ScriptInvocation<'_>, schema: &EntitySchema) -> Result<bool, Error> {
        loop {
            let answer: Vec<String> = self.ask(DOING, Effect::Repeatable, Asked::Script(piece)).await?;
            match answer.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["more"] => {}
                ["end"] => return Ok(true),
                ["unique", column] => return Err(EntityExtension::not_yet_unique(schema, column)),
                _ => return Ok(false),
            }
        }
    }

    /// Looks whether the values of columns that become unique are, before anything changes. It keeps the values of one
    /// tenant in memory.
    async fn check_unique(&self, schema: &EntitySchema, extension: &EntityExtension) -> Result<(), Error> {
        if extension.unique.is_empty() {
            return Ok(());
        }
        for tenant in self.tenants(&schema.name).await? {
            let mut seen: Vec<HashSet<Vec<u8>>> = vec![HashSet::new(); extension.unique.len()];
            let mut after = String::new();
            loop {
                let ids = self.ids_after(&tenant, &schema.name, &after, PIECE_MAX).await?;
                let Some(last) = ids.last().cloned() else { break };
                for values in self.values_of(&tenant, schema, &ids, &extension.unique).await? {
                    for ((value, seen), column) in values.into_iter().zip(&mut seen).zip(&extension.unique) {
                        if value.is_some_and(|value| !seen.insert(value)) {
                            return Err(EntityExtension::not_yet_unique(schema, column));
                        }
                    }
                }
                after = last;
            }
        }
        Ok(())
    }

    async fn values_of(
        &self,
        tenant: &TenantId,
        schema: &EntitySchema,
        ids: &[String],
        columns: &[String],
    ) -> Result<Vec<Vec<Option<Vec<u8>>>>, Error> {
        let keys = self.0.keys.of(tenant);
        let mut read = redis::pipe();
        for id in ids {
            read.cmd("HMGET").arg(keys.entity(&schema.name, id)).arg(columns);
        }
        self.ask(DOING, Effect::Repeatable, Asked::Pipeline(&read)).await
    }

    /// The tenants that have entities of a name.
    async fn tenants(&self, entity: &str) -> Result<HashSet<TenantId>, Error> {
        let mut tenants = HashSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(self.0.keys.definitions_of_tenants(entity));
            scan.arg("COUNT").arg(SCANNED_MAX);
            let (next, keys): (String, Vec<String>) =
                self.ask(DOING, Effect::Repeatable, Asked::Command(&scan)).await?;
            tenants.extend(keys.iter().filter_map(|key| self.0.keys.tenant_of(key, entity)));
            if next == "0" {
                return Ok(tenants);
            }
            cursor = next;
        }
    }

    /// That the definition changes again and again.
    pub(super) fn still_extended(schema: &EntitySchema) -> Error {
        Error::unavailable(format!(
            "the definition of {} is being changed by others; nothing was stored",
            schema.name
        ))
    }
}
