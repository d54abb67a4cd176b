//! How the rows of a generation differ from what was stored.

use std::sync::LazyLock;

use redis::Script;
use underlay_core::limits::ALTERATIONS_MAX;
use underlay_core::{Error, ViewTable};

use super::catalogue::no_table;
use super::changes::indexed;
use super::reading::check_of;
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;
use crate::rows::{taken, unless_stale};

static COMPARE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../scripts/check_generation.lua"),
        include_str!("../scripts/compare_indexes.lua")
    ))
});

/// Tenants that are looked at in one step.
const TENANTS_MAX: usize = 200;

impl RedisStore {
    /// Indexes that have other rows than there are, for people.
    pub(crate) async fn altered_indexes(&self, table: &ViewTable) -> Result<Vec<String>, Error> {
        let (keys, check) = (&self.0.keys, check_of(self, table, None));
        let (mut told, mut above) = (Vec::new(), String::new());
        loop {
            let mut script = COMPARE.prepare_invoke();
            script.key(&check.key).key(keys.tenants(table)).arg(&check.stamp).arg(&check.mark);
            script.arg(keys.rows(table)).arg(&above).arg(TENANTS_MAX).arg(indexed(&table.schema));
            let asked = Asked::Script(&script);
            let answer = self.ask("looking at indexes in Redis", Effect::Repeatable, asked).await?;
            let (_, mut found) = unless_stale(answer)?.ok_or_else(|| no_table(table))?;
            let mut word = || found.next().map(taken::<String>).transpose();
            above = word()?.unwrap_or_default();
            while let (Some(tenant), Some(column), Some(members), Some(rows)) =
                (word()?, word()?, word()?, word()?)
            {
                told.push(format!(
                    "the index of column {column:?} has {members} of {rows} rows of tenant {tenant}"
                ));
            }
            if above.is_empty() || told.len() >= ALTERATIONS_MAX {
                told.truncate(ALTERATIONS_MAX);
                return Ok(told);
            }
        }
    }
}
