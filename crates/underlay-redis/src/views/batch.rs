//! Changes to rows that are stored with the checkpoint they lead to, by one script.

use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};
use underlay_core::{Error, Json, RowChange, ViewBatch, ViewStop, ViewTable};

use super::catalogue::{DOING, event_key, no_table, stored_checkpoint, stored_position};
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::{self, Effect};
use crate::leases::stored_id;
use crate::rows::encoded;

static APPLY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../scripts/reindex.lua"),
        include_str!("../scripts/hold.lua"),
        include_str!("../scripts/store_batch.lua"),
        include_str!("../scripts/apply_batch.lua"),
    ))
});

impl RedisStore {
    /// Stores a batch that was checked.
    pub(crate) async fn apply_batch(&self, table: &ViewTable, batch: &ViewBatch) -> Result<(), Error> {
        let mut script = APPLY.prepare_invoke();
        self.ask_for_batch(&mut script, table, Some(batch))?;
        match self.ask_once::<Vec<String>>(Asked::Script(&script)).await {
            Ok(answer) => match answer.first().map(String::as_str) {
                Some("ok") => Ok(()),
                _ => Err(refused(&answer, table, batch)),
            },
            // It may have been stored: the checkpoint tells, where it can be asked for.
            Err(failure) if failure.is_uncertain() && batch.from != batch.to => {
                match self.checkpoint_of(table).await {
                    Ok(at) if at == batch.to => Ok(()),
                    _ => Err(error::told(DOING, Effect::Change, &failure)),
                }
            }
            Err(failure) => Err(error::told(DOING, Effect::Change, &failure)),
        }
    }

    /// Gives a script the keys and arguments of a batch, as it describes them; of none those that say so.
    pub(super) fn ask_for_batch(
        &self,
        script: &mut ScriptInvocation<'_>,
        table: &ViewTable,
        batch: Option<&ViewBatch>,
    ) -> Result<(), Error> {
        let (keys, name) = (&self.0.keys, &table.schema.name);
        let lease = batch.and_then(|batch| batch.lease.as_ref());
        script.key(keys.view(name)).key(keys.tenants(table)).key(keys.parked(table)).key(keys.skipped(name));
        script.key(keys.lease(lease.map_or("", |lease| lease.name.as_str())));
        script.arg(table.generation).arg(table.schema.fingerprint().to_string());
        let term = lease.map(|lease| (lease.term.to_string(), stored_id(lease.id)));
        let (term, id) = term.unwrap_or_default();
        script.arg(term).arg(id).arg(self.now());
        let Some(batch) = batch else {
            // Neither from anywhere nor to anywhere.
            script.arg("").arg("");
            return Ok(());
        };
        script.arg(stored_checkpoint(&batch.from)).arg(stored_checkpoint(&batch.to));
        let stop = batch.stop.as_ref();
        script.arg(stop.map(Json::encode).transpose()?.as_ref().map_or("", Json::as_str));
        script.arg(stop.and_then(ViewStop::event).map(event_key).unwrap_or_default());
        script.arg(keys.rows(table)).arg(table.schema.columns.len());
        for column in &table.schema.columns {
            script.arg(&column.name).arg(if column.indexed { "i" } else { "-" });
        }
        script.arg(batch.parked.len());
        for event in &batch.parked {
            script.arg(stored_position(event.position)).arg(event.event_id.0.to_string());
            script.arg(Json::encode(event)?.as_str());
        }
        script.arg(batch.changes.len());
        batch.changes.iter().for_each(|change| ask_for_change(script, table, change));
        Ok(())
    }
}

fn ask_for_change(script: &mut ScriptInvocation<'_>, table: &ViewTable, change: &RowChange) {
    let address = change.address();
    script.arg(address.tenant.as_str()).arg(&address.key);
    match change {
        RowChange::Upsert(_, values) => {
            script.arg("put");
            for value in values {
                script.arg(encoded(value));
            }
        }
        RowChange::Patch(_, patch) => {
            // A column that the view does not have was refused before.
            let places: Vec<_> = patch
                .iter()
                .filter_map(|(name, value)| Some((table.schema.column_at(name)?, value)))
                .collect();
            script.arg("patch").arg(places.len());
            for (place, value) in places {
                script.arg(place + 1).arg(encoded(value));
            }
        }
        RowChange::Delete(_) => {
            script.arg("delete");
        }
    }
}

/// Why a batch is not stored.
pub(super) fn refused(answer: &[String], table: &ViewTable, batch: &ViewBatch) -> Error {
    let word = |at: usize| answer.get(at).map(String::as_str);
    let key = || {
        let number: usize = word(1)?.parse().ok()?;
        Some(&batch.changes.get(number.checked_sub(1)?)?.address().key)
    };
    match (word(0), &batch.lease, key()) {
        (Some("lease"), Some(lease), _) => lease.lost(),
        (Some("gone"), ..) => no_table(table),
        (Some("moved"), ..) => Error::CheckpointMoved { owner: format!("view {}", table.schema.name) },
        (Some("missing"), _, Some(key)) => Error::NotFound(format!("row {key:?}")),
        (Some("damaged"), _, Some(key)) => Error::Damaged(format!(
            "a row in generation {} of view {} ({key:?}): column {} is missing",
            table.generation,
            table.schema.name,
            word(2).unwrap_or_default()
        )),
        _ => Error::backend(DOING, format!("the script answered {answer:?}")),
    }
}
