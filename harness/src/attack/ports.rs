//! Every method of the ports that takes a tenant, called for one tenant with everything another has:
//! names, ids, positions, cursors, keys and values.

use std::fmt::Debug;

use underlay_core::{
    ArchivedCommit, Category, Checkpoint, Commit, CommitId, CommitStatus, Committed, Comparison, Cursor,
    Direction, Error, EventId, EventStore, EventStoreExt, EventType, ExpectedVersion, Fingerprint, Json,
    LogFilter, LogScope, Outcome, Position, Query, RowAddress, RowChange, RowSchema, Snapshot, StreamName,
    TenantId, Timestamp, Value, Version, ViewBatch, ViewTable, WorkFilter, WorkId, WorkPlace,
};

use super::marks::{self, Marked};
use super::population::{
    HOSTILE_NAMES, Population, SCHEDULE, SHARED_COMMIT, SHARED_KEY, SHARED_STREAM, event, own_commit,
    own_key, own_refusal, own_stream, row, values,
};
use super::tally::Attack;
use super::witness::Witness;
use crate::Result;
use crate::subject::OpenStore;

/// Texts that mean something to a careless query.
pub(super) const HOSTILE_TEXTS: [&str; 15] = [
    "' OR true --",
    "'; DROP TABLE events; --",
    "%",
    "_",
    "\\",
    "$1",
    "\u{10ffff}",
    "x\0y",
    // Of MongoDB: operators, and paths of fields.
    "$where",
    "{\"$gt\": \"\"}",
    "a.$b",
    // Of Redis: what separates the parts of keys and of members, commands, scripts, patterns.
    "}:e:row:shared",
    "\u{1}",
    "x\r\nFLUSHALL\r\n",
    "*'..redis.call('FLUSHALL')..'",
];

/// Calls everything, as one tenant against another.
pub(super) async fn attack(
    name: &'static str,
    store: &OpenStore,
    witness: &dyn Witness,
    population: &Population,
    pairs: &[(usize, usize)],
) -> Result<Attack> {
    let mut attack = Attack::new(name);
    names(&mut attack);
    for (own, victim) in pairs {
        let pair = Pair {
            store,
            own: &population.tenants[*own],
            victim: &population.tenants[*victim],
            tables: &population.tables,
        };
        let before = witness.everything_of(pair.victim, pair.tables).await?;
        pair.reads(&mut attack).await?;
        pair.log(&mut attack).await?;
        pair.work(&mut attack).await?;
        pair.rows(&mut attack).await?;
        pair.entities(&mut attack).await?;
        pair.writes(&mut attack).await?;
        pair.batch(&mut attack).await?;
        let after = witness.everything_of(pair.victim, pair.tables).await?;
        attack.judge(before != after, || format!("rows of {} have changed", pair.victim.id));
    }
    Ok(attack)
}

/// Names that are no tenant's never become one.
fn names(attack: &mut Attack) {
    let long = "x".repeat(2_000);
    let hostile = HOSTILE_NAMES.iter().filter(|name| **name != "NULL" && **name != "LONG").copied();
    for name in hostile
        .chain(["", "acme\0", long.as_str()])
        .chain(HOSTILE_TEXTS.into_iter().filter(|text| *text != "_"))
    {
        attack.judge(TenantId::new(name).is_ok(), || format!("{name:?} is taken as a tenant"));
    }
}

pub(super) struct Pair<'a> {
    pub(super) store: &'a OpenStore,
    pub(super) own: &'a Marked,
    pub(super) victim: &'a Marked,
    tables: &'a [ViewTable],
}

impl Pair<'_> {
    /// Judges an answer by what it holds of others.
    pub(super) fn judge<T: Debug>(
        &self,
        method: &'static str,
        what: &str,
        answer: std::result::Result<T, Error>,
        attack: &mut Attack,
    ) -> Option<T> {
        attack.tried_method(method);
        let text = match &answer {
            Ok(answer) => format!("{answer:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        if let Some(sign) = marks::foreign(Some(self.own.number), &text) {
            attack.leak(format!("{method} for {} with {what} of {}: {sign}", self.own.id, self.victim.id));
        }
        answer.ok()
    }

    /// That a call works for its own tenant: what it gives holds the tenant's own mark.
    pub(super) fn control<T: Debug>(
        &self,
        method: &str,
        answer: std::result::Result<T, Error>,
        attack: &mut Attack,
    ) {
        let text = format!("{answer:?}");
        attack.control(text.contains(&self.own.mark()), || {
            format!("{method} gives {} nothing: {text}", self.own.id)
        });
    }

    pub(super) fn empty(&self, method: &str, is: bool, attack: &mut Attack) {
        if !is {
            attack.leak(format!("{method} for {} found something of {}", self.own.id, self.victim.id));
        }
    }

    fn streams(&self) -> Result<Vec<StreamName>> {
        let mut streams = vec![own_stream(self.victim)?];
        for text in HOSTILE_TEXTS {
            // The core takes most of them as a part of a name.
            streams.extend(StreamName::parse(&format!("account-{text}")).ok());
        }
        Ok(streams)
    }

    async fn reads(&self, attack: &mut Attack) -> Result<()> {
        let (store, own) = (self.store, &self.own.id);
        for id in [own_commit(self.victim), own_refusal(self.victim)] {
            let found = store.store.find_commit(own, id).await;
            let found = self.judge("EventStore::find_commit", "a commit id", found, attack);
            self.empty("find_commit", found.flatten().is_none(), attack);
            let underway = Ok(store.store.underway(own, id));
            let underway = self.judge("EventStore::underway", "a commit id", underway, attack);
            self.empty("underway", underway.flatten().is_none(), attack);
            let status = store.store.commit_status(own, id).await;
            let status = self.judge("EventStoreExt::commit_status", "a commit id", status, attack);
            self.empty("commit_status", status.is_none_or(|told| told == CommitStatus::Unknown), attack);
        }
        let shared = store.store.find_commit(own, CommitId(SHARED_COMMIT)).await;
        self.judge("EventStore::find_commit", "a shared commit id", shared, attack);
        self.control("find_commit", store.store.find_commit(own, CommitId(SHARED_COMMIT)).await, attack);
        for stream in self.streams()? {
            let page = store.store.read_stream(own, &stream, Version::NONE, 100).await;
            let page = self.judge("EventStore::read_stream", "a stream", page, attack);
            self.empty("read_stream", page.is_none_or(|page| page.version == Version::NONE), attack);
            let whole = store.store.read_stream_whole(own, &stream, Version::NONE).await;
            let whole = self.judge("EventStoreExt::read_stream_whole", "a stream", whole, attack);
            self.empty("read_stream_whole", whole.is_none_or(|events| events.is_empty()), attack);
            let versions = store.store.versions(own, &[stream.clone(), own_stream(self.own)?]).await;
            let versions = self.judge("EventStore::versions", "a stream", versions, attack);
            let none = versions.is_none_or(|versions| versions.first() == Some(&Version::NONE));
            self.empty("versions", none, attack);
            let snapshot = store.snapshots.load_snapshot(own, &stream).await;
            let snapshot = self.judge("Snapshots::load_snapshot", "a stream", snapshot, attack);
            self.empty("load_snapshot", snapshot.flatten().is_none(), attack);
        }
        let listed = store.store.streams(own, None, None, 1_000).await;
        self.judge("EventStore::streams", "a tenant's list", listed, attack);
        let vaults = Category::new(own_stream(self.victim)?.category())?;
        for after in self.streams()? {
            let listed = store.store.streams(own, Some(&vaults), Some(&after), 1_000).await;
            self.judge("EventStore::streams", "a stream", listed, attack);
        }
        self.control("streams", store.store.streams(own, None, None, 1_000).await, attack);
        let shared = StreamName::parse(SHARED_STREAM)?;
        let page = store.store.read_stream(own, &shared, Version::NONE, 100).await;
        self.judge("EventStore::read_stream", "a shared stream", page, attack);
        self.control("read_stream", store.store.read_stream(own, &shared, Version::NONE, 100).await, attack);
        let snapshot = store.snapshots.load_snapshot(own, &shared).await;
        self.judge("Snapshots::load_snapshot", "a shared stream", snapshot, attack);
        self.control("load_snapshot", store.snapshots.load_snapshot(own, &shared).await, attack);
        Ok(())
    }

    /// Pages of the log and of the archive, from every place and past every filter.
    async fn log(&self, attack: &mut Attack) -> Result<()> {
        let (store, own) = (self.store, &self.own.id);
        let scope = LogScope::Tenant(own.clone());
        let mut filters = vec![LogFilter::default()];
        filters.push(LogFilter { categories: vec![Category::new("account")?], event_types: Vec::new() });
        filters.push(LogFilter { categories: Vec::new(), event_types: vec![EventType::new("noted")?] });
        for text in HOSTILE_TEXTS {
            if let Ok(event_type) = EventType::new(text) {
                filters.push(LogFilter { categories: Vec::new(), event_types: vec![event_type] });
            }
        }
        let committed = store.store.find_commit(&self.victim.id, own_commit(self.victim)).await?;
        let committed = committed.ok_or("the victim's commit is not there")?.committed;
        let before = committed.position.number().saturating_sub(1);
        for filter in &filters {
            for (after, limit) in [(0, 1), (0, 10_000), (before, 1), (before, 10_000), (u64::MAX, 1)] {
                let page = store.store.read_all(&scope, Position::from_number(after), filter, limit).await;
                let page = self.judge("EventStore::read_all", "a position", page, attack);
                let Some(page) = page else { continue };
                self.empty("read_all", page.events.iter().all(|event| event.tenant == *own), attack);
                // It may be another tenant's event.
                self.empty("read_all, scanned_to_id", page.scanned_to_id.is_none(), attack);
            }
        }
        self.control(
            "read_all",
            store.store.read_all(&scope, Position::START, &filters[0], 10_000).await,
            attack,
        );
        let events = store.store.read_commit(own, &committed).await;
        let events = self.judge("EventStoreExt::read_commit", "a commit", events, attack);
        self.empty("read_commit", events.is_none_or(|events| events.is_empty()), attack);
        for (after, limit) in [(0, 1), (0, 10_000), (before, 2), (u64::MAX, 1)] {
            let page = store.archive.read_commits(&scope, after, limit).await;
            let page = self.judge("Archive::read_commits", "a place", page, attack);
            let alone = page.is_none_or(|page| page.commits.iter().all(|commit| commit.tenant == *own));
            self.empty("read_commits", alone, attack);
        }
        self.control("read_commits", store.archive.read_commits(&scope, 0, 10_000).await, attack);
        Ok(())
    }

    /// Work, dead letters and schedules, by the ids and names of the other.
    async fn work(&self, attack: &mut Attack) -> Result<()> {
        let (work, schedules) = self.store.work()?;
        let (own, theirs) = (&self.own.id, own_commit(self.victim));
        for number in 0..4 {
            let found = work.find_work(own, theirs, number).await;
            let found = self.judge("WorkQueue::find_work", "a commit id", found, attack);
            self.empty("find_work", found.flatten().is_none(), attack);
        }
        self.control("find_work", work.find_work(own, own_commit(self.own), 0).await, attack);
        let letters: Vec<WorkId> = (0..4).map(|number| WorkId::of(&self.victim.id, theirs, number)).collect();
        let replayed = work.replay(own, &letters).await;
        let replayed = self.judge("WorkQueue::replay", "ids of letters", replayed, attack);
        self.empty("replay", replayed.is_none_or(|count| count == 0), attack);
        let discarded = work.discard(own, &letters).await;
        let discarded = self.judge("WorkQueue::discard", "ids of letters", discarded, attack);
        self.empty("discard", discarded.is_none_or(|count| count == 0), attack);
        let mut filter = WorkFilter { tenant: Some(own.clone()), ..WorkFilter::default() };
        for (dead, holds) in [(false, false), (true, false), (true, true)] {
            (filter.dead, filter.holds) = (dead, holds);
            filter.receiver = holds.then(|| "mail".to_owned());
            for key in [None, Some(SHARED_KEY)].into_iter().chain(HOSTILE_TEXTS.map(Some)) {
                filter.key = key.map(str::to_owned);
                for (after, limit) in [(0, 1), (0, 1_000), (u64::MAX, 1)] {
                    let listed = work.list_work(&filter, WorkPlace::from_number(after), limit).await;
                    let listed = self.judge("WorkQueue::list_work", "a key and a place", listed, attack);
                    let alone =
                        listed.is_none_or(|listed| listed.work.iter().all(|info| info.work.tenant == *own));
                    self.empty("list_work", alone, attack);
                }
            }
            filter.key = None;
            self.control("list_work", work.list_work(&filter, WorkPlace::START, 1_000).await, attack);
        }
        (filter.holds, filter.receiver) = (false, None);
        // Everybody has such work: the counts are those of its own lists.
        let depths = work.queue_depths(Some(own)).await;
        let depths = self.judge("WorkQueue::queue_depths", "no name", depths, attack).unwrap_or_default();
        let told: u64 = depths.iter().map(|depth| depth.ready + depth.later + depth.dead).sum();
        let mut count = 0;
        for dead in [false, true] {
            filter.dead = dead;
            count += work.list_work(&filter, WorkPlace::START, 1_000).await?.work.len() as u64;
        }
        self.empty("queue_depths", told <= count, attack);
        attack.control(told == count, || format!("{told} of {count} pieces of {own} are counted"));
        for after in [None, Some((&self.victim.id, SCHEDULE)), Some((&self.victim.id, "'; --"))] {
            let listed = schedules.list_schedules(Some(own), after, 1_000).await;
            let listed = self.judge("Schedules::list_schedules", "a name", listed, attack);
            let alone = listed.is_none_or(|listed| listed.iter().all(|schedule| schedule.tenant == *own));
            self.empty("list_schedules", alone, attack);
        }
        self.control("list_schedules", schedules.list_schedules(Some(own), None, 1_000).await, attack);
        // One of the same name is one's own.
        let visitor = TenantId::new(format!("visitor.{}.{}", self.own.number, self.victim.number))?;
        let removed = schedules.remove_schedule(&visitor, SCHEDULE).await;
        let removed = self.judge("Schedules::remove_schedule", "a name", removed, attack);
        self.empty("remove_schedule", removed.is_none_or(|removed| !removed), attack);
        let put = schedules.put_schedule(&visitor, SCHEDULE, &Json::parse("{}")?, None).await;
        let put = self.judge("Schedules::put_schedule", "a name", put, attack);
        self.empty("put_schedule", put.is_none_or(|put| put.revision == 1), attack);
        Ok(())
    }

    /// Rows of views, by every filter and sort, with the values, keys and cursors of the other.
    async fn rows(&self, attack: &mut Attack) -> Result<()> {
        let (store, own) = (self.store, &self.own.id);
        for table in self.tables {
            let mut keys = vec![own_key(self.victim)];
            keys.extend(HOSTILE_TEXTS.iter().map(|text| (*text).to_owned()));
            for key in keys {
                let row = store.read_models.get(table, own, &key).await;
                let row = self.judge("ReadModels::get", "a key", row, attack);
                self.empty("get", row.flatten().is_none(), attack);
            }
            self.judge(
                "ReadModels::get",
                "a shared key",
                store.read_models.get(table, own, SHARED_KEY).await,
                attack,
            );
            self.control("get", store.read_models.get(table, own, SHARED_KEY).await, attack);
            let all = Query::default().limit(1_000);
            let own_rows = store.read_models.count(table, own, &all).await?;
            for query in self.queries(table).await? {
                let page = store.read_models.query(table, own, &query).await;
                self.judge("ReadModels::query", "values and cursors", page, attack);
                let count = store.read_models.count(table, own, &query).await;
                let count = self.judge("ReadModels::count", "values", count, attack);
                self.empty("count", count.is_none_or(|count| count <= own_rows), attack);
            }
            self.control("query", store.read_models.query(table, own, &all).await, attack);
        }
        // Names of views are data too.
        for name in ["x\"; DROP TABLE events; --", "events", "commits", "pg_class"] {
            let mut table = self.tables[0].clone();
            table.schema.name = name.to_owned();
            let row = store.read_models.get(&table, own, SHARED_KEY).await;
            let row = self.judge("ReadModels::get", "a view's name", row, attack);
            self.empty("get", row.flatten().is_none(), attack);
        }
        Ok(())
    }

    async fn queries(&self, table: &ViewTable) -> Result<Vec<Query>> {
        let mut queries = queries_by_values(&table.schema, &values(self.victim, 0)?);
        for sorted in sorts(&table.schema) {
            // Where the other's page ends this one's goes on.
            let theirs = self.store.read_models.query(table, &self.victim.id, &sorted).await?;
            queries.extend(going_on(&sorted, theirs.next));
        }
        queries.extend(queries_by_keys(self.victim));
        Ok(queries)
    }

    /// Commits and snapshots with the other's names and ids: they are one's own.
    async fn writes(&self, attack: &mut Attack) -> Result<()> {
        let (store, own) = (self.store, &self.own.id);
        let stream = own_stream(self.victim)?;
        // What the other has there does not show, also not as the version of a conflict.
        let expects = Commit::new(CommitId::draw()).append(
            stream.clone(),
            ExpectedVersion::Exact(Version(2)),
            vec![event(self.own, 900)?],
        );
        let answer = store.store.commit(own, expects).await;
        let none = matches!(&answer, Err(Error::Conflict(conflict)) if conflict.actual == Version::NONE);
        // The stream's name is the caller's own word.
        let answer: std::result::Result<(), Error> = answer.map(drop).map_err(|error| match error {
            Error::Conflict(_) => Error::invalid("a conflict"),
            error => error,
        });
        self.judge("EventStore::commit", "a stream at its version", answer, attack);
        self.empty("commit", none, attack);
        // Somebody who has nothing yet, and takes the other's ids.
        let visitor = TenantId::new(format!("visitor.{}.{}", self.own.number, self.victim.number))?;
        for (id, number) in [(own_commit(self.victim), 1), (own_refusal(self.victim), 2)] {
            let mut same = event(self.own, 0)?;
            // Also an event id belongs to its tenant.
            same.event_id = EventId(self.victim.uuid(number));
            let commit = Commit::new(id).append(stream.clone(), ExpectedVersion::Any, vec![same]);
            let answer = store.store.commit(&visitor, commit).await;
            attack.tried_method("EventStore::commit");
            let first = matches!(&answer, Ok(Committed { repeated: false, .. }));
            self.empty("commit with its id", first, attack);
        }
        let snapshot = Snapshot {
            version: Version(1_000),
            event_id: EventId(self.own.uuid(1)),
            fingerprint: Fingerprint([9; 16]),
            state: Json::parse("{}")?,
        };
        let stored = store.snapshots.store_snapshot(own, &stream, snapshot).await;
        self.judge("Snapshots::store_snapshot", "a stream", stored, attack);
        let removed = store.snapshots.remove_snapshot(own, &stream).await;
        self.judge("Snapshots::remove_snapshot", "a stream", removed, attack);
        let archived = ArchivedCommit {
            tenant: TenantId::new(format!("importer.{}.{}", self.own.number, self.victim.number))?,
            id: own_commit(self.victim),
            fingerprint: Fingerprint([3; 16]),
            outcome: Outcome::Accepted,
            recorded_at: Timestamp::from_microsecond(0)?,
            events: Vec::new(),
        };
        let imported = store.archive.import_commits(vec![archived]).await;
        self.judge("Archive::import_commits", "an id", imported, attack);
        Ok(())
    }

    /// Rows of both in one batch of a view, as the engine writes them.
    async fn batch(&self, attack: &mut Attack) -> Result<()> {
        let table = &self.tables[0];
        let from = self.store.read_models.checkpoint(table).await?;
        let mut changes = vec![row(self.own, SHARED_KEY, 50)?];
        let address = |key: &str| RowAddress { tenant: self.own.id.clone(), key: key.to_owned() };
        changes.push(RowChange::Delete(address(&own_key(self.victim))));
        changes.push(RowChange::Patch(
            address(&own_key(self.own)),
            vec![("note".to_owned(), Value::Text(format!("patched {}", self.own.mark())))],
        ));
        let position = Position::from_number(from.position.number() + 1);
        let event_id = self.store.store.event_id_at(position).await?;
        let to = Checkpoint { store: from.store, position, event_id };
        let applied = self.store.read_models.apply(table, ViewBatch::new(from, to, changes)).await;
        attack.control(applied.is_ok(), || format!("apply: {applied:?}"));
        self.judge("ReadModels::apply", "a key", applied, attack);
        let loaded =
            self.store.read_models.load(table, &[address(&own_key(self.victim)), address(SHARED_KEY)]).await;
        let loaded = self.judge("ReadModels::load", "a key", loaded, attack);
        self.empty(
            "load",
            loaded.is_some_and(|rows| rows.first().is_some_and(|row| row.values.is_none())),
            attack,
        );
        Ok(())
    }
}

/// Every filter, alone and all at once, with the values of another.
pub(super) fn queries_by_values(schema: &RowSchema, theirs: &[Value]) -> Vec<Query> {
    let mut queries = vec![Query::default().limit(1_000)];
    let comparisons =
        [Comparison::Eq, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge, Comparison::Prefix];
    let indexed = || schema.columns.iter().zip(theirs).filter(|(column, _)| column.indexed);
    for (column, value) in indexed() {
        let mut wanted = vec![value.clone()];
        if let Value::Text(_) = value {
            wanted.extend(HOSTILE_TEXTS.iter().map(|text| Value::Text((*text).to_owned())));
            wanted.extend([String::new(), "title".to_owned()].map(Value::Text));
        }
        for value in wanted {
            for comparison in comparisons {
                let query = Query::default().limit(1_000).filter(&column.name, comparison, value.clone());
                // Prefix is for text alone.
                if query.validate(schema).is_ok() {
                    queries.push(query);
                }
            }
        }
    }
    // All at once: every filter a query may have.
    queries.push(indexed().fold(Query::default(), |query, (column, value)| {
        query.filter(&column.name, Comparison::Eq, value.clone())
    }));
    queries
}

/// Short pages in every order there is.
pub(super) fn sorts(schema: &RowSchema) -> Vec<Query> {
    let directions = [Direction::Ascending, Direction::Descending];
    let indexed = schema.columns.iter().filter(|column| column.indexed);
    let sorted = |name: &str| directions.map(|direction| Query::default().limit(2).sort(name, direction));
    indexed.flat_map(|column| sorted(&column.name)).collect()
}

/// A query that goes on where a page of another ended.
pub(super) fn going_on(sorted: &Query, after: Option<Cursor>) -> [Query; 2] {
    [1, 1_000].map(|limit| Query { after: after.clone(), ..sorted.clone().limit(limit) })
}

/// By key, from a key of another on.
pub(super) fn queries_by_keys(victim: &Marked) -> Vec<Query> {
    let mut queries = Vec::new();
    for direction in [Direction::Ascending, Direction::Descending] {
        for key in [own_key(victim), String::new(), "' OR true --".to_owned()] {
            let mut query = Query::default().limit(1_000);
            query.sort.direction = direction;
            queries.push(Query { after: Some(Cursor { value: None, key }), ..query });
        }
    }
    queries
}
