//! Tenants with names that are easily mixed up, each with something of every kind, written as the
//! product writes it.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{
    Checkpoint, Column, ColumnType, Commit, CommitId, Decimal, EntityChange, EntitySchema, EventId,
    EventStore, EventType, ExpectedVersion, Fingerprint, Json, Lane, Metadata, NewEvent, NewWork, Outcome,
    ParkedEvent, Position, RowAddress, RowChange, SchemaVersion, Settled, Settlement, Snapshot, StreamName,
    Swap, Timestamp, Value, Version, ViewBatch, ViewSchema, ViewTable, WorkKind, WorkPlace, WorkScope,
    Worker,
};
use uuid::Uuid;

use super::marks::{self, Marked};
use super::place::{ENTITIES, SCHEMA, VIEWS};
use super::session::{Session, literal};
use crate::Result;
use crate::subject::OpenStore;

/// Names that a careless comparison takes for each other: prefixes, patterns, other case, the longest.
const NAMES: [&str; 12] =
    ["acme", "acm", "acme-", "acme.1", "acme_1", "acmeX1", "ACME", "Acme", "_", "-", "..", "LONGEST"];
/// Names that the product refuses and the database would take.
pub(super) const HOSTILE_NAMES: [&str; 20] = [
    "%",
    "acme%",
    "' OR true --",
    "'; DROP TABLE events; --",
    "acme' OR '1'='1",
    "\"acme\"",
    "acme ",
    " acme",
    "acme\n",
    "acme,acm",
    "{acme,acm}",
    "\\",
    "NULL",
    "$1",
    "acm\u{e9}",
    "acme\u{301}",
    "ａｃｍｅ",
    "acme\u{200b}",
    "🦀",
    "LONG",
];
/// The id that commits of every tenant share.
pub(super) const SHARED_COMMIT: Uuid = Uuid::from_u128(0xc0ff_ee00_0000_4000_8000_0000_0000_0001);
/// The stream that every tenant has.
pub(super) const SHARED_STREAM: &str = "account-1";
/// The key of a row that every tenant has.
pub(super) const SHARED_KEY: &str = "shared";
/// The schedule that every tenant has.
pub(super) const SCHEDULE: &str = "nightly";
/// The name of work that is given up.
const LETTER: &str = "letter";
/// Rows of a tenant in each generation of a view.
const ROWS: u32 = 4;

/// Everything that was written.
pub(super) struct Population {
    pub(super) tenants: Vec<Marked>,
    /// By name and number; only in the tables, not by the product.
    pub(super) hostile: Vec<(String, u32)>,
    /// The generation that is read, one that is being built, and one that was rebuilt.
    pub(super) tables: Vec<ViewTable>,
    /// A table that answers nothing any more and still has rows.
    pub(super) replaced: ViewTable,
}

/// The stream of a tenant alone.
pub(super) fn own_stream(tenant: &Marked) -> Result<StreamName> {
    Ok(StreamName::parse(&format!("account-{}", tenant.mark()))?)
}

pub(super) fn own_key(tenant: &Marked) -> String {
    format!("key-{}", tenant.mark())
}

/// The id of the commit a tenant alone has, and of its refusal.
pub(super) fn own_commit(tenant: &Marked) -> CommitId {
    CommitId(tenant.uuid(1_001))
}

pub(super) fn own_refusal(tenant: &Marked) -> CommitId {
    CommitId(tenant.uuid(1_002))
}

pub(super) fn event(tenant: &Marked, number: u32) -> Result<NewEvent> {
    let payload = Json::encode(&serde_json::json!({ "secret": tenant.mark(), "number": number }))?;
    let mut event = NewEvent::new(EventType::new("noted")?, SchemaVersion(1), payload);
    event.event_id = EventId(tenant.uuid(number));
    Ok(event)
}

pub(super) fn view(name: &str) -> ViewSchema {
    let column = |name: &str, column_type, indexed: bool| Column {
        name: name.to_owned(),
        column_type,
        nullable: !indexed,
        indexed,
    };
    ViewSchema::new(
        name,
        1,
        vec![
            column("title", ColumnType::Text, true),
            column("number", ColumnType::Integer, true),
            column("amount", ColumnType::Decimal, true),
            column("open", ColumnType::Boolean, true),
            column("since", ColumnType::Timestamp, true),
            column("note", ColumnType::Text, false),
        ],
    )
}

pub(super) fn row(tenant: &Marked, key: &str, number: u32) -> Result<RowChange> {
    let address = RowAddress { tenant: tenant.id.clone(), key: key.to_owned() };
    Ok(RowChange::Upsert(address, values(tenant, number)?))
}

pub(super) fn values(tenant: &Marked, number: u32) -> Result<Vec<Value>> {
    let number = i64::from(tenant.number * 100 + number);
    Ok(vec![
        Value::Text(format!("title {} {number}", tenant.mark())),
        Value::Integer(number),
        Value::Decimal(Decimal::new(number, 2)),
        Value::Boolean(number % 2 == 0),
        Value::Timestamp(Timestamp::from_microsecond(number)?),
        Value::Text(format!("note {}", tenant.mark())),
    ])
}

fn longest(fill: char, last: char) -> String {
    let mut name = fill.to_string().repeat(underlay_core::limits::TENANT_BYTES_MAX - 1);
    name.push(last);
    name
}

/// Writes the tenants the product takes, through its ports.
pub(super) async fn fill(store: &OpenStore) -> Result<Population> {
    let mut names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    names.pop();
    // Two that differ in their last byte.
    names.extend([longest('a', 'b'), longest('a', 'c')]);
    let tenants = (1..).zip(&names).map(|(number, name)| Marked::new(name, number));
    let tenants = tenants.collect::<Result<Vec<_>>>()?;
    for tenant in &tenants {
        write(store, tenant).await?;
    }
    give_up_letters(store).await?;
    store_entities(store, &tenants).await?;
    let start = Checkpoint::start(store.store.store_id());
    let active = store.read_models.prepare(&view("accounts"), start).await?;
    store_rows(store, &active, &tenants).await?;
    let building = store.read_models.begin_generation(&view("accounts"), start).await?;
    store_rows(store, &building, &tenants).await?;
    // Replaced below: it answers nothing, and its rows are still there.
    let replaced = store.read_models.prepare(&view("balances"), start).await?;
    store_rows(store, &replaced, &tenants).await?;
    let rebuilt = store.read_models.begin_generation(&view("balances"), start).await?;
    store_rows(store, &rebuilt, &tenants).await?;
    store.read_models.activate(&rebuilt, Swap::default()).await?;
    for work in ["view:accounts", "view:balances"] {
        if let Some(leases) = &store.leases {
            leases.acquire(work, "the attack", Duration::from_secs(3_600)).await?;
        }
    }
    Ok(Population { tenants, hostile: Vec::new(), tables: vec![active, building, rebuilt], replaced })
}

/// The shape of the entities of every tenant: that of the rows, with a unique title.
pub(super) fn entity() -> EntitySchema {
    EntitySchema::new("account", 1, view("accounts").rows.columns).with_unique(["title"])
}

/// Entities of every tenant: one that all have the id of, and one that a tenant alone has.
async fn store_entities(store: &OpenStore, tenants: &[Marked]) -> Result<()> {
    let (entities, schema) = (store.entities()?, Arc::new(entity()));
    entities.prepare(&schema).await?;
    for tenant in tenants {
        let create =
            |id: String, number| Ok(EntityChange::create(schema.clone(), id, values(tenant, number)?));
        let unit: Result<Vec<EntityChange>> = [(SHARED_KEY.to_owned(), 0), (own_key(tenant), ROWS)]
            .map(|(id, number)| create(id, number))
            .into_iter()
            .collect();
        entities.apply(&tenant.id, unit?).await?;
    }
    Ok(())
}

async fn write(store: &OpenStore, tenant: &Marked) -> Result<()> {
    let metadata = Metadata { actor: Some(format!("actor {}", tenant.mark())), ..Metadata::default() };
    let shared = StreamName::parse(SHARED_STREAM)?;
    let both = Commit::new(CommitId(SHARED_COMMIT))
        .append(shared.clone(), ExpectedVersion::NoStream, vec![event(tenant, 1)?, event(tenant, 2)?])
        .append(own_stream(tenant)?, ExpectedVersion::NoStream, vec![event(tenant, 3)?])
        .with_metadata(metadata.clone());
    store.store.commit(&tenant.id, both).await?;
    let own = Commit::new(own_commit(tenant))
        .append(own_stream(tenant)?, ExpectedVersion::Exact(Version(1)), vec![event(tenant, 4)?])
        .with_metadata(metadata)
        .send(piece(tenant, "ready")?)
        .send(piece(tenant, "later")?.with_due_at(Timestamp::MAX))
        .send(piece(tenant, LETTER)?);
    store.store.commit(&tenant.id, own).await?;
    let (_, schedules) = store.work()?;
    let definition = Json::encode(&serde_json::json!({ "secret": tenant.mark() }))?;
    schedules.put_schedule(&tenant.id, SCHEDULE, &definition, Some(Timestamp::UNIX_EPOCH)).await?;
    let refused = Outcome::Refused {
        code: "no".to_owned(),
        message: format!("not {}", tenant.mark()),
        body: Json::encode(&serde_json::json!({ "secret": tenant.mark() }))?,
    };
    store.store.commit(&tenant.id, Commit::new(own_refusal(tenant)).with_outcome(refused)).await?;
    for stream in [shared, own_stream(tenant)?] {
        let snapshot = Snapshot {
            version: Version(2),
            event_id: EventId(tenant.uuid(2)),
            fingerprint: Fingerprint([7; 16]),
            state: Json::encode(&serde_json::json!({ "secret": tenant.mark() }))?,
        };
        store.snapshots.store_snapshot(&tenant.id, &stream, snapshot).await?;
    }
    Ok(())
}

/// A piece of work for the key that every tenant has.
fn piece(tenant: &Marked, name: &str) -> Result<NewWork> {
    let payload = Json::encode(&serde_json::json!({ "secret": tenant.mark() }))?;
    Ok(NewWork::new(WorkKind::Message, "mail", SHARED_KEY, name, payload))
}

/// Gives up what is to be a dead letter, of every tenant.
async fn give_up_letters(store: &OpenStore) -> Result<()> {
    let (work, _) = store.work()?;
    let worker = Worker::embedded("the attack");
    let everybody = WorkScope::EveryTenantBut(Vec::new());
    for held in work.share(&worker, Duration::from_secs(60), &[]).await?.held {
        let shard = held.term.shard;
        let page = work.read_work(shard, Lane::Normal, &everybody, WorkPlace::START, WORK_PAGE_MAX).await?;
        let letters = page.work.into_iter().map(|read| read.work).filter(|work| work.sent.name == LETTER);
        let settled = letters.map(|letter| Settlement {
            term: held.term,
            place: letter.place,
            settled: Settled::Dead {
                error: format!("refused {}", letter.sent.payload.text().as_str()),
                is_final: true,
                holds: true,
            },
        });
        let settled: Vec<Settlement> = settled.collect();
        if !work.settle(&settled).await?.is_empty() {
            return Err("a shard was lost while letters were given up".into());
        }
    }
    Ok(work.leave(&worker).await?)
}

async fn store_rows(store: &OpenStore, table: &ViewTable, tenants: &[Marked]) -> Result<()> {
    let from = store.read_models.checkpoint(table).await?;
    let mut changes = Vec::new();
    for tenant in tenants {
        changes.push(row(tenant, SHARED_KEY, 0)?);
        for number in 1..ROWS {
            changes.push(row(tenant, &format!("{}-{number}", own_key(tenant)), number)?);
        }
        changes.push(row(tenant, &own_key(tenant), ROWS)?);
    }
    // A position is one event's, and so one tenant's.
    let mut position = from.position;
    let mut parked = Vec::new();
    for tenant in tenants {
        position = Position::from_number(position.number() + 1);
        parked.push(ParkedEvent {
            tenant: tenant.id.clone(),
            position,
            stream: own_stream(tenant)?,
            version: Version(1),
            event_id: EventId(tenant.uuid(1)),
            reason: format!("not for {}", tenant.mark()),
        });
    }
    let event_id = store.store.event_id_at(position).await?;
    let to = Checkpoint { store: from.store, position, event_id };
    Ok(store.read_models.apply(table, ViewBatch::new(from, to, changes).with_parked(parked)).await?)
}

/// Adds tenants the product would refuse, into every table that names a tenant: copies of the first
/// tenant's rows with other names, marks and positions.
pub(super) async fn add_hostile(population: &mut Population, admin: &Session) -> Result<()> {
    let first = u32::try_from(population.tenants.len()).unwrap_or(0) + 1;
    let model = &population.tenants[0];
    for (number, name) in (first..).zip(HOSTILE_NAMES) {
        let name = if name == "LONG" { "x".repeat(2_000) } else { name.to_owned() };
        let (tenant, from) = (literal(&name), literal(model.id.as_str()));
        let (mark, model_mark) = (literal(&marks::mark(number)), literal(&model.mark()));
        let text = |column: &str| format!("replace({column}::text, {model_mark}, {mark})");
        let id = |column: &str| {
            let (old, new) = (marks::uuid(model.number, 0).to_string(), marks::uuid(number, 0).to_string());
            format!("replace({column}::text, '{}', '{}')::uuid", &old[..8], &new[..8])
        };
        let events = format!(
            "INSERT INTO {SCHEMA}.events (position, version, recorded_at, schema_version, event_id, \
             commit_tail, tenant, stream, type, metadata, payload) \
             SELECT (SELECT max(position) FROM {SCHEMA}.events) + row_number() OVER (ORDER BY position), \
             version, (SELECT max(recorded_at) FROM {SCHEMA}.events), schema_version, {id}, 0, {tenant}, \
             {stream}, type, {metadata}::json, {payload}::json \
             FROM {SCHEMA}.events WHERE tenant = {from} AND version <= 2",
            id = id("event_id"),
            stream = text("stream"),
            metadata = text("metadata"),
            payload = text("payload")
        );
        let commits = format!(
            "INSERT INTO {SCHEMA}.commits (sequence, position, recorded_at, commit_id, event_count, tenant, \
             fingerprint, kind, code, message, body) \
             SELECT (SELECT max(sequence) FROM {SCHEMA}.commits) + row_number() OVER (ORDER BY sequence), \
             (SELECT max(position) FROM {SCHEMA}.events), (SELECT max(recorded_at) FROM {SCHEMA}.events), \
             {id}, 0, {tenant}, fingerprint, 'refused', code, {message}, {body}::json \
             FROM {SCHEMA}.commits WHERE tenant = {from} AND kind = 'refused'",
            id = id("commit_id"),
            message = text("message"),
            body = text("body")
        );
        let snapshots = format!(
            "INSERT INTO {SCHEMA}.snapshots (tenant, stream, version, event_id, fingerprint, state) \
             SELECT {tenant}, {stream}, version, {id}, fingerprint, {state}::json \
             FROM {SCHEMA}.snapshots WHERE tenant = {from}",
            stream = text("stream"),
            id = id("event_id"),
            state = text("state")
        );
        let mut all = vec![events, commits, snapshots];
        all.extend(["work", "work_later", "dead_letters"].map(|table| {
            let more = match table {
                "work" => "",
                "work_later" => ", due_at, attempts, holds",
                _ => ", died_at, attempts, is_final, holds, last_error",
            };
            format!(
                "INSERT INTO {SCHEMA}.{table} (place, sent_at, version, work_id, commit_id, shard, lane, tenant, kind, \
                 receiver, key, name, metadata, payload{more}) \
                 SELECT place + 500 + {number}, sent_at, version, gen_random_uuid(), {id}, shard, lane, {tenant}, kind, \
                 receiver, key, name, {metadata}::json, {payload}::json{values} \
                 FROM {SCHEMA}.{table} WHERE tenant = {from}",
                id = id("commit_id"),
                metadata = text("metadata"),
                payload = text("payload"),
                values = more.replace("last_error", &text("last_error")),
            )
        }));
        all.push(format!(
            "INSERT INTO {SCHEMA}.schedules (tenant, name, revision, next_due_at, definition) \
             SELECT {tenant}, name, revision, next_due_at, {definition}::json \
             FROM {SCHEMA}.schedules WHERE tenant = {from}",
            definition = text("definition")
        ));
        for table in population.tables.iter().chain([&population.replaced]) {
            let place = format!("{VIEWS}.{}_{}", table.schema.name, table.generation);
            all.push(format!(
                "INSERT INTO {place} (tenant, \"key\", title, number, amount, open, since, note) \
                 SELECT {tenant}, {key}, {title}, number, amount, open, since, {note} \
                 FROM {place} WHERE tenant = {from}",
                key = text("\"key\""),
                title = text("title"),
                note = text("note")
            ));
        }
        all.push(format!(
            "INSERT INTO {ENTITIES}.account (tenant, \"key\", \"version\", title, number, amount, open, since, note) \
             SELECT {tenant}, {key}, \"version\", {title}, number, amount, open, since, {note} \
             FROM {ENTITIES}.account WHERE tenant = {from}",
            key = text("\"key\""),
            title = text("title"),
            note = text("note")
        ));
        for sql in all {
            admin.run(&sql).await?;
        }
        population.hostile.push((name, number));
    }
    // What the server knows of the values is one more way to them.
    admin.run("ANALYZE").await.map(drop)
}

/// Everything in the tables that is not a tenant's, in one text: what nobody else may have changed.
pub(super) async fn digest(admin: &Session, own: Option<&str>, tables: &[String]) -> Result<String> {
    let parts: Vec<String> = tables
        .iter()
        .map(|table| {
            let mine = own.map_or_else(|| "true".to_owned(), |own| format!("tenant <> {}", literal(own)));
            format!(
                "(SELECT coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '') \
                 FROM {table} AS t WHERE {mine})"
            )
        })
        .collect();
    Ok(admin.run(&format!("SELECT {}", parts.join(" || "))).await?.text)
}
