//! Changes that are stored together, by one script.

use std::sync::{Arc, LazyLock};

use redis::Script;
use underlay_core::{Change, EntityChange, EntityVersion, Error, TenantId};

use super::definition::Definition;
use super::document::version;
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;
use crate::keys::TenantKeys;
use crate::rows::{EMPTY, encoded};

static APPLY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("../scripts/reindex.lua"), include_str!("../scripts/apply_unit.lua")))
});

const DOING: &str = "changing entities in Redis";

/// What became of a unit.
pub(super) enum Stored {
    /// All of it is stored.
    All(Vec<EntityVersion>),
    /// Nothing is: the tenant's entities of this name are not stored by the definition that this process knows.
    Stale(String),
}

/// The entities of one name in a unit.
struct Kind {
    definition: Arc<Definition>,
    /// Of each column the arguments: its name, and what it has.
    columns: Vec<(String, &'static str)>,
}

impl Kind {
    fn of(definition: Arc<Definition>) -> Self {
        let schema = &definition.schema;
        let columns = schema.columns.iter().map(|column| {
            let has = match (column.indexed, schema.is_unique(&column.name)) {
                (true, true) => "u",
                (true, false) => "i",
                (false, _) => "-",
            };
            (column.name.clone(), has)
        });
        Self { columns: columns.collect(), definition }
    }
}

impl RedisStore {
    /// Stores changes that were checked, all or none.
    pub(super) async fn store_unit(
        &self,
        tenant: &TenantId,
        changes: &[EntityChange],
    ) -> Result<Stored, Error> {
        let mut kinds: Vec<Kind> = Vec::new();
        let mut places = Vec::with_capacity(changes.len());
        for change in changes {
            let known = kinds.iter().position(|kind| kind.definition.schema.name == change.entity());
            if let Some(kind) = known.map(|at| &kinds[at]) {
                kind.definition.check_has(&change.schema)?;
            }
            let place = known.unwrap_or(kinds.len());
            if known.is_none() {
                kinds.push(Kind::of(self.definition(&change.schema).await?));
            }
            places.push(place);
        }
        let script = asked(&self.0.keys.of(tenant), &kinds, changes, &places);
        let answer: Vec<Vec<u8>> = self.ask(DOING, Effect::Unit, Asked::Script(&script)).await?;
        read_answer(&answer, &kinds, changes)
    }
}

/// The script with its keys and arguments, as it describes them.
fn asked<'s>(
    keys: &TenantKeys,
    kinds: &[Kind],
    changes: &[EntityChange],
    places: &[usize],
) -> redis::ScriptInvocation<'s> {
    let mut script = APPLY.prepare_invoke();
    script.arg(kinds.len());
    for Kind { definition, columns } in kinds {
        let name = &definition.schema.name;
        script.key(keys.definition(name)).key(keys.ids(name));
        script.arg(&definition.stamp).arg(&definition.text).arg(columns.len());
        for (column, has) in columns {
            script.arg(column).arg(*has);
            if *has != "-" {
                script.key(keys.index(name, column));
            }
            if *has == "u" {
                script.key(keys.unique(name, column));
            }
        }
    }
    script.arg(changes.len());
    for (change, place) in changes.iter().zip(places) {
        let what = match change.change {
            Change::Create(_) => "create",
            Change::Update { .. } => "update",
            Change::Delete { .. } => "delete",
        };
        let expected = change.expected().map(|version| version.to_string()).unwrap_or_default();
        script.key(keys.entity(change.entity(), &change.id));
        script.arg(place + 1).arg(what).arg(&change.id).arg(expected).arg(change.version_after().to_string());
        if change.values().is_some() {
            for (column, _) in &kinds[*place].columns {
                script.arg(stored_value(change, column));
            }
        }
    }
    script
}

/// The value that a change leaves in a column, as bytes. What the code does not know stays as it is, or is empty in a new
/// entity.
fn stored_value(change: &EntityChange, column: &str) -> Vec<u8> {
    let values = change.values().unwrap_or_default();
    match change.schema.column_at(column).and_then(|at| values.get(at)) {
        Some(value) => encoded(value),
        None if matches!(change.change, Change::Create(_)) => EMPTY.to_vec(),
        None => Vec::new(),
    }
}

fn read_answer(answer: &[Vec<u8>], kinds: &[Kind], changes: &[EntityChange]) -> Result<Stored, Error> {
    let strange = || Error::backend(DOING, format!("the script answered {answer:?}"));
    let text = |at: usize| answer.get(at).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let place = || text(1)?.parse::<usize>().ok()?.checked_sub(1);
    let change = || place().and_then(|at| changes.get(at)).ok_or_else(strange);
    match text(0).as_deref() {
        Some("ok") => Ok(Stored::All(changes.iter().map(EntityChange::version_after).collect())),
        Some("stale") => {
            let kind = place().and_then(|at| kinds.get(at)).ok_or_else(strange)?;
            Ok(Stored::Stale(kind.definition.schema.name.clone()))
        }
        Some("version") => {
            let change = change()?;
            let actual = match answer.get(2).map(Vec::as_slice).unwrap_or_default() {
                [] => None,
                bytes => Some(version(bytes).ok_or_else(|| {
                    Error::damaged_entity(change.entity(), &change.id, "its version is no number")
                })?),
            };
            change.check_version(actual)?;
            Err(strange())
        }
        Some("damaged") => {
            let change = change()?;
            let column = text(2).unwrap_or_default();
            let reason = format!("column {column} is missing");
            Err(Error::damaged_entity(change.entity(), &change.id, reason))
        }
        Some("unique") => Err(Error::not_unique(change()?.entity(), &text(2).unwrap_or_default())),
        _ => Err(strange()),
    }
}
