//! Yesterday's log comes back under consumers that are ahead of it: the rows of a view, a reader with a
//! checkpoint of its own, a process that runs on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use servers::connect;
use underlay_core::{Checkpoint, Error, EventStore, EventStoreExt};
use underlay_postgres::{PostgresConfig, PostgresStore};

use super::dump::{client, dump_database, restore_database};
use super::load::{answers, head, view_at};
use super::place::{DATABASE, Place};
use crate::Result;
use crate::faults::fault::Means;
use crate::faults::report::Measured;
use crate::faults::resumption::resume_max;
use crate::faults::serving::{Client, Reply, Serving};

pub(crate) const PROMISED: &str = "a consumer that is ahead is refused, and told the command that mends it; a process \
                                   that runs on does not decide by what it remembers";

const REPAIR: &str = "ledger view rebuild balances";
/// Deposits before the backup, and between it and the disaster.
const BEFORE: u64 = 5;
const SINCE: u64 = 5;

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut place = Place::new(means, &[]).await?;
    let running = place.serve()?;
    let complaints = place.complaints_file();
    let bank = Bank(running.client());
    bank.ask("open", "{}").await?;
    bank.deposit(BEFORE).await?;
    let admin = place.admin().await?;
    answers(&running.client(), &view_at(head(&admin).await?)).await?;
    let backup = place.directory().join("backup");
    dump_database(&place.server, &backup)?;
    bank.deposit(SINCE).await?;
    answers(&running.client(), &view_at(head(&admin).await?)).await?;
    let store = place.open(PostgresConfig::default()).await?;
    let ahead = end_of(&store).await?;
    store.close().await?;
    let views = place.directory().join("views");
    client(&place.server, "pg_dump", VIEWS, Some(&views))?;

    // The log alone is of yesterday; the rows of the view are of today.
    drop(admin);
    restore(&place, &backup, Some(&views)).await?;
    measured.add("the log is shorter", refused(&mut place, &ahead, 0).await?);
    restore(&place, &backup, Some(&views)).await?;
    measured.add("the log has gone on otherwise", refused(&mut place, &ahead, 2 * SINCE).await?);
    // All of it is of yesterday, and a process runs on that remembers today.
    restore(&place, &backup, None).await?;
    measured.add("a process runs on", runs_on(&mut place, &bank, &complaints).await?);
    drop(running);
    Ok(measured)
}

/// What of a dump are the views.
const VIEWS: &[&str] = &[
    "--format=custom",
    "--table=underlay.views",
    "--table=underlay.view_generations",
    "--table=underlay.view_checkpoints",
    "--table=underlay_views.*",
    DATABASE,
];

/// Puts a backup in the place of the database, with other rows of views where they are given.
async fn restore(place: &Place, backup: &Path, views: Option<&PathBuf>) -> Result<()> {
    let admin = connect(&place.server.address()).await?;
    admin.batch_execute(&format!("DROP DATABASE {DATABASE} WITH (FORCE)")).await?;
    admin.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
    restore_database(&place.server, backup)?;
    let Some(views) = views else { return Ok(()) };
    let admin = place.admin().await?;
    let tables = "SELECT string_agg(format('%I.%I', nspname, relname), ', ') FROM pg_class JOIN pg_namespace AS n \
                  ON n.oid = relnamespace WHERE relkind = 'r' AND (nspname = 'underlay_views' OR nspname = \
                  'underlay' AND relname IN ('views', 'view_generations', 'view_checkpoints'))";
    let tables: String = admin.query_one(tables, &[]).await?.try_get(0)?;
    admin.batch_execute(&format!("TRUNCATE {tables}")).await?;
    let views = views.display().to_string();
    let arguments = ["--exit-on-error", "--data-only", "--dbname", DATABASE, &views];
    client(&place.server, "pg_restore", &arguments, None)
}

/// Consumers that are ahead of the log are refused, until the command is run that they name.
async fn refused(place: &mut Place, ahead: &Checkpoint, events_since: u64) -> Result<Measured> {
    let mut measured = Measured::default();
    // Commands are taken by a process that has no view: its program is the store alone.
    let writer = place.open(PostgresConfig::default()).await?;
    write(&writer, events_since).await?;
    let repair = "reader start again";
    let answer = writer.check_checkpoint("the reader", ahead, repair).await;
    let told =
        matches!(&answer, Err(error @ Error::CheckpointRefused(_)) if error.to_string().contains(repair));
    measured.hold(told, format!("a reader with a checkpoint of its own: {}", text_of(&answer)));
    writer.close().await?;

    let status = place.ledger().run(&place.address(), &["view", "status"])?;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    measured.hold(status.contains(REPAIR), format!("`ledger view status` names `{REPAIR}`"));

    let address = place.address();
    let serving = place.serve()?;
    let client = serving.client();
    let ready = settled(&client).await?;
    measured.hold(ready == "degraded", format!("readyz of a process on it: {ready}"));
    let rows = client.get("v1/views/balances?min_position=1&wait=1").await?.status;
    measured.hold(rows == 503, format!("a query that waits for the view: {rows}"));
    let complaints = place.complaints()?;
    measured.hold(complaints.contains(REPAIR), "its log names the command".to_owned());
    place.ledger().done(&address, &["view", "rebuild", "balances"])?;
    let admin = place.admin().await?;
    let went_on = answers(&client, &view_at(head(&admin).await?)).await.is_ok();
    measured.hold(went_on, "after the command the view goes on, in the running process too".to_owned());
    Ok(measured)
}

fn text_of(answer: &std::result::Result<(), Error>) -> String {
    answer.as_ref().err().map_or_else(|| "taken".to_owned(), ToString::to_string)
}

/// What a service says of itself, once it is not ready any more; `ready` where it stays that.
async fn settled(client: &Client) -> Result<String> {
    let asked = Instant::now();
    loop {
        let ready = client.get("readyz").await?.body["status"].as_str().unwrap_or_default().to_owned();
        if ready != "ready" || asked.elapsed() > resume_max() {
            return Ok(ready);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Events that are not those of before.
async fn write(store: &PostgresStore, count: u64) -> Result<()> {
    use underlay_core::{Commit, CommitId, EventType, ExpectedVersion, Json, NewEvent, SchemaVersion};
    let tenant = underlay_core::TenantId::new("main")?;
    let stream = underlay_core::StreamName::new("note", 1)?;
    for number in 0..count {
        let event = NewEvent::new(EventType::new("noted")?, SchemaVersion(1), Json::encode(&number)?);
        let commit = Commit::new(CommitId::draw()).append(stream.clone(), ExpectedVersion::Any, vec![event]);
        store.commit(&tenant, commit).await?;
    }
    Ok(())
}

async fn end_of(store: &PostgresStore) -> Result<Checkpoint> {
    let position = store.head().await?;
    let event_id = store.event_id_at(position).await?;
    Ok(Checkpoint { store: store.store_id(), position, event_id })
}

/// The process remembers an account as it was; others have brought it to the same version by another
/// way. It must not decide by what it remembers, and says so until it is started again.
async fn runs_on(place: &mut Place, bank: &Bank, complaints: &Path) -> Result<Measured> {
    let mut measured = Measured::default();
    let other: Serving = place.serve()?;
    let beside = Bank(other.client());
    for _ in 0..SINCE {
        beside.ask("withdraw", &json!({ "amount": "1", "commodity": "EUR" }).to_string()).await?;
    }
    // The balance is what it was at the backup, less the withdrawals: nothing is left to be taken.
    let all = json!({ "amount": (BEFORE + SINCE).to_string(), "commodity": "EUR" }).to_string();
    let reply = bank.try_ask("withdraw", &all).await?;
    measured.hold(reply.is_unavailable(), format!("a command to it: {} {}", reply.status, reply.detail()));
    let told = std::fs::read_to_string(complaints)?.contains("start this process again");
    measured.hold(told, "its log says to start it again".to_owned());
    let ready = bank.0.get("readyz").await?.status;
    measured.hold(ready == 503, format!("its readyz: {ready}"));
    let reply = beside.try_ask("withdraw", &all).await?;
    measured.hold(
        reply.status == 422,
        format!("a process that was started since: {} {}", reply.status, reply.detail()),
    );
    let admin = place.admin().await?;
    let shows = answers(&beside.0, &view_at(head(&admin).await?)).await.is_ok();
    measured.hold(shows, "the view goes on there".to_owned());
    Ok(measured)
}

/// An account of the ledger.
struct Bank(Client);

impl Bank {
    async fn deposit(&self, times: u64) -> Result<()> {
        for _ in 0..times {
            self.ask("deposit", r#"{"amount":"1","commodity":"EUR"}"#).await?;
        }
        Ok(())
    }

    async fn ask(&self, command: &str, body: &str) -> Result<()> {
        match self.try_ask(command, body).await? {
            Reply { status: 200, .. } => Ok(()),
            reply => Err(format!("{command} was answered {reply:?}").into()),
        }
    }

    /// Asks until the answer is another than "not now", or stays that.
    async fn try_ask(&self, command: &str, body: &str) -> Result<Reply> {
        let asked = Instant::now();
        loop {
            let key = uuid::Uuid::now_v7().to_string();
            let reply = self.0.post(&format!("v1/account/old/{command}"), &key, body.to_owned()).await?;
            if !reply.is_unavailable() || asked.elapsed() > resume_max() {
                return Ok(reply);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
