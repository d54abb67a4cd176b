//! Rows as they are read.
//!
//! What is read by one script is of one moment. A query that reads several chunks is of one moment where the rows of its
//! tenant did not change meanwhile. Otherwise it is made again, at most [`TRIES_MAX`] times. A tenant whose rows change all
//! the time then gets rows at the position of the page or later, and may miss one that was moved in the order meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, OnceLock};

use redis::Script;
use underlay_core::limits::SCAN_BYTES_MAX;
use underlay_core::{
    Checkpoint, Error, Json, ParkedEvent, Position, Query, RowAddress, RowPage, RowSchema, RowValues,
    ScannedRows, TenantId, ViewTable,
};

use super::catalogue::{checkpoint, damaged, no_table, stored_position};
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;
use crate::keys::RowKeys;
use crate::rows::{
    self, Check, Chunk, Fields, Moment, Part, Range, ReadScripts, Rows, taken, unless_stale, values,
};

static READ: LazyLock<ReadScripts> =
    LazyLock::new(|| ReadScripts::new(include_str!("../scripts/check_generation.lua")));
static PARKED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../scripts/check_generation.lua"),
        include_str!("../scripts/read_parked.lua")
    ))
});
static SCAN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../scripts/check_generation.lua"),
        include_str!("../scripts/scan_rows.lua")
    ))
});

const DOING: &str = "reading a view in Redis";
/// Rows that are loaded at one moment.
const LOADED_MAX: usize = 500;
/// How often a query is made whose rows change.
const TRIES_MAX: usize = 3;

/// What says whether a generation answers, and when the rows of a tenant changed last.
pub(super) fn check_of(store: &RedisStore, table: &ViewTable, tenant: Option<&TenantId>) -> Check {
    let keys = &store.0.keys;
    let mark = tenant.map(|tenant| keys.mark_of(table, tenant)).unwrap_or_default();
    Check { key: keys.view(&table.schema.name), stamp: table.generation.to_string(), mark }
}

/// The values in the hash of a row; a row without columns has a field without a name.
fn row(table: &ViewTable, key: &str, fields: &Fields) -> Result<RowValues, Error> {
    values(&table.schema, &table.schema, key, fields, b"").map_err(|reason| {
        Error::Damaged(format!(
            "a row in generation {} of view {} ({key:?}): {reason}",
            table.generation, table.schema.name
        ))
    })
}

/// The rows of a tenant, as one query reads them.
struct ViewRows<'a> {
    store: &'a RedisStore,
    table: &'a ViewTable,
    keys: RowKeys,
    check: Check,
    /// When it read first.
    first: OnceLock<Moment>,
    /// Whether the rows changed since.
    changed: AtomicBool,
}

impl<'a> ViewRows<'a> {
    fn new(store: &'a RedisStore, table: &'a ViewTable, tenant: &TenantId) -> Self {
        Self {
            store,
            table,
            keys: store.0.keys.rows_of(table, tenant),
            check: check_of(store, table, Some(tenant)),
            first: OnceLock::new(),
            changed: AtomicBool::new(false),
        }
    }

    fn note(&self, moment: Moment) {
        let mark = moment.mark.clone();
        if self.first.get_or_init(|| moment).mark != mark {
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether all of it was read at one moment, as far as its rows go.
    fn is_of_one_moment(&self) -> bool {
        !self.changed.load(Ordering::Relaxed)
    }

    fn checkpoint(&self) -> Result<Checkpoint, Error> {
        checkpoint(&self.table.schema.name, self.first.get().map_or("", |first| first.at.as_str()))
    }
}

impl Rows for ViewRows<'_> {
    type Row = (String, RowValues);
    type By = ();

    fn schema(&self) -> &RowSchema {
        &self.table.schema
    }

    async fn chunk(&self, part: Part<'_>) -> Result<((), Chunk), Error> {
        let read = self.store.chunk_of(&READ, &self.check, &self.keys, &part).await?;
        let (moment, chunk) = read.ok_or_else(|| no_table(self.table))?;
        self.note(moment);
        Ok(((), chunk))
    }

    async fn size(&self, column: Option<&str>, range: &Range) -> Result<usize, Error> {
        let read = self.store.size_of(&READ, &self.check, &self.keys, column, range).await?;
        let (moment, size) = read.ok_or_else(|| no_table(self.table))?;
        self.note(moment);
        Ok(size)
    }

    fn read(&self, (): &(), key: &str, fields: &Fields) -> Result<(String, RowValues), Error> {
        Ok((key.to_owned(), row(self.table, key, fields)?))
    }
}

impl RedisStore {
    /// A page of a tenant's rows.
    pub(crate) async fn page_of_view(
        &self,
        table: &ViewTable,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<RowPage, Error> {
        let mut tries = 1;
        loop {
            let rows = ViewRows::new(self, table, tenant);
            let found = rows::page(&rows, query).await?;
            if rows.is_of_one_moment() || tries == TRIES_MAX {
                let position = rows.checkpoint()?.position;
                return Ok(RowPage::of(found, query, &table.schema, position));
            }
            tries += 1;
        }
    }

    /// How many of a tenant's rows meet a query.
    pub(crate) async fn count_of_view(
        &self,
        table: &ViewTable,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<u64, Error> {
        let mut tries = 1;
        loop {
            let rows = ViewRows::new(self, table, tenant);
            let count = rows::count(&rows, query).await?;
            if rows.is_of_one_moment() || tries == TRIES_MAX {
                return Ok(count);
            }
            tries += 1;
        }
    }

    /// Rows by their addresses.
    pub(crate) async fn rows_at(
        &self,
        table: &ViewTable,
        addresses: &[RowAddress],
    ) -> Result<Vec<Option<RowValues>>, Error> {
        if addresses.is_empty() {
            return self.checkpoint_of(table).await.map(|_| Vec::new());
        }
        let check = check_of(self, table, None);
        let mut found = Vec::with_capacity(addresses.len());
        for addresses in addresses.chunks(LOADED_MAX) {
            let hash = |address: &RowAddress| self.0.keys.rows_of(table, &address.tenant).hash(&address.key);
            let loaded = self.load_rows(&READ, &check, addresses.iter().map(hash)).await?;
            for (address, fields) in addresses.iter().zip(loaded.ok_or_else(|| no_table(table))?) {
                let is_there = !fields.is_empty();
                found.push(is_there.then(|| row(table, &address.key, &fields)).transpose()?);
            }
        }
        Ok(found)
    }

    /// A page of the rows of all tenants.
    pub(crate) async fn scan_view(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error> {
        let (keys, check) = (&self.0.keys, check_of(self, table, None));
        let mut script = SCAN.prepare_invoke();
        script.key(&check.key).key(keys.tenants(table)).arg(&check.stamp).arg(&check.mark);
        script.arg(keys.rows(table));
        script.arg(after.map_or("", |after| after.tenant.as_str()));
        script.arg(after.map_or("", |after| after.key.as_str())).arg(limit).arg(SCAN_BYTES_MAX);
        let answer = self.ask(DOING, Effect::Repeatable, Asked::Script(&script)).await?;
        let (moment, mut answer) = unless_stale(answer)?.ok_or_else(|| no_table(table))?;
        let more: String = taken(answer.next().unwrap_or_default())?;
        let mut scanned = ScannedRows {
            rows: Vec::with_capacity(answer.len() / 3),
            more: more == "more",
            checkpoint: checkpoint(&table.schema.name, &moment.at)?,
        };
        while let (Some(tenant), Some(key), Some(fields)) = (answer.next(), answer.next(), answer.next()) {
            let tenant = TenantId::new(taken::<String>(tenant)?)
                .map_err(|error| damaged(&table.schema.name, format!("a tenant ({error})")))?;
            let key: String = taken(key)?;
            let values = row(table, &key, &taken(fields)?)?;
            scanned.rows.push((RowAddress { tenant, key }, Some(values).into()));
        }
        Ok(scanned)
    }

    /// Events that a generation has passed over, above a position.
    pub(crate) async fn parked_events(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error> {
        let check = check_of(self, table, None);
        let mut script = PARKED.prepare_invoke();
        script.key(&check.key).key(self.0.keys.parked(table)).arg(&check.stamp).arg(&check.mark);
        script.arg(stored_position(after)).arg(limit);
        let answer = self.ask(DOING, Effect::Repeatable, Asked::Script(&script)).await?;
        let (_, found) = unless_stale(answer)?.ok_or_else(|| no_table(table))?;
        let event = |member: redis::Value| {
            let member: String = taken(member)?;
            let text = member.splitn(3, '\0').nth(2).unwrap_or_default();
            let read = Json::from_stored(text).decode();
            read.map_err(|error| {
                damaged(&table.schema.name, format!("an event that was passed over ({error})"))
            })
        };
        found.map(event).collect()
    }
}
