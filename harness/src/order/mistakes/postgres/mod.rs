//! The mistakes that PostgreSQL invites to, made on purpose in a table of its own.
//!
//! Writers work beside each other, each on a stream of its own; a reader follows them. A [`Recipe`]
//! says what they do wrong.

mod notified;
mod reader;
mod writer;

use std::time::Duration;

use servers::{Database, Server};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Row};
use underlay_core::{EventType, StreamName, TenantId};
use uuid::Uuid;

use super::{Consequence, Made};
use crate::Result;
use crate::dice::Dice;
use crate::order::audit::Fault;
use crate::order::evidence::{
    CATEGORIES, EVENT_TYPES, Evidence, Feed, LogEntry, Mark, ReaderEvidence, TENANTS,
};
use crate::subject::PostgresPlace;

/// Writers beside each other.
const WRITERS: u64 = 4;
/// How long a program that has nothing to do with the log holds a transaction open.
const BYSTANDER_HOLDS: Duration = Duration::from_millis(1_500);

/// What is done, and what of it is wrong.
struct Recipe {
    name: &'static str,
    consequence: Consequence,
    /// Whether a lock lets one writer at a time draw positions and commit.
    ordered: bool,
    reads: Reads,
}

/// How the reader finds what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// Above the last position, so many events at most.
    Position { limit: i64 },
    /// After the time of the last event.
    Time,
    /// Above the last position, once no transaction is open that is older.
    Horizon,
    /// By what notifications say.
    Notified,
}

const RECIPES: &[Recipe] = &[
    Recipe {
        name: "bigserial, read above the last",
        consequence: Consequence::Fault(Fault::Lost),
        ordered: false,
        reads: Reads::Position { limit: i64::MAX },
    },
    Recipe {
        name: "paged by the time of the event",
        consequence: Consequence::Fault(Fault::Lost),
        ordered: false,
        reads: Reads::Time,
    },
    Recipe {
        name: "subscribed by NOTIFY alone",
        consequence: Consequence::Fault(Fault::Lost),
        ordered: true,
        reads: Reads::Notified,
    },
    Recipe {
        name: "a page of so many rows",
        consequence: Consequence::Fault(Fault::HalfSeen),
        ordered: true,
        reads: Reads::Position { limit: 3 },
    },
    Recipe {
        name: "read up to the oldest transaction",
        consequence: Consequence::Stall,
        ordered: true,
        reads: Reads::Horizon,
    },
];

/// Makes every mistake, each in a database of its own.
pub(crate) async fn make_all(server: &Server, dice: &mut Dice) -> Result<Vec<Made>> {
    let mut made = Vec::new();
    for recipe in RECIPES {
        let database = PostgresPlace::create_empty(server).await?;
        let evidence = make(&database, recipe, dice).await;
        let evidence = evidence.map_err(|error| format!("{}: {error}", recipe.name))?;
        made.push(Made { name: recipe.name, consequence: recipe.consequence, evidence });
    }
    Ok(made)
}

async fn make(database: &Database, recipe: &Recipe, dice: &mut Dice) -> Result<Evidence> {
    let admin = database.admin().await?;
    admin
        .batch_execute(
            "CREATE TABLE events (
                position bigserial PRIMARY KEY,
                stream text NOT NULL,
                version bigint NOT NULL,
                event uuid NOT NULL,
                commit_id uuid NOT NULL,
                commit_index bigint NOT NULL,
                commit_count bigint NOT NULL,
                recorded_at timestamptz NOT NULL DEFAULT now(),
                written_by xid8 NOT NULL DEFAULT pg_current_xact_id()
            )",
        )
        .await?;
    let (done, all_done) = watch::channel(false);
    let reading = tokio::spawn(reader::read(database.clone(), recipe.reads, all_done));
    let bystander = tokio::spawn(hold_a_transaction(database.clone()));
    let mut writing = JoinSet::new();
    for number in 0..WRITERS {
        writing.spawn(writer::write(database.clone(), number, recipe.ordered, recipe.reads, dice.fork()));
    }
    let mut evidence = Evidence::default();
    while let Some(lines) = writing.join_next().await {
        evidence.writers.extend(lines??);
    }
    bystander.await??;
    done.send_replace(true);
    let pages = reading.await??;
    let select = format!("SELECT {COLUMNS} FROM events ORDER BY position");
    for row in admin.query(&select, &[]).await? {
        evidence.log.push(entry(&row)?);
    }
    evidence.readers.push(ReaderEvidence { name: "reader".to_owned(), feed: Feed::Everything, pages });
    Ok(evidence)
}

/// What a program does that knows nothing of the log.
async fn hold_a_transaction(database: Database) -> Result<()> {
    let client: Client = database.admin().await?;
    client.batch_execute("BEGIN; SELECT pg_current_xact_id()").await?;
    tokio::time::sleep(BYSTANDER_HOLDS).await;
    Ok(client.batch_execute("ROLLBACK").await?)
}

const COLUMNS: &str = "position, stream, version, event, commit_id, commit_index, commit_count";

fn entry(row: &Row) -> Result<LogEntry> {
    let number = |at: usize| -> Result<u64> { Ok(row.try_get::<_, i64>(at)?.unsigned_abs()) };
    let mark = Mark {
        commit: row.try_get::<_, Uuid>(4)?,
        index: u32::try_from(number(5)?)?,
        count: u32::try_from(number(6)?)?,
    };
    Ok(LogEntry {
        position: number(0)?,
        tenant: TenantId::new(TENANTS[0])?,
        stream: StreamName::parse(row.try_get(1)?)?,
        event_type: EventType::new(EVENT_TYPES[0])?,
        version: number(2)?,
        event: row.try_get(3)?,
        mark,
        ends_commit: mark.index + 1 == mark.count,
    })
}

fn stream_of(writer: u64) -> Result<StreamName> {
    Ok(StreamName::new(CATEGORIES[0], writer)?)
}
